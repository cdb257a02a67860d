"""Three parsers that are not ours read our reports, and agree on who, what and why: Python's email, flufl.bounce, Sisimai."""

import email
import json
import re
import subprocess

import flufl.bounce as flufl  # this and Sisimai are in tools/packages.txt: what is missing fails
import pytest
from conftest import message, wait_for

REPLIES = {  # local part: what the next hop says, and the status in the report
    "gone": ("550 5.1.1 Requested action not taken: mailbox unavailable", "5.1.1"),
    "full": ("552 5.2.2 mailbox full", "5.2.2"),
    "spam": ("554 5.7.1 message content rejected", "5.7.1"),
    "bare": ("550 no such user here", "5.0.0"),
    "late": ("451 4.3.2 try later", "4.3.2"),
}
SISIMAI = """
use JSON::PP; use Sisimai;
my $told = Sisimai->make($ARGV[0], delivered => 1) || [];
print encode_json([map { {recipient => $_->recipient->address, action => $_->action, status => $_->deliverystatus,
                          reason => $_->reason} } @$told]);
"""


def by_email(content):
    """{recipient: (action, status)}."""
    report = email.message_from_bytes(content)
    assert report.get_content_type() == "multipart/report" and report.get_param("report-type") == "delivery-status"
    told = {}
    for part in report.walk():
        if part.get_content_type() == "message/delivery-status":
            for block in part.get_payload()[1:]:
                address = re.sub(r"\s", "", block["Final-Recipient"]).split(";", 1)[1]
                told[address] = (block["Action"].strip(), block["Status"].split()[0])
    return told


def by_flufl(content):
    temporary, permanent = flufl.all_failures(email.message_from_bytes(content))
    return {a.decode() for a in temporary}, {a.decode() for a in permanent}


def by_sisimai(content, folder):
    mailbox = folder / "report.eml"
    mailbox.write_bytes(content)
    ran = subprocess.run(["perl", "-e", SISIMAI, mailbox], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return {one["recipient"]: one for one in json.loads(ran.stdout)}


@pytest.fixture
def reports(world):
    """{action: content} of the reports on one message to recipients of all fates."""
    workmail = world.sink(keep_content=True, options=["--hide", "DSN"],
                          rules=[f"at=rcpt;match={user}@*;reply={reply}" for user, (reply, _) in REPLIES.items()])
    gateway = world.gateway(workmail, users=["ann", "fine", *REPLIES], queue={"delay_notice": "1s", "backoff": ["2s"]})
    wanted = [(f"{user}@corp.example", "NOTIFY=SUCCESS,FAILURE,DELAY") for user in ["fine", *REPLIES]]
    sent = world.exchange().send("ann@corp.example", wanted, message(sender="ann@corp.example"), parameters=["ENVID=abc"])
    assert sent.accepted, sent
    gateway.wait_event("reported", count=3)
    found = {}

    def all_three():
        for record in workmail.records():
            if record["sender"] == "<>":
                content = workmail.content(record)
                found.setdefault(next(iter(by_email(content).values()))[0], content)
        return len(found) == 3
    wait_for(all_three, lambda: f"three reports, not {list(found)}")
    gateway.run("queue", "delete", "--all")
    return found


def test_three_parsers_agree(world, reports):
    failed = {f"{user}@corp.example": status for user, (_, status) in REPLIES.items() if user != "late"}
    expected = {"failed": failed, "delayed": {"late@corp.example": "4.3.2"}, "relayed": {"fine@corp.example": "2.1.9"}}
    assert set(reports) == set(expected)
    for action, content in reports.items():
        told = by_email(content)
        assert {who: what[0] for who, what in told.items()} == dict.fromkeys(expected[action], action)
        assert b"Original-Envelope-Id: abc" in content
        temporary, permanent = by_flufl(content)
        assert permanent == (set(failed) if action == "failed" else set())
        assert temporary == (set(expected["delayed"]) if action == "delayed" else set())
        other = by_sisimai(content, world.directory)
        if action != "relayed":  # it knows no such action and keeps silent
            assert {who: one["action"] for who, one in other.items()} == {who: what[0] for who, what in told.items()}
            assert {who: one["status"] for who, one in other.items()} == {who: what[1] for who, what in told.items()}
            assert {who: what[1] for who, what in told.items()} == expected[action]
    reasons = {who.split("@")[0]: one["reason"] for who, one in by_sisimai(reports["failed"], world.directory).items()}
    assert reasons["gone"] == "userunknown" and reasons["full"] == "mailboxfull", reasons
