"""T1: what a reload of a large table costs those who send meanwhile."""

import threading

from ..processes import RigError
from .lab import Row
from .measure import Series, microseconds, ratios
from .relays import Waypost, entries

ENTRIES, RATE, SECONDS = 1_000_000, 500, 10


class Reloads:
    """`waypost reload`, one after the other, while the block runs."""

    def __init__(self, gateway):
        self.gateway, self.count, self.trouble = gateway, 0, None
        self.over, self.thread = threading.Event(), threading.Thread(target=self._run)

    def _run(self):
        while not self.over.is_set():
            done = self.gateway.run("reload")
            if done.returncode != 0:
                self.trouble = RigError(f"waypost reload: {done.stdout}{done.stderr}")
                return
            self.count += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()
        if self.trouble:
            raise self.trouble


def t1(lab):
    """Time to 250 while a table of a million entries is reloaded without a pause, against the same without reloads."""
    size, options = lab.many(ENTRIES), ["--rate", str(RATE), "--connections", "20"]
    half, nearly, quiet_half, quiet_nearly = [], [], [], []
    with lab.running(lab.sink("sink-t1")) as sink, lab.running(Waypost(lab.folder("waypost-t1"), sink, entries(size))) as ours:
        lab.send(ours, sink, lab.many(5_000))
        for _ in range(lab.rounds):
            quiet = lab.send(ours, sink, lab.many(RATE * SECONDS), options=options)
            with Reloads(ours.gateway) as reloads:
                busy = lab.send(ours, sink, lab.many(RATE * SECONDS), options=options)
            half.append(busy.verdict(50))
            nearly.append(busy.verdict(99))
            quiet_half.append(quiet.verdict(50))
            quiet_nearly.append(quiet.verdict(99))
            lab.say(f"  {reloads.count} reloads: p50 {microseconds(half[-1])} p99 {microseconds(nearly[-1])}; "
                    f"without: p50 {microseconds(quiet_half[-1])} p99 {microseconds(quiet_nearly[-1])}")
    what = f"T1 {size:,} entries reloaded under {RATE} messages/s: time to 250"
    return [Row(f"{what}, p50", Series(half).show(microseconds), Series(quiet_half).show(microseconds), ratios(half, quiet_half)),
            Row(f"{what}, p99", Series(nearly).show(microseconds), Series(quiet_nearly).show(microseconds),
                ratios(nearly, quiet_nearly), at_most=1.1, note="against the same load without reloads")]
