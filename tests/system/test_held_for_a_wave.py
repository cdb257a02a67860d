"""Mail for a mailbox on the move is kept, survives a restart, and goes on when the entry turns active."""

from conftest import message, wait_for


def entry(state):
    return [("bob@corp.example", "bob@orgname.awsapps.com", state, "wave-1")]


def test_migrating_mailbox(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, start=False)
    gateway.write_table(entry("migrating"))
    gateway.start()
    for number in range(3):
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message(str(number))).accepted
    wait_for(lambda: gateway.status()["queue"]["held"] == 3, lambda: f"three held: {gateway.status()['queue']}")
    assert gateway.explain("bob@corp.example")["verdict"] == "hold"
    gateway.stop()
    gateway.start()
    assert gateway.status()["queue"]["held"] == 3 and not workmail.records()
    gateway.write_table(entry("active"))
    assert gateway.run("reload").returncode == 0
    workmail.wait_messages(3)
    gateway.wait_empty()
    assert workmail.addresses() == ["bob@orgname.awsapps.com"] * 3


def test_pending_mailbox_is_put_off_or_goes_to_the_old_system(world):
    workmail, old = world.sink(), world.sink("old", name="old.local", tls=False)
    gateway = world.gateway(workmail, start=False)
    gateway.write_table(entry("pending"))
    gateway.start()
    reply = world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).recipients["bob@corp.example"]
    assert reply.code == 451 and reply.text.startswith("4.2.1 "), reply
    gateway.route(old, "unused.example", "old")
    gateway.config["routing"]["pending_next_hop"] = "old"
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
    assert old.addresses() == ["bob@corp.example"] and not workmail.records()
