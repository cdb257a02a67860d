"""S1 to S4, S6, S7, S10: how much mail goes through, and what it costs."""

import contextlib
import subprocess
import time

from ..peers import PEERS
from ..processes import Process, free_port
from . import peer_relays
from .lab import TABLE, Row
from .measure import Disk, Series, count, ratios
from .relays import PostfixRelay, Waypost, entries


@contextlib.contextmanager
def side_by_side(lab, tls):
    """Sink, Waypost and Postfix with the same table, all running."""
    certificates = lab.certificates if tls else None
    name = "tls" if tls else "plain"
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(lab.running(lab.sink(f"sink-{name}", tls)))
        ours = stack.enter_context(lab.running(Waypost(lab.folder(f"waypost-{name}"), sink, entries(TABLE), certificates)))
        theirs = stack.enter_context(lab.running(PostfixRelay(lab.folder(f"postfix-{name}"), sink, entries(TABLE), certificates)))
        yield sink, ours, theirs


def exchange_shape(lab, tls):
    """S1 or S2, and S4 of it."""
    name = "S2" if tls else "S1"
    with side_by_side(lab, tls) as (sink, ours, theirs):
        bare = lab.send(None, sink, lab.many(30_000), tls, table=False)
        lab.say(f"  sender and sink by themselves: {count(bare.rate)} messages/s")
        lab.send(ours, sink, lab.many(10_000), tls)
        lab.send(theirs, sink, lab.many(500), tls)
        our_runs, their_runs = [], []
        for number in range(lab.rounds):
            our_runs.append(lab.send(ours, sink, lab.many(30_000), tls))
            their_runs.append(lab.send(theirs, sink, lab.many(3_000), tls))
            lab.say(f"  round {number + 1}: Waypost {count(our_runs[-1].rate)}/s, {our_runs[-1].relay_cpu_per_1000():.3f} CPU s/1,000; "
                    f"Postfix {count(their_runs[-1].rate)}/s, {their_runs[-1].relay_cpu_per_1000():.2f}")
        rows = rows_against("Postfix", name, tls, our_runs, their_runs, bare, targets=True)
        rows += other_peers(lab, name, tls, sink, ours, bare)
    return rows


def rows_against(peer, name, tls, our_runs, their_runs, bare, targets=False):
    way = "STARTTLS in, verified STARTTLS out" if tls else "plain in and out"
    rates = [Series(r.rate for r in runs) for runs in (our_runs, their_runs)]
    cpus = [Series(r.relay_cpu_per_1000() for r in runs) for runs in (our_runs, their_runs)]
    tools = Series((r.sender_cpu + r.sink_cpu) / r.messages * 1000 for r in our_runs)
    cpu_text = lambda value: f"{value:.3f}"
    return [
        Row(f"{name} 10 KiB, Exchange shape, {way}, {peer}: messages/s", rates[0].show(count), rates[1].show(count),
            ratios(rates[0].values, rates[1].values), at_least=20 if targets else None,
            note=f"sender and sink alone {count(bare.rate)}/s"),
        Row(f"S4 CPU s per 1,000 messages of {name}, {peer}", cpus[0].show(cpu_text), cpus[1].show(cpu_text),
            ratios(cpus[0].values, cpus[1].values), at_most=0.05 if targets else None,
            note=f"sender and sink together {tools.median:.3f}")]


def other_peers(lab, name, tls, sink, ours, bare):
    """Each beside Waypost by itself, so that peers do not share the machine. A slow one gets what it does in some five seconds."""
    found, absent = peer_relays.present(tls)
    for peer, why in absent.items():
        lab.say(f"  {peer} is left out: {why}")
    rows = []
    for relay in found:
        with peer_relays.started(lab, relay, sink, entries(TABLE), lab.certificates if tls else None) as theirs:
            if theirs is None:
                continue
            warm = lab.send(theirs, sink, lab.many(100), tls, relay.options)
            messages = max(100, min(lab.many(3000), int(warm.rate * 5)))
            our_runs, their_runs = [], []
            for number in range(lab.rounds):
                our_runs.append(lab.send(ours, sink, lab.many(10_000), tls))
                their_runs.append(lab.send(theirs, sink, messages, tls, relay.options))
                lab.say(f"  round {number + 1}: Waypost {count(our_runs[-1].rate)}/s, {our_runs[-1].relay_cpu_per_1000():.3f} CPU s/1,000; "
                        f"{relay.label} {count(their_runs[-1].rate)}/s, {their_runs[-1].relay_cpu_per_1000():.2f} ({messages} messages)")
            rows += rows_against(peer_relays.name_of(relay.label), name, tls, our_runs, their_runs, bare)
    return rows


def s1(lab):
    return exchange_shape(lab, tls=False)


def s2(lab):
    return exchange_shape(lab, tls=True)


def s3(lab):
    """Postfix's own tools: smtp-source with a connection for each message, to smtp-sink directly or through Waypost."""
    tools = PEERS / "postfix"
    environment = {"LD_LIBRARY_PATH": f"{tools}/usr/lib/postfix:{tools}/usr/lib/x86_64-linux-gnu"}
    folder = lab.folder("s3")
    sink_port = free_port()
    sink = Process([tools / "usr/sbin/smtp-sink", "-u", "nobody", f"127.0.0.1:{sink_port}", "1000"], folder / "smtp-sink.log", environment)

    class Next:
        port, certificates, name = sink_port, None, "smtp-sink"

    def source(port, octets, messages, relay=None):
        begun = time.monotonic()
        subprocess.run([tools / "usr/sbin/smtp-source", "-s", "20", "-m", str(messages), "-l", str(octets), "-f", "a@ext.example",
                        "-t", "user1@corp.example", f"127.0.0.1:{port}"], env=environment, check=True, capture_output=True)
        if relay:
            while relay.gateway.queued() > 0:
                time.sleep(0.005)
        return messages / (time.monotonic() - begun)

    rows = []
    try:
        with lab.running(Waypost(lab.folder("waypost-s3"), Next, entries(TABLE))) as ours:
            for octets, size in [(1024, "1 KiB"), (10240, "10 KiB")]:
                source(ours.port, octets, lab.many(3000), ours)
                relayed, direct = [], []
                for _ in range(lab.rounds):
                    relayed.append(source(ours.port, octets, lab.many(15_000), ours))
                    direct.append(source(sink_port, octets, lab.many(15_000)))
                    lab.say(f"  {size}: through Waypost {count(relayed[-1])}/s, without a relay {count(direct[-1])}/s")
                rows.append(Row(f"S3 {size}, one connection a message: messages/s", Series(relayed).show(count),
                                Series(direct).show(count), ratios(relayed, direct), at_least=0.6, note="against no relay at all"))
    finally:
        sink.stop()
    return rows


def s6(lab):
    """Large messages against what the disk writes in sequence."""
    disk, rows = Disk(lab.folder("s6")), []
    with lab.running(lab.sink("sink-s6")) as sink, lab.running(Waypost(lab.folder("waypost-s6"), sink, entries(TABLE))) as ours:
        for size, octets, messages in [("100KiB", 100 * 1024, 10_000), ("1MiB", 2**20, 1500)]:
            options = ["--size", size]
            lab.send(ours, sink, lab.many(messages) // 4, options=options)
            through, limit = [], []
            for _ in range(lab.rounds):
                through.append(lab.send(ours, sink, lab.many(messages), options=options).rate * octets / 1e6)
                limit.append(disk.sequential_octets_per_second() / 1e6)
                lab.say(f"  {size}: {through[-1]:.0f} MB/s, disk {limit[-1]:.0f} MB/s")
            rows.append(Row(f"S6 {size}, 20 connections: MB/s", Series(through).show(count), Series(limit).show(count),
                            ratios(through, limit), at_least=0.7, note="against sequential write with one sync"))
    disk.close()
    return rows


def s7(lab):
    """The size of the table and of the queue must not matter."""
    held = {"routing": {"own_domains": ["corp.example", "held.example"]}}

    def waypost(name, sink, table, changes=None):
        return Waypost(lab.folder(f"waypost-{name}"), sink, table, changes=changes)

    to = ["--to", "user1@corp.example", "--to", "user2@corp.example"]
    rows = []
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(lab.running(lab.sink("sink-s7")))
        small = stack.enter_context(lab.running(waypost("10", sink, entries(10))))
        others = [(f"S7 table of {size:,} entries: messages/s", stack.enter_context(lab.running(waypost(str(size), sink, entries(size)))))
                  for size in (100_000, 1_000_000)]
        waiting = lab.many(1_000_000)
        table = [*entries(10), *[(f"held{n}@held.example", f"held{n}@orgname.awsapps.com", "migrating") for n in range(1000)]]
        full = stack.enter_context(lab.running(waypost("queue", sink, table, held)))
        fill(lab, full, waiting)
        others.append((f"S7 {waiting:,} messages waiting: messages/s", full))
        for relay in [small, *[relay for _, relay in others]]:
            send_to(lab, relay, sink, 5000, to)
        for name, relay in others:
            ours, base = [], []
            for _ in range(lab.rounds):
                ours.append(send_to(lab, relay, sink, 20_000, to))
                base.append(send_to(lab, small, sink, 20_000, to))
                lab.say(f"  {name} {count(ours[-1])}, with 10 entries and an empty queue {count(base[-1])}")
            rows.append(Row(name, Series(ours).show(count), Series(base).show(count), ratios(ours, base), at_least=0.9,
                            note="against 10 entries and an empty queue"))
    return rows


def send_to(lab, relay, sink, messages, to):
    waiting = relay.gateway.queued()
    run = lab.send(relay, sink, lab.many(messages), options=to, table=False, queued=waiting)
    return run.rate


def fill(lab, relay, messages):
    """So many messages of 1 KiB that routing holds back."""
    begun = time.monotonic()
    lab.send_only(relay, messages, ["--size", "1KiB", *[a for n in range(1000) for a in ("--to", f"held{n}@held.example")]])
    lab.say(f"  {count(messages)} messages are waiting, after {time.monotonic() - begun:.0f} s")


def s10(lab):
    """One transaction with 1,000 recipients, or 1,000 transactions."""
    with lab.running(lab.sink("sink-s10")) as sink, lab.running(Waypost(lab.folder("waypost-s10"), sink, entries(TABLE))) as ours:
        lab.send(ours, sink, lab.many(5000))
        many, single = [], []
        for _ in range(lab.rounds):
            bursts = lab.many(200)
            many.append(lab.send(ours, sink, bursts, options=["--recipients", "1000"], recipients=1000).relay_cpu / bursts)
            singles = lab.many(20_000)
            single.append(lab.send(ours, sink, singles).relay_cpu / singles * 1000)
            lab.say(f"  1,000 recipients at once {many[-1] * 1e3:.2f} ms CPU, 1,000 messages {single[-1] * 1e3:.1f} ms")
    text = lambda value: f"{value * 1e3:.2f}"
    return [Row("S10 1,000 recipients in one message: CPU ms", Series(many).show(text), Series(single).show(text), ratios(many, single),
                at_most=0.05, note="against 1,000 messages")]
