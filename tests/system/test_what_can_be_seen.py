"""Metrics, health, the tracking log and the spool commands tell what happened."""

import json
import re

from conftest import message


def test_tracking_log_follows_a_message(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example", "nobody@corp.example"],
                                 message(message_id="follow@ext.example"))
    gateway.wait_empty()
    gateway.wait_event("delivered", queue_id=sent.queue_id)
    events = gateway.events(queue_id=sent.queue_id)
    assert [event["event"] for event in events] == ["received", "routed", "delivered"], events
    received, routed, delivered = events
    assert {event["message_id"] for event in events} == {"<follow@ext.example>"}
    assert received["sender"] == "ann@ext.example" and received["recipients"] == 1 and received["took_us"] >= 0
    assert routed["recipient"] == "bob@corp.example" and routed["target"] == "bob@orgname.awsapps.com" and routed["why"]
    assert delivered["next_hop"] == "workmail" and delivered["attempt"] == 1 and delivered["delay_us"] > 0
    assert f":{workmail.port}" in delivered["remote_host"] and delivered["reply"].startswith("250 ")
    refused = gateway.wait_event("refused")
    assert refused[0]["recipient"] == "nobody@corp.example"


def test_metrics_are_well_formed_and_count(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    exchange = world.exchange()
    for _ in range(3):
        assert exchange.send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
    status, text = gateway.get("/metrics")
    assert status == 200
    line = re.compile(r'^(# (HELP|TYPE) .+|[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})? [-+0-9.eEinfNa]+)$')
    assert all(line.match(one) for one in text.splitlines()), [one for one in text.splitlines() if not line.match(one)]
    assert gateway.metric("waypost_table_entries") == 1
    counted = {name: gateway.metric(name) for name in set(re.findall(r"(?m)^(waypost_\w+_total)", text))}
    assert 3 in counted.values(), counted
    assert gateway.get("/healthz")[0] == 200 and gateway.get("/nowhere")[0] in (403, 404)


def test_spool_can_be_read_while_the_daemon_runs(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    workmail.stop()
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message())
    gateway.wait_event("deferred")
    verified, dumped = gateway.run("spool", "verify"), gateway.run("spool", "dump")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert sent.queue_id in dumped.stdout and "bob@orgname.awsapps.com" in dumped.stdout, dumped.stdout
    workmail.start()
    gateway.wait_empty()


def test_log_as_json(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["log"]["format"] = "json"
    gateway.start()
    lines = gateway.process.output().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines), lines


def test_full_disk_of_the_tracking_log_stops_no_mail(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["tracking"]["file"] = "/dev/full"
    gateway.start()
    for _ in range(3):
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    workmail.wait_messages(3)
    gateway.wait_empty()
