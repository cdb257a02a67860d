"""Failure reports: once, to the right person, about the original address; and when not."""

import email
import re
import mmap

import pytest
from conftest import message, wait_for
from rig.programs import sanitized

REFUSE_BOB = "at=rcpt;match=bob@*;reply=550 5.1.1 Requested action not taken: mailbox unavailable"


def report_of(workmail):
    record = workmail.wait_message(lambda r: r["sender"] == "<>", what="a report")
    return record, email.message_from_bytes(workmail.content(record))


def test_refused_recipient_is_reported_by_its_original_address(world):
    workmail = world.sink(keep_content=True, rules=[REFUSE_BOB])
    gateway = world.gateway(workmail, users=["ann", "bob", "carol"])
    sent = world.exchange().send("ann@corp.example", [("bob@corp.example", "ORCPT=rfc822;robert@corp.example"),
                                                      "carol@corp.example"], message(sender="ann@corp.example"))
    assert sent.accepted
    record, report = report_of(workmail)
    gateway.wait_empty()
    assert [r["address"] for r in record["recipients"]] == ["ann@orgname.awsapps.com"]
    assert report.get_content_type() == "multipart/report"
    status = next(part for part in report.walk() if part.get_content_type() == "message/delivery-status").as_string()
    status = re.sub(r"\n[ \t]+", " ", status)  # long fields are folded
    assert "Final-Recipient: rfc822; bob@corp.example" in status.replace("rfc822;bob", "rfc822; bob"), status
    assert "robert@corp.example" in status and "5.1.1" in status and "mailbox unavailable" in status, status
    assert "carol" not in status and "awsapps" not in status.replace("Diagnostic-Code", ""), status
    assert len([r for r in workmail.records() if r["sender"] == "<>"]) == 1


@pytest.mark.parametrize("sender, words", [("", ""), ("ann@corp.example", "NOTIFY=NEVER"),
                                           ("ann@corp.example", "NOTIFY=DELAY")])
def test_no_report_when_none_is_wanted(world, sender, words):
    workmail = world.sink(rules=[REFUSE_BOB])
    gateway = world.gateway(workmail, users=["ann", "bob"])
    assert world.exchange().send(sender, [("bob@corp.example", words)], message()).accepted
    gateway.wait_event("failed")
    gateway.wait_empty()
    assert not gateway.events("reported") and not workmail.records()


@pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")
def test_mail_that_expires_is_returned(world, preload):
    shift = world.directory / "shift"
    shift.write_bytes(b"0".zfill(16))
    workmail = world.sink(keep_content=True, rules=["at=rcpt;match=bob@*;reply=451 4.3.0 not now"])
    gateway = world.gateway(workmail, users=["ann", "bob"], start=False)
    gateway.start(env={"LD_PRELOAD": preload("shifted_clock"), "CLOCK_SHIFT": str(shift)})
    assert world.exchange().send("ann@corp.example", ["bob@corp.example"], message()).accepted
    gateway.wait_event("deferred")
    with open(shift, "r+b") as file, mmap.mmap(file.fileno(), 16) as view:
        view[:16] = str(49 * 3600).encode().zfill(16)  # Exchange's and our limit is two days
    record, report = report_of(workmail)
    assert [r["address"] for r in record["recipients"]] == ["ann@orgname.awsapps.com"]
    assert "5.4.7" in report.as_string(), report.as_string()
    failed = gateway.wait_event("failed")
    assert failed[0]["recipient"] == "bob@corp.example"
    gateway.wait_empty()


def test_a_report_that_can_not_be_delivered_makes_no_report(world):
    workmail = world.sink(rules=["at=rcpt;reply=550 5.1.1 nobody"])
    gateway = world.gateway(workmail, users=["ann", "bob"])
    assert world.exchange().send("ann@corp.example", ["bob@corp.example"], message()).accepted
    wait_for(lambda: len(gateway.events("failed")) == 2, "the message and its report failed")
    gateway.wait_empty()
    assert len(gateway.events("reported")) == 1 and not workmail.records()
