"""Towards the next hop: mail stays in the queue rather than go to somebody who can't show the right certificate."""

import pytest
from conftest import SINK_NAME, message
from rig.sink import Certificates


def send_one(world):
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message())
    assert sent.accepted, sent


@pytest.mark.parametrize("fault", ["self-signed", "expired", "another name", "no STARTTLS"])
def test_unverified_next_hop_gets_nothing(world, fault):
    folder = world.folder("tls")
    bad = {"self-signed": lambda: Certificates(folder, [SINK_NAME], self_signed=True),
           "expired": lambda: Certificates(folder, [SINK_NAME], days=-2),
           "another name": lambda: Certificates(folder, ["mx.attacker.example"]),
           "no STARTTLS": lambda: None}[fault]()
    workmail = world.sink(tls=False) if bad is None else world.sink(certificates=bad)
    gateway = world.gateway(workmail, users=["bob"], start=False)
    trusted = bad.ca if bad else world.sink_certificates.ca
    gateway.config["next_hops"]["workmail"] |= {"tls": "verify", "tls_names": [SINK_NAME], "tls_ca_file": trusted}
    gateway.start()
    send_one(world)
    deferred = gateway.wait_event("deferred", count=2)  # tried, and tried again
    assert "TLS" in deferred[0]["reply"].upper(), deferred[0]
    if fault == "another name":
        assert "mx.attacker.example" in deferred[0]["reply"], deferred[0]
    assert not workmail.records() and gateway.queued() == 1
    assert not gateway.events("delivered")

    if fault == "another name":
        gateway.config["next_hops"]["workmail"]["tls_names"] = ["mx.attacker.example"]
    else:
        gateway.config["next_hops"]["workmail"]["tls"] = "opportunistic"
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    workmail.wait_messages(1)
    gateway.wait_empty()


def test_verified_delivery_is_recorded(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    exchange = world.exchange()
    for number in range(5):
        assert exchange.send("ann@ext.example", ["bob@corp.example"], message(str(number))).accepted
    gateway.wait_empty()
    assert {record["tls"] for record in workmail.records()} == {"TLSv1.3"}
    for event in gateway.events("delivered"):
        assert "TLSv1.3" in event["tls"] and "verified" in event["tls"], event


def test_client_certificate_is_shown(world):
    client = Certificates(world.folder("client"), ["gw.corp.example"])
    workmail = world.sink(options=["--client-ca", client.ca])
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["next_hops"]["workmail"] |= {"tls_client_certificate": client.chain, "tls_client_key": client.key}
    gateway.start()
    send_one(world)
    record = workmail.wait_messages(1)[0]
    assert record["client_verified"] and "gw.corp.example" in record["client_certificate"], record
    gateway.wait_empty()
