"""1,000 recipients in one transaction over three next hops: each recipient has its own fate."""

import email
import re
from collections import Counter

from conftest import message, wait_for
from rig.gateway import next_hop


def test_each_recipient_has_its_own_fate(world):
    hops = {
        "alpha": world.sink("alpha", keep_content=True,
                            rules=["at=rcpt;match=*7@*;reply=550 5.1.1 Requested action not taken: mailbox unavailable"]),
        "beta": world.sink("beta", rules=["at=rcpt;match=*3@*;reply=451 4.3.0 later;times=30"]),
        "gamma": world.sink("gamma"),
    }
    gateway = world.gateway(start=False)
    names = list(hops)
    for name, sink in hops.items():
        gateway.config["next_hops"][name] = next_hop(sink)
        gateway.config["routing"]["target_domains"][f"{name}.example"] = name
    people = {f"user{n}@corp.example": (names[n % 3], f"user{n}@{names[n % 3]}.example") for n in range(1000)}
    gateway.write_table([(address, target) for address, (_, target) in people.items()]
                        + [("ann@corp.example", "ann@alpha.example")])
    hops["gamma"].stop()
    gateway.start()

    content = message()
    exchange = world.exchange()
    sent = exchange.send("ann@corp.example", list(people), content)
    assert sent.accepted, sent.verdict
    assert all(reply.code == 250 for reply in sent.recipients.values())
    exchange.quit()

    failing = {a for a, (hop, target) in people.items() if hop == "alpha" and target.split("@")[0].endswith("7")}
    expected = {hop: sorted(t for a, (h, t) in people.items() if h == hop and a not in failing) for hop in names}

    def got(hop):
        return sorted(r["address"] for record in hops[hop].records() if record["sender"] != "<>"
                      for r in record["recipients"])
    wait_for(lambda: got("alpha") == expected["alpha"], lambda: f"alpha has {len(got('alpha'))}")
    wait_for(lambda: got("beta") == expected["beta"], lambda: f"beta has {len(got('beta'))}")
    assert got("gamma") == []
    hops["gamma"].start()
    wait_for(lambda: got("gamma") == expected["gamma"], lambda: f"gamma has {len(got('gamma'))}")
    gateway.wait_empty()

    for sink in hops.values():
        assert all(len(record["recipients"]) <= 100 for record in sink.records()), "100 a transaction at most"
    delivered = Counter(event["recipient"] for event in gateway.events("delivered")
                        if event["queue_id"] == sent.queue_id)
    assert delivered == Counter(set(people) - failing)
    assert Counter(event["recipient"] for event in gateway.events("failed")) == Counter(failing)
    check_report(hops["alpha"], failing)


def check_report(sink, failing):
    """The sender hears of each failed recipient once, of nobody else."""
    told = []
    for record in sink.records():
        if record["sender"] == "<>":
            report = email.message_from_bytes(sink.content(record))
            status = next(p for p in report.walk() if p.get_content_type() == "message/delivery-status").as_string()
            told += re.findall(r"(?i)final-recipient: *rfc822; *(\S+)", status)
    assert sorted(told) == sorted(failing)
