"""Signals that come before the gateway runs, and those that its parent had blocked."""

import signal

from conftest import message, wait_for
from started import through


def starting(world):
    """A gateway that is about to read a large table."""
    gateway = world.gateway(start=False)
    gateway.config["routing"]["target_domains"]["orgname.awsapps.com"] = "workmail"
    gateway.config["next_hops"]["workmail"] = {"hosts": ["127.0.0.1:9"], "tls": "none"}
    gateway.write_table([(f"u{i}@corp.example", f"u{i}@orgname.awsapps.com") for i in range(200_000)])
    gateway.start(ready=False)
    gateway.process.wait_output(" starts with ")
    return gateway


def test_a_hang_up_during_the_start_is_a_reload_once_it_runs(world):
    gateway = starting(world)
    gateway.hang_up()
    gateway.process.wait_output("reload")
    gateway.wait_ready()
    assert "ready: " in gateway.process.output()


def test_the_end_during_the_start_is_in_order(world):
    for number in (signal.SIGTERM, signal.SIGINT):
        gateway = starting(world)
        gateway.process.signal(number)
        assert gateway.process.child.wait(40) == 0, gateway.process.output()
        assert "stopped" in gateway.process.output().splitlines()[-1]
        gateway.process = None


def test_signals_that_the_parent_blocked_have_their_effect(world):
    workmail = world.sink()
    gateway = through(world.gateway(workmail, users=["bob"], start=False),
                      "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))")
    gateway.start()
    gateway.write_table([(f"{name}@corp.example", f"{name}@orgname.awsapps.com") for name in ("bob", "eve")])
    gateway.hang_up()
    wait_for(lambda: gateway.explain("eve@corp.example")["verdict"] == "rewrite", "the reload", 20)
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    workmail.wait_messages(1)
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.child.wait(40) == 0
    gateway.process = None
