"""A running gateway whose table comes from a directory: first reading, changes, an outage, a restart without it."""

import json
import re

from conftest import message, wait_for
from rig.sink import Certificates
from rig.slapd import Slapd, person


def start(world, people=20, **settings):
    tls = Certificates(world.folder("directory-tls"), ["127.0.0.1"])
    slapd = world.peer(Slapd(world.directory, tls))
    slapd.load("".join(person(f"p{number}", number) for number in range(1, people + 1)))
    slapd.start()
    gateway = world.gateway(world.sink(), start=False)
    gateway.config["directories"] = {"ad": slapd.options(page_size=10, interval="10s", **settings)}
    del gateway.config["routing"]["tables"]
    gateway.config["routing"]["sources"] = [{"type": "directory", "directory": "ad"}]
    return gateway, slapd


def entries(gateway):
    return gateway.status()["table"]["entries"]


def test_directory_feeds_the_table_and_an_outage_takes_nothing_away(world):
    gateway, slapd = start(world)
    gateway.start()  # no snapshot yet: ready as soon as it has been read
    assert entries(gateway) == 40
    told = gateway.explain("p7@corp.example")
    assert told["verdict"] == "rewrite" and told["target"] == "p7@orgname.awsapps.com", told
    assert told["directory"] == "ad" and told["dn"].lower().startswith("cn=p7,"), told
    shown = gateway.run("directory", "status").stdout
    assert "40 entries of 20 people" in shown, shown
    assert re.search(r"read at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} from ", shown), shown

    slapd.stop()
    asked = gateway.run("directory", "sync", "ad")
    assert asked.returncode == 0 and "the daemon reads it now" in asked.stdout, asked
    wait_for(lambda: json.loads(gateway.run("directory", "status", "--json").stdout).get("error"), "the failure to show")
    assert gateway.explain("p7@corp.example")["verdict"] == "rewrite"
    assert gateway.metric("waypost_directory_failures_total") >= 1

    # A restart without a directory still routes.
    gateway.stop()
    gateway.start()
    assert entries(gateway) == 40
    assert world.exchange().send("ann@ext.example", ["p7@corp.example"], message()).accepted
    gateway.wait_empty()
    assert gateway.explain("nobody@corp.example")["reply"].startswith("550 5.1.1")


def test_without_snapshot_and_directory_mail_is_put_off(world):
    gateway, slapd = start(world)
    slapd.stop()
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    reply = world.exchange().send("ann@ext.example", ["p7@corp.example"], message()).recipients["p7@corp.example"]
    assert reply.code == 451, reply
    slapd.start()
    assert gateway.run("directory", "sync", "ad").returncode == 0
    gateway.wait_ready()
    assert world.exchange().send("ann@ext.example", ["p7@corp.example"], message()).accepted
    gateway.wait_empty()


def test_a_stale_snapshot_refuses_nobody(world):
    import os
    gateway, slapd = start(world)
    gateway.start()
    gateway.stop()
    slapd.stop()
    snapshot = gateway.config["directories"]["ad"]["snapshot"]
    os.utime(snapshot, (1_700_000_000, 1_700_000_000))  # last written long ago
    gateway.start()
    wait_for(lambda: gateway.explain("nobody@corp.example")["reply"].startswith("451"), "the table to count as stale")
    assert gateway.explain("p7@corp.example")["verdict"] == "rewrite"
    slapd.start()
    assert gateway.run("directory", "sync", "ad").returncode == 0
    wait_for(lambda: gateway.explain("nobody@corp.example")["reply"].startswith("550"), "the table to be fresh again")
