"""An SMTP client that talks as Exchange's send connector does.

EHLO, STARTTLS, EHLO again; MAIL and all RCPTs in one go if PIPELINING is offered; BDAT if CHUNKING is; parameters as
offered. It shows every reply and keeps the connection for the next message. Nothing is retried.
"""

import re
import socket
import ssl
from dataclasses import dataclass, field


@dataclass
class Reply:
    code: int = 0
    lines: list = field(default_factory=list)

    @property
    def text(self):
        return " / ".join(self.lines)

    def __str__(self):
        return f"{self.code} {self.text}"


@dataclass
class Transaction:
    """What became of one message. `verdict`: the reply to the content, or the reason that there was none."""
    mail: Reply = None
    recipients: dict = field(default_factory=dict)
    verdict: Reply = None

    @property
    def accepted(self):
        return self.verdict is not None and 200 <= self.verdict.code < 300

    @property
    def queue_id(self):
        found = re.search(r"queued as ([0-9A-Z]{12})", self.verdict.text) if self.verdict else None
        return found.group(1) if found else None


class Exchange:
    """One connection."""

    def __init__(self, port, host="127.0.0.1", name="ex1.corp.example", ca_file=None, tls_name="gw.corp.example",
                 use_tls=True, timeout=60, source=None):
        self.name, self.tls_name = name, tls_name
        self.socket = socket.create_connection((host, port), timeout, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.extensions = {}
        self.greeting = self.read_reply()
        if self.greeting.code != 220:
            return
        self.ehlo()
        if use_tls and "STARTTLS" in self.extensions:
            self.start_tls(ca_file)

    # ---- words

    def read_reply(self):
        reply = Reply()
        while True:
            line = self.reader.readline(65536)
            if not line:
                raise ConnectionError(f"the server closed the connection after {reply}")
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            reply.code = int(text[:3])
            reply.lines.append(text[4:])
            if text[3:4] != "-":
                return reply

    def send_bytes(self, data):
        self.socket.sendall(data)

    def command(self, line):
        self.send_bytes(line.encode("utf-8") + b"\r\n")
        return self.read_reply()

    def ehlo(self):
        answer = self.command(f"EHLO {self.name}")
        self.extensions = {}
        for line in answer.lines[1:]:
            word, _, rest = line.partition(" ")
            self.extensions[word.upper()] = rest
        return answer

    def start_tls(self, ca_file=None):
        answer = self.command("STARTTLS")
        if answer.code != 220:
            raise ConnectionError(f"STARTTLS: {answer}")
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.reader.close()
        self.socket = context.wrap_socket(self.socket, server_hostname=self.tls_name)
        self.reader = self.socket.makefile("rb")
        self.ehlo()

    def tls_version(self):
        return self.socket.version() if isinstance(self.socket, ssl.SSLSocket) else None

    # ---- a message

    def mail_command(self, sender, content, smtputf8, parameters):
        words = []
        if "SIZE" in self.extensions:
            words.append(f"SIZE={len(content)}")
        if "8BITMIME" in self.extensions:
            words.append("BODY=8BITMIME")
        if smtputf8:
            words.append("SMTPUTF8")
        return " ".join([f"MAIL FROM:<{sender}>", *words, *parameters])

    def send(self, sender, recipients, content, chunks=None, bdat=None, smtputf8=False, parameters=()):
        """One transaction.

        recipients: addresses, or (address, "NOTIFY=... ORCPT=...") pairs.
        chunks: sizes of BDAT chunks; the rest goes in `BDAT n LAST`. bdat: None: if offered.
        """
        recipients = [(r, "") if isinstance(r, str) else r for r in recipients]
        lines = [self.mail_command(sender, content, smtputf8, parameters)]
        lines += [f"RCPT TO:<{address}> {words}".rstrip() for address, words in recipients]
        result = Transaction()
        replies = self.say_all(lines)
        result.mail = replies[0]
        result.recipients = {address: reply for (address, _), reply in zip(recipients, replies[1:])}
        if result.mail.code >= 400 or not any(r.code < 300 for r in result.recipients.values()):
            result.verdict = None
            self.command("RSET")
            return result
        use_bdat = "CHUNKING" in self.extensions if bdat is None else bdat
        result.verdict = self.send_bdat(content, chunks or []) if use_bdat else self.send_data(content)
        return result

    def say_all(self, lines):
        if "PIPELINING" not in self.extensions:
            return [self.command(line) for line in lines]
        self.send_bytes(b"".join(line.encode("utf-8") + b"\r\n" for line in lines))
        return [self.read_reply() for _ in lines]

    def send_bdat(self, content, chunks):
        at = 0
        for size in chunks:
            piece = content[at:at + size]
            self.send_bytes(f"BDAT {len(piece)}\r\n".encode() + piece)
            at += len(piece)
            answer = self.read_reply()
            if answer.code >= 300:
                return answer
        rest = content[at:]
        self.send_bytes(f"BDAT {len(rest)} LAST\r\n".encode())
        self.send_bytes(rest)
        return self.read_reply()

    def send_data(self, content):
        answer = self.command("DATA")
        if answer.code != 354:
            return answer
        stuffed = re.sub(rb"(?m)^\.", b"..", content)
        self.send_bytes(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.read_reply()

    def quit(self):
        try:
            return self.command("QUIT")
        finally:
            self.close()

    def close(self):
        self.reader.close()
        self.socket.close()
