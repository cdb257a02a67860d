"""Files of the spool that are removed, moved, covered or replaced under the running gateway: nothing acknowledged is lost by it, and nobody
has to find out at the next restart."""

import contextlib
import os
import shutil

import pytest
from conftest import message, small_disk, wait_for


def begin(world):
    """A gateway with three messages that can't be delivered yet."""
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    workmail.stop()
    assert send(world, "before", 3) == 3
    return workmail, gateway


def send(world, label, count, body="text\r\n" * 20_000):
    """How many were taken; the others got 452 4.3.0."""
    taken = 0
    for number in range(count):
        sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message(f"{label} {number}", body))
        taken += sent.accepted
        if not sent.accepted:
            answer = next(r for r in [sent.mail, *sent.recipients.values(), sent.verdict] if r and r.code >= 400)
            assert answer.code == 452 and answer.text.startswith("4.3.0 "), sent
    return taken


def all_arrive(workmail, gateway, count):
    """After a restart."""
    gateway.kill()
    workmail.start()
    gateway.start()
    workmail.wait_messages(count)
    gateway.wait_empty()
    assert len(workmail.wait_messages(count)) == count
    assert "the file is missing" not in gateway.process.output()


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced by copies"])
def test_what_was_removed_is_written_anew(world, replaced):
    workmail, gateway = begin(world)
    for path in gateway.spool_directory.glob("*.log"):
        copied = path.read_bytes()
        path.unlink()
        if replaced:
            path.write_bytes(copied)
    taken = 3 + send(world, "at once", 5)
    gateway.process.wait_output("was removed while waypost uses it")
    wait_for(lambda: gateway.get("/healthz")[0] == 200 and gateway.get("/readyz")[0] == 200, "health to be green")
    assert send(world, "later", 3) == 3
    all_arrive(workmail, gateway, taken + 3)


def covered(world, gateway):
    return small_disk(gateway.spool_directory, "64m")


@contextlib.contextmanager
def moved(world, gateway):
    spool, old = gateway.spool_directory, world.directory / "old"
    spool.rename(old)
    try:
        yield
    finally:
        shutil.rmtree(spool, ignore_errors=True)
        old.rename(spool)


@contextlib.contextmanager
def moved_and_made_again(world, gateway):
    with moved(world, gateway):
        gateway.spool_directory.mkdir()
        yield


@pytest.mark.parametrize("away", [
    moved, moved_and_made_again,
    pytest.param(covered, marks=pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"))])
def test_no_mail_is_taken_while_the_folder_is_elsewhere(world, away):
    workmail, gateway = begin(world)
    with away(world, gateway):
        taken = 3 + send(world, "at once", 5)  # between two looks: it lies in the folder that comes back
        wait_for(lambda: gateway.get("/healthz")[0] == 503, "/healthz to be red")
        assert send(world, "into nothing", 3) == 0
        assert "is not the file that waypost uses" in gateway.get("/healthz")[1]
        why = gateway.get("/readyz")
        assert why[0] == 503 and "Put it back before waypost is stopped" in why[1], why
        gateway.process.wait_output("error spool: ")
        assert gateway.metric("waypost_spool_displaced") == 1
        assert send(world, "large", 2, "0123456789\r\n" * 200_000) == 0
    wait_for(lambda: gateway.get("/healthz")[0] == 200 and gateway.get("/readyz")[0] == 200, "health to be green")
    assert send(world, "after", 2) == 2
    all_arrive(workmail, gateway, taken + 2)


def test_a_stop_meanwhile_says_what_is_not_found(world):
    _, gateway = begin(world)
    with moved_and_made_again(world, gateway):
        gateway.process.wait_output("is not the file that waypost uses")
        gateway.stop()
        assert "stopping: the next start does not find all mail" in gateway.log_file.read_text()
