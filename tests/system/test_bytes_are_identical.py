"""200 messages of all kinds arrive as they were sent, below exactly one Received field; DKIM signatures still verify."""

import json
import re
import subprocess

import dkim
import pytest
from conftest import ROOT, message


@pytest.fixture(scope="session")
def corpus(work_folder):
    folder = work_folder / "corpus"
    subprocess.run([ROOT / "tools" / "make-corpus", folder], check=True, capture_output=True)
    return folder, json.loads((folder / "index.json").read_text(encoding="utf-8"))


def received_fields(content):
    """How many Received fields stand in the header, counted by us and not by the gateway."""
    header = re.split(rb"\r?\n\r?\n", b"\r\n" + content, maxsplit=1)[0]
    return len(re.findall(rb"(?mi)^received[ \t]*:", header))


def send_all(world, messages, folder, use_bdat):
    """Twenty messages a connection, as Exchange does. Returns {queue id: entry}."""
    sent = {}
    for start in range(0, len(messages), 20):
        exchange = world.exchange(timeout=120)
        for entry in messages[start:start + 20]:
            content = (folder / entry["file"]).read_bytes()
            chunks = [min(len(content), 60_000)] if entry["size"] % 2 else []
            result = exchange.send(entry["sender"], entry["recipients"], content, chunks=chunks, bdat=use_bdat,
                                   smtputf8=entry.get("smtputf8", False))
            assert result.accepted, (entry["file"], result)
            sent[result.queue_id] = entry
        exchange.quit()
    return sent


def check_arrival(workmail, sent, folder):
    record_txt = (folder / "dkim.txt").read_bytes().strip()
    seen, signed = set(), 0
    for record in workmail.records():
        queue_id = re.search(r"\bid ([0-9A-Z]{12})", record["received"]).group(1)
        entry = sent[queue_id]
        assert queue_id not in seen, f"{entry['file']} arrived twice"
        seen.add(queue_id)
        original, arrived = (folder / entry["file"]).read_bytes(), workmail.content(record)
        assert arrived.endswith(original) and record["sha256_below"] == entry["sha256"], entry["file"]
        assert received_fields(arrived) == received_fields(original) + 1, entry["file"]
        top = arrived[:len(arrived) - len(original)]
        assert re.fullmatch(rb"Received: from [^\n]*\r\n([ \t][^\n]*\r\n)*", top), (entry["file"], top)
        if entry.get("dkim"):
            assert dkim.verify(arrived, dnsfunc=lambda name, timeout=5: record_txt), entry["file"]
            signed += 1
    assert len(seen) == len(sent), f"{len(sent) - len(seen)} did not arrive"
    return signed


def test_200_messages_by_bdat(world, corpus):
    folder, index = corpus
    workmail = world.sink(keep_content=True)
    gateway = world.gateway(workmail, users=["ann", "bob", "carla", "dmitri", "eve", "farid", "greta", "hugo", "ines",
                                             "jonas", "kim", "lena"])
    assert len(index) == 200 and max(entry["size"] for entry in index) > 38_900_000
    sent = send_all(world, index, folder, use_bdat=True)
    gateway.wait_empty(120)
    signed = check_arrival(workmail, sent, folder)
    assert signed >= 10
    assert {record["transfer"] for record in workmail.records()} == {"BDAT"}


def test_messages_by_data_to_a_next_hop_without_extensions(world, corpus):
    folder, index = corpus
    index = [entry for entry in index if not entry.get("needs_bdat") and not entry.get("smtputf8")
             and entry["kind"] != "huge"]
    workmail = world.sink(keep_content=True, options=["--plain-ehlo", "--hide", "SIZE"])
    gateway = world.gateway(workmail, users=["ann", "bob", "carla", "dmitri", "eve", "farid", "greta", "hugo", "ines",
                                             "jonas", "kim", "lena"])
    sent = send_all(world, index, folder, use_bdat=False)
    gateway.wait_empty(120)
    check_arrival(workmail, sent, folder)
    assert {record["transfer"] for record in workmail.records()} == {"DATA"}
    assert workmail.counters()["violations"] == 0


def test_bare_lf_is_repaired_only_towards_a_next_hop_without_chunking(world):
    workmail = world.sink(keep_content=True, options=["--hide", "CHUNKING"])
    gateway = world.gateway(workmail, users=["bob"])
    content = message(body="one\ntwo\r\n.\nMAIL FROM:<smuggler@ext.example>\nthree\r\n")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], content).accepted
    gateway.wait_empty()
    assert len(workmail.records()) == 1, "what looked like a second message must not become one"
    arrived = workmail.content(workmail.records()[0])
    repaired = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert arrived.endswith(repaired), arrived
