"""What a next hop can do wrong, and that each message still arrives once, or is kept, or is returned."""

import pytest
from conftest import message


def send_one(world, sender="ann@ext.example", recipients=("bob@corp.example",)):
    exchange = world.exchange()
    sent = exchange.send(sender, list(recipients), message())
    assert sent.accepted, sent
    exchange.quit()
    return sent


@pytest.mark.parametrize("rule", [
    "at=connect;reply=421 Too many concurrent SMTP connections;times=2",
    "at=connect;reply=554 5.7.1 IP address blacklisted by recipient;times=1",
    "at=connect;drop;times=2",
    "at=ehlo;reply=421 4.3.2 Closing;times=2",
    "at=ehlo;drop;times=2",
    "at=starttls;reply=454 4.7.0 TLS not available;times=2",
    "at=starttls;drop;times=2",
    "at=mail;reply=451 4.3.0 later;times=3",
    "at=mail;drop;times=2",
    "at=rcpt;reply=454 4.7.0 Throttling failure;times=3",
    "at=rcpt;reply=421 4.7.0 Closing;times=2",
    "at=rcpt;drop;times=2",
    "at=data;reply=451 4.3.0 later;times=2",
    "at=data;drop;times=2",
    "at=content;drop;times=2",
    "at=end;reply=451 Timeout waiting for data from client;times=2",
    "at=end;drop;times=2",
    "at=rcpt;raw=what?\\r\\n;times=2",
    "at=rcpt;raw=250\\r\\n;times=0",
    "at=connect;raw=HTTP/1.1 400 Bad Request\\r\\n\\r\\n;times=2",
    "at=mail;overlong=100000;times=2",
    "at=end;raw=\\0\\0\\0\\r\\n;times=2",
    "at=ehlo;delay=1500;times=1",
    "at=end;delay=1500;times=1",
], ids=lambda rule: rule.replace(";", " ").replace("=", "-")[:50])
def test_trouble_that_passes(world, rule):
    workmail = world.sink(rules=[rule])
    gateway = world.gateway(workmail, users=["bob"])
    send_one(world)
    workmail.wait_messages(1, seconds=60)
    gateway.wait_empty()
    assert workmail.addresses() == ["bob@orgname.awsapps.com"]
    assert not gateway.events("failed") and not gateway.events("reported")


def test_connection_lost_after_the_content_was_taken_may_deliver_twice_but_never_loses(world):
    workmail = world.sink(rules=["at=end;drop;keep;times=1"])
    gateway = world.gateway(workmail, users=["bob"])
    send_one(world)
    gateway.wait_empty()
    assert workmail.addresses() == ["bob@orgname.awsapps.com"] * 2


@pytest.mark.parametrize("options", [["--plain-ehlo"], ["--bare-ok"], ["--hide", "PIPELINING"], ["--hide", "CHUNKING"],
                                     ["--hide", "DSN"], ["--hide", "8BITMIME"], ["--hide", "SIZE"]],
                         ids=lambda options: "".join(options).strip("-"))
def test_extensions_that_are_not_offered_are_not_used(world, options):
    workmail = world.sink(options=options)
    gateway = world.gateway(workmail, users=["bob", "carol"])
    exchange = world.exchange()
    for number in range(3):
        sent = exchange.send("ann@ext.example", [("bob@corp.example", "NOTIFY=FAILURE"), "carol@corp.example"],
                             message(f"number {number}"), parameters=["RET=HDRS"])
        assert sent.accepted, sent
    gateway.wait_empty()
    assert len(workmail.records()) == 3 and len(workmail.addresses()) == 6
    assert workmail.counters()["violations"] == 0


def test_a_server_that_refuses_ehlo_gets_helo(world):
    workmail = world.sink(tls=False, rules=["at=ehlo;reply=502 5.5.1 What is that?"])
    gateway = world.gateway(workmail, users=["bob"])
    send_one(world)
    gateway.wait_empty()
    assert [record["esmtp"] for record in workmail.records()] == [False]


def test_throttled_recipients_do_not_hold_up_the_others(world):
    workmail = world.sink(rules=["at=rcpt;match=bob@*;reply=454 4.7.0 Throttling failure;times=3"])
    gateway = world.gateway(workmail, users=["bob", "carol", "dave"])
    send_one(world, recipients=["bob@corp.example", "carol@corp.example", "dave@corp.example"])
    first = workmail.wait_messages(1)[0]
    assert sorted(r["address"] for r in first["recipients"]) == ["carol@orgname.awsapps.com", "dave@orgname.awsapps.com"]
    gateway.wait_empty()
    assert sorted(workmail.addresses()) == ["bob@orgname.awsapps.com", "carol@orgname.awsapps.com",
                                            "dave@orgname.awsapps.com"]


def test_next_hop_that_is_down_gets_its_mail_when_it_is_up(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    workmail.stop()
    for _ in range(5):
        send_one(world)
    gateway.wait_event("deferred")
    workmail.start()
    workmail.wait_messages(5)
    gateway.wait_empty()
    assert len(workmail.records()) == 5


def test_all_shards_tell_one_trouble_once(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], shards=4, queue={"backoff": ["1h"]})
    workmail.stop()
    world.sinks.remove(workmail)
    exchanges = [world.exchange() for _ in range(8)]  # dealt to the shard that has the fewest
    for exchange in exchanges:
        assert exchange.send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_event("deferred", count=4)  # the first of each shard; the others wait for its pause
    for exchange in exchanges:
        exchange.quit()

    def said(words):
        return [line for line in gateway.log_file.read_text().splitlines() if words in line]
    down = said("next hop workmail: ")
    assert len(down) == 1 and "trying again in 3600 s with one connection" in down[0] and "in a row" not in down[0], down
    workmail.start()
    world.sinks.append(workmail)
    assert gateway.run("queue", "flush", "--all").returncode == 0
    gateway.wait_empty()
    assert len(said("next hop workmail: it answers again, after ")) == 1, gateway.log_file.read_text()
