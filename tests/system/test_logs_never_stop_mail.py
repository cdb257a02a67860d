"""Nothing that carries mail, and nothing that a manager asks, waits for whoever reads the logs."""

import contextlib
import os
import signal
import subprocess

import pytest
from conftest import message, wait_for
from rig.programs import program

KEYS = pytest.mark.parametrize("section", ["log", "tracking"])


def fill(pipe):
    """Until nothing goes in any more."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x")
    os.set_blocking(pipe, True)


def test_a_reader_of_standard_error_who_stalls_stops_nothing(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.write_config()
    reader, writer = os.pipe()
    fill(writer)
    child = subprocess.Popen([program("waypost"), "serve", "--config", str(gateway.config_file)],
                             stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
    os.close(writer)

    class Running:  # what Gateway asks of its process
        @staticmethod
        def check_alive():
            assert child.poll() is None
            return True

        @staticmethod
        def output():
            return "(nobody reads it)"
    try:
        gateway.process = Running()
        gateway.wait_ready()
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
        workmail.wait_messages(1)
        gateway.wait_empty()
        assert gateway.run("reload").returncode == 0
        assert gateway.get("/healthz")[0] == 200
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        gateway.process = None
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(reader)


def test_a_reader_of_the_tracking_log_who_stalls_is_no_bug_at_the_stop(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["log"]["file"] = str(world.directory / "service.log")
    gateway.config["tracking"]["file"] = "/dev/stdout"
    gateway.write_config()
    reader, writer = os.pipe()
    fill(writer)
    child = subprocess.Popen([program("waypost"), "serve", "--config", str(gateway.config_file)],
                             stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        wait_for(lambda: gateway.get("/readyz")[0] == 200, "/readyz")
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
        wait_for(lambda: gateway.metric("waypost_spool_messages") == 0, "its delivery")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
        said = (world.directory / "service.log").read_text()
        assert "error tracking log: not written within 2 s" in said, said
        assert "threads did not end" not in said and said.rstrip().endswith("stopped"), said
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(reader)


@KEYS
def test_a_named_pipe_is_no_log(world, section):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    pipe = world.directory / "pipe"
    os.mkfifo(pipe)
    before = gateway.config[section].get("file")
    gateway.config[section]["file"] = str(pipe)
    gateway.write_config()
    said = f"{section}.file: {pipe} is a named pipe"
    checked = gateway.run("check")
    assert checked.returncode == 1 and said in checked.stderr, checked
    assert f"{gateway.config_file}:" in checked.stderr.split("error")[0], "a place"
    started = gateway.run("serve")
    assert started.returncode == 78 and said in started.stderr, started
    gateway.config[section]["file"] = before or ""
    gateway.start()
    gateway.config[section]["file"] = str(pipe)
    gateway.write_config()
    reloaded = gateway.run("reload")
    assert reloaded.returncode == 1 and said in reloaded.stdout + reloaded.stderr, reloaded
    assert gateway.get("/readyz")[0] == 200
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted


@KEYS
def test_standard_error_and_null_are_logs(world, section):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    for path in ["/dev/null", "/dev/stderr"]:
        gateway.config[section]["file"] = path
        gateway.write_config()
        assert gateway.run("check").returncode == 0
    gateway.start()
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message())
    assert sent.accepted
    gateway.wait_empty()
    gateway.process.wait_output(sent.queue_id if section == "tracking" else "ready:")
