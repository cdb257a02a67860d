"""A gateway with a generated configuration in a folder of its own."""

import copy
import http.client
import json
import pathlib
import signal
import subprocess

from .processes import Process, RigError, free_port, wait_for
from .programs import me, program
from .yaml_text import to_yaml

OWN_NAME = "gw.corp.example"
OWN_DOMAIN = "corp.example"
TARGET_DOMAIN = "orgname.awsapps.com"


def next_hop(sink, **settings):
    """Options of a next hop that delivers to `sink` over verified TLS, or in plain text if it has none."""
    options = {"hosts": [f"127.0.0.1:{sink.port}"]}
    if sink.certificates:
        options |= {"tls": "verify", "tls_names": [sink.name], "tls_ca_file": sink.certificates.ca}
    else:
        options |= {"tls": "none"}
    return options | settings


class Gateway:
    """Life: configure -> start -> (stop | kill -> start)* -> stop."""

    def __init__(self, directory, certificates=None):
        self.directory = pathlib.Path(directory)
        self.binary = program("waypost")
        self.smtp_port, self.http_port = free_port(), free_port()
        self.config_file = self.directory / "waypost.yaml"
        self.table_file = self.directory / "table.csv"
        self.spool_directory = self.directory / "spool"
        self.tracking_file = self.directory / "tracking.jsonl"
        self.socket = self.directory / "admin.sock"
        self.log_file = self.directory / "waypost.log"
        self.process = None
        self._tracked, self._events = 0, []
        self.config = {
            "own_name": OWN_NAME,
            "listeners": [{"address": "127.0.0.1", "port": self.smtp_port, "tls": "starttls"}],
            "admission": {"networks": ["127.0.0.0/8"]},
            "routing": {"own_domains": [OWN_DOMAIN], "tables": [str(self.table_file)], "target_domains": {}},
            "next_hops": {},
            "queue": {"backoff": ["1s"], "jitter": 0},
            "spool": {"directory": str(self.spool_directory), "segment_size": "8 MiB", "spare_segments": 1,
                      "minimum_free": "1 MiB"},
            "log": {"level": "info"},
            "tracking": {"file": str(self.tracking_file)},
            "admin": {"socket": str(self.socket), "http_address": "127.0.0.1", "http_port": self.http_port},
        }
        if certificates:
            self.config["tls"] = {"certificates": [{"chain": certificates.chain, "key": certificates.key}]}
        else:
            self.config["listeners"][0]["tls"] = "none"
        self.write_table([])

    # ---- configuration

    def route(self, sink, domain=TARGET_DOMAIN, name="workmail", **settings):
        """Mail for the target domain goes to this sink."""
        self.config["next_hops"][name] = next_hop(sink, **settings)
        self.config["routing"]["target_domains"][domain] = name
        return self

    def change(self, changes):
        """Merges nested `changes` into the configuration; None removes a key."""
        def merge(into, what):
            for key, value in what.items():
                if isinstance(value, dict) and isinstance(into.get(key), dict):
                    merge(into[key], value)
                elif value is None:
                    into.pop(key, None)
                else:
                    into[key] = copy.deepcopy(value)
        merge(self.config, changes)
        return self

    def write_config(self):
        self.config_file.write_text(to_yaml(self.config), encoding="utf-8")

    def write_table(self, rows):
        """rows: (address, target[, state[, wave]])."""
        lines = ["address,target,state,wave"]
        for row in rows:
            cells = [cell if "," not in cell and '"' not in cell else '"' + cell.replace('"', '""') + '"'
                     for cell in row]
            lines.append(",".join(cells + [""] * (4 - len(cells))))
        self.table_file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    # ---- life

    def start(self, env=None, ready=True, seconds=60):
        self.write_config()
        self.process = Process([self.binary, "serve", "--config", self.config_file], self.log_file, env)
        if ready:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=60):
        wait_for(lambda: self.process.check_alive() and self.get("/readyz")[0] == 200,
                 lambda: f"/readyz; {self.log_file} says:\n{self.process.output()[-3000:]}", seconds)

    def stop(self):
        """Ordered end; RigError if the exit code is not 0."""
        if self.process is None:
            return
        code = self.process.stop()
        if code != 0:
            raise RigError(f"waypost ended with {code}; {self.log_file} says:\n{self.process.output()[-4000:]}")
        self.process = None

    def kill(self):
        self.process.kill()
        self.process = None

    def hang_up(self):
        self.process.signal(signal.SIGHUP)

    # ---- questions

    def get(self, url):
        """(status, text) from the health and metrics port; (0, reason) if nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        try:
            connection.request("GET", url)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def metric(self, name):
        """Sum over all labels of one metric; 0 if it is not there."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            if line.split("{")[0].split(" ")[0] == name:
                total += float(line.rsplit(" ", 1)[1])
        return total

    def run(self, *arguments, input=None):
        """A subcommand of waypost, with --config; a CompletedProcess. `check` looks as the user who runs the gateway here."""
        if arguments[0] == "check" and "--as" not in arguments:
            arguments = ("check", "--as", me(), *arguments[1:])
        return subprocess.run([str(self.binary), *arguments, "--config", str(self.config_file)],
                              check=False, capture_output=True, text=True, timeout=60, input=input)

    def explain(self, address):
        answer = self.run("route", "explain", address, "--json")
        if not answer.stdout.strip():
            raise RigError(f"waypost route explain {address}: {answer.stderr}")
        return json.loads(answer.stdout)

    def status(self):
        answer = self.run("status", "--json")
        if answer.returncode != 0:
            raise RigError(f"waypost status: {answer.stderr}")
        return json.loads(answer.stdout)

    def queued(self):
        """Messages that are not finished."""
        return self.status()["queue"]["messages"]

    def wait_empty(self, seconds=60):
        wait_for(lambda: self.queued() == 0, lambda: f"an empty queue: {self.status()['queue']}", seconds)

    def events(self, kind=None, **fields):
        """Lines of the tracking log, oldest first."""
        if self.tracking_file.exists():
            with open(self.tracking_file, "rb") as file:
                file.seek(self._tracked)
                fresh = file.read()
            whole = fresh.rfind(b"\n") + 1
            self._events += [json.loads(line) for line in fresh[:whole].splitlines()]
            self._tracked += whole
        return [e for e in self._events if kind in (None, e["event"])
                and all(e.get(k) == v for k, v in fields.items())]

    def wait_event(self, kind, seconds=60, count=1, **fields):
        return wait_for(lambda: len(found := self.events(kind, **fields)) >= count and found,
                        lambda: f"{count} tracking events {kind} {fields}; there are: {self.events()[-5:]}", seconds)
