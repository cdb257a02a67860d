"""A disk that takes no write any more: health turns red without any mail, and green again with the first write that succeeds."""

import pytest
from conftest import message, wait_for
from rig.programs import sanitized


@pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")
def test_health_is_red_while_nothing_can_be_written(world, preload):
    switch = world.directory / "fail-write"
    gateway = world.gateway(world.sink(), users=["bob"], start=False)
    gateway.start(env={"LD_PRELOAD": preload("failing_sync"), "FAIL_WRITE": str(switch)})
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message("before")).accepted
    switch.touch()
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message("refused"))
    assert sent.verdict.code == 452 and sent.verdict.text.startswith("4.3.0 "), sent

    # No mail comes any more: it must notice by itself.
    wait_for(lambda: gateway.get("/healthz")[0] == 503, "/healthz to be red", 60)
    status, body = gateway.get("/readyz")
    assert status == 503 and "nothing can be written" in str(body), body
    assert gateway.metric("waypost_spool_failing") == 1 and gateway.metric("waypost_spool_read_only") == 0
    wait_for(lambda: "nothing can be written" in gateway.log_file.read_text(), "a line in the log", 30)

    switch.unlink()
    wait_for(lambda: gateway.get("/healthz")[0] == 200, "/healthz to be green again", 30)
    wait_for(lambda: gateway.get("/readyz")[0] == 200, "/readyz to be green again", 30)
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message("after")).accepted
    gateway.wait_empty()
