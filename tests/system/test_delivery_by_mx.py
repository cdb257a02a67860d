"""Delivery to the MX hosts of a domain, with a name server of our own."""

import contextlib
import socket

import pytest
from conftest import message
from rig.dns import SERVFAIL, NameServer
from rig.processes import free_port

DOMAIN = "orgname.awsapps.com"


@pytest.fixture
def stage(world):
    """stage(zone, hosts): a gateway whose next hop is the MX of DOMAIN; sinks listen on the port of `mx_port`, each on a
    loopback address of its own."""
    def build(zone, connect_timeout="2s", by_recipient=False, ipv6=True, to_itself=False, **sinks):
        server = world.peer(NameServer(zone, free_port()))
        port = free_port()
        made = {}
        for label, address in sinks.items():
            sink = world.sink(label, name=f"{label}.mx.example", tls=False,
                              options=["--listen", f"{address}:{port}"], port=0)
            made[label] = sink
        gateway = world.gateway(users=["bob"], start=False)
        if to_itself:
            port = gateway.smtp_port
        gateway.config["next_hops"]["workmail"] = {"mx_port": port, "tls": "none", "connect_timeout": connect_timeout}
        gateway.config["next_hops"]["workmail"] |= {"mx_of_recipient": True} if by_recipient else {"mx": DOMAIN}
        gateway.config["routing"]["target_domains"][DOMAIN] = "workmail"
        gateway.config["dns"] = {"servers": [f"127.0.0.1:{server.port}"], "query_timeout": "500ms", "tries": 2,
                                 "negative_ttl": "1s", "max_ttl": "1s", "ipv6": ipv6}
        gateway.start()
        return gateway, server, made
    return build


@contextlib.contextmanager
def silent_listener(address, port):
    """A listener whose queue is full: new connections there are not answered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        yield


def send_one(world, sender="ann@ext.example"):
    sent = world.exchange().send(sender, ["bob@corp.example"], message())
    assert sent.accepted, sent


def test_lower_preference_comes_first(world, stage):
    zone = {DOMAIN: {"MX": [(20, "backup.example"), (10, "first.example")]}, "first.example": {"A": ["127.0.0.2"]},
            "backup.example": {"A": ["127.0.0.3"]}}
    gateway, _, sinks = stage(zone, first="127.0.0.2", backup="127.0.0.3")
    for _ in range(5):
        send_one(world)
    gateway.wait_empty()
    assert len(sinks["first"].records()) == 5 and not sinks["backup"].records()


def test_backup_takes_over_when_the_first_is_down(world, stage):
    zone = {DOMAIN: {"MX": [(10, "first.example"), (20, "backup.example")]}, "first.example": {"A": ["127.0.0.2"]},
            "backup.example": {"A": ["127.0.0.3"]}}
    gateway, _, sinks = stage(zone, first="127.0.0.2", backup="127.0.0.3")
    sinks["first"].stop()
    send_one(world)
    gateway.wait_empty()
    assert len(sinks["backup"].records()) == 1


def test_without_mx_the_domain_itself_is_meant(world, stage):
    gateway, server, sinks = stage({DOMAIN: {"A": ["127.0.0.2"]}}, only="127.0.0.2")
    send_one(world)
    gateway.wait_empty()
    assert len(sinks["only"].records()) == 1 and (DOMAIN, "MX") in server.asked


def test_null_mx_fails_at_once(world, stage):
    gateway, _, _ = stage({DOMAIN: {"MX": [(0, "")]}})
    send_one(world, sender="")
    failed = gateway.wait_event("failed")
    assert failed[0]["status"] == "5.1.10", failed
    gateway.wait_empty()


NOWHERE = {DOMAIN: {"MX": [(10, "gone.example"), (20, "empty.example")]}, "empty.example": {}}


def test_a_domain_whose_mail_servers_have_no_address_fails_at_once(world, stage):  # RFC 5321 section 5.1
    gateway, _, _ = stage(NOWHERE, by_recipient=True)
    send_one(world, sender="")
    failed = gateway.wait_event("failed")[0]
    assert failed["status"] == "5.4.4" and f"no mail server of the domain {DOMAIN} has an address" in failed["reply"], failed
    gateway.wait_empty()


@pytest.mark.parametrize("zone, settings", [
    (NOWHERE, {}),  # our own next hop: for us to correct
    (NOWHERE | {"empty.example": SERVFAIL}, {"by_recipient": True}),
    ({DOMAIN: {"MX": [(10, "six.example")]}, "six.example": {"AAAA": ["::1"]}}, {"by_recipient": True, "ipv6": False}),
], ids=["ours", "servfail", "other-family"])
def test_mail_servers_that_may_have_an_address_only_delay(world, stage, zone, settings):
    gateway, _, _ = stage(zone, **settings)
    send_one(world, sender="")
    gateway.wait_event("deferred")
    assert not gateway.events("failed")


def test_a_name_server_that_fails_only_delays(world, stage):
    gateway, server, sinks = stage({DOMAIN: SERVFAIL}, only="127.0.0.2")
    send_one(world)
    gateway.wait_event("deferred")
    server.zone[DOMAIN] = {"MX": [(10, "only.example")]}
    server.zone["only.example"] = {"A": ["127.0.0.2"]}
    sinks["only"].wait_messages(1)
    gateway.wait_empty()
    assert not gateway.events("failed")


def test_an_address_that_refuses_is_followed_by_the_next(world, stage):
    zone = {DOMAIN: {"MX": [(10, "two.example")]}, "two.example": {"A": ["127.0.0.9", "127.0.0.2"], "AAAA": ["::1"]}}
    gateway, _, sinks = stage(zone, two="127.0.0.2")
    send_one(world)
    gateway.wait_empty()
    assert len(sinks["two"].records()) == 1


def test_an_address_that_does_not_answer_costs_little(world, stage):
    zone = {DOMAIN: {"MX": [(10, "two.example")]}, "two.example": {"A": ["127.0.0.9", "127.0.0.2"]}}
    # The silent address alone would take longer than this test waits.
    gateway, _, sinks = stage(zone, connect_timeout="5m", two="127.0.0.2")
    with silent_listener("127.0.0.9", gateway.config["next_hops"]["workmail"]["mx_port"]):
        for _ in range(2):
            send_one(world)
        gateway.wait_empty()
    assert len(sinks["two"].records()) == 2


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::ffff:0.0.0.0", "0.0.0.0", "127.0.0.1"])
def test_own_address(world, stage, address):
    zone = {DOMAIN: {"MX": [(10, "self.example")]}, "self.example": {"AAAA" if ":" in address else "A": [address]}}
    gateway, _, _ = stage(zone, by_recipient=True, to_itself=True)
    send_one(world, sender="")
    failed = gateway.wait_event("failed")[0]
    assert failed["status"] == "5.4.6", failed
