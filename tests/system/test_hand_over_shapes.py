"""The three shapes in which Exchange hands a recipient over, in one transaction, and what it hears about the rest."""

from conftest import message


def test_three_shapes_in_one_transaction(world):
    elsewhere = world.sink("elsewhere", name="relay.local", tls=False)
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob", "carol"], start=False)
    gateway.route(elsewhere, "unused.example", "elsewhere")
    gateway.config["routing"]["default_next_hop"] = "elsewhere"
    gateway.start()
    exchange = world.exchange()
    content = message()
    sent = exchange.send("ann@ext.example", ["bob@orgname.awsapps.com", "carol@corp.example", "eve@other.example",
                                             "nobody@corp.example"], content)
    exchange.quit()
    assert sent.accepted, sent
    assert [r.code for r in sent.recipients.values()] == [250, 250, 250, 550]
    refused = sent.recipients["nobody@corp.example"]
    assert refused.text.startswith("5.1.1 "), refused
    gateway.wait_empty()
    assert sorted(workmail.addresses()) == ["bob@orgname.awsapps.com", "carol@orgname.awsapps.com"]
    assert elsewhere.addresses() == ["eve@other.example"]
    assert {r["sender"] for r in workmail.records() + elsewhere.records()} == {"ann@ext.example"}


def test_parameters_reach_the_next_hop(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    exchange = world.exchange()
    sent = exchange.send("ann@ext.example", [("bob@corp.example", "NOTIFY=FAILURE,DELAY ORCPT=rfc822;robert+40corp.example")],
                         message(), parameters=["RET=HDRS", "ENVID=abc+2B1"])
    assert sent.accepted, sent
    record = workmail.wait_messages(1)[0]
    assert record["parameters"]["ret"] == "HDRS" and record["parameters"]["envid"] == "abc+1", record
    assert record["parameters"]["body"] == "8BITMIME"
    recipient = record["recipients"][0]
    assert recipient["notify"] == ["FAILURE", "DELAY"] and recipient["orcpt"] == "rfc822;robert@corp.example"
    gateway.wait_empty()


def test_stale_autocomplete_entries_are_refused_with_the_x500_address(world):
    world.gateway(world.sink(), users=["bob"])
    exchange = world.exchange()
    address = "IMCEAEX-_O=CORP_OU=EXCHANGE+20ADMINISTRATIVE+20GROUP_CN=RECIPIENTS_CN=BOB@corp.example"
    sent = exchange.send("ann@corp.example", [address], message())
    reply = sent.recipients[address]
    assert reply.code == 550 and reply.text.startswith("5.1.1 "), reply
    assert "/O=CORP/OU=EXCHANGE ADMINISTRATIVE GROUP/CN=RECIPIENTS/CN=BOB" in reply.text, reply


def test_plus_suffix_follows_its_person(world):
    workmail = world.sink()
    world.gateway(workmail, users=["bob"])
    sent = world.exchange().send("ann@ext.example", ["bob+lists@corp.example"], message())
    assert sent.accepted, sent
    workmail.wait_messages(1)
    assert workmail.addresses() == ["bob+lists@orgname.awsapps.com"]
