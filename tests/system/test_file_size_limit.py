"""A limit on the size of files (LimitFSIZE=, ulimit -f) is what a full disk is: lines are dropped, mail gets 452."""

from conftest import message, wait_for
from started import through

LIMIT = 16 * 1024 * 1024


def limited(gateway, octets):
    return through(gateway, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({octets}, {octets}))")


def fill(path, octets):
    with open(path, "wb") as file:
        file.write(b"{}" + b" " * 61 + b"\n")
        file.truncate(octets - octets % 64)


def test_logs_at_their_limit_do_not_stop_mail(world):
    workmail = world.sink()
    gateway = limited(world.gateway(workmail, users=["bob"], start=False), LIMIT)
    service_log = world.directory / "service.log"
    gateway.config["log"]["file"] = str(service_log)
    for path in (service_log, gateway.tracking_file):
        fill(path, LIMIT - 256)
    gateway.start()
    for number in range(5):
        assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message(str(number))).accepted
    workmail.wait_messages(5)
    gateway.wait_empty()
    gateway.process.wait_output("can't be written: File too large")
    wait_for(lambda: gateway.metric("waypost_tracking_lines_lost_total") > 0, "lines to be lost")
    gateway.kill()
    gateway.start()
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message("after")).accepted
    workmail.wait_messages(6)
    gateway.wait_empty()


def test_a_limit_below_a_segment_refuses_mail_and_says_why(world):
    gateway = limited(world.gateway(world.sink(), users=["bob"], start=False), 300_000)
    gateway.start()
    sent = world.exchange().send("ann@ext.example", ["bob@corp.example"], message())
    assert sent.verdict.code == 452, sent
    wait_for(lambda: gateway.get("/healthz")[0] == 503, "/healthz to be red")
    assert "File too large" in gateway.get("/healthz")[1] and "LimitFSIZE=" in gateway.get("/healthz")[1]
    gateway.process.wait_output("nothing can be written: ")
