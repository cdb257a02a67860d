"""A disk or a thread that does not come back: health turns red, new mail is refused, and it passes when it answers."""

import json
import threading

import pytest
from conftest import message, wait_for
from rig.programs import sanitized
from rig.sink import UnixConnection

pytestmark = pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")


class Hanging:
    """Switches of a gateway that runs with hanging.c, and its clock."""

    def __init__(self, world, preload):
        self.folder = world.folder("hang")
        self.clock = world.directory / "clock-shift"
        self.shift(0)
        self.env = {"LD_PRELOAD": f"{preload('hanging')}:{preload('shifted_clock')}", "HANG_DIR": str(self.folder),
                    "CLOCK_SHIFT": str(self.clock)}

    def shift(self, seconds):
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(f"{seconds:015d}\0".encode())

    def hang(self, what):
        (self.folder / what).touch()

    def wait(self, what):
        wait_for((self.folder / f"{what}.waits").exists, f"something that waits for {what}")

    def release(self, what):
        (self.folder / what).unlink()


def health(gateway):
    status, text = gateway.get("/healthz")
    return status, json.loads(text)


def test_a_sync_that_hangs(world, preload):
    hanging = Hanging(world, preload)
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False).start(env=hanging.env)
    waits, other = world.exchange(), world.exchange()
    assert waits.send("ann@ext.example", ["bob@corp.example"], message("before")).accepted
    gateway.wait_empty()
    hanging.hang("sync")
    waits.command("MAIL FROM:<ann@ext.example>")
    waits.command("RCPT TO:<bob@corp.example>")
    content = message("waits")
    waits.socket.sendall(f"BDAT {len(content)} LAST\r\n".encode() + content)
    hanging.wait("sync")
    assert health(gateway)[0] == 200  # until it has been silent for 30 s it may just be slow
    hanging.shift(31)
    status, said = wait_for(lambda: (answer := health(gateway))[0] == 503 and answer, "red health")
    assert "does not answer" in said["spool"], said
    assert gateway.get("/readyz")[0] == 503 and gateway.metric("waypost_spool_stuck") == 1
    refused = other.command("MAIL FROM:<ann@ext.example>")
    assert refused.code == 452 and refused.text.startswith("4.3.0 "), refused
    hanging.release("sync")
    assert waits.read_reply().code == 250  # it was slow, and it is safe
    wait_for(lambda: health(gateway)[0] == 200 and gateway.get("/readyz")[0] == 200, "green health")
    assert other.send("ann@ext.example", ["bob@corp.example"], message("after")).accepted
    workmail.wait_messages(3)
    gateway.wait_empty()


def test_who_waits_too_long_is_let_go_without_a_verdict(world, preload):
    hanging = Hanging(world, preload)
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False).start(env=hanging.env)
    waits = world.exchange()
    waits.command("MAIL FROM:<ann@ext.example>")
    waits.command("RCPT TO:<bob@corp.example>")
    hanging.hang("sync")
    content = message("waits")
    waits.socket.sendall(f"BDAT {len(content)} LAST\r\n".encode() + content)
    hanging.wait("sync")
    hanging.shift(130)
    waits.socket.settimeout(30)
    assert waits.socket.recv(100) == b"", "neither 250 nor a refusal that may not be true"
    hanging.release("sync")
    workmail.wait_messages(1)  # what was stored after all is delivered: a duplicate perhaps, never a loss
    gateway.wait_empty()


def test_a_shard_that_hangs(world, preload):
    hanging = Hanging(world, preload)
    gateway = world.gateway(world.sink(), users=["bob"], start=False, shards=1).start(env=hanging.env)
    assert health(gateway)[0] == 200
    hanging.hang("shard")
    hanging.wait("shard")
    hanging.shift(25)
    status, said = wait_for(lambda: (answer := health(gateway))[0] == 503 and answer, "red health")
    assert said == {"status": "red", "shards": "a shard does not answer"}
    hanging.release("shard")
    wait_for(lambda: health(gateway)[0] == 200, "green health")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    gateway.wait_empty()


class Call(threading.Thread):
    """One request to the admin socket, which runs meanwhile."""

    def __init__(self, gateway, method, url, fields=None):
        super().__init__(daemon=True)
        self.connection = UnixConnection(gateway.socket, timeout=120)
        self.what = (method, url, json.dumps(fields) if fields else None)
        self.start()

    def run(self):
        method, url, body = self.what
        self.connection.request(method, url, body=body)
        answer = self.connection.getresponse()
        self.answer = answer.status, json.loads(answer.read())

    def end(self):
        self.join(timeout=120)
        assert not self.is_alive(), f"no answer to {self.what}"
        return self.answer


@pytest.mark.parametrize("path, fields", [
    ("/v1/wave/command", {"verb": "hold", "wave": "wave-3"}),
    ("/v1/queue/control", {"verb": "suspend", "selector": {"wave": "wave-3"}})])
def test_a_command_whose_disk_hangs_stops_nothing_else(world, preload, path, fields):
    hanging = Hanging(world, preload)
    workmail = world.sink()
    gateway = world.gateway(workmail, start=False)
    gateway.route(world.sink("old", name="old.local", tls=False), "unused.example", "old")
    gateway.config["routing"]["pending_next_hop"] = "old"
    gateway.write_table([("bob@corp.example", "bob@orgname.awsapps.com", "active", ""),
                         ("eve@corp.example", "eve@orgname.awsapps.com", "", "wave-3")])
    gateway.start(env=hanging.env)
    hanging.hang("control")  # syncs of the control worker only: the road's disk is well
    first = Call(gateway, "POST", path, fields)
    hanging.wait("control")
    second = Call(gateway, "POST", "/v1/wave/command", {"verb": "activate", "wave": "wave-3"})
    # Health, numbers, status and mail go on, however long the disk takes.
    assert health(gateway)[0] == 200
    assert gateway.metric("waypost_table_entries") == 2
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    workmail.wait_messages(1)
    assert gateway.status()["sessions"] >= 0
    hanging.shift(12)
    status, said = first.end()
    assert status == 503 and said["done"] == "unknown" and "may still take effect" in said["error"], said
    status, said = second.end()
    assert status == 503 and said["done"] == "no" and path in said["error"], said
    status, ready = gateway.get("/readyz")
    assert status == 200 and any("commands wait" in one for one in json.loads(ready)["warnings"]), ready
    assert health(gateway)[0] == 200
    hanging.release("control")
    # What had begun takes effect, what had not never does.
    wait_for(lambda: not any("commands wait" in one for one in json.loads(gateway.get("/readyz")[1])["warnings"]),
             "the worker to go on")
    shown = json.loads(gateway.run("wave", "show", "wave-3", "--json").stdout)
    assert [one["verb"] for one in shown["history"]] == (["hold"] if "wave" in path else []), shown
    assert shown["state"] == ("migrating" if "wave" in path else "pending"), shown
    gateway.stop()


def test_numbers_and_status_name_the_shard_that_hangs(world, preload):
    hanging = Hanging(world, preload)
    gateway = world.gateway(world.sink(), users=["bob"], start=False, shards=1).start(env=hanging.env)
    assert "waypost_shard_answers{shard=\"0\"} 1" in gateway.get("/metrics")[1]
    hanging.hang("shard")
    hanging.wait("shard")
    assert "waypost_shard_answers{shard=\"0\"} 0" in gateway.get("/metrics")[1]
    assert gateway.status()["shards"] == {"running": 1, "not_answering": [0]}
    assert "shard 0 does not answer" in json.loads(gateway.get("/readyz")[1])["warnings"]
    hanging.release("shard")
    wait_for(lambda: gateway.status()["shards"]["not_answering"] == [], "the shard to answer")
