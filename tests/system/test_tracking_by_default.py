"""A tracking log is written without being asked for; where that can't be, mail goes on and people are told."""

import json
import os
import pathlib
import subprocess

import pytest
from conftest import message, wait_for
from rig.processes import Process
from rig.programs import program

FILE = "var/log/waypost/tracking.jsonl"


def warnings(gateway):
    return json.loads(gateway.get("/readyz")[1])["warnings"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a /var/log of its own")
def test_the_default_is_written_where_it_can_be(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False, tracking=None)
    gateway.write_config()
    gateway.process = Process(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                               'mount -t tmpfs none /var/log && exec "$0" serve --config "$1"',
                               program("waypost"), gateway.config_file], gateway.log_file)
    gateway.wait_ready()  # a folder that nobody made does not keep it from starting
    log = gateway.log_file.read_text()
    assert log.count("no tracking log is written: ") == 1 and "'tracking: {file: none}' if none is wanted" in log, log
    assert len(warnings(gateway)) == 1 and "/var/log/waypost/tracking.jsonl" in warnings(gateway)[0]
    root = pathlib.Path(f"/proc/{gateway.process.pid}/root")
    (root / FILE).parent.mkdir()
    assert gateway.run("reload").returncode == 0
    assert not warnings(gateway)
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
    kinds = [json.loads(line)["event"] for line in (root / FILE).read_text().splitlines()]
    assert kinds == ["received", "routed", "delivered"], kinds


def test_none_is_none(world):
    gateway = world.gateway(world.sink(), users=["bob"], tracking={"file": "none"})
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()
    assert not warnings(gateway) and "no tracking log" not in gateway.log_file.read_text()
    assert not (gateway.directory / "none").exists()
    assert "tracking log: none" in gateway.run("check").stdout


def test_a_file_that_was_asked_for_must_be_there(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False, tracking={"file": "/nowhere/tracking.jsonl"})
    gateway.write_config()
    started = subprocess.run([program("waypost"), "serve", "--config", gateway.config_file], text=True, timeout=60,
                             capture_output=True, check=False)
    assert started.returncode == 69 and "tracking.file: /nowhere/tracking.jsonl can't be opened" in started.stderr, started
    gateway.config["tracking"] = {"file": "none"}
    gateway.start()
    gateway.config["tracking"] = {"file": "/nowhere/tracking.jsonl"}
    gateway.write_config()
    assert gateway.run("reload").returncode == 1
    wait_for(lambda: gateway.get("/readyz")[0] == 200, "the old configuration to stay in use")
