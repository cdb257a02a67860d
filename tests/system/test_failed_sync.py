"""A sync that fails is never tried again: no new mail (452 4.3.0), health red, but what is held is still delivered."""

import pytest
from conftest import message
from rig.programs import sanitized


@pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")
def test_read_only_after_a_failed_sync(world, preload):
    switch = world.directory / "fail-sync"
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.start(env={"LD_PRELOAD": preload("failing_sync"), "FAIL_SYNC": str(switch)})
    workmail.stop()
    exchange = world.exchange()
    for number in range(5):
        assert exchange.send("ann@ext.example", ["bob@corp.example"], message(f"held {number}")).accepted
    assert gateway.get("/healthz")[0] == 200

    switch.touch()
    sent = exchange.send("ann@ext.example", ["bob@corp.example"], message("not safe"))
    assert sent.verdict.code == 452 and sent.verdict.text.startswith("4.3.0 "), sent
    assert gateway.get("/healthz")[0] == 503 and gateway.get("/readyz")[0] == 503
    assert gateway.metric("waypost_spool_read_only") == 1

    switch.unlink()  # the disk seems to work again: it is not believed
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message("still not"))
    refused = next(r for r in [sent.mail, *sent.recipients.values(), sent.verdict] if r and r.code >= 400)
    assert refused.code == 452 and refused.text.startswith("4.3.0 "), refused

    workmail.start()
    workmail.wait_messages(5)
    gateway.stop()
    gateway.start()
    assert gateway.get("/healthz")[0] == 200
    gateway.wait_empty()
    subjects = {record["sha256_below"] for record in workmail.records()}
    # The machine is up, so the next start sees that it was taken back. After a power cut it may come back all the same: its
    # sender heard 452 and sends it again, so that is a duplicate, and never a loss.
    assert len(subjects) == 5, "each of the five, and not the one whose sync failed"
