"""`waypost route explain` says what RCPT would hear, from the running daemon and without it."""

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
