"""Nobody gets anything through that is not meant to pass."""

import pytest
from conftest import message
from rig.exchange import Exchange


def test_other_domains_are_refused(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    sent = world.exchange().send("ann@corp.example", ["victim@other.example", "x@[192.0.2.1]", "bob@corp.example"],
                                 message())
    assert sent.recipients["victim@other.example"].code == 550, sent
    assert sent.recipients["victim@other.example"].text.startswith("5.7.1 ")
    assert sent.recipients["x@[192.0.2.1]"].code == 550
    assert sent.accepted
    gateway.wait_empty()


@pytest.mark.parametrize("trick", ["victim%other.example@corp.example", '"victim@other.example"@corp.example',
                                   "other.example!victim@corp.example", "@corp.example:victim@other.example",
                                   "victim@other.example@corp.example"])
def test_old_tricks_of_relaying(world, trick):
    workmail = world.sink()
    world.gateway(workmail, users=["bob"])
    sent = world.exchange().send("ann@corp.example", [trick], message())
    assert 500 <= sent.recipients[trick].code < 600, sent
    assert not workmail.records()


def test_strangers_are_refused_before_they_say_anything(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["admission"]["networks"] = ["127.0.0.2"]
    gateway.start()
    assert Exchange(gateway.smtp_port, source="127.0.0.1").greeting.code in (550, 554)
    assert Exchange(gateway.smtp_port, source="127.0.0.2", use_tls=False).greeting.code == 220


def test_check_refuses_an_open_relay(world):
    sink = world.sink()
    gateway = world.gateway(sink, users=["bob"], start=False)
    gateway.config["admission"]["networks"] = ["0.0.0.0/0"]
    gateway.config["routing"]["default_next_hop"] = "workmail"
    gateway.write_config()
    answer = gateway.run("check")
    assert answer.returncode == 1 and "open relay" in answer.stderr, answer
    world.the_gateway = None
