"""Too little room for the spool: 452 4.3.1 before the body is read; what is held is delivered, and then mail is taken again."""

import contextlib
import os

import pytest
from conftest import message, small_disk, wait_for


def test_below_the_limit_the_body_is_not_read(world):
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.config["spool"]["minimum_free"] = "1000000 GiB"
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "/readyz to be red")
    why = str(gateway.get("/readyz")[1])
    assert " MiB free in " in why and "spool.minimum_free is " in why, why
    assert gateway.log_file.read_text().count("error spool: no mail is taken: ") == 1, "said once"
    assert gateway.metric("waypost_spool_has_room") == 0
    checked = gateway.run("check")
    assert checked.returncode == 0 and "warning: no mail is taken: " in checked.stderr, checked
    exchange = world.exchange()
    for words in ("MAIL FROM:<ann@ext.example>", "RCPT TO:<bob@corp.example>"):
        answer = exchange.command(words)
        if answer.code == 452:
            break
    else:
        answer = exchange.command("DATA")  # never 354
    assert answer.code == 452 and answer.text.startswith("4.3.1 "), answer


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_and_what_comes_after(world):
    spool = world.folder("spool")
    with small_disk(spool, "64m"):
        try:
            fill_and_drain(world)
        finally:
            world.the_gateway.stop()


def fill_and_drain(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["spool"] |= {"segment_size": "4 MiB", "minimum_free": "16 MiB"}
    gateway.start()
    workmail.stop()
    exchange = world.exchange()
    content = message(body=("0123456789" * 7 + "\r\n") * 14_000)  # about 1 MB
    accepted = 0
    for _ in range(100):
        sent = exchange.send("ann@ext.example", ["bob@corp.example"], content)
        if not sent.accepted:
            break
        accepted += 1
    last = next((r for r in [sent.mail, *sent.recipients.values(), sent.verdict] if r and r.code >= 400), None)
    assert last is not None and last.code == 452 and last.text.startswith("4.3.1 "), sent
    assert accepted >= 5
    assert gateway.get("/healthz")[0] == 200, "a full disk is no failed disk"
    workmail.start()
    workmail.wait_messages(accepted)
    gateway.wait_empty()
    assert len(workmail.records()) == accepted
    wait_for(lambda: gateway.get("/readyz")[0] == 200, "room again")
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], content).accepted
    gateway.wait_empty()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_deliveries_that_cant_be_written_down_are_told(world):
    spool = world.folder("spool")
    with small_disk(spool, "40m"):
        try:
            deliver_on_a_full_disk(world, spool)
        finally:
            world.the_gateway.stop()


def deliver_on_a_full_disk(world, spool):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["spool"] |= {"segment_size": "4 MiB", "minimum_free": "8 MiB", "spare_segments": 1}
    gateway.start()
    workmail.stop()
    exchange = world.exchange()
    for _ in range(9):
        sent = exchange.send("ann@ext.example", ["bob@corp.example"], message(body="0123456789\r\n" * 60_000))
        assert sent.accepted, sent
    gateway.kill()
    for line in gateway.run("spool", "verify").stdout.splitlines():
        if line.endswith(": spare"):  # earlier starts on the full disk have used them up
            (spool / line.split(":")[0]).unlink()
    foreign = fill_up(spool)
    gateway.start(ready=False)
    wait_for(lambda: gateway.process.check_alive() and gateway.get("/readyz")[0] == 503, "no mail is taken")
    workmail.start()
    workmail.wait_messages(9)

    told = "the ends of 9 recipients can't be written ("
    wait_for(lambda: told in gateway.get("/readyz")[1], "the warning")
    wait_for(lambda: f"error spool: {told}" in gateway.log_file.read_text(), "the line in the log")
    assert gateway.log_file.read_text().count(f"error spool: {told}") == 1, "not each time that it is tried"
    gateway.stop()
    assert f"error stopping: {told}" in gateway.log_file.read_text()

    gateway.start(ready=False)
    workmail.wait_messages(18)  # as it was said
    wait_for(lambda: told in gateway.get("/readyz")[1], "the warning")
    for file in foreign:
        file.unlink()
    wait_for(lambda: "can't be written" not in gateway.get("/readyz")[1], "the ends to be written")
    gateway.wait_empty()
    gateway.stop()
    assert gateway.run("spool", "verify").returncode == 0
    gateway.start()
    gateway.wait_empty()
    assert len(workmail.records()) == 18


def fill_up(folder):
    """Somebody else's files, until nothing goes in any more."""
    mine = []
    for octets in (1024 * 1024, 4096):
        mine.append(folder / f"foreign-{os.urandom(4).hex()}")
        with open(mine[-1], "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * octets)
    return mine
