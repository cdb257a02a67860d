"""SIGTERM: open transactions finish; a second one does not wait; either way nothing acknowledged is lost."""

import signal

from conftest import message, wait_for


def test_open_transaction_finishes(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    exchange = world.exchange()
    content = message(body="x" * 70 + "\r\n")
    exchange.say_all([exchange.mail_command("ann@ext.example", content, False, []), "RCPT TO:<bob@corp.example>"])
    half = len(content) // 2
    exchange.send_bytes(f"BDAT {len(content)} LAST\r\n".encode() + content[:half])
    gateway.process.signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in gateway.process.output(), "the announcement")
    exchange.send_bytes(content[half:])
    assert exchange.read_reply().code == 250
    assert gateway.process.child.wait(40) == 0
    gateway.process = None
    gateway.start()
    workmail.wait_messages(1)
    gateway.wait_empty()


def test_second_signal_cuts(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    workmail.stop()
    exchange = world.exchange()
    assert exchange.send("ann@ext.example", ["bob@corp.example"], message()).accepted
    exchange.say_all(["MAIL FROM:<ann@ext.example>", "RCPT TO:<bob@corp.example>"])
    exchange.send_bytes(b"BDAT 1000 LAST\r\nhalf")
    gateway.process.signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in gateway.process.output(), "the announcement")
    gateway.process.signal(signal.SIGTERM)
    assert gateway.process.child.wait(15) == 0
    gateway.process = None
    workmail.start()
    gateway.start()
    assert len(workmail.wait_messages(1)) == 1
    gateway.wait_empty()


def test_idle_session_hears_421(world):
    gateway = world.gateway(world.sink(), users=["bob"])
    exchange = world.exchange()
    gateway.process.signal(signal.SIGTERM)
    assert exchange.read_reply().code == 421
    assert gateway.process.child.wait(40) == 0
    gateway.process = None
