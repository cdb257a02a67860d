"""`waypost-load sink`, the stand-in for WorkMail, as an object."""

import http.client
import json
import pathlib
import socket
import subprocess

from .processes import Process, RigError, wait_for
from .programs import program


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path, method, url, body=None):
    """(status, text) of one request over a Unix socket."""
    connection = UnixConnection(path)
    try:
        connection.request(method, url, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


class Certificates:
    """A rehearsal CA with a certificate for `names`, made by waypost-load sink."""

    def __init__(self, directory, names, days=30, self_signed=False):
        self.directory = pathlib.Path(directory)
        argv = [program("waypost-load"), "sink", "--make-certificates", directory, "--days", str(days)]
        for name in names:
            argv += ["--name", name]
        if self_signed:
            argv.append("--self-signed")
        made = subprocess.run(argv, check=False, capture_output=True, text=True)
        if made.returncode != 0:
            raise RigError(f"no certificates: {made.stderr}")
        self.ca, self.chain, self.key = made.stdout.split()


class Sink:
    """REQUIRES: `directory` exists. Port and rules survive a restart of the object's process."""

    def __init__(self, directory, label="workmail", name="inbound-smtp.local", certificates=None,
                 options=(), rules=(), keep_content=False, recording=True, port=0):
        self.directory = pathlib.Path(directory)
        self.label, self.name, self.port = label, name, port
        self.record_file = self.directory / f"{label}.jsonl"
        self.eml_directory = self.directory / f"{label}-eml"
        self.control = self.directory / f"{label}.sock"
        self.certificates = certificates
        self.options = [str(o) for o in options]
        self.first_rules = list(rules)
        self.keep_content, self.recording = keep_content, recording
        self.process = None
        self._read, self._records = 0, []

    def start(self):
        listen = [] if "--listen" in self.options else ["--listen", f"127.0.0.1:{self.port}"]
        argv = [program("waypost-load"), "sink", *listen, "--name", self.name,
                "--control", self.control, *self.options]
        if self.recording:
            argv += ["--record", self.record_file]
        if self.certificates:
            argv += ["--certificate", self.certificates.chain, "--key", self.certificates.key]
        if self.keep_content:
            argv += ["--eml", self.eml_directory]
        for rule in self.first_rules:
            argv += ["--misbehave", rule]
        self.process = Process(argv, self.directory / f"{self.label}.log")
        self.port = int(self.process.wait_output("ready ").rsplit(":", 1)[1])
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def rules(self, *rules):
        """Replaces all rules; none: behave."""
        status, text = ask(self.control, "POST", "/v1/rules", "\n".join(rules))
        if status != 200:
            raise RigError(text)

    def rule_report(self):
        return ask(self.control, "GET", "/v1/rules")[1]

    def counters(self):
        return json.loads(ask(self.control, "GET", "/v1/counters")[1])

    def records(self):
        """Every message received so far, in order of receipt."""
        if self.record_file.exists():
            with open(self.record_file, "rb") as file:
                file.seek(self._read)
                fresh = file.read()
            whole = fresh.rfind(b"\n") + 1
            self._records += [json.loads(line) for line in fresh[:whole].splitlines()]
            self._read += whole
        return self._records

    def wait_messages(self, count, seconds=60):
        """Waits for at least `count` messages and returns all."""
        def enough():
            self.process.check_alive()
            return len(self.records()) >= count
        wait_for(enough, lambda: f"{count} messages at {self.label}, there are {len(self.records())}", seconds)
        return self.records()

    def wait_message(self, match, seconds=60, what="the message"):
        """Waits for a record for which match(record) is true."""
        return wait_for(lambda: next((r for r in self.records() if match(r)), None),
                        lambda: f"{what} at {self.label}, which has {len(self.records())} messages", seconds)

    def content(self, record):
        return (self.eml_directory / f"{record['n']}.eml").read_bytes()

    def addresses(self):
        """Every recipient of every message."""
        return [r["address"] for record in self.records() for r in record["recipients"]]
