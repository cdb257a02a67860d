"""SMTPUTF8 is a need, not a declaration (RFC 6531 §3.4); and a report travels wherever its addressee can be reached."""

import email
import re

import pytest
from conftest import message

WIDE = "jürgen@corp.example"
MIXED = (b"From: ann@ext.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
         b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n--b\r\n%s"
         b"Content-Type: text/plain\r\n\r\nx\r\n--b--\r\n")


def without_smtputf8(world, label="workmail", **settings):
    return world.sink(label, keep_content=True, options=["--hide", "SMTPUTF8"], **settings)


def fields(report, kind):
    part = next(part for part in report.walk() if part.get_content_type() == kind)
    return re.sub(r"\n[ \t]+", " ", part.as_string())


@pytest.mark.parametrize("content", [message(), MIXED % b""], ids=["plain", "8-bit part"])
def test_what_only_says_smtputf8_goes_everywhere(world, content):
    workmail = without_smtputf8(world)
    gateway = world.gateway(workmail, users=["bob"])
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], content, smtputf8=True).accepted
    record = workmail.wait_messages(1)[0]
    gateway.wait_empty()
    assert "smtputf8" not in record["parameters"] and not gateway.events("failed")


@pytest.mark.parametrize("content", [b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n",
                                     MIXED % b"Content-Description: \xc3\xbc\r\n"], ids=["header", "part"])
def test_what_needs_it_is_returned_with_the_reason_to_an_ascii_sender(world, content):
    workmail = without_smtputf8(world)
    gateway = world.gateway(workmail, users=["ann", "bob"])
    assert world.exchange().send("ann@corp.example", ["bob@corp.example"], content, smtputf8=True).accepted
    record = workmail.wait_message(lambda r: r["sender"] == "<>", what="a report")
    gateway.wait_empty()
    assert gateway.events("failed")[0]["status"] == "5.6.7"
    raw = workmail.content(record)
    assert raw.isascii() and "smtputf8" not in record["parameters"]
    assert "its header is not ASCII" in fields(email.message_from_bytes(raw), "message/delivery-status")


def test_a_wide_recipient_is_reported_in_ascii(world):
    workmail = without_smtputf8(world, rules=["at=rcpt;match=juergen@*;reply=550 5.1.1 nobody here"])
    gateway = world.gateway(workmail, users=["ann"], start=False)
    gateway.write_table([("ann@corp.example", "ann@orgname.awsapps.com"), (WIDE, "juergen@orgname.awsapps.com")])
    gateway.start()
    sent = world.exchange().send("ann@corp.example", [(WIDE, r"ORCPT=utf-8;j\x{FC}rgen@corp.example")], message(),
                                 smtputf8=True)
    assert sent.accepted
    record = workmail.wait_message(lambda r: r["sender"] == "<>", what="a report")
    gateway.wait_empty()
    report = email.message_from_bytes(workmail.content(record))
    assert workmail.content(record).isascii() and "smtputf8" not in record["parameters"]
    status = fields(report, "message/delivery-status")
    assert r"Final-Recipient: utf-8; j\x{FC}rgen@corp.example" in status, status
    assert r"Original-Recipient: utf-8; j\x{FC}rgen@corp.example" in status, status
    words = next(part for part in report.walk() if part.get_content_type() == "text/plain")
    assert WIDE in words.get_payload(decode=True).decode("utf-8")


def test_a_report_that_can_not_travel_is_an_error_in_the_log_and_told_elsewhere(world):
    workmail = without_smtputf8(world, rules=["at=rcpt;match=bob@*;reply=550 5.1.1 nobody here"])
    gateway = world.gateway(workmail, users=["bob", "it"], start=False,
                            queue={"report_next_hop": "workmail", "undeliverable_to": "it@corp.example"})
    gateway.start()
    # Nothing but its addressee needs SMTPUTF8.
    assert world.exchange().send("zoë@ext.example", ["bob@corp.example"], message(), smtputf8=True).accepted
    told = workmail.wait_message(lambda r: r["recipients"][0]["address"] == "it@orgname.awsapps.com", what="it is told")
    gateway.wait_empty()
    line = gateway.process.wait_output("the report to zoë@ext.example can't be delivered")
    assert " error " in line and "queue.undeliverable_to is told" in line
    assert 'waypost_queue_reports_total{result="failed"} 1\n' in gateway.get("/metrics")[1]
    status = fields(email.message_from_bytes(workmail.content(told)), "message/delivery-status")
    assert r"Final-Recipient: utf-8; zo\x{EB}@ext.example" in status, status


def test_quotes_go_out_where_they_belong(world):
    workmail = world.sink(keep_content=True, rules=["at=rcpt;match=*kim*;reply=550 5.1.1 nobody here"])
    gateway = world.gateway(workmail, start=False, queue={"report_next_hop": "workmail"})
    gateway.write_table([('"team..a"@corp.example', '"t..eam"@orgname.awsapps.com'),
                         ("kim.@corp.example", '".kim"@orgname.awsapps.com')])
    gateway.start()
    sent = world.exchange().send("sato..k.@mobile.example", ['"team..a"@corp.example', "kim.@corp.example"], message())
    assert sent.accepted, sent
    record = workmail.wait_message(lambda r: r["sender"] != "<>", what="the message")
    report = workmail.wait_message(lambda r: r["sender"] == "<>", what="a report")
    gateway.wait_empty()
    assert record["sender"].strip("<>") == '"sato..k."@mobile.example'
    assert [r["address"] for r in record["recipients"]] == ['"t..eam"@orgname.awsapps.com']
    text = workmail.content(report).decode("ascii")
    assert 'To: <"sato..k."@mobile.example>' in text and 'Final-Recipient: rfc822; "kim."@corp.example' in text, text
