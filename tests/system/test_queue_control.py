"""What an operator sees of the queue and does to it, with the daemon running and over a restart."""

import json
import subprocess

from conftest import message, program, wait_for
from rig.gateway import TARGET_DOMAIN


def queue(gateway, *arguments, code=0):
    done = subprocess.run([str(program("waypost")), "queue", *map(str, arguments), "--config", gateway.config_file],
                          check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def listed(gateway, *arguments):
    done = subprocess.run([str(program("waypost")), "queue", "list", "--json", *arguments, "--config",
                           gateway.config_file], check=False, capture_output=True, text=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_hold_show_export_and_release(world):
    sink = world.sink()
    gateway = world.gateway(sink, users=["bob", "eve"])
    queue(gateway, "suspend", "--next-hop", "workmail")
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example", "eve@corp.example"], message("first"))
    assert sent.accepted
    entries = listed(gateway)
    assert [r["state"] for r in entries[0]["open"]] == ["ready", "ready"]
    one = entries[0]["queue_id"]
    assert "1 messages, 1 recipients" in queue(gateway, "hold", "--recipient", "eve@*", "--dry-run")
    assert "1 messages, 1 recipients" in queue(gateway, "hold", "--recipient", "eve@*")
    gateway.kill()  # whatever was said must not be lost with the process
    gateway.start()
    assert {r["address"]: r["state"] for r in listed(gateway)[0]["open"]} == {
        "bob@corp.example": "ready", "eve@corp.example": "held"}
    queue(gateway, "resume", "--next-hop", "workmail")
    sink.wait_messages(1)
    wait_for(lambda: listed(gateway)[0]["settled"] == 1, "bob's recipient to be settled")
    story = queue(gateway, "show", one)
    for words in ("ann@ext.example", "held by an operator", "by=", "action=hold", "delivered", "recipients  2, of which 1"):
        assert words in story, story
    folder = world.directory / "out"
    assert "1 messages written" in queue(gateway, "export", one, "--directory", folder)
    assert b"Subject: first\r\n" in (folder / f"{one}.eml").read_bytes()
    assert json.loads((folder / f"{one}.json").read_text())["sender"] == "ann@ext.example"
    queue(gateway, "release", "--all")
    gateway.wait_empty()
    assert sink.addresses() == [f"bob@{TARGET_DOMAIN}", f"eve@{TARGET_DOMAIN}"]
    queue(gateway, "list", code=1)


def test_nothing_is_touched_by_accident(world):
    sink = world.sink()
    gateway = world.gateway(sink, users=["bob"])
    queue(gateway, "suspend", "--all")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    for wrong in (["delete"], ["bounce", "--state", "nowhere"], ["hold", "NOT-AN-ID!"], ["flush", "--older", "soon"],
                  ["reroute", "--all", "--to", "nowhere"]):
        done = subprocess.run([str(program("waypost")), "queue", *wrong, "--config", gateway.config_file], check=False,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode not in (0, 1) and done.stderr, (wrong, done)
    assert len(listed(gateway)) == 1
    assert "would touch 1 messages" in queue(gateway, "delete", "--all", "--dry-run")
    assert "delete: 1 messages" in queue(gateway, "delete", "--all", "--reason", "a test")
    gateway.wait_empty()
    assert sink.addresses() == []
