"""How a session with the next hop is opened, over real connections: TLS from the first octet, AUTH, and plain text where
opportunistic TLS fails."""

import socket
import socketserver
import ssl
import threading

import pytest
from conftest import TARGET_DOMAIN, message


def send_one(world):
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message()).accepted


def secret(world, text):
    path = world.directory / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return str(path)


def test_implicit_tls(world):
    workmail = world.sink(options=["--tls", "implicit"])
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["next_hops"]["workmail"]["implicit_tls"] = True
    gateway.start()
    send_one(world)
    delivered = gateway.wait_event("delivered")[0]
    assert "verified" in delivered["tls"], delivered
    assert [record["tls"] for record in workmail.records()] == [delivered["tls"].split(" ")[0]]


def test_implicit_tls_with_a_wrong_certificate_delivers_nothing(world):
    workmail = world.sink(options=["--tls", "implicit"])
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["next_hops"]["workmail"] |= {"implicit_tls": True, "tls_names": ["other.example"]}
    gateway.start()
    send_one(world)
    assert "TLS" in gateway.wait_event("deferred")[0]["reply"]
    assert not workmail.records()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_auth(world, tls):
    workmail = world.sink(options=["--auth", "gateway:Wave-2026!", "--tls", tls])
    gateway = world.gateway(workmail, users=["bob"], start=False)
    hop = gateway.config["next_hops"]["workmail"]
    hop |= {"auth_user": "gateway", "auth_password_file": secret(world, "Wave-2026!"), "implicit_tls": tls == "implicit"}
    gateway.start()
    send_one(world)
    gateway.wait_event("delivered")
    assert len(workmail.records()) == 1


def test_auth_with_a_wrong_password_defers_and_says_why(world):
    workmail = world.sink(options=["--auth", "gateway:Wave-2026!"])
    gateway = world.gateway(workmail, users=["bob"], start=False)
    gateway.config["next_hops"]["workmail"] |= {"auth_user": "gateway", "auth_password_file": secret(world, "wrong")}
    gateway.start()
    send_one(world)
    assert "535" in gateway.wait_event("deferred")[0]["reply"]
    assert not workmail.records() and gateway.queued() == 1
    secret(world, "Wave-2026!")
    assert gateway.run("reload").returncode == 0
    gateway.wait_event("delivered")


class BrokenTls(socketserver.ThreadingTCPServer):
    """Offers STARTTLS and breaks the handshake; takes mail in plain text."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, how):
        self.how, self.said, self.handshakes = how, [], 0
        super().__init__(("127.0.0.1", 0), Conversation)
        self.port = self.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Conversation(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.say("220 mx.example ESMTP")
        for line in self.rfile:
            words = line.decode().strip()
            self.server.said.append(words)
            verb = words[:4].upper()
            if verb == "EHLO":
                self.say("250-mx.example\r\n250 STARTTLS")
            elif verb == "STAR":
                self.server.handshakes += 1
                self.say("220 go ahead")
                if self.server.how == "garbage":
                    self.connection.recv(100)  # what comes before the client's hello would be an attack
                    self.wfile.write(b"this is no TLS record\r\n" * 10)
                return
            elif verb == "DATA":
                self.say("354 go on")
                while self.rfile.readline() != b".\r\n":
                    pass
                self.say("250 2.0.0 taken")
            elif verb == "QUIT":
                return self.say("221 bye")
            else:
                self.say("250 2.0.0 fine")


@pytest.mark.parametrize("how", ["garbage", "closes"])
@pytest.mark.parametrize("policy", ["opportunistic", "require"])
def test_a_handshake_that_fails(world, how, policy):
    with BrokenTls(how) as peer:
        gateway = world.gateway(users=["bob"], start=False)
        gateway.config["next_hops"]["workmail"] = {"hosts": [f"127.0.0.1:{peer.port}"], "tls": policy}
        gateway.config["routing"]["target_domains"][TARGET_DOMAIN] = "workmail"
        gateway.start()
        send_one(world)
        if policy == "opportunistic":
            assert "tls" not in gateway.wait_event("delivered")[0]
            assert peer.handshakes == 1
        else:
            gateway.wait_event("deferred")
            assert not any(words.upper().startswith("MAIL") for words in peer.said)


def wants_to_resume(hello):
    """True if a ClientHello (RFC 8446 section 4.1.2) carries a session: by pre-shared key, or by ticket as TLS 1.2 does."""
    at = 5 + 4 + 2 + 32  # record, handshake, version, random
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    end, at = at + 2 + int.from_bytes(hello[at:at + 2], "big"), at + 2
    while at + 4 <= min(end, len(hello)):
        kind, length = int.from_bytes(hello[at:at + 2], "big"), int.from_bytes(hello[at + 2:at + 4], "big")
        if kind == 41 or (kind == 35 and length > 0):
            return True
        at += 4 + length
    return False


class NeverResumes(socketserver.StreamRequestHandler):
    """Takes mail under TLS; a handshake that offers a session gets a fatal alert, or the end (old OpenSSL without a session id context)."""

    def handle(self):
        self.wfile.write(b"220 mx.example ESMTP\r\n")
        stream, server = self.rfile, self.server
        sock = self.connection
        for line in iter(lambda: stream.readline(), b""):
            verb = line[:4].upper()
            if verb == b"EHLO":
                sock.sendall(b"250-mx.example\r\n250 STARTTLS\r\n")
            elif verb == b"STAR":
                sock.sendall(b"220 go ahead\r\n")
                hello = b""
                while len(hello) < 5 or len(hello) < 5 + int.from_bytes(hello[3:5], "big"):
                    hello = sock.recv(65536, socket.MSG_PEEK)
                if wants_to_resume(hello):
                    server.refused += 1
                    if server.how == "alert":
                        sock.sendall(bytes([21, 3, 3, 0, 2, 2, 80]))
                    return
                sock = server.context.wrap_socket(sock, server_side=True)
                server.handshakes += 1
                stream = sock.makefile("rb")
            elif verb == b"DATA":
                sock.sendall(b"354 go on\r\n")
                while stream.readline() != b".\r\n":
                    pass
                sock.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                return sock.sendall(b"221 bye\r\n")
            else:
                sock.sendall(b"250 2.0.0 fine\r\n")


@pytest.mark.parametrize("how", ["alert", "closes"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_server_that_refuses_to_resume_is_not_to_blame(world, version, how):
    with BrokenTls(how) as peer:
        peer.RequestHandlerClass, peer.refused = NeverResumes, 0
        peer.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        peer.context.load_cert_chain(world.sink_certificates.chain, world.sink_certificates.key)
        peer.context.maximum_version = version
        gateway = world.gateway(users=["bob"], start=False)
        gateway.config["next_hops"]["workmail"] = {"hosts": [f"127.0.0.1:{peer.port}"], "tls": "verify", "tls_ca_file": world.sink_certificates.ca,
                                                   "tls_names": ["inbound-smtp.local"], "max_messages_per_connection": 1}
        gateway.config["routing"]["target_domains"][TARGET_DOMAIN] = "workmail"
        gateway.config["shards"] = 1  # each shard learns for itself
        gateway.start()
        for count in range(1, 7):
            send_one(world)
            gateway.wait_event("delivered", count=count)
        assert not gateway.events("deferred")
        assert peer.handshakes == 6
        assert peer.refused == 3  # and then none is offered any more


def test_a_refusal_in_the_middle_of_the_content_is_the_verdict(world):
    workmail = world.sink(options=["--hide", "SIZE"],
                          rules=["at=content;after=200000;raw=552 5.3.4 too big for us\\r\\n;reply=421 4.3.2 bye"])
    gateway = world.gateway(workmail, users=["bob"])
    body = ("0123456789" * 7 + "\r\n") * 100_000  # more than any buffer on the way holds
    assert world.exchange().send("ann@ext.example", ["bob@corp.example"], message(body=body)).accepted
    failed = gateway.wait_event("failed")[0]
    assert failed["status"] == "5.3.4" and "too big for us" in failed["reply"], failed
