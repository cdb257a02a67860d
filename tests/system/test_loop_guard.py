"""Mail that goes in circles is stopped."""

from rig.dns import NameServer
from rig.processes import free_port
from conftest import message


def with_received(count, own=False):
    by = "gw.corp.example" if own else "mx.ext.example"
    fields = "".join(f"Received: from a.example by {by} with ESMTP id {n};\r\n Mon, 01 Dec 2025 10:00:00 +0000\r\n"
                     for n in range(count))
    return fields.encode() + message()


def test_too_many_hops(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    exchange = world.exchange()
    # RFC 5321 section 6.3: "normally at least 100".
    assert exchange.send("ann@ext.example", ["bob@corp.example"], with_received(100)).accepted
    sent = exchange.send("ann@ext.example", ["bob@corp.example"], with_received(101))
    assert sent.verdict.code == 554 and sent.verdict.text.startswith("5.4.6 "), sent
    gateway.wait_empty()


def test_our_own_name_in_received(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    refused = None
    for own in range(1, 6):
        sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], with_received(own, own=True))
        if not sent.accepted:
            refused = sent.verdict
            break
    assert refused is not None, "mail that has come back again and again is taken"
    assert refused.code == 554 and refused.text.startswith("5.4.6 "), refused
    gateway.wait_empty()


def test_next_hop_that_is_ourselves(world):
    # By MX, so that only the connection shows it and not the check of the configuration.
    zone = {"orgname.awsapps.com": {"MX": [(10, "mx.example")]}, "mx.example": {"A": ["127.0.0.1"]}}
    server = world.peer(NameServer(zone, free_port()))
    gateway = world.gateway(users=["bob", "ann"], start=False)
    gateway.config["next_hops"]["workmail"] = {"mx": "orgname.awsapps.com", "mx_port": gateway.smtp_port, "tls": "none"}
    gateway.config["routing"]["target_domains"]["orgname.awsapps.com"] = "workmail"
    gateway.config["dns"] = {"servers": [f"127.0.0.1:{server.port}"], "ipv6": False}
    gateway.start()
    assert world.exchange().send("", ["bob@corp.example"], message()).accepted
    failed = gateway.wait_event("failed")
    assert failed[0]["status"] == "5.4.6", failed
    gateway.wait_empty()
    assert gateway.metric("waypost_sessions") <= 1
