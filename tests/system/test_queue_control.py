"""What an operator sees of the queue and does to it, with the daemon running and over a restart."""

import email
import json
import os
import subprocess

import pytest
from conftest import message, program, small_disk, wait_for
from rig.gateway import TARGET_DOMAIN, next_hop


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
    assert "1 message, 1 recipient" in queue(gateway, "hold", "--recipient", "eve@*", "--dry-run")
    assert "1 message, 1 recipient" in queue(gateway, "hold", "--recipient", "eve@*")
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
    assert "1 message written" in queue(gateway, "export", one, "--directory", folder)
    assert b"Subject: first\r\n" in (folder / f"{one}.eml").read_bytes()
    assert json.loads((folder / f"{one}.json").read_text())["sender"] == "ann@ext.example"
    queue(gateway, "release", "--all")
    gateway.wait_empty()
    assert sink.addresses() == [f"bob@{TARGET_DOMAIN}", f"eve@{TARGET_DOMAIN}"]
    queue(gateway, "list", code=1)


def test_an_export_is_its_owners_and_whole(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    queue(gateway, "suspend", "--all")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message("first")).accepted
    folder = world.directory / "deep" / "out"
    assert "1 message written" in queue(gateway, "export", "--directory", folder)
    assert [oct(place.stat().st_mode & 0o777) for place in (folder.parent, folder)] == ["0o700"] * 2
    files = sorted(folder.iterdir())
    assert [file.suffix for file in files] == [".eml", ".json"]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert "1 message written" in queue(gateway, "export", "--directory", folder), "again, in the place of the first"
    assert sorted(folder.iterdir()) == files
    # What is no folder is told before anything is asked.
    gateway.stop()
    (world.directory / "file").write_text("mine")
    for place in (world.directory / "file", world.directory / "file" / "below"):
        done = gateway.run("queue", "export", "--directory", str(place))
        assert done.returncode == 74 and "written to" not in done.stdout, done
        assert f"{place}: Not a directory" in done.stderr and "Nothing was written" in done.stderr, done
    assert (world.directory / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_an_export_onto_a_full_disk_counts_what_is_whole(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    queue(gateway, "suspend", "--all")
    for n in range(6):
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message(f"{n}", ("x" * 70 + "\r\n") * 1400)).accepted
    folder = world.folder("small")
    with small_disk(folder, "400k"):
        done = gateway.run("queue", "export", "--directory", str(folder))
        whole = sorted(folder.glob("*.json"))
        assert done.returncode == 74 and 0 < len(whole) < 6, done
        assert f"{len(whole)} message{'s' if len(whole) > 1 else ''} written to {folder}, {6 - len(whole)} not" in done.stdout, done
        assert done.stderr.count("No space left on device") == 6 - len(whole), done
        assert sorted(folder.iterdir()) == sorted([*whole, *(file.with_suffix(".eml") for file in whole)])
        for file in whole:
            assert file.with_suffix(".eml").stat().st_size >= 100_000 and json.loads(file.read_text())["sender"]


def test_a_target_is_that_of_now(world):
    workmail, old = world.sink(), world.sink("old")
    gateway = world.gateway(workmail, start=False)
    gateway.config["next_hops"]["exchange"] = next_hop(old)
    gateway.config["routing"]["pending_next_hop"] = "exchange"
    gateway.config["waves"] = {"w1": {"state": "active"}}
    gateway.write_table([(f"{who}@corp.example", f"{who}@{TARGET_DOMAIN}", "", "w1") for who in ("bob", "eve")])
    workmail.stop()
    old.stop()
    gateway.start()
    assert world.exchange().send("ann@ext.example", ["bob@corp.example", "eve@corp.example"], message()).accepted
    queue(gateway, "suspend", "--domain", TARGET_DOMAIN)
    assert gateway.run("wave", "rollback", "w1").returncode == 0
    assert [len(one["open"]) for one in listed(gateway, "--domain", "corp.example")] == [2]
    queue(gateway, "list", "--domain", TARGET_DOMAIN, code=1)
    queue(gateway, "delete", "--recipient", f"*@{TARGET_DOMAIN}", code=1)
    old.start()
    queue(gateway, "flush", "--all")
    old.wait_messages(1)
    gateway.wait_empty()
    assert sorted(old.addresses()) == ["bob@corp.example", "eve@corp.example"] and not workmail.records()


def test_who_goes_nowhere_is_shown_with_its_own_reason(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, start=False)
    gateway.config["waves"] = {"w1": {"state": "active"}}
    gateway.write_table([(f"{who}@corp.example", f"{who}@{TARGET_DOMAIN}", "", "w1") for who in ("bob", "eve")])
    workmail.stop()
    gateway.start()
    assert world.exchange().send("ann@ext.example", ["bob@corp.example", "eve@corp.example"], message()).accepted
    gateway.wait_event("deferred", count=2)
    said = gateway.run("wave", "rollback", "w1").stdout
    assert "2 recipients of queued mail: routing has no place for them now" in said and "sent now" not in said, said
    shown = queue(gateway, "list")
    for who in ("bob", "eve"):
        assert f"{who}@corp.example -> nowhere yet: it waits for routing" in shown, shown
    for one in listed(gateway)[0]["open"]:
        assert one["address"] in one["why"] and not one.get("target") and not one.get("next_hop"), one
    queue(gateway, "list", "--next-hop", "workmail", code=1)


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
    assert "would touch 1 message," in queue(gateway, "delete", "--all", "--dry-run")
    assert "delete: 1 message," in queue(gateway, "delete", "--all", "--reason", "a test")
    gateway.wait_empty()
    assert sink.addresses() == []


def test_rerouted_mail_goes_another_way_to_the_same_address(world):
    down = world.sink(rules=["at=mail;reply=451 4.3.0 not today"])
    other = world.sink(label="other")
    gateway = world.gateway(down, users=["bob", "eve"], next_hops={"other": next_hop(other)})
    assert world.exchange().send("ann@ext.example", ["bob@corp.example", "eve@corp.example"], message()).accepted
    gateway.wait_event("deferred", count=2)
    assert "1 recipient\n" in queue(gateway, "reroute", "--recipient", "bob@*", "--to", "other")
    other.wait_messages(1)
    assert other.addresses() == [f"bob@{TARGET_DOMAIN}"]
    down.rules()
    gateway.wait_empty()
    assert down.addresses() == [f"eve@{TARGET_DOMAIN}"]


def test_bounced_mail_is_returned_with_the_reason_and_deleted_mail_is_not(world):
    sink = world.sink(keep_content=True)
    gateway = world.gateway(sink, users=["ann", "bob", "eve"])
    queue(gateway, "suspend", "--next-hop", "workmail")
    assert world.exchange().send("ann@corp.example", ["bob@corp.example", "eve@corp.example"], message()).accepted
    assert "1 recipient\n" in queue(gateway, "bounce", "--recipient", "bob@*", "--reason", "The project has ended.")
    assert "1 recipient\n" in queue(gateway, "delete", "--recipient", "eve@*")
    queue(gateway, "resume", "--next-hop", "workmail")
    record = sink.wait_message(lambda r: r["sender"] == "<>", what="a report")
    gateway.wait_empty()
    report = email.message_from_bytes(sink.content(record)).as_string()
    assert "bob@corp.example" in report and "The project has ended." in report and "eve@" not in report
    assert len(sink.records()) == 1  # neither of them got the message
    assert {e["action"] for e in gateway.events("control")} == {"suspend", "bounce", "delete", "resume"}


def test_a_partial_suspension_catches_what_comes_later_and_survives_a_restart(world):
    sink = world.sink()
    gateway = world.gateway(sink, users=["bob", "eve"])
    queue(gateway, "suspend", "--sender", "mallory@*")  # nothing is there yet
    assert len(gateway.wait_event("control", action="suspend")) == 1
    gateway.kill()
    gateway.start()
    assert world.exchange().send("mallory@ext.example", ["bob@corp.example"], message("late")).accepted
    assert world.exchange().send("ann@ext.example", ["eve@corp.example"], message("free")).accepted
    sink.wait_messages(1)
    assert sink.addresses() == [f"eve@{TARGET_DOMAIN}"]
    assert [r["state"] for r in listed(gateway)[0]["open"]] == ["held"]
    assert "1 recipient has waited" in queue(gateway, "resume", "--sender", "mallory@*")
    gateway.wait_empty()
    assert sink.addresses() == [f"eve@{TARGET_DOMAIN}", f"bob@{TARGET_DOMAIN}"]


@pytest.mark.parametrize("selection", [["--state", "held"], ["--reply", "*busy*"], ["--older", "2h"], ["--younger", "2h"],
                                       ["01KAB3C4D5E6"]])
def test_a_suspension_that_could_not_judge_later_mail_is_refused(world, selection):
    sink = world.sink()
    gateway = world.gateway(sink, users=["bob"])
    for verb in ("suspend", "resume"):
        done = subprocess.run([str(program("waypost")), "queue", verb, *selection, "--config", gateway.config_file],
                              check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 64 and "use hold and release" in done.stderr, done
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    sink.wait_messages(1)


def test_held_mail_is_selected_by_next_hop_and_an_export_is_on_record(world):
    sink = world.sink()
    gateway = world.gateway(sink, users=["bob"])
    queue(gateway, "suspend", "--next-hop", "workmail")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    assert "1 recipient\n" in queue(gateway, "hold", "--next-hop", "workmail")
    queue(gateway, "resume", "--next-hop", "workmail")
    queue(gateway, "export", "--next-hop", "workmail", "--directory", world.directory / "out")
    assert len(gateway.wait_event("control", action="export")) == 1
    assert "1 recipient\n" in queue(gateway, "release", "--next-hop", "workmail")
    gateway.wait_empty()
    assert sink.addresses() == [f"bob@{TARGET_DOMAIN}"]
    released = gateway.wait_event("released")[0]
    assert released["recipient"] == "bob@corp.example" and released["action"] == "release" and released["by"]


def test_the_whole_message_is_returned_if_it_was_asked_for_up_to_a_limit(world):
    sink = world.sink(keep_content=True, rules=["at=rcpt;match=bob@*;reply=550 5.1.1 mailbox unavailable"])
    gateway = world.gateway(sink, users=["ann", "bob"], queue={"report_full_limit": "4 KiB"})
    for number, body in enumerate(["short and whole\r\n", "x" * 70 + "\r\n" + "long\r\n" * 1000]):
        content = message(f"number {number}", body=body, sender="ann@corp.example")
        assert world.exchange().send("ann@corp.example", ["bob@corp.example"], content, parameters=["RET=FULL"]).accepted
    sink.wait_messages(2)
    gateway.wait_empty()
    reports = [sink.content(r) for r in sink.records()]
    whole = next(r for r in reports if b"Subject: number 0" in r)
    cut = next(r for r in reports if b"Subject: number 1" in r)
    assert b"short and whole\r\n" in whole and b"message/rfc822" in whole
    assert b"long\r\n" not in cut and b"text/rfc822-headers" in cut


def refused(gateway, *arguments):
    done = gateway.run("queue", *arguments)
    assert done.returncode == 64 and not done.stdout, done
    return done.stderr


def test_a_suspension_ends_by_its_own_words(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.config["shards"] = 3  # each is asked in its turn
    gateway.route(world.sink("old"), "old.example", "old")
    gateway.write_table([("bob@corp.example", f"bob@{TARGET_DOMAIN}", "", "w1")])
    gateway.start()
    ways = [["--wave", "w1"], ["--next-hop", "old", "--sender", "x@*"], ["--next-hop", "old"]]
    for way in ways:
        queue(gateway, "suspend", *way)
    # The wave and the next hop leave; what was said of them stays, and can be taken back.
    gateway.write_table([("bob@corp.example", f"bob@{TARGET_DOMAIN}", "", "w2")])
    del gateway.config["next_hops"]["old"], gateway.config["routing"]["target_domains"]["old.example"]
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    gateway.kill()
    gateway.start()
    standing = queue(gateway, "suspend", "--domain", "other.example")
    for words in ("--wave 'w1'", "--next-hop 'old'\n", "--next-hop 'old' --sender 'x@*'"):
        assert f"  {words}" in standing, standing
    for way in ways:
        assert "resumed: " in queue(gateway, "resume", *way), way
        assert "there is no" in refused(gateway, "resume", *way), "it is over"
    assert "nothing is suspended now" in queue(gateway, "resume", "--domain", "OTHER.example.")


def test_what_can_fit_nothing_is_refused(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.config["routing"]["own_domains"].append("b\u00fcro.example")
    gateway.write_table([("u@b\u00fcro.example", f"u@{TARGET_DOMAIN}", "active", "")])
    gateway.start()
    queue(gateway, "suspend", "--next-hop", "workmail")
    assert world.exchange().send("ann@ext.example", ["u@xn--bro-hoa.example"], message()).accepted
    for what, why in (("--sender=<ann@ext.example>", "without the angle brackets"), ("--recipient=u", "has no '@'"),
                      ("--recipient=u@", "'@*' is any domain"), ("--sender=[a-", "its '[' has no ']'"),
                      ("--domain=@corp.example", "only what stands behind the '@'"), ("--domain=*.example", "no pattern"),
                      ("--domain=corp..example", "not a valid domain name")):
        for verb in ("suspend", "hold", "delete"):
            told = refused(gateway, verb, what)
            assert why in told and "selector." in told, told
        assert why in refused(gateway, "list", what)
    for what in ("--domain=b\u00fcro.example", "--domain=B\u00fcRO.example", "--domain=XN--BRO-HOA.example.",
                 "--recipient=U@b\u00fcro.example", "--recipient=*@xn--bro-hoa.example."):
        assert "1 message, 1 recipient" in queue(gateway, "hold", what, "--dry-run"), what
    # One suspension, however it is written.
    queue(gateway, "suspend", "--domain", "CORP.example")
    assert queue(gateway, "suspend", "--domain", "corp.example.").count("corp.example'\n") == 1
    assert "resumed" in queue(gateway, "resume", "--domain", "Corp.Example")


def test_a_reroute_rests_while_its_next_hop_is_gone(world):
    workmail, other = world.sink(), world.sink("other")
    workmail.stop()
    other.stop()
    gateway = world.gateway(workmail, users=["bob", "eve"], start=False)
    gateway.route(other, "unused.example", "other")
    gateway.config["queue"]["backoff"] = ["1h"]
    gateway.start()
    for who in ("bob", "eve"):
        assert world.exchange().send("ann@ext.example", [f"{who}@corp.example"], message(who)).accepted
    assert "2 messages" in queue(gateway, "reroute", "--to", "other", "--domain", "corp.example")
    assert all(one["open"][0]["next_hop"] == "other" for one in listed(gateway))
    hop = gateway.config["next_hops"].pop("other")
    del gateway.config["routing"]["target_domains"]["unused.example"]
    gateway.write_config()
    reloaded = gateway.run("reload")
    assert reloaded.returncode == 0 and "next hop 'other' is gone: mail that waits for it" in reloaded.stderr, reloaded
    assert reloaded.stdout.count("target_domains") == 1, reloaded.stdout
    wait_for(lambda: all(one["open"][0]["next_hop"] == "workmail" for one in listed(gateway)), "both to be sent on")
    # Over a restart as well, and it is told.
    gateway.stop()
    gateway.start()
    assert "2 queued recipients were rerouted to next hop 'other', which is not configured" in gateway.log_file.read_text()
    assert all(one["open"][0]["next_hop"] == "workmail" for one in listed(gateway))
    gateway.config["next_hops"]["other"] = hop
    gateway.config["routing"]["target_domains"]["unused.example"] = "other"
    gateway.write_config()
    other.start()
    assert gateway.run("reload").returncode == 0
    other.wait_messages(2)
    gateway.wait_empty()
    assert sorted(other.addresses()) == [f"bob@{TARGET_DOMAIN}", f"eve@{TARGET_DOMAIN}"] and not workmail.records()


def test_messages_are_named_in_any_number(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    queue(gateway, "suspend", "--all")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    known = listed(gateway)[0]["queue_id"]
    others = [f"0SGM{number:08d}" for number in range(5000)]  # more than 64 KiB of them
    told = queue(gateway, "hold", known, *others)
    assert "1 message, 1 recipient" in told and told.count("not touched") == 5000, told[:300]
    assert f"{others[0]}: not touched: it is not in the queue (any more)" in told and f"{known}: not" not in told


def test_a_journal_that_was_taken_away_takes_no_command(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    queue(gateway, "suspend", "--sender", "zoe@*")
    journal = gateway.spool_directory / "control.journal"
    aside = world.directory / "aside"
    journal.rename(aside)
    done = gateway.run("queue", "suspend", "--next-hop", "workmail")
    assert done.returncode == 74 and "nothing is done" in done.stderr and "restart the gateway" in done.stderr, done
    assert "next-hop" not in queue(gateway, "suspend", "--domain", "x.example", "--dry-run")
    aside.rename(journal)
    queue(gateway, "suspend", "--next-hop", "workmail")
    gateway.kill()
    gateway.start()
    assert "--next-hop 'workmail'" in queue(gateway, "suspend", "--domain", "x.example", "--dry-run")
