"""Reads and runs tests/dialogs/*.smtp against the real daemon. The format is described in tests/dialogs/README.md."""

import hashlib
import re
import socket
import ssl
from dataclasses import dataclass, field

from rig.processes import wait_for


def content(size):
    """content(N) of the format's page."""
    out = bytearray(f"From: ann@ext.example\r\nTo: bob@corp.example\r\nSubject: {size} octets\r\n\r\n".encode())
    number = 0
    while len(out) < size:
        digits = f"{number:07d}"
        if number % 10 == 9:
            digits = "." + digits[1:]
        out += digits.encode() + b" " + bytes(33 + (7 * number + 11 * j) % 94 for j in range(62)) + b"\r\n"
        number += 1
    del out[size - 2:]
    if out[-1:] == b"\r":
        out[-1:] = b"x"
    return bytes(out) + b"\r\n"


def unescape(text):
    """Escapes of R lines."""
    words = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}

    def one(found):
        word = found.group(1)
        return (bytes([int(word[1:], 16)]) if word[0] == "x" else words[word]).decode("latin-1")
    return re.sub(r"\\(x[0-9A-Fa-f]{2}|[rnt0\\])", one, text.encode().decode("latin-1")).encode("latin-1")


def dot_stuffed(data):
    return re.sub(rb"(?m)^\.", b"..", data) + b".\r\n"


@dataclass
class Dialog:
    name: str
    listener: list = field(default_factory=list)
    hop_rules: list = field(default_factory=list)
    hop_hidden: list = field(default_factory=list)
    only: str = ""
    steps: list = field(default_factory=list)      # (line number, text)
    delivered: dict = field(default_factory=dict)  # number -> (sender, addresses)
    names_deliveries: bool = False
    contents: dict = field(default_factory=dict)
    report: str = ""                               # "", "none" or "<a> about b"


_SETTING = re.compile(r"@(listener|hop|hop-hide|only) (.*)")


def parse(path):
    dialog = Dialog(path.stem)
    lines = [(n, line) for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
             if line.strip() and not line.startswith("#")]
    for number, line in expand(lines):
        setting = _SETTING.fullmatch(line)
        if setting:
            word, value = setting.groups()
            {"listener": lambda v: dialog.listener.extend(v.split()), "hop": dialog.hop_rules.append,
             "hop-hide": dialog.hop_hidden.append, "only": lambda v: setattr(dialog, "only", v)}[word](value)
        elif line.startswith("Delivered: "):
            take_delivered(dialog, line[len("Delivered: "):])
        elif line.startswith("Content: "):
            which, text = line[len("Content: "):].split(" ", 1)
            dialog.contents[int(which)] = unescape(text.strip()[1:-1])
        elif line.startswith("Report: "):
            dialog.report = line[len("Report: "):].strip()
        else:
            dialog.steps.append((number, line))
    return dialog


def take_delivered(dialog, text):
    dialog.names_deliveries = True
    if text.strip() == "none":
        return
    number, sender, addresses = re.fullmatch(r"(\d+) <(.*?)> (.*)", text).groups()
    expected = {a.strip() for a in addresses.split(",")}
    dialog.delivered[int(number)] = (sender or "<>", expected)


def expand(lines):
    """Unrolls <REPEAT N> ... <END>."""
    out, at = [], 0
    while at < len(lines):
        number, line = lines[at]
        repeat = re.fullmatch(r"<REPEAT (\d+)>", line.strip())
        if not repeat:
            out.append((number, line))
            at += 1
            continue
        end = next(i for i in range(at, len(lines)) if lines[i][1].strip() == "<END>")
        for round_number in range(1, int(repeat.group(1)) + 1):
            out += [(n, text.replace("{n}", str(round_number))) for n, text in lines[at + 1:end]]
        at = end + 1
    return out


class Conversation:
    """Plays the steps of one dialog and remembers which contents were accepted."""

    def __init__(self, dialog, port):
        self.dialog, self.port = dialog, port
        self.pending = b""
        self.body = b""        # the content of the running message
        self.bodies = []       # contents before it whose verdict is still to come
        self.accepted = []     # (queue id, content)
        self.reply_lines = []
        self.connect()
        if "implicit" in dialog.listener:
            self.secure()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")
        self.awaiting_verdict = False

    def secure(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket, server_hostname="gw.corp.example")
        self.reader = self.socket.makefile("rb")

    def flush(self):
        if self.pending:
            data, self.pending = self.pending, b""
            self.socket.sendall(data)

    def run(self):
        for number, line in self.dialog.steps:
            try:
                self.step(line)
            except Exception as error:
                raise AssertionError(f"{self.dialog.name}.smtp:{number}: {line}\n  {error}") from error
        self.flush()
        self.no_reply_left()
        self.socket.close()
        return self.accepted

    def no_reply_left(self):
        try:
            self.socket.settimeout(0.2)
            left = self.reader.read(1)
        except OSError:
            return
        assert not left, f"an unread reply was left over: {left!r}"

    def step(self, line):
        if line.startswith("C: ") or line == "C:":
            self.command(line[3:])
        elif line.startswith("R: "):
            self.pending += unescape(line[3:])
        elif line.startswith("D:"):
            text = line[3:].encode() + b"\r\n"
            self.body += text
            self.pending += b"." + text if text.startswith(b".") else text
        elif line == "D.":
            self.pending += b".\r\n"
        elif line.startswith("S: "):
            self.expect(line[3:])
        elif line.startswith("S has: "):
            self.has(line[len("S has: "):], True)
        elif line.startswith("S lacks: "):
            self.has(line[len("S lacks: "):], False)
        else:
            self.act(line.strip())

    def command(self, text):
        if text.upper().startswith(("MAIL ", "RSET", "EHLO")):
            self.end_body()
        self.pending += text.encode() + b"\r\n"

    def end_body(self):
        """A pipelining client sends the next message before it has heard of this one: then its content is remembered."""
        if self.body and self.pending:
            self.bodies.append(self.body)
        self.body = b""

    def act(self, line):
        send = re.fullmatch(r"<SEND (?:(\d+)\.\.(\d+) of )?(\d+)>", line)
        body = re.fullmatch(r"<BODY (\d+)>", line)
        if send:
            first, last, size = send.groups()
            piece = content(int(size))[int(first or 0):int(last or size)]
            self.body += piece
            self.pending += piece
        elif body:
            self.body += content(int(body.group(1)))
            self.pending += dot_stuffed(self.body)
        elif line == "<TLS>":
            self.flush()
            self.secure()
        elif line == "<CONNECT>":
            self.flush()
            self.socket.close()
            self.connect()
        elif line == "<CUT>":
            self.flush()
            self.socket.close()
        elif line == "S drops":
            self.flush()
            try:
                while self.reader.read(4096):
                    pass
            except OSError:  # a reset ends it too
                pass
        elif line == "S closes":
            self.flush()
            try:
                left = self.reader.read(1)
            except ConnectionError:  # a reset is a close too
                left = b""
            assert not left, f"more came instead of the end: {left!r}"
        else:
            raise ValueError("unknown line")

    def expect(self, pattern):
        self.flush()
        self.reply_lines = []
        while True:
            line = self.reader.readline()
            assert line, f"the connection was closed; expected {pattern}"
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self.reply_lines.append(text)
            if text[3:4] != "-":
                break
        regex = re.escape(pattern).replace(re.escape("..."), ".*")
        # A blank at the very end of a pattern's text may be missing: "250 ..." takes "250" too.
        assert re.fullmatch(regex, text) or re.fullmatch(regex, text + " "), f"got: {text}"
        queued = re.search(r"queued as ([0-9A-Z]+)", text)
        if text.startswith("250 ") and queued:
            self.accepted.append((queued.group(1), self.bodies.pop(0) if self.bodies else self.body))


    def has(self, words, wanted):
        found = any((line[4:].upper() + " ").startswith(words.upper() + " ") for line in self.reply_lines)
        assert found == wanted, f"the reply was: {self.reply_lines}"


def check_outcome(dialog, accepted, gateway, sink, seconds=60):
    """What must have come of it, at the stand-in and in the tracking log."""
    gateway.wait_empty(seconds)
    by_id = {queue_id: (number, text) for number, (queue_id, text) in enumerate(accepted, 1)}
    got = {}
    reports = gateway.events("reported")
    report_ids = {event["queue_id"] for event in reports}
    for record in sink.records():
        queue_id = re.search(r"\bid ([0-9A-Z]{12})", record["received"]).group(1)
        if queue_id in report_ids:
            continue
        assert queue_id in by_id, f"a message that nobody sent: {record}"
        number, text = by_id[queue_id]
        got.setdefault(number, []).append(record)
        expected = dialog.contents.get(number, text)
        assert record["sha256_below"] == hashlib.sha256(expected).hexdigest(), (
            f"message {number} was changed: {record}")
    if dialog.names_deliveries:
        assert set(got) == set(dialog.delivered), f"messages {sorted(got)} arrived"
        for number, (sender, addresses) in dialog.delivered.items():
            arrived = [r["address"] for record in got[number] for r in record["recipients"]]
            assert sorted(arrived) == sorted(addresses), f"message {number}: {arrived}"
            assert {record["sender"] for record in got[number]} == {sender}
    check_reports(dialog, reports, gateway)


def check_reports(dialog, reports, gateway):
    if dialog.report in ("", "none"):
        if dialog.report == "none" or not dialog.hop_rules:
            assert not reports, f"a report was sent: {reports}"
        return
    to, about = re.fullmatch(r"<(.*?)> about (.*)", dialog.report).groups()
    reports = gateway.wait_event("reported")
    assert len(reports) == 1 and reports[0]["recipient"] == to, reports
    failed = gateway.events("failed", queue_id=reports[0]["original_queue_id"])
    assert [event["recipient"] for event in failed] == [about], failed


__all__ = ["parse", "Conversation", "check_outcome", "content", "wait_for"]
