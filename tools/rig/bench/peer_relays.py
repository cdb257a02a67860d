"""Exim, OpenSMTPD and Haraka with the task of relays.py, where they are there. docs/benchmark.md has the settings in words.

Each has its documented durability on, and no limit that the load would meet.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess

from ..gateway import OWN_DOMAIN, OWN_NAME
from ..peers import PEERS, Exim, OpenSmtpd, listens
from ..processes import Process, RigError, free_port, wait_for
from .measure import CpuGroup, descendants


class EximRelay(Exim):
    """Debian's. It forks for each connection and each delivery; spool files are synced, as they always are."""

    label, tls_in, options = "exim", True, []

    def __init__(self, directory, sink, table, certificates=None):
        super().__init__(directory, 0)
        self.port, self.process, self.group = free_port(), None, CpuGroup("exim")
        source = self.directory / "table"
        source.write_text("".join(f"{a}: {t}\n" for a, t in table), encoding="ascii")
        built = subprocess.run([self.home / "usr/sbin/exim_dbmbuild", source, self.directory / "table.db"], check=False, text=True,
                               capture_output=True, env={**os.environ, "LD_LIBRARY_PATH": f"{self.home}/usr/lib/x86_64-linux-gnu"})
        if built.returncode != 0:
            raise OSError(f"exim_dbmbuild: {built.stderr}")
        database = next(self.directory.glob("table.db*"))
        database.chmod(0o644)
        self.config.write_text("\n".join([
            f"primary_hostname = {OWN_NAME}", f"exim_path = {self.launcher}", f"spool_directory = {self.directory}/spool",
            f"log_file_path = {self.directory}/%slog", "exim_user = mail", "exim_group = mail", "keep_environment =", "never_users =", "deliver_drop_privilege = true",
            "local_interfaces = 127.0.0.1", f"daemon_smtp_ports = {self.port}", "chunking_advertise_hosts = *",
            "smtp_accept_max = 200", "smtp_accept_queue = 0", "smtp_accept_max_per_connection = 0", "smtp_accept_queue_per_connection = 0",
            "smtp_connect_backlog = 200", "queue_run_max = 20", "rfc1413_hosts =", "host_lookup =",
            "split_spool_directory = true", "message_size_limit = 50M", "acl_smtp_rcpt = accept_all", "dsn_advertise_hosts = *",
            *self.tls_in_lines(certificates),
            "begin acl", "accept_all:", "  accept",
            "begin routers",
            "moved:", "  driver = redirect", f"  domains = {OWN_DOMAIN}", f"  data = ${{lookup{{$local_part@$domain}}dbm{{{database}}}}}",
            "all:", "  driver = manualroute", f"  domains = ! {OWN_DOMAIN}", "  route_list = * 127.0.0.1", "  transport = out", "  self = send",
            "begin transports", "out:", "  driver = smtp", f"  port = {sink.port}", "  allow_localhost", "  hosts_try_chunking = *",
            "  connection_max_messages = 500", *self.tls_out_lines(sink), ""]), encoding="ascii")

    def tls_in_lines(self, certificates):
        if not certificates:
            return ["tls_advertise_hosts ="]
        lines = ["tls_advertise_hosts = *"]
        for option, file in [("tls_certificate", certificates.chain), ("tls_privatekey", certificates.key)]:
            copy = self.directory / pathlib.Path(file).name
            shutil.copy(file, copy)
            shutil.chown(copy, 8, 8)
            lines.append(f"{option} = {copy}")
        return lines

    @staticmethod
    def tls_out_lines(sink):
        if not sink.certificates:
            return ["  hosts_avoid_tls = *"]
        return [f"  tls_verify_certificates = {sink.certificates.ca}", "  hosts_require_tls = *", "  tls_verify_hosts = *",
                f"  tls_sni = {sink.name}", "  tls_verify_cert_hostnames ="]

    def start(self):
        self.process = Process([self.launcher, "-C", self.config, "-bdf", "-q30m"], self.directory / "exim.log")
        self.group.add(self.process.pid)
        wait_for(lambda: self.process.check_alive() and listens(self.port), lambda: f"Exim's port; it says: {self.process.output()}")
        return self

    @property
    def process_id(self):
        return self.process.pid

    def cpu(self):
        return self.group.seconds()

    def wait_queue(self, messages=0, seconds=300):
        assert messages == 0
        wait_for(lambda: int(self.run(["-bpc"]).stdout) == 0, "Exim's queue empty", seconds)

    def stop(self):
        if self.process:
            self.process.stop()


class OpenSmtpdRelay(OpenSmtpd):
    """Debian's. Its queue files are synced. It can't be a server of TLS there (see peers.py), so it is not part of S2. It listens with
    a backlog of 5: of more connections at once some are dropped while the client thinks that they are open."""

    label, tls_in, options = "opensmtpd", False, ["--connections", "5"]

    def __init__(self, directory, sink, table, certificates=None):
        super().__init__(directory, certificates, OWN_NAME)
        self.table, self.sink, self.group = list(table), sink, CpuGroup("opensmtpd")

    def config(self):
        return "\n".join([
            "table moved file:/etc/moved", f"listen on 127.0.0.1 port {self.port} hostname {self.name}",
            "smtp max-message-size 50M", 'smtp limit max-rcpt 1000', 'smtp limit max-mails 1000',
            'action "moved" forward-only virtual <moved>',
            f'action "out" relay host "smtp+notls://127.0.0.1:{self.sink.port}"',
            f'match from any for domain "{OWN_DOMAIN}" action "moved"', 'match from any for any action "out"', ""])

    def make_root(self):
        super().make_root()
        (self.root / "etc/moved").write_text("".join(f"{a} {t}\n" for a, t in self.table), encoding="ascii")

    def start(self):
        super().start()
        self.group.add(*descendants(self.process.pid))
        return self

    @property
    def process_id(self):
        return self.process.pid

    def cpu(self):
        return self.group.seconds()

    def wait_queue(self, messages=0, seconds=300):
        assert messages == 0
        queue = self.root / "var/spool/smtpd/queue"
        wait_for(lambda: not any(path.is_file() for path in queue.rglob("*")), "OpenSMTPD's queue empty", seconds)


def haraka_program():
    """`haraka` on PATH, in npm's global folder, or below build/peers; None if it is nowhere."""
    found = shutil.which("haraka")
    if found:
        return pathlib.Path(found)
    folders = [PEERS / "haraka" / "node_modules"]
    if shutil.which("npm"):
        told = subprocess.run(["npm", "root", "-g"], check=False, capture_output=True, text=True)
        folders.append(pathlib.Path(told.stdout.strip()))
    return next((path for folder in folders if (path := folder / "Haraka" / "bin" / "haraka").exists()), None)


# An alias is looked up in a map that is in memory, as the other relays' tables are.
_HARAKA_TABLE = """
'use strict';
const fs = require('fs');
const map = new Map(fs.readFileSync(process.env.BENCH_TABLE, 'utf8').split('\\n').filter(Boolean).map((line) => line.split(' ')));
exports.hook_rcpt = function (next, connection, params) {
  const said = params[0].address;  // a method before 3.1, a property since
  const target = map.get((typeof said === 'function' ? params[0].address() : said).toLowerCase());
  if (target) {
    const to = connection.transaction.rcpt_to;
    to.pop();
    to.push(new params[0].constructor(`<${target}>`));
  }
  connection.relaying = true;
  next(OK);
};
exports.hook_get_mx = function (next) {
  next(OK, { priority: 0, exchange: '127.0.0.1', port: +process.env.BENCH_SINK });
};
"""


class HarakaRelay:
    """In one process for each processor; a mail is queued when its file is synced, which its outbound queue does by itself."""

    label, tls_in, options = "haraka", True, []

    def __init__(self, directory, sink, table, certificates=None):
        self.directory, self.sink = pathlib.Path(directory), sink
        self.port, self.process, self.group = free_port(), None, CpuGroup("haraka")
        for folder in ("config", "plugins", "queue"):
            (self.directory / folder).mkdir(parents=True)
        (self.directory / "table").write_text("".join(f"{a} {t}\n" for a, t in table), encoding="ascii")
        (self.directory / "plugins/moved.js").write_text(_HARAKA_TABLE, encoding="ascii")
        files = {"smtp.ini": f"listen=127.0.0.1:{self.port}\nnodes=cpus\n", "me": OWN_NAME + "\n", "log.ini": "[main]\nlevel=WARN\n",
                 "plugins": "moved\n", "outbound.ini": "concurrency_max=20\nenable_tls=false\nlocal_mx_ok=true\npool_concurrency_max=20\n",
                 "connection.ini": "[main]\n[haproxy]\n[headers]\nmax_lines=1000\nmax_received=100\n[max]\nbytes=52428800\nmime_parts=1000\n"
                 "line_length=512\ndata_line_length=992\n[message]\nhelo=Hello.\nclose=Bye.\n[uuid]\nbanner_chars=6\ndeny_chars=0\n"}
        if certificates:
            files["plugins"] = "tls\nmoved\n"
            files["tls.ini"] = (f"key={certificates.key}\ncert={certificates.chain}\n[outbound]\nrejectUnauthorized=true\n"
                                f"servername={sink.name}\n")
            files["outbound.ini"] = files["outbound.ini"].replace("enable_tls=false", "enable_tls=true")
        for name, text in files.items():
            (self.directory / "config" / name).write_text(text, encoding="ascii")

    def start(self):
        self.process = Process([haraka_program(), "-c", self.directory], self.directory / "haraka.log",
                               env={"BENCH_TABLE": str(self.directory / "table"), "BENCH_SINK": str(self.sink.port),
                                    **({"NODE_EXTRA_CA_CERTS": str(self.sink.certificates.ca)} if self.sink.certificates else {})})
        self.group.add(self.process.pid)
        wait_for(lambda: self.process.check_alive() and listens(self.port), lambda: f"Haraka's port; it says: {self.process.output()}")
        self.group.add(*descendants(self.process.pid))
        return self

    @property
    def process_id(self):
        return self.process.pid

    def cpu(self):
        return self.group.seconds()

    def wait_queue(self, messages=0, seconds=300):
        assert messages == 0
        wait_for(lambda: not any(path.is_file() for path in (self.directory / "queue").rglob("*")), "Haraka's queue empty", seconds)

    def stop(self):
        if self.process:
            self.process.stop()


def present(tls):
    """The classes of the peers that are fetched or installed, and why others are not."""
    found, absent = [], {}
    for relay in (EximRelay, OpenSmtpdRelay):
        if not (PEERS / f"{relay.label}.complete").exists():
            absent[relay.label] = f"tools/fetch-peers {relay.label} has not been run"
        elif tls and not relay.tls_in:
            absent[relay.label] = "can't be a server of TLS"
        else:
            found.append(relay)
    if haraka_program():
        found.append(HarakaRelay)
    else:
        absent["haraka"] = "not installed"
    return found, absent


@contextlib.contextmanager
def started(lab, relay, *arguments):
    """None, with a word about why, if it does not come up: the others are measured all the same."""
    try:
        peer = relay(lab.folder(f"{relay.label}-{'tls' if arguments[-1] else 'plain'}"), *arguments).start()
    except (OSError, RigError) as error:
        lab.say(f"  {relay.label} is left out: {error}")
        yield None
        return
    try:
        yield peer
    finally:
        peer.stop()


def name_of(label):
    return {"exim": "Exim", "opensmtpd": "OpenSMTPD", "haraka": "Haraka"}[label]
