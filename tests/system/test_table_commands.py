"""`waypost table`: what is wrong with a table, what a reload would change, and who is behind an address."""

import csv
import io
import json
import os
import re
import subprocess

from conftest import message
from rig.programs import program


def table(gateway, *arguments, code=0, **how):
    done = gateway.run("table", *arguments, **how)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def people(count, start=0):
    return [(f"user{n}@corp.example", f"user{n}@orgname.awsapps.com") for n in range(start, start + count)]


def test_diff_shows_what_a_reload_would_do(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.write_table(people(40))
    gateway.start()
    assert "no change" in table(gateway, "diff")
    gateway.write_table([*people(39), ("user39@corp.example", "other@orgname.awsapps.com"), *people(5, 40)])
    shown = table(gateway, "diff", "--names", "10", code=1)
    assert "5 added, 0 removed, 1 target changed; 45 entries then" in shown, shown
    assert "+ user40@corp.example" in shown and "target user39@orgname.awsapps.com -> other@orgname.awsapps.com" in shown
    # Nothing was loaded by looking.
    assert gateway.explain("user40@corp.example")["verdict"] == "refuse"
    gateway.table_file.write_text("address,target\nbroken\n")
    assert gateway.run("table", "diff").returncode == 2
    assert gateway.explain("user1@corp.example")["verdict"] == "rewrite"


def test_a_shrunken_table_is_refused_until_confirmed(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.write_table(people(100))
    gateway.start()
    gateway.write_table(people(80))
    assert "a reload would refuse it: 20 of 100 entries are gone (20 %" in table(gateway, "diff", code=2)
    refused = gateway.run("reload")
    assert refused.returncode == 1 and "--confirm-shrink" in refused.stdout, refused
    assert gateway.explain("user90@corp.example")["verdict"] == "rewrite"
    assert gateway.run("reload", "--confirm-shrink").returncode == 0
    assert gateway.explain("user90@corp.example")["verdict"] == "refuse"

    # A source that is suddenly empty, also over a restart: 451, never 550.
    gateway.write_table([])
    assert "suddenly empty" in gateway.run("reload").stdout
    gateway.stop()
    gateway.start(ready=False)
    from conftest import wait_for
    wait_for(lambda: gateway.get("/readyz")[0] == 503, "/readyz to be red")
    sent = world.exchange().send("ann@ext.example", ["user1@corp.example"], message())
    assert sent.recipients["user1@corp.example"].code == 451
    gateway.write_table(people(80))
    assert gateway.run("reload").returncode == 0
    assert gateway.get("/readyz")[0] == 200


def test_check_lints_before_loading(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.config["routing"]["domain_aliases"] = {"old-corp.example": "corp.example"}
    gateway.write_table([("postmaster@corp.example", "pm@orgname.awsapps.com"),
                         ("o'brien@corp.example", "o'brien@orgname.awsapps.com"),
                         ("bob@corp.example", "bob@orgname.awsapps.com"),
                         ("bob@old-corp.example", "robert@orgname.awsapps.com")])
    gateway.write_config()
    shown = gateway.run("table", "check")
    warned = shown.stderr
    assert "local part that WorkMail can't have" in warned and "hides what the domain alias says" in warned, shown
    assert shown.returncode == 0 and shown.stdout == "2 warnings: good\n4 entries: 4 active\n", shown
    table(gateway, "check", "--strict", code=1)
    bad = world.directory / "bad.csv"
    bad.write_text("address,target\nbob@corp.example,bob@elsewhere.example\n")
    found = json.loads(table(gateway, "check", str(bad), "--json", code=2))
    assert found["errors"] == 1 and found["problems"][0]["line"] == 2 and found["problems"][0]["file"] == str(bad)


def test_a_table_from_standard_input_is_checked(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.write_config()
    good = "address,target\npostmaster@corp.example,bob@orgname.awsapps.com\n"
    assert table(gateway, "check", "-", input=good) == "0 warnings: good\n1 entry: 1 active\n"
    bad = gateway.run("table", "check", "-", input="address,target\nbob@corp.example,bob@elsewhere.example\n")
    assert bad.returncode == 2 and "standard input:2:" in bad.stderr and "/proc/" not in bad.stdout + bad.stderr, bad
    assert bad.stdout == "1 error, 1 warning: a reload would refuse this table and keep the one in use\n"


def test_who_stats_and_export(world):
    gateway = world.gateway(world.sink(), start=False)
    gateway.write_table([("bob@corp.example", "bob@orgname.awsapps.com", "", "wave-1"),
                         ("bob.baker@corp.example", "bob@orgname.awsapps.com", "", "wave-1"),
                         ("eve@corp.example", "eve@orgname.awsapps.com", "migrating")])
    gateway.start()
    for asked in ("BOB@corp.example", "bob@orgname.awsapps.com", "bob.baker@corp.example"):
        found = [json.loads(line) for line in table(gateway, "who", asked, "--json").splitlines()]
        assert {e["address"] for e in found} == {"bob@corp.example", "bob.baker@corp.example"}, (asked, found)
    table(gateway, "who", "nobody@corp.example", code=1)
    stats = json.loads(table(gateway, "stats", "--json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stats["loaded_at"]), stats
    shown = subprocess.run([program("waypost"), "table", "stats", "--config", gateway.config_file], text=True, timeout=60,
                           capture_output=True, check=True, env={**os.environ, "TZ": "Asia/Kathmandu"}).stdout
    assert re.search(r"^loaded at      \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0545$", shown, re.M), shown
    assert stats["entries"] == 3 and stats["by_wave"] == {"": 1, "wave-1": 2}
    assert stats["by_state"] == {"migrating": 1, "pending": 2}
    exported = table(gateway, "export")
    rows = list(csv.DictReader(io.StringIO(exported)))
    assert sorted((r["address"], r["state"], r["wave"]) for r in rows) == [
        ("bob.baker@corp.example", "", "wave-1"), ("bob@corp.example", "", "wave-1"),
        ("eve@corp.example", "migrating", "")]
    # What was exported is a source again, and says the same.
    gateway.table_file.write_text(exported)
    assert "no change" in table(gateway, "diff")


def test_exports_of_both_sides_are_sources(world):
    from conftest import ROOT
    samples = ROOT / "tests" / "data"
    gateway = world.gateway(world.sink(), start=False)
    gateway.config["routing"] |= {
        "tables": None, "own_domains": ["corp.example", "old-corp.example"],
        "sources": [{"type": "exchange", "file": str(samples / "exchange-mailusers.csv"), "wave": "pilot"},
                    {"type": "workmail", "address_domain": "corp.example",
                     "users": [str(samples / "workmail-list-users-page1.json"),
                               str(samples / "workmail-list-users-page2.json")],
                     "aliases": [str(samples / "workmail-list-aliases-bob.baker.json")]}]}
    del gateway.config["routing"]["tables"]
    gateway.config["waves"] = {"pilot": {"state": "active"}}
    gateway.start()
    for address in ("bob.baker@corp.example", "bob@corp.example", "bob.baker@old-corp.example"):
        told = gateway.explain(address)
        assert told["target"] == "bob.baker@orgname.awsapps.com" and told["wave"] == "pilot", told
        assert told["source"].endswith("exchange-mailusers.csv") and told["line"] > 1


def test_explain_asks_about_other_times_senders_and_sizes(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    told = json.loads(gateway.run("route", "explain", "bob@corp.example", "--sender", "<>", "--size", "50000000",
                                  "--json").stdout)
    assert told["size"]["fits"] is False and "limits.message_size" in told["size"]["why"]
    assert told["sender"]["reverse_path"] == "<>"
    assert told["next_hop_health"]["words"] == "no trouble known"
    shown = gateway.run("route", "explain", "bob@corp.example", "--size", "1000").stdout
    assert "within our limits" in shown and "no trouble known" in shown, shown
    assert gateway.run("route", "explain", "bob@corp.example", "--at", "yesterday").returncode == 64


def test_a_copy_goes_to_the_other_system_too(world):
    workmail, old = world.sink(), world.sink("old", name="old.local", tls=False)
    gateway = world.gateway(workmail, start=False)
    gateway.route(old, "old.corp.example", "old")
    gateway.write_table([("bob@corp.example", "bob@orgname.awsapps.com;bob@old.corp.example")])
    gateway.start()
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
    assert workmail.addresses() == ["bob@orgname.awsapps.com"] and old.addresses() == ["bob@old.corp.example"]
    # What becomes of a copy is not told to the sender.
    old.rules("at=rcpt;reply=550 5.1.1 no such user")
    assert world.exchange().send("bob@corp.example", ["bob@corp.example"], message("again")).accepted
    gateway.wait_event("failed")
    gateway.wait_empty()
    assert workmail.addresses() == ["bob@orgname.awsapps.com"] * 2
    assert not gateway.events("reported")
