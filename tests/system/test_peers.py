"""Real mail programs through the gateway: Postfix on both sides, Exim with BDAT, swaks, curl and smtplib."""

import os
import smtplib
import ssl
import subprocess

import pytest
from conftest import message, wait_for
from rig.peers import Exim, Postfix

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="Postfix and Exim need root")


@as_root
def test_postfix_as_client(world):
    workmail = world.sink(keep_content=True)
    gateway = world.gateway(workmail, users=["bob", "carol"])
    postfix = world.peer(Postfix(world.folder("postfix")).relay_through(
        gateway.smtp_port, world.gateway_certificates.ca)).start()
    with smtplib.SMTP("127.0.0.1", postfix.port) as client:
        for number in range(10):
            client.sendmail("ann@ext.example", ["bob@corp.example", "carol@corp.example"],
                            message(f"postfix {number}", body=".leading dot\r\n..\r\n"))
    wait_for(lambda: len(workmail.addresses()) == 20, lambda: f"20 recipients; Postfix says:\n{postfix.log()[-3000:]}")
    content = workmail.content(workmail.records()[0])
    assert content.endswith(b"\r\n\r\n.leading dot\r\n..\r\n"), content
    assert "Postfix" in content.decode().split("Received:")[2], "Postfix's own field stays, below ours"
    assert "Trusted TLS" in postfix.log() or "Verified TLS" in postfix.log()
    gateway.wait_empty()


@as_root
def test_postfix_as_server(world):
    certificates = world.sink_certificates
    postfix = world.peer(Postfix(world.folder("postfix"), certificates, name="inbound-smtp.local").accept_for(
        "orgname.awsapps.com")).start()
    gateway = world.gateway(users=["bob"], start=False)
    gateway.config["next_hops"]["workmail"] = {
        "hosts": [f"127.0.0.1:{postfix.port}"], "tls": "verify", "tls_names": ["inbound-smtp.local"],
        "tls_ca_file": certificates.ca}
    gateway.config["routing"]["target_domains"]["orgname.awsapps.com"] = "workmail"
    gateway.start()
    exchange = world.exchange()
    contents = [message(f"number {n}", body=f"text {n}\r\n.\r\n..x\r\n" + "long " * 150 + "\r\n",
                        message_id=f"{n}@ext.example") for n in range(10)]  # Postfix would add a missing Message-ID
    for content in contents:
        assert exchange.send("ann@ext.example", ["bob@corp.example"], content).accepted
    exchange.quit()
    wait_for(lambda: len(postfix.delivered()) == 10, lambda: f"10 messages; Postfix says:\n{postfix.log()[-3000:]}")
    stored = postfix.delivered()
    for content in contents:
        as_stored = content.replace(b"\r\n", b"\n")
        assert sum(one.endswith(as_stored) for one in stored) == 1, content
    assert "TLS connection established" in postfix.log() or "starttls=1" in postfix.log()
    gateway.wait_empty()


@as_root
def test_exim_as_client_with_bdat(world):
    workmail = world.sink(keep_content=True)
    gateway = world.gateway(workmail, users=["bob"])
    exim = Exim(world.folder("exim"), gateway.smtp_port, world.gateway_certificates.ca)
    body = "".join(f"line {n}\n.{n}\n" for n in range(5_000))
    log = exim.send("ann@ext.example", ["bob@corp.example"], f"Subject: from Exim\n\n{body}".encode())
    assert " K " in log and 'C="250- ' not in log, f"K marks CHUNKING in Exim's log: {log}"
    assert "queued as" in log, log
    workmail.wait_messages(1)
    assert workmail.content(workmail.records()[0]).endswith(body.replace("\n", "\r\n").encode())
    gateway.wait_empty()


def test_swaks(world):
    workmail = world.sink()
    gateway = world.gateway(workmail, users=["bob"])
    ran = subprocess.run(["swaks", "--server", f"127.0.0.1:{gateway.smtp_port}", "--tls", "--tls-ca-path",
                          world.gateway_certificates.ca, "--pipeline", "--from", "ann@ext.example",
                          "--to", "bob@corp.example,nobody@corp.example", "--ehlo", "ex1.corp.example"],
                         capture_output=True, text=True, timeout=60, check=False)
    assert "250 2.6.0" in ran.stdout and "550 5.1.1" in ran.stdout, ran.stdout + ran.stderr
    record = workmail.wait_messages(1)[0]
    assert [r["address"] for r in record["recipients"]] == ["bob@orgname.awsapps.com"]
    gateway.wait_empty()


def test_curl(world):
    workmail = world.sink(keep_content=True)
    gateway = world.gateway(workmail, users=["bob"])
    content = message("curl", body="from curl\r\n.\r\nend\r\n")
    file = world.directory / "mail.eml"
    file.write_bytes(content)
    ran = subprocess.run(["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", world.gateway_certificates.ca,
                          "--connect-to", f"gw.corp.example:{gateway.smtp_port}:127.0.0.1:{gateway.smtp_port}",
                          "--url", f"smtp://gw.corp.example:{gateway.smtp_port}/ex1.corp.example",
                          "--mail-from", "ann@ext.example", "--mail-rcpt", "bob@corp.example", "--upload-file", file],
                         capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    record = workmail.wait_messages(1)[0]
    assert workmail.content(record).endswith(content)
    gateway.wait_empty()


def test_smtplib(world):
    workmail = world.sink(keep_content=True)
    gateway = world.gateway(workmail, users=["bob"])
    context = ssl.create_default_context(cafile=world.gateway_certificates.ca)
    content = message("smtplib", body="Grüße\r\n.\r\n")
    with smtplib.SMTP("127.0.0.1", gateway.smtp_port) as client:
        client._host = "gw.corp.example"  # the name to check
        client.starttls(context=context)
        refused = client.sendmail("ann@ext.example", ["bob@corp.example", "nobody@corp.example"], content,
                                  mail_options=["BODY=8BITMIME"])
    assert list(refused) == ["nobody@corp.example"] and refused["nobody@corp.example"][0] == 550
    record = workmail.wait_messages(1)[0]
    assert workmail.content(record).endswith(content)
    gateway.wait_empty()
