"""S5, S8, S9: how long a sender waits, and what Waypost costs while nothing happens."""

import contextlib
import os
import socket
import ssl
import threading
import time

from ..gateway import OWN_NAME
from . import peer_relays
from .lab import TABLE, Row, idle
from .measure import Disk, Series, microseconds, percentile, pss_kib, pss_of_all, ratios
from .relays import PostfixRelay, Waypost, entries

SESSIONS, PEER_SESSIONS = 10_000, 100


def s5(lab):
    """Time from the last octet to 250, with messages by the clock, against a synced write of the same size."""
    disk, rows = Disk(lab.folder("s5")), []
    with lab.running(lab.sink("sink-s5")) as sink, lab.running(Waypost(lab.folder("waypost-s5"), sink, entries(TABLE))) as ours:
        lab.send(ours, sink, lab.many(10_000))
        for rate in (500, 2000):
            for connections in (20, 40):
                half, nearly, limit_half, limit_nearly = [], [], [], []
                for _ in range(lab.rounds):
                    run = lab.send(ours, sink, lab.many(rate * 6), options=["--rate", str(rate), "--connections", str(connections)])
                    writes = disk.synced_writes(count=lab.many(2000))
                    half.append(run.verdict(50))
                    nearly.append(run.verdict(99))
                    limit_half.append(percentile(writes, 50))
                    limit_nearly.append(percentile(writes, 99))
                    lab.say(f"  {rate}/s, {connections} connections: p50 {microseconds(half[-1])} p99 {microseconds(nearly[-1])}; "
                            f"write and sync p50 {microseconds(limit_half[-1])} p99 {microseconds(limit_nearly[-1])}")
                what = f"S5 {rate} messages/s, {connections} connections: time to 250"
                rows.append(Row(f"{what}, p50", Series(half).show(microseconds), Series(limit_half).show(microseconds),
                                ratios(half, limit_half), at_most=3, note="against write + fdatasync of 12 KiB"))
                rows.append(Row(f"{what}, p99", Series(nearly).show(microseconds), Series(limit_nearly).show(microseconds),
                                ratios(nearly, limit_nearly), at_most=5, note="against write + fdatasync of 12 KiB"))
    disk.close()
    return rows


class Sessions:
    """Many SMTP sessions that have said EHLO and stay silent."""

    def __init__(self, port, number, certificates=None):
        self.port, self.sockets, self.lock, self.trouble = port, [], threading.Lock(), []
        self.context = ssl.create_default_context(cafile=certificates.ca) if certificates else None
        shares = [range(at, number, 4) for at in range(4)]
        threads = [threading.Thread(target=self._open, args=[share]) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.trouble:
            raise self.trouble[0]

    def _open(self, share):
        try:
            for number in share:
                client = f"127.0.{1 + number // 200 // 250}.{1 + number // 200 % 250}"
                session = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(client, 0))
                self._expect(session, b"220")
                self._ask(session, b"EHLO ex1.corp.example\r\n")
                if self.context:
                    self._ask(session, b"STARTTLS\r\n")
                    session = self.context.wrap_socket(session, server_hostname=OWN_NAME)
                    self._ask(session, b"EHLO ex1.corp.example\r\n")
                with self.lock:
                    self.sockets.append(session)
        except OSError as error:
            self.trouble.append(error)

    def _ask(self, session, line):
        session.sendall(line)
        self._expect(session, b"2")

    @staticmethod
    def _expect(session, code):
        reply = b""
        while not reply.endswith(b"\n") or reply.splitlines()[-1][3:4] == b"-":
            more = session.recv(4096)
            if not more:
                raise OSError("the session was closed")
            reply += more
        if not reply.startswith(code):
            raise OSError(reply.decode())

    def close(self):
        for session in self.sockets:
            session.close()


def s8(lab):
    """Memory of sessions that are open and silent, in each peer too (fewer there: Postfix and Exim have a process for each)."""
    number, rows = lab.many(SESSIONS), []
    wide = {"limits": {"sessions": number + 100, "sessions_per_client": number}}
    for tls in (False, True):
        certificates = lab.certificates if tls else None
        with lab.running(lab.sink(f"sink-s8-{tls}", tls)) as sink:
            each = []
            for turn in range(lab.rounds):
                with lab.running(Waypost(lab.folder(f"waypost-s8-{tls}-{turn}"), sink, entries(TABLE), certificates, changes=wide)) as ours:
                    each.append(kib_each(ours, ours.pid, number, certificates))
            limit, way = (24, "TLS") if tls else (8, "plain")
            lab.say(f"  {way}: {each[-1]:.2f} KiB a session")
            rows.append(Row(f"S8 {number:,} idle sessions, {way}: KiB each", Series(each).show(lambda v: f"{v:.2f}"),
                            str(limit), Series(v / limit for v in each), at_most=1, note="against the limit of the design"))
            for name, start in peers_at_rest(lab, sink, certificates):
                peer_each = []
                for turn in range(lab.rounds):
                    with start(turn) as peer:
                        if peer is None:
                            break
                        peer_each.append(kib_each(peer, peer.process_id, PEER_SESSIONS, certificates))
                if len(peer_each) == len(each):
                    rows.append(Row(f"S8 idle sessions, {way}, {name}: KiB each", Series(each).show(lambda v: f"{v:.2f}"),
                                    Series(peer_each).show(lambda v: f"{v:.0f}"), ratios(each, peer_each), note=f"{PEER_SESSIONS} sessions there"))
    return rows


def kib_each(relay, pid, number, certificates):
    before = pss_of_all(pid)
    sessions = Sessions(relay.port, number, certificates)
    idle(pid)
    each = (pss_of_all(pid) - before) / number
    sessions.close()
    return each


def peers_at_rest(lab, sink, certificates):
    """(name, a context that starts it) of each peer that is there."""
    tls = certificates is not None

    @contextlib.contextmanager
    def postfix(turn):
        with lab.running(PostfixRelay(lab.folder(f"postfix-rest-{tls}-{turn}"), sink, entries(10), certificates)) as peer:
            yield peer

    def other(relay):
        return lambda turn: peer_relays.started(lab, relay, sink, entries(10), certificates)
    return [("Postfix", postfix), *[(peer_relays.name_of(r.label), other(r)) for r in peer_relays.present(tls)[0]]]


def s9(lab):
    """An idle daemon, and how soon it is ready."""
    memory, seconds, rows = [], [], []
    with lab.running(lab.sink("sink-s9")) as sink:
        for turn in range(lab.rounds):
            relay = Waypost(lab.folder("waypost-s9"), sink, entries(10))
            if turn == 0:
                with lab.running(relay):
                    pass  # makes the spool and its spares
            seconds.append(start_to_ready(lab, relay))
            relay.wait_spares()
            memory.append(pss_kib(relay.pid) / 1024)
            relay.stop()
            lab.say(f"  ready after {seconds[-1] * 1e3:.1f} ms, idle {memory[-1]:.1f} MiB")
        for name, start in peers_at_rest(lab, sink, None):
            with start(0) as peer:
                if peer is None:
                    continue
                idle(peer.process_id)
                mib = pss_of_all(peer.process_id) / 1024
            lab.say(f"  {name}, idle: {mib:.1f} MiB")
            rows.append(Row(f"S9 idle daemon, {name}: MiB PSS", Series(memory).show(lambda v: f"{v:.1f}"), f"{mib:.1f}",
                            Series(v / mib for v in memory), note="all of its processes"))
    return [Row("S9 idle daemon: MiB PSS", Series(memory).show(lambda v: f"{v:.1f}"), "25", Series(v / 25 for v in memory), at_most=1,
                note="against the limit of the design"),
            Row("S9 start to READY: ms", Series(s * 1e3 for s in seconds).show(lambda v: f"{v:.1f}"), "100",
                Series(s / 0.1 for s in seconds), at_most=1, note="as told to the service manager"), *rows]


def start_to_ready(lab, relay):
    """From fork to READY=1, as a service manager sees it."""
    path = str(lab.directory / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        if os.path.exists(path):
            os.unlink(path)
        listener.bind(path)
        listener.settimeout(30)
        begun = time.monotonic()
        relay.gateway.start(env={"NOTIFY_SOCKET": path}, ready=False)
        while b"READY=1" not in listener.recv(4096):
            pass
        return time.monotonic() - begun
