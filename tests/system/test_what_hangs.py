"""A disk or a thread that does not come back: health turns red, new mail is refused, and it passes when it answers."""

import json

import pytest
from conftest import message, wait_for
from rig.programs import sanitized

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
