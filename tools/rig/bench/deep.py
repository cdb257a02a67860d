"""D1 to D4: what a deep queue costs, how fast it drains, how fair it is, and what a drain costs others."""

import os
import pathlib
import subprocess
import time
from datetime import datetime

from ..exchange import Exchange
from ..programs import program
from .lab import Row, idle
from .measure import Disk, Series, count, cpu_seconds, microseconds, percentile, ratios
from .relays import Waypost, entries
from .standing import start_to_ready

DEAD = {"hosts": ["127.0.0.1:9"], "tls": "none"}
HELD = [a for n in range(1000) for a in ("--to", f"user{n}@corp.example")]
MOST_OCTETS_EACH, MOST_SECONDS = 250, 10


def resident_octets(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as sizes:
        return int(sizes.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def forget_cached(folder):
    """Nothing of the files below `folder` is in memory any more; other programs keep theirs."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def d1(lab):
    """A million messages whose next hop is down: memory for each, and how soon a restart is ready."""
    messages, rows = lab.many(1_000_000), []
    with lab.running(lab.sink("sink-d1")) as sink:
        relay = Waypost(lab.folder("waypost-d1"), sink, entries(1000))
        relay.gateway.config["next_hops"]["workmail"] = DEAD
        with lab.running(relay):
            empty = resident_octets(relay.pid)
            lab.send_only(relay, messages, ["--size", "1KiB", *HELD])
            idle(relay.pid)
            fresh = (resident_octets(relay.pid) - empty) / messages
            lab.say(f"  {count(messages)} messages are waiting; as they came in, {fresh:.0f} octets each")
        seconds, each = [], []
        for turn in range(lab.rounds):
            death = "killed" if turn % 2 == 1 else "stopped"
            forget_cached(relay.gateway.spool_directory)
            seconds.append(start_to_ready(lab, relay))
            idle(relay.pid)
            each.append((resident_octets(relay.pid) - empty) / messages)
            assert relay.gateway.queued() == messages
            lab.say(f"  {death} next: ready after {seconds[-1]:.2f} s, {each[-1]:.0f} octets each")
            if len(each) == 1:
                listing(lab, relay, messages)
            if death == "killed":
                relay.gateway.kill()
            else:
                relay.stop()
    rows.append(Row(f"D1 restart with {messages:,} messages: s", Series(seconds).show(lambda v: f"{v:.2f}"), str(MOST_SECONDS),
                    Series(v / MOST_SECONDS for v in seconds), at_most=1, note="nothing cached; every other one after kill -9"))
    rows.append(Row("D1 resident memory as they came in: octets each", f"{fresh:.0f}", str(MOST_OCTETS_EACH),
                    Series([fresh / MOST_OCTETS_EACH]), at_most=1, note="over the empty process"))
    rows.append(Row("D1 resident memory after a restart: octets each", Series(each).show(lambda v: f"{v:.0f}"), str(MOST_OCTETS_EACH),
                    Series(v / MOST_OCTETS_EACH for v in each), at_most=1, note="over the empty process"))
    return rows


def listing(lab, relay, messages):
    """How long an operator waits for the first line of a list, for all of it, and for a dry run."""
    argv = [str(program("waypost")), "queue", "list", "--json", "--config", str(relay.gateway.config_file)]
    begun = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as lister:
        lister.stdout.readline()
        first, lines = time.monotonic() - begun, 1
        for _ in lister.stdout:
            lines += 1
    whole = time.monotonic() - begun
    assert lines == messages, lines
    begun = time.monotonic()
    relay.gateway.run("queue", "hold", "--recipient", "user7@corp.example", "--dry-run")
    lab.say(f"  queue list: the first line after {first * 1e3:.0f} ms, {count(lines)} lines after {whole:.1f} s; "
            f"a dry run over all of them: {time.monotonic() - begun:.1f} s")


OCTETS = 75_000


def wait_with_mail(lab, relay, sink, messages):
    """Fills the queue while the next hop is away, and brings the next hop back."""
    port = sink.port
    sink.stop()
    lab.send_only(relay, messages, ["--size", str(OCTETS), *HELD])
    idle(relay.pid)
    sink.start()
    assert sink.port == port


def drain(lab, relay, sink, messages, cold):
    """Seconds, and processors in use by relay and sink."""
    wait_with_mail(lab, relay, sink, messages)
    if cold:
        forget_cached(relay.gateway.spool_directory)
    cpu, sink_cpu = relay.cpu(), cpu_seconds(sink.process.pid)
    begun = time.monotonic()
    relay.gateway.run("queue", "flush", "--all")
    while sink.counters()["recipients"] < messages:
        time.sleep(0.02)
    took = time.monotonic() - begun
    used = (relay.cpu() - cpu) / took, (cpu_seconds(sink.process.pid) - sink_cpu) / took
    relay.wait_queue()
    lab.say(f"  {'content from the disk' if cold else 'content in memory'}: {messages / took:.0f} messages/s, "
            f"{messages * OCTETS / took / 1e6:.0f} MB/s; processors in use: relay {used[0]:.2f}, sink {used[1]:.2f}")
    return messages / took


def d2(lab):
    """The next hop comes back, and 40,000 messages of 75 KB go out. Against the sender alone, straight to the sink."""
    messages, cold, warm, straight, read = lab.many(40_000), [], [], [], []
    disk = Disk(lab.folder("d2-disk"))
    with lab.running(lab.sink("sink-d2")) as sink:
        relay = Waypost(lab.folder("waypost-d2"), sink, entries(1000))
        with lab.running(relay):
            for _ in range(lab.rounds):
                cold.append(drain(lab, relay, sink, messages, cold=True))
                warm.append(drain(lab, relay, sink, messages, cold=False))
                straight.append(lab.send(None, sink, messages, table=False, options=["--size", str(OCTETS)]).rate)
                read.append(disk.cold_octets_per_second() / OCTETS)
    disk.close()
    megabytes = lambda rate: f"{rate * OCTETS / 1e6:.0f}"
    return [Row(f"D2 drain of {messages:,} messages of 75 KB: messages/s", Series(cold).show(count), Series(straight).show(count),
                ratios(cold, straight), note="against the sender straight to the sink; content read from the disk"),
            Row("D2 the same with all content in memory", Series(warm).show(count), Series(straight).show(count), ratios(warm, straight),
                note="against the sender straight to the sink"),
            Row("D2 from the disk, in MB/s", Series(cold).show(megabytes), Series(read).show(megabytes), ratios(cold, read),
                note="against reading 2 GiB in sequence, nothing cached")]


def latencies(lab, relay, rate, seconds, between=lambda: None):
    """Seconds from when a message was due to its 250, of messages that were due while between() ran."""
    log = lab.directory / "send.log"
    sender = subprocess.Popen([str(a) for a in [
        program("waypost-load"), "send", "--target", f"127.0.0.1:{relay.port}", "--plain", "--quiet", "--rate", rate, "--duration",
        f"{seconds}s", "--size", "10KiB", "--to", "user1@corp.example", "--log", log]])
    time.sleep(0.5)  # until its connections are there
    begun = time.time()
    between()
    ended = time.time()
    assert sender.poll() is None, "the sender ended before what it was to be measured beside"
    sender.terminate()
    sender.wait()
    found = []
    for line in log.read_text(encoding="utf-8").splitlines()[1:]:
        fields = line.split("\t")
        at, latency = int(fields[2]) / 1e6, int(fields[3]) / 1e6
        if fields[6] == "a" and begun <= at - latency and at <= ended:
            found.append(latency)
    return found


def d4(lab):
    """Time to 250 at 500 messages/s, while 20,000 messages of 75 KB go out: read from the disk, or, to tell what the disk has to do
    with it, from memory."""
    messages, rate, found = lab.many(20_000), 500, {"quiet": [], "from memory": [], "from the disk": []}
    with lab.running(lab.sink("sink-d4")) as sink:
        relay = Waypost(lab.folder("waypost-d4"), sink, entries(1000))

        def flush():
            arrived = sink.counters()["recipients"]
            relay.gateway.run("queue", "flush", "--all")
            while sink.counters()["recipients"] < arrived + messages:
                time.sleep(0.02)

        with lab.running(relay):
            for _ in range(lab.rounds):
                for name, series in found.items():
                    if name != "quiet":
                        wait_with_mail(lab, relay, sink, messages)
                    if name == "from the disk":
                        forget_cached(relay.gateway.spool_directory)
                    series.append(latencies(lab, relay, rate, 600, flush if name != "quiet" else lambda: time.sleep(4)))
                    relay.wait_queue()
                    lab.say(f"  {name}: p50 {microseconds(percentile(series[-1], 50))}, p99 {microseconds(percentile(series[-1], 99))} "
                            f"({len(series[-1])} messages)")
    rows = []
    for name, target in [("from memory", None), ("from the disk", 5)]:
        for percent in (50, 99):
            ours, theirs = [[percentile(v, percent) for v in values] for values in (found[name], found["quiet"])]
            rows.append(Row(f"D4 {rate} messages/s beside a drain {name}: time to 250, p{percent}", Series(ours).show(microseconds),
                            Series(theirs).show(microseconds), ratios(ours, theirs), at_most=target if percent == 99 else None,
                            note="against the same without the drain"))
    return rows


def d3(lab):
    """A single message of another sender, while 50,000 of one sender, or one with 1,000 recipients, wait for the same next hop."""
    rows = []
    with lab.running(lab.sink("sink-d3")) as sink:
        relay = Waypost(lab.folder("waypost-d3"), sink, entries(1000))
        with lab.running(relay):
            for name, messages, each, slow_ms, flood in [
                    ("50,000 messages of one sender", lab.many(50_000), 1, 20,
                     lambda n: lab.send_only(relay, n, ["--size", "1KiB", *HELD])),
                    ("messages to 1,000 recipients", lab.many(300), 100, 200, lambda n: send_wide(relay, n))]:
                sink.rules(f"at=end;delay={slow_ms}")
                alone, _ = singles(relay, 10, "alone")
                sink.stop()
                flood(messages)
                sink.start()
                sink.rules(f"at=end;delay={slow_ms}")
                relay.gateway.run("queue", "flush", "--all")
                beside, overtaken = singles(relay, 30, name.split()[0], each)
                waiting = relay.gateway.queued()
                lab.say(f"  {name}: a single message waits {Series(beside).median * 1e3:.0f} ms (at most {max(beside) * 1e3:.0f}), alone "
                        f"{Series(alone).median * 1e3:.0f} ms; {Series(overtaken).median:.0f} transactions of others end before its own begins (at most "
                        f"{max(overtaken):.0f}); {count(waiting)} messages still waited at the end")
                if waiting == 0:
                    lab.say("  the queue was empty before the measurement ended: too little scale")
                wire = 2 * 20  # shards x connections
                rows.append(Row(f"D3 {name}: transactions before a single message", Series(overtaken).show(count), str(wire),
                                Series(v / wire for v in overtaken), at_most=1, note="against what can be on the wire"))
                relay.gateway.run("queue", "delete", "--all", "--reason", "measured")
                relay.wait_queue()
    return rows


def singles(relay, number, name, each=1):
    """(seconds from the 250 to the delivery, transactions of others that ended before its own began) of each message.

    `each`: recipients of a transaction of the others.
    """
    gateway = relay.gateway
    exchange = Exchange(gateway.smtp_port, use_tls=False)
    ids = []
    for n in range(number):
        sent = exchange.send(f"single{n}@other.example", ["user1@corp.example"], b"Subject: single\r\n\r\n" + name.encode() + b"\r\n")
        ids.append(sent.queue_id)
        gateway.wait_event("delivered", queue_id=sent.queue_id)
    exchange.quit()
    events = [e for e in gateway.events() if e["event"] in ("received", "delivered")]
    received = {e["queue_id"]: moment(e) for e in events if e["event"] == "received"}
    delivered = [e for e in events if e["event"] == "delivered"]
    ours = {e["queue_id"]: e for e in delivered if e["queue_id"] in ids}
    ends = [moment(e) for e in delivered if e["queue_id"] not in ids]
    delays = [ours[queue_id]["delay_us"] / 1e6 for queue_id in ids]
    others = [sum(1 for end in ends if received[queue_id] < end < moment(ours[queue_id]) - ours[queue_id]["took_us"] / 1e6) / each
              for queue_id in ids]
    return delays, others


def moment(event):
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def send_wide(relay, messages):
    exchange = Exchange(relay.gateway.smtp_port, use_tls=False)
    for n in range(messages):
        exchange.send("list@other.example", [f"user{k}@corp.example" for k in range(1000)], b"Subject: wide\r\n\r\n%d\r\n" % n)
    exchange.quit()
