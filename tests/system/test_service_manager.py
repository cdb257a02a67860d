"""A service manager, or a proxy of one, that does not read what it is told keeps nothing waiting."""

import contextlib
import signal
import socket

import pytest
from conftest import message, wait_for


@pytest.fixture
def manager(world):
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as reader:
        reader.bind(str(world.directory / "notify"))
        yield reader


def heard(manager):
    manager.setblocking(False)
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(manager.recv(4096).decode())
    return said


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "2000000"}], ids=["plain", "watchdog"])
def test_a_manager_that_does_not_read_stops_nothing(world, manager, watchdog):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.start(env={"NOTIFY_SOCKET": manager.getsockname()} | watchdog)
    with open("/proc/sys/net/unix/max_dgram_qlen", encoding="ascii") as limit:
        room = int(limit.read())
    for number in range(room // 2 + 3):  # each says two words
        gateway.hang_up()
        wait_for(lambda n=number: gateway.process.output().count("reload: ") > n, "the reload")
    assert gateway.run("reload").returncode == 0
    assert gateway.get("/healthz")[0] == 200 and gateway.get("/readyz")[0] == 200
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted
    workmail.wait_messages(1)
    gateway.wait_empty()

    # Who reads again hears how it stands, and then that it lives.
    heard(manager)
    later = []
    wait_for(lambda: later.extend(heard(manager)) or "WATCHDOG=1" in later, "WATCHDOG=1")
    assert later[0].startswith("READY=1"), later
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.child.wait(40) == 0
    gateway.process = None
    assert any(one.startswith("STOPPING=1") for one in heard(manager))
