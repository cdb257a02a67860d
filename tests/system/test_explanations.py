"""`waypost route explain` says what RCPT would hear, from the running daemon and without it."""

import json

import pytest
from conftest import message


@pytest.mark.parametrize("address", ["bob@corp.example", "BOB@Corp.Example", "bob+x@corp.example",
                                     "bob@orgname.awsapps.com", "nobody@corp.example", "eve@other.example"])
def test_explanation_and_reply_agree(world, address):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    online = gateway.explain(address)
    sent = world.exchange().send("ann@ext.example", [address], message())
    accepted = online["verdict"] in ("rewrite", "pass", "hold")
    assert (sent.recipients[address].code == 250) == accepted, (online, sent)
    assert online["why"] and online["steps"]
    if accepted:
        gateway.wait_empty()
        assert workmail.addresses() == [online["target"]]
    gateway.stop()
    offline = gateway.explain(address)
    assert {k: offline.get(k) for k in ("verdict", "target", "why")} == {k: online.get(k) for k in
                                                                        ("verdict", "target", "why")}


def test_many_addresses_are_answered_one_by_one(world):
    gateway = world.gateway(world.sink(), users=["bob", "ann"])
    lines = "# who moves tonight\r\nbob@corp.example\r\n\r\n  nobody@corp.example\r\n"

    def explain(*arguments, **how):
        done = gateway.run("route", "explain", *arguments, "--json", **how)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    for _ in ("by the daemon", "without one"):
        code, answers, _ = explain("bob@corp.example", "ann@corp.example")
        assert code == 0 and [a["target"] for a in answers] == ["bob@orgname.awsapps.com", "ann@orgname.awsapps.com"]
        code, answers, _ = explain("ann@corp.example", "-", input=lines)
        assert code == 1 and [a["address"] for a in answers] == ["ann@corp.example", "bob@corp.example", "nobody@corp.example"]
        code, answers, said = explain("no address", "nobody@corp.example", "bob@corp.example")
        assert code == 64 and len(answers) == 2 and "'no address'" in said, said
        code, answers, said = explain("-", input="")
        assert code == 64 and not answers and "standard input has no address" in said
        shown = gateway.run("route", "explain", "bob@corp.example", "ann@corp.example").stdout
        assert shown.count("address     ") == 2 and "\n\naddress     ann@corp.example" in shown, shown
        gateway.stop()
