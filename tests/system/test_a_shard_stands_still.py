"""A shard that does nothing any more is seen: /healthz turns red and the watchdog is not fed."""

import ctypes
import os
import pathlib
import socket

import pytest
from conftest import wait_for

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 17, 0x4206, 0x4207, 0x40000000


class StoppedThread:
    """One thread of a process stands still, and only that one."""

    def __init__(self, pid, name):
        tasks = pathlib.Path(f"/proc/{pid}/task")
        self.tid = next(int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip() == name)
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ask(self, what):
        if self.libc.ptrace(what, self.tid, None, None) != 0:
            pytest.skip(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        self.ask(PTRACE_SEIZE)
        self.ask(PTRACE_INTERRUPT)
        os.waitpid(self.tid, WALL)
        return self

    def __exit__(self, *_):
        self.libc.ptrace(PTRACE_DETACH, self.tid, None, None)


def test_a_shard_that_stands_still_is_seen(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(world.directory / "notify"))
    manager.settimeout(60)
    gateway.start(env={"NOTIFY_SOCKET": str(world.directory / "notify")})

    def hears(text):
        return text in manager.recv(4096).decode()

    assert gateway.get("/healthz")[0] == 200
    wait_for(lambda: hears("WATCHDOG=1"), "the watchdog to be fed")
    with StoppedThread(gateway.process.pid, "shard-0"):
        wait_for(lambda: gateway.get("/healthz")[0] == 503, "/healthz to turn red", seconds=90)
        gateway.process.wait_output("a shard has not answered")
        manager.setblocking(False)
        try:
            while True:
                manager.recv(4096)  # from before it was seen
        except BlockingIOError:
            manager.setblocking(True)
            manager.settimeout(60)
        beats = [manager.recv(4096).decode() for _ in range(2)]
        assert all(beat.startswith("STATUS=") for beat in beats), beats
    wait_for(lambda: gateway.get("/healthz")[0] == 200, "/healthz to turn green again")
    wait_for(lambda: hears("WATCHDOG=1"), "the watchdog to be fed again")
    manager.close()
