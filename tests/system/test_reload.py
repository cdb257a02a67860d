"""Reload takes the new table as a whole or keeps the last good one, while mail flows."""

import os

import pytest
from conftest import message, wait_for


def rcpt(world, address):
    return world.exchange().send("ann@ext.example", [address], message()).recipients[address]


def test_broken_table_keeps_the_last_good_one(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    good = gateway.table_file.read_text()
    gateway.table_file.write_text(good + "carol@corp.example;no target\n\x00broken\n")
    answer = gateway.run("reload")
    assert answer.returncode == 1
    assert f"{gateway.table_file}:{good.count(chr(10)) + 2}:" in answer.stdout, answer.stdout
    assert rcpt(world, "bob@corp.example").code == 250
    assert gateway.get("/readyz")[0] == 200

    mark = len(gateway.process.output())
    gateway.hang_up()
    wait_for(lambda: "nothing changed" in gateway.process.output()[mark:], "the refusal in the log")
    assert rcpt(world, "bob@corp.example").code == 250

    gateway.table_file.write_text(good + "carol@corp.example,carol@orgname.awsapps.com,,\n")
    assert gateway.run("reload").returncode == 0
    assert rcpt(world, "carol@corp.example").code == 250


def test_hang_up_takes_the_new_table(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    exchange = world.exchange()
    assert rcpt(world, "carol@corp.example").code == 550
    gateway.write_table([("carol@corp.example", "carol@orgname.awsapps.com")])
    gateway.hang_up()
    wait_for(lambda: gateway.explain("carol@corp.example")["verdict"] == "rewrite", "the new table")
    assert rcpt(world, "bob@corp.example").code == 550
    sent = exchange.send("ann@ext.example", ["carol@corp.example"], message())  # a session from before the reload
    assert sent.accepted
    gateway.wait_empty()


def test_queued_mail_follows_a_new_route(world):
    down = world.sink("down")
    up = world.sink("up")
    gateway = world.gateway(down, users=["bob"])
    down.stop()
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_event("deferred")
    gateway.route(up, "new.example", "newhome")
    gateway.write_table([("bob@corp.example", "bob@new.example")])
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    up.wait_messages(1)
    assert up.addresses() == ["bob@new.example"]
    gateway.wait_empty()


def test_table_that_can_not_be_loaded_at_start_defers_and_reload_mends_it(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    good = gateway.table_file.read_text()
    gateway.table_file.write_text("address,target\nbob@corp.example,not an address\n")
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    assert rcpt(world, "bob@corp.example").code == 451
    gateway.table_file.write_text(good)
    assert gateway.run("reload").returncode == 0
    assert gateway.get("/readyz")[0] == 200
    assert rcpt(world, "bob@corp.example").code == 250


@pytest.mark.parametrize("what", ["table", "members", "export", "folder", "pipe"])
def test_what_the_table_is_read_from_may_come_after_the_start(world, what):
    members, export = world.directory / "members.txt", world.directory / "export.csv"
    members.write_text("bob@corp.example\n")
    export.write_text("PrimarySmtpAddress,ExternalEmailAddress,EmailAddresses,RecipientTypeDetails\n"
                      "carol@corp.example,SMTP:carol@orgname.awsapps.com,SMTP:carol@corp.example,MailUser\n")
    gateway = world.gateway(world.sink(), users=["bob"], start=False, waves={"w": {"state": "active", "members": str(members)}})
    gateway.config["routing"]["sources"] = [{"type": "exchange", "file": str(export)}]
    gone = {"members": members, "export": export}.get(what, gateway.table_file)
    aside = gone.rename(world.directory / "aside")
    if what == "folder":
        gone.mkdir()
    elif what == "pipe":
        os.mkfifo(gone)
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    assert str(gone) in gateway.get("/readyz")[1]
    assert rcpt(world, "bob@corp.example").code == 451 and rcpt(world, "nobody@corp.example").code == 451
    # A reload still needs all, and `check` calls it an error.
    refused = gateway.run("reload")
    assert refused.returncode == 1 and str(gone) in refused.stderr, refused
    checked = gateway.run("check")
    assert checked.returncode == 1 and f"the file '{gone}'" in checked.stderr, checked
    if what == "folder":
        gone.rmdir()
    aside.rename(gone)
    assert gateway.run("reload").returncode == 0
    assert gateway.get("/readyz")[0] == 200
    assert rcpt(world, "bob@corp.example").code == 250 and rcpt(world, "carol@corp.example").code == 250
    # Once it runs, the table in use stays.
    gone.rename(aside)
    assert gateway.run("reload").returncode == 1
    assert rcpt(world, "bob@corp.example").code == 250 and gateway.get("/readyz")[0] == 200


def test_a_configuration_that_was_cut_is_refused_and_one_that_lost_sections_names_them(world):
    gateway = world.gateway(world.sink(), users=["bob"], limits={"idle": "90s"})
    whole = gateway.config_file.read_text()
    gateway.config_file.write_text(whole[:-1])
    for command in (["check"], ["reload", "--socket", str(gateway.socket)]):
        answer = gateway.run(*command)
        assert answer.returncode == 1 and "the last line has no line break: is the file still being written?" in answer.stderr, answer
    gateway.config_file.write_text(whole)
    gateway.change({"limits": None, "log": None})
    gateway.write_config()
    answer = gateway.run("reload")
    assert answer.returncode == 0, answer
    assert "configuration: changed " in answer.stdout and "limits (removed)" in answer.stdout, answer.stdout
    assert "log (removed)" in answer.stdout, answer.stdout
    assert "no change" in gateway.run("reload").stdout.split("configuration:")[1]


def test_new_certificate_is_used_after_reload(world):
    from rig.sink import Certificates
    gateway = world.gateway(world.sink(), users=["bob"])
    fresh = Certificates(world.folder("fresh"), ["gw.corp.example"])
    gateway.config["tls"]["certificates"] = [{"chain": fresh.chain, "key": fresh.key}]
    gateway.write_config()
    assert gateway.run("reload").returncode == 0
    assert world.exchange(ca_file=fresh.ca).tls_version() in ("TLSv1.2", "TLSv1.3")


def test_retries_and_the_tracking_file_are_taken_over(world):
    gateway = world.gateway(world.sink(rules=["at=rcpt;reply=451 4.7.1 later"]), users=["bob"],
                            queue={"backoff": ["1h"]})
    assert rcpt(world, "bob@corp.example").code == 250
    gateway.wait_event("deferred")
    old_file = gateway.tracking_file
    gateway.tracking_file = world.directory / "other.jsonl"
    gateway.change({"queue": {"backoff": ["1s"]}, "tracking": {"file": str(gateway.tracking_file)}}).write_config()
    answer = gateway.run("reload")
    assert answer.returncode == 0 and "restart" not in answer.stdout, answer.stdout
    before = old_file.read_bytes()
    gateway._tracked, gateway._events = 0, []
    assert rcpt(world, "bob@corp.example").code == 250
    gateway.wait_event("deferred", count=3)  # within an hour
    assert old_file.read_bytes() == before


def test_a_tracking_file_that_can_not_be_opened_refuses_the_reload(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    gateway.change({"tracking": {"file": str(world.directory / "missing" / "t.jsonl")}}).write_config()
    answer = gateway.run("reload")
    assert answer.returncode == 1 and "nothing changed: tracking.file" in answer.stdout, answer.stdout
    assert rcpt(world, "bob@corp.example").code == 250
    gateway.wait_event("received")


def test_what_needs_a_restart_is_named_and_the_rest_is_taken_over(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    gateway.change({"own_name": "other.corp.example", "shards": 1, "dns": {"tries": 7},
                    "admin": {"http_port": 1}, "spool": {"minimum_free": "2 MiB"}}).write_config()
    gateway.write_table([("carol@corp.example", "carol@orgname.awsapps.com")])
    answer = gateway.run("reload")
    assert answer.returncode == 0, answer.stdout
    for key in ("own_name", "shards", "dns.tries", "admin.http_port", "spool.minimum_free"):
        assert f"warning: needs a restart: {key}\n" in answer.stderr, answer
    assert answer.stderr.count("needs a restart") == 5, answer
    exchange = world.exchange()
    assert exchange.send("ann@ext.example", ["carol@corp.example"], message()).accepted
    gateway.wait_event("received")
    assert "gw.corp.example" in exchange.command("EHLO ex1.corp.example").text  # never half a new name
    # A second reload still says so; a restart takes it over.
    assert gateway.run("reload").stderr.count("needs a restart") == 5
