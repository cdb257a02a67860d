"""Few descriptors: clients who only wait leave enough for deliveries, the spool and health."""

import contextlib
import socket

from conftest import message, wait_for
from started import through


def test_idle_clients_do_not_take_all_descriptors(world):
    workmail = world.sink()
    gateway = through(world.gateway(workmail, users=["bob"], start=False),
                      "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))")
    gateway.config.setdefault("limits", {})["sessions_per_client"] = 1000
    gateway.start()
    assert "128 sessions are taken at once" in gateway.process.wait_output("LimitNOFILE=")
    exchange = world.exchange()
    refused = 0
    with contextlib.ExitStack() as idle:
        for _ in range(250):
            client = idle.enter_context(socket.create_connection(("127.0.0.1", gateway.smtp_port), 20))
            greeting = client.recv(4)
            refused += greeting == b"421 "
            assert greeting in (b"220 ", b"421 "), greeting
        assert refused >= 250 - 128
        assert gateway.get("/healthz")[0] == 200
        assert gateway.run("status").returncode == 0
        content = message(body="0123456789\r\n" * 90_000)
        for _ in range(12):  # more than one segment
            assert exchange.send("ann@ext.example", ["bob@corp.example"], content).accepted
        workmail.wait_messages(12)
        gateway.wait_empty()
    assert "Too many open files" not in gateway.process.output()
    wait_for(lambda: gateway.metric("waypost_sessions") <= 1, "the clients to be gone")
