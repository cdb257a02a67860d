"""Two builds of Waypost side by side: what a change has cost, told apart from what the machine does meanwhile."""

import contextlib
import pathlib

from .lab import TABLE, Row
from .measure import Series, count, microseconds, ratios
from .relays import Waypost, entries

# A rate that is no worse; a time or a CPU that is no more.
AT_LEAST, AT_MOST = 0.97, 1.03


@contextlib.contextmanager
def both(lab, before, name, tls, chunking):
    """Sink, this build and the one before, with the same table and the same next hop, all running and warm."""
    certificates = lab.certificates if tls else None
    changes = {"next_hops": {"workmail": {"chunking": chunking}}}
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(lab.running(lab.sink(f"sink-{name}", tls)))
        relays = []
        for label, binary in (("now", None), ("before", pathlib.Path(before).resolve() / "bin" / "waypost")):
            relay = Waypost(lab.folder(f"{label}-{name}"), sink, entries(TABLE), certificates, changes)
            relay.gateway.binary = binary or relay.gateway.binary
            relays.append(stack.enter_context(lab.running(relay)))
        for relay in relays:
            lab.send(relay, sink, lab.many(10_000), tls)
        yield sink, relays


def alternating(lab, relays, send):
    """Runs of (now, before); who begins changes with each round."""
    runs = ([], [])
    for number in range(lab.rounds):
        for which in ((0, 1) if number % 2 else (1, 0)):
            runs[which].append(send(relays[which]))
    return runs


def compared(name, form, runs, value, **target):
    ours, theirs = ([value(run) for run in side] for side in runs)
    return Row(name, Series(ours).show(form), Series(theirs).show(form), ratios(ours, theirs), note="against the build before", **target)


def throughput(lab, before, tls):
    """Content by BDAT, and by DATA: the second asks for the same number of round trips in every version."""
    rows = []
    for verb in ("BDAT", "DATA"):
        name = f"{'S2' if tls else 'S1'}, {verb} to the next hop"
        with both(lab, before, f"{verb}-{tls}", tls, verb == "BDAT") as (sink, relays):
            runs = alternating(lab, relays, lambda relay, sink=sink: lab.send(relay, sink, lab.many(30_000), tls))
        rows.append(compared(f"{name}: messages/s", count, runs, lambda run: run.rate, at_least=AT_LEAST))
        rows.append(compared(f"S4 of {name}: CPU s per 1,000", "{:.3f}".format, runs, lambda run: run.relay_cpu_per_1000(), at_most=AT_MOST))
        lab.say(f"  {rows[-2].name}: {rows[-2].ours}, before {rows[-2].theirs}")
    return rows


def s1(lab, before):
    return throughput(lab, before, tls=False)


def s2(lab, before):
    return throughput(lab, before, tls=True)


def s5(lab, before):
    """Time from the last octet to 250, with messages by the clock."""
    rows = []
    with both(lab, before, "s5", False, True) as (sink, relays):
        for rate in (500, 2000):
            options = ["--rate", str(rate), "--connections", "20"]
            runs = alternating(lab, relays, lambda relay, options=options, rate=rate: lab.send(relay, sink, lab.many(rate * 6), options=options))
            for percent in (50, 99):
                rows.append(compared(f"S5 {rate} messages/s, 20 connections: time to 250, p{percent}", microseconds, runs,
                                     lambda run, percent=percent: run.verdict(percent), at_most=AT_MOST if percent == 50 else None))
            lab.say(f"  {rows[-2].name}: {rows[-2].ours}, before {rows[-2].theirs}")
    return rows


def s10(lab, before):
    """One message to 1,000 recipients."""
    with both(lab, before, "s10", False, True) as (sink, relays):
        runs = alternating(lab, relays, lambda relay: lab.send(relay, sink, lab.many(200), options=["--recipients", "1000"], recipients=1000))
    return [compared("S10 1,000 recipients in one message: CPU ms", "{:.2f}".format, runs,
                     lambda run: run.relay_cpu_per_1000(), at_most=AT_MOST)]


SCENARIOS = {"S1": s1, "S2": s2, "S5": s5, "S10": s10}
