"""A 39 MB message at 50 sessions at once: resident memory stays under 300 MB."""

import threading

import pytest
from conftest import message
from rig.programs import sanitized

SESSIONS, SIZE, LIMIT_KIB = 50, 39_000_000, 300_000


@pytest.mark.skipif(sanitized(), reason="a sanitized build takes several times the memory")
def test_39_megabytes_at_50_sessions(world, capsys):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["spool"]["segment_size"] = "64 MiB"
    gateway.start()
    line = b"0123456789abcdef" * 4 + b"0123456789\r\n"
    content = (message("large") + line * (SIZE // len(line) + 1))[:SIZE - 2] + b"\r\n"
    start, troubles = threading.Barrier(SESSIONS), []

    def one(number):
        try:
            exchange = world.exchange(timeout=300, use_tls=number % 2 == 0)
            start.wait(120)
            sent = exchange.send("ann@ext.example", ["bob@corp.example"], content, chunks=[1_000_000, 5_000_000])
            if not sent.accepted:
                troubles.append(str(sent.verdict))
            exchange.quit()
        except Exception as error:  # noqa: BLE001: told below, with the session's number
            troubles.append(f"session {number}: {error!r}")
    threads = [threading.Thread(target=one, args=(number,)) for number in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not troubles, troubles
    workmail.wait_messages(SESSIONS, seconds=300)
    gateway.wait_empty(120)
    peak = gateway.process.peak_memory_kib()
    with capsys.disabled():
        print(f"\n  {SESSIONS} sessions with {SIZE / 1e6:.0f} MB each: peak resident memory {peak / 1000:.0f} MB")
    assert len({record["sha256_below"] for record in workmail.records()}) == 1
    assert peak < LIMIT_KIB, f"{peak} KiB"
