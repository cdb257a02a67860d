"""A shard that does nothing any more is seen: /healthz turns red and the watchdog is not fed."""

import ctypes
import os
import pathlib
import socket
import threading

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


class ServiceManager:
    """Reads what the daemon tells it, always: a full socket would hold the daemon up."""

    def __init__(self, path):
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while message := self.socket.recv(4096).decode():
            self.heard.append(message)

    def count(self, text):
        return sum(text in message for message in self.heard)


def test_a_shard_that_stands_still_is_seen(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    manager = ServiceManager(world.directory / "notify")
    gateway.start(env={"NOTIFY_SOCKET": str(world.directory / "notify")})
    assert gateway.get("/healthz")[0] == 200
    wait_for(lambda: manager.count("WATCHDOG=1"), "the watchdog to be fed")
    with StoppedThread(gateway.process.pid, "shard-0"):
        wait_for(lambda: gateway.get("/healthz")[0] == 503, "/healthz to turn red", seconds=90)
        gateway.process.wait_output("a shard has not answered")
        fed, told = manager.count("WATCHDOG=1"), manager.count("STATUS=")
        wait_for(lambda: manager.count("STATUS=") >= told + 2, "two more beats", seconds=60)
        assert manager.count("WATCHDOG=1") == fed, manager.heard[-5:]
    wait_for(lambda: gateway.get("/healthz")[0] == 200, "/healthz to turn green again")
    wait_for(lambda: manager.count("WATCHDOG=1") > fed, "the watchdog to be fed again", seconds=60)
