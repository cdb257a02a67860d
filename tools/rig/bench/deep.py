"""D1 to D3: what a deep queue costs, how fast it drains, and how fair it is."""

import os
import subprocess
import time
from datetime import datetime

from ..exchange import Exchange
from ..programs import program
from .lab import Row, idle
from .measure import Disk, Series, count, cpu_seconds, ratios
from .relays import Waypost, entries
from .standing import start_to_ready

DEAD = {"hosts": ["127.0.0.1:9"], "tls": "none"}
HELD = [a for n in range(1000) for a in ("--to", f"user{n}@corp.example")]
MOST_OCTETS_EACH, MOST_SECONDS = 250, 10


def resident_octets(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as sizes:
        return int(sizes.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def forget_cached():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as drop:
        drop.write("3\n")


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
        for death in ("stopped", "killed", "stopped")[:lab.rounds]:
            forget_cached()
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
                    Series(v / MOST_SECONDS for v in seconds), at_most=1, note="caches dropped; one of them after kill -9"))
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


def d2(lab):
    """The next hop comes back, and 100,000 messages of 75 KB go out. Against the sender alone, straight to the sink."""
    messages, octets = lab.many(100_000), 75_000
    with lab.running(lab.sink("sink-d2")) as sink:
        relay = Waypost(lab.folder("waypost-d2"), sink, entries(1000))
        with lab.running(relay):
            port = sink.port
            sink.stop()
            begun = time.monotonic()
            lab.send_only(relay, messages, ["--size", str(octets), *HELD])
            lab.say(f"  {count(messages)} messages are waiting, after {time.monotonic() - begun:.0f} s")
            idle(relay.pid)
            forget_cached()
            sink.start()
            assert sink.port == port
            cpu, sink_cpu = relay.cpu(), cpu_seconds(sink.process.pid)
            begun = time.monotonic()
            relay.gateway.run("queue", "flush", "--all")
            while sink.counters()["recipients"] < messages:
                time.sleep(0.05)
            took = time.monotonic() - begun
            cpu, sink_cpu = relay.cpu() - cpu, cpu_seconds(sink.process.pid) - sink_cpu
            relay.wait_queue()
        lab.say(f"  drained in {took:.1f} s: {messages / took:.0f} messages/s, {messages * octets / took / 1e6:.0f} MB/s; "
                f"processors in use: relay {cpu / took:.2f}, sink {sink_cpu / took:.2f}")
        straight = lab.send(None, sink, messages, table=False, options=["--size", str(octets)])
        disk = Disk(lab.folder("d2-disk"))
        read = disk.cold_octets_per_second()
        disk.close()
    rate = messages / took
    return [Row(f"D2 drain of {messages:,} messages of 75 KB: messages/s", count(rate), count(straight.rate),
                ratios([rate], [straight.rate]), note="against the sender straight to the sink; content read from the disk"),
            Row("D2 the same in MB/s", f"{rate * octets / 1e6:.0f}", f"{read / 1e6:.0f}", ratios([rate * octets], [read]),
                note="against reading 2 GiB in sequence, caches dropped")]


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
