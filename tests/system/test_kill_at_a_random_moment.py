"""kill -9 under load: every acknowledged message arrives after the restart; duplicates only among those in flight.
Some recipients are refused for good: of each of these the sender is told, once, or more often only around a kill.

The same with the power cut: of what was not synced, the disk keeps what chance wants.
WAYPOST_CRASH_ROUNDS sets the number of kills (default 5), WAYPOST_CRASH_SEED the seed.
"""

import hashlib
import os
import random
import threading
import time
from collections import Counter
from datetime import datetime

import pytest
from conftest import message
from disk import PowerCut
from rig.exchange import Exchange
from rig.processes import wait_for
from rig.programs import sanitized

ROUNDS = int(os.environ.get("WAYPOST_CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("WAYPOST_CRASH_SEED", "1"))
SENDERS = 10
# A settlement rides on the next batch, at the latest after settle_delay (50 ms); the rest is for a busy machine.
IN_FLIGHT_SECONDS = 1.0
# A report is stored, then its recipients are settled: it may be made twice when a kill comes between, and arrives later.
REPORT_SECONDS = 15.0
REFUSED = "at=rcpt;match=bad*@*;reply=550 5.1.1 Requested action not taken: mailbox unavailable"
SLOW = "at=end;delay=60"  # so that there is always something in flight and in the queue
MOST_WAITING = 1000  # messages; over many rounds they would fill the disk
SLOW_SYNC_US = 3000  # a busy disk: most cuts meet something that is not synced yet


class Stalls:
    """How long this machine itself stood still: what is measured in seconds is judged by it."""

    def __init__(self):
        self.longest, self.running = 0.0, True
        self.thread = threading.Thread(target=self.tick, daemon=True)
        self.thread.start()

    def tick(self):
        last = time.monotonic()
        while self.running:
            time.sleep(0.005)
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now

    def stop(self):
        self.running = False
        self.thread.join()


class Load:
    """Senders that send until told to stop, and remember what was acknowledged."""

    def __init__(self, gateway, ca_file, seed):
        self.gateway, self.ca_file, self.seed = gateway, ca_file, seed
        self.lock = threading.Lock()
        self.acknowledged, self.unanswered, self.refused = {}, set(), 0
        self.to_report = set()  # senders of acknowledged messages to somebody who is refused; each sends once
        self.threads, self.running = [], False

    def start(self, round_number):
        self.running = True
        self.threads = [threading.Thread(target=self.send_many, args=(round_number, n)) for n in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()

    def send_many(self, round_number, sender):
        chance = random.Random(f"{self.seed}/{round_number}/{sender}")
        number = 0
        while self.running:
            try:
                exchange = Exchange(self.gateway.smtp_port, ca_file=self.ca_file, use_tls=sender % 2 == 0, timeout=20)
                for _ in range(20):
                    if not self.running:
                        break
                    number += 1
                    self.send_one(exchange, f"{round_number}-{sender}-{number}", chance)
                exchange.close()
            except (OSError, ValueError):
                if not self.running:
                    return
                time.sleep(0.01)  # it is down: the kill has happened

    def send_one(self, exchange, identity, chance):
        size = chance.choice([200, 2_000, 20_000, 200_000, 3_000_000 if chance.random() < 0.05 else 5_000])
        content = message(identity, body="x" * 70 + "\r\n" + (chance.randbytes(size // 2).hex() + "\r\n"),
                          message_id=identity + "@crash.example")
        digest = hashlib.sha256(content).hexdigest()
        with self.lock:
            self.unanswered.add(digest)
        recipients = [f"user{chance.randrange(100)}@corp.example" for _ in range(chance.choice([1, 1, 1, 3]))]
        sender = f"ann+{identity}@ext.example"  # so that a report tells what it is about
        bad = [f"bad{chance.randrange(10)}@corp.example"] if chance.random() < 0.3 else []
        sent = exchange.send(sender, sorted(set(recipients)) + bad, content,
                             chunks=[size // 2] if chance.random() < 0.3 else [])
        with self.lock:
            self.unanswered.discard(digest)
            if sent.accepted:
                self.acknowledged[digest] = sorted(r.replace("corp.example", "orgname.awsapps.com")
                                                   for r in set(recipients))
                if bad:
                    self.to_report.add(sender)
            else:
                self.refused += 1


def seconds_of(record):
    return datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


def count_arrivals(records):
    """{(digest, recipient): times of arrival}."""
    arrivals = {}
    for record in records:
        if record["sender"] == "<>":
            continue
        for recipient in record["recipients"]:
            arrivals.setdefault((record["sha256_below"], recipient["address"]), []).append(seconds_of(record))
    return arrivals


def count_reports(records):
    """{who was told: times of arrival}."""
    reports = {}
    for record in records:
        if record["sender"] == "<>":
            reports.setdefault(record["recipients"][0]["address"], []).append(seconds_of(record))
    return reports


@pytest.mark.parametrize("death", ["killed", "power-cut"])
def test_nothing_acknowledged_is_lost(world, capsys, preload, death):
    if death == "power-cut" and sanitized():
        pytest.skip("a sanitized build can't be preloaded")
    workmail = world.sink(rules=[REFUSED, SLOW])
    gateway = world.gateway(workmail, start=False, queue={"report_next_hop": "workmail"},
                            users=[f"user{n}" for n in range(100)] + [f"bad{n}" for n in range(10)])
    chance = random.Random(SEED)
    disk = None
    if death == "power-cut":
        disk = PowerCut(gateway.spool_directory, preload("watched_disk"), chance)
    gateway.start(env=disk.environment(slow_us=SLOW_SYNC_US) if disk else None)
    load, stalls = Load(gateway, world.gateway_certificates.ca, SEED), Stalls()
    kills, recovered, pending = [], [], 0
    for round_number in range(ROUNDS):
        load.start(round_number)
        enough = len(load.acknowledged) + chance.randrange(20, 160)  # the moment: in the middle of whatever runs then
        wait_for(lambda: len(load.acknowledged) >= enough, "acknowledged messages", 120, pause=0.001)
        gateway.kill()
        kills.append(time.time())
        load.stop()
        pending += disk.cut() if disk else 0
        gateway.start(env=disk.environment(slow_us=SLOW_SYNC_US) if disk else None)
        recovered.append(gateway.queued())
        if recovered[-1] > MOST_WAITING:
            workmail.rules(REFUSED)
            wait_for(lambda: gateway.queued() <= MOST_WAITING // 4, "the backlog to shrink", 120)
            workmail.rules(REFUSED, SLOW)
    workmail.rules(REFUSED)

    def all_arrived():
        arrivals, reports = count_arrivals(workmail.records()), count_reports(workmail.records())
        return load.to_report <= set(reports) and all(
            (digest, recipient) in arrivals for digest, recipients in load.acknowledged.items() for recipient in recipients)
    try:
        wait_for(all_arrived, "every acknowledged message", 120)
        gateway.wait_empty(120)
    finally:
        stalls.stop()
        in_flight_seconds = IN_FLIGHT_SECONDS + 4 * stalls.longest
        arrivals = count_arrivals(workmail.records())
        expected = {(d, r) for d, recipients in load.acknowledged.items() for r in recipients}
        twice = {key: times for key, times in arrivals.items() if len(times) > 1}
        lost = expected - set(arrivals)
        reports = count_reports(workmail.records())
        told_twice = {who: times for who, times in reports.items() if len(times) > 1}
        untold = load.to_report - set(reports)
        with capsys.disabled():
            print(f"\n  {death} {ROUNDS} times" + (f" with {pending} unsynced writes" if disk else "")
                  + f", acknowledged {len(load.acknowledged)} messages ({len(expected)} recipients), "
                  f"unanswered {len(load.unanswered)}, refused {load.refused}\n"
                  f"  found after restarts {recovered}\n"
                  f"  arrived {len(arrivals)} recipients, twice {len(twice)}, lost {len(lost)}\n"
                  f"  refused for good {len(load.to_report)}, reported {len(reports)}, twice {len(told_twice)}, "
                  f"untold {len(untold)}")
    assert not lost and not untold
    assert len(load.to_report) >= 2 * ROUNDS, "too few failures to prove anything"
    assert not any(recipient.startswith("bad") for _, recipient in arrivals), "somebody who was refused got it"
    for who, times in told_twice.items():
        near = any(kill - in_flight_seconds < first < kill + REPORT_SECONDS for kill in kills for first in times[:-1])
        assert near, f"{who} was told at {times}, though no kill (at {kills}) was near"
    assert len(load.acknowledged) >= 20 * ROUNDS, "too little load to prove anything"
    known = set(load.acknowledged) | load.unanswered
    assert {digest for digest, _ in arrivals} <= known, "something arrived that was not sent so"
    for (digest, recipient), times in twice.items():
        in_flight = any(abs(kill - first) < in_flight_seconds for kill in kills for first in times[:-1])
        assert in_flight, f"{recipient} got {digest} at {times}, though no kill (at {kills}) was near"
    per_kill = Counter(len(times) for times in twice.values())
    assert max(per_kill, default=1) <= 1 + ROUNDS
    verified = gateway.run("spool", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
