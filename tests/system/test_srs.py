"""The Sender Rewriting Scheme: forwarded mail leaves with a sender of ours, and what returns finds the real one."""

import pytest
from conftest import message

SRS_DOMAIN = "srs.corp.example"


@pytest.fixture
def stage(world):
    """A gateway with SRS, WorkMail behind it and Exchange for what returns."""
    workmail = world.sink()
    exchange = world.sink("exchange", name="ex1.local", tls=False)
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.route(exchange, "unused.example", "exchange")
    secret = gateway.directory / "srs.secret"
    secret.write_text("a secret of enough length\n")
    secret.chmod(0o600)
    gateway.change({"srs": {"domain": SRS_DOMAIN, "secret_file": str(secret), "return_next_hop": "exchange"},
                    "queue": {"report_next_hop": "exchange"}})
    gateway.start()
    return gateway, workmail, exchange


def forward_one(world, workmail, sender="ann@ext.example"):
    sent = world.exchange().send(sender, ["bob@corp.example"], message())
    assert sent.accepted, sent
    return workmail.wait_messages(1)


def test_there_and_back(world, stage):
    gateway, workmail, exchange = stage
    forward_one(world, workmail)
    gateway.wait_empty()
    rewritten = workmail.records()[0]["sender"]
    assert rewritten.startswith("SRS0=") and rewritten.endswith(f"=ext.example=ann@{SRS_DOMAIN}"), rewritten
    delivered = gateway.wait_event("delivered")[0]
    assert (delivered["sender"], delivered["rewritten_sender"]) == ("ann@ext.example", rewritten)
    # The target's report comes back, its address in lower case as some servers make it.
    sent = world.exchange().send("", [rewritten.lower()], message("undeliverable"))
    assert sent.accepted, sent
    gateway.wait_empty()
    assert exchange.addresses() == ["ann@ext.example"]
    assert exchange.records()[0]["sender"] == "<>"


def test_own_and_null_senders_stay(world, stage):
    gateway, workmail, _ = stage
    for sender in ["boss@corp.example", ""]:
        assert world.exchange().send(sender, ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
    assert sorted(r["sender"] for r in workmail.records()) == ["<>", "boss@corp.example"]


def test_failures_are_reported_to_the_real_sender(world, stage):
    gateway, workmail, exchange = stage
    workmail.rules("at=rcpt;reply=550 5.1.1 no such user")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_event("failed")
    gateway.wait_empty()
    assert exchange.addresses() == ["ann@ext.example"]


def test_forged_return_addresses_are_refused_and_explained(world, stage):
    gateway, _, exchange = stage
    forged = f"SRS0=AAAAAAAA=AA=ext.example=eve@{SRS_DOMAIN}"
    for address, status, words in [(forged, "5.7.1", "hash is wrong"),
                                   (f"SRS0=nonsense@{SRS_DOMAIN}", "5.1.1", "no complete return address"),
                                   (f"bob@{SRS_DOMAIN}", "5.1.1", "return addresses only")]:
        refused = world.exchange().send("", [address], message()).recipients[address]
        assert refused.code == 550 and refused.text.startswith(status) and words in refused.text, refused
        explained = gateway.explain(address)
        assert explained["verdict"] == "refuse" and words in explained["reply"], explained
    assert not exchange.records()


def test_a_rotated_secret_still_takes_back_what_the_old_one_signed(world, stage):
    gateway, workmail, exchange = stage
    forward_one(world, workmail)
    rewritten = workmail.records()[0]["sender"]
    secret = gateway.directory / "srs.secret"
    secret.write_text("a new secret, long enough\na secret of enough length\n")
    assert gateway.run("reload").returncode == 0
    assert world.exchange().send("", [rewritten], message()).accepted
    gateway.wait_empty()
    secret.write_text("a new secret, long enough\n")
    assert gateway.run("reload").returncode == 0
    assert world.exchange().send("", [rewritten], message()).recipients[rewritten].code == 550
    assert exchange.addresses() == ["ann@ext.example"]
