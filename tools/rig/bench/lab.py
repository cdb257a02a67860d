"""The bench: a folder, a sink, relays before it, and the sender; everything on loopback."""

import contextlib
import dataclasses
import json
import pathlib
import resource
import shutil
import subprocess
import time

from ..gateway import OWN_NAME
from ..processes import RigError, wait_for
from ..programs import program
from ..sink import Certificates, Sink
from .measure import Series, cpu_seconds

TABLE = 100_000


@dataclasses.dataclass
class Row:
    """One line of the result. ours, theirs: Series; ratio: of both, round by round; at_least or at_most: the target."""

    name: str
    ours: str
    theirs: str
    ratio: Series
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def reached(self):
        if self.at_least is not None:
            return self.ratio.median >= self.at_least
        if self.at_most is not None:
            return self.ratio.median <= self.at_most
        return None

    @property
    def target(self):
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}" if self.at_most is not None else ""


@dataclasses.dataclass
class Run:
    """What one sending showed. Rates in messages/s, times in seconds, CPU in seconds for the whole run."""

    messages: int
    rate: float  # end to end: from the first arrival at the sink to the last
    accepted_rate: float
    relay_cpu: float
    sender_cpu: float
    sink_cpu: float
    phases: dict

    def relay_cpu_per_1000(self):
        return self.relay_cpu / self.messages * 1000

    def verdict(self, percent):
        return self.phases["verdict"][f"p{percent}_us"] / 1e6


class Lab:
    def __init__(self, directory, rounds, scale, say):
        self.directory = pathlib.Path(directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.rounds, self.scale, self.say = rounds, scale, say
        self.certificates = Certificates(self.directory / "certificates", ["inbound-smtp.local", OWN_NAME])
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._open = contextlib.ExitStack()

    def close(self):
        self._open.close()

    def folder(self, name):
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    @contextlib.contextmanager
    def running(self, thing):
        thing.start()
        try:
            yield thing
        finally:
            thing.stop()

    def sink(self, name, tls=False):
        """Takes everything and keeps nothing; two threads."""
        return Sink(self.folder(name), label="sink", certificates=self.certificates if tls else None,
                    options=["--discard", "--max-recipients", "1000"], recording=False)

    def many(self, number):
        return max(100, int(number * self.scale))

    def send(self, relay, sink, messages, tls=False, options=(), recipients=1, table=True, queued=0):
        """Sends as Exchange does and waits until everything is at the sink (relay None: straight to the sink)."""
        report = self.directory / "send.json"
        port = relay.port if relay else sink.port
        security = ["--ca-file", self.certificates.ca, "--tls-name", OWN_NAME] if tls else ["--plain"]
        to = ["--table", self.table_file()] if table else ["--to", "user1@corp.example"]
        argv = [program("waypost-load"), "send", "--target", f"127.0.0.1:{port}", "--count", messages, "--quiet",
                "--json", report, *security, *to, *options]
        before, cpu, sink_cpu = sink.counters(), relay.cpu() if relay else 0, cpu_seconds(sink.process.pid)
        wanted = before["recipients"] + messages * recipients
        sender = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        first, last = self._watch(sink, before, wanted, sender)
        said = sender.communicate()[0]
        if sender.returncode != 0:
            raise RigError(f"waypost-load send: {said}")
        told = json.loads(report.read_text(encoding="utf-8"))
        if relay:
            relay.wait_queue(queued)
        count = (last[1] - first[1]) / recipients
        return Run(messages, count / (last[0] - first[0]), told["messages_per_second"], relay.cpu() - cpu if relay else 0,
                   told["sender_cpu_seconds"], cpu_seconds(sink.process.pid) - sink_cpu, told["sent"]["phases"])

    def send_only(self, relay, messages, options):
        """Sends and waits for nothing but the replies."""
        subprocess.run([str(a) for a in [program("waypost-load"), "send", "--target", f"127.0.0.1:{relay.port}", "--count", messages,
                                         "--quiet", "--plain", *options]], check=True)

    def _watch(self, sink, before, wanted, sender, seconds=600):
        """(time, recipients) of the first arrivals seen and of the last."""
        first, deadline, seen, seen_at = None, time.monotonic() + seconds, before["recipients"], time.monotonic()
        while True:
            now, arrived = time.monotonic(), sink.counters()["recipients"]
            if arrived > before["recipients"] and first is None:
                first = now, arrived
            if arrived >= wanted:
                return first, (now, arrived)
            if arrived > seen:
                seen, seen_at = arrived, now
            if now > deadline or now - seen_at > 60 or (sender.poll() not in (None, 0)):
                raise RigError(f"{wanted - arrived} recipients did not arrive; sender: {sender.poll()}")
            time.sleep(0.01)

    def table_file(self):
        path = self.directory / "recipients.csv"
        if not path.exists():
            lines = "".join(f"user{n}@corp.example,user{n}@orgname.awsapps.com\n" for n in range(TABLE))
            path.write_text("address,target\n" + lines, encoding="ascii")
        return path


def idle(pid, seconds=60):
    """Waits until a process uses next to no CPU."""
    def quiet():
        before = cpu_seconds(pid)
        time.sleep(0.3)
        return cpu_seconds(pid) - before <= 0.02
    wait_for(quiet, f"pid {pid} idle", seconds)
