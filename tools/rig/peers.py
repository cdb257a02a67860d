"""Postfix and Exim, unpacked by tools/fetch-peers, each from a configuration folder of its own on loopback."""

import os
import pathlib
import re
import shutil
import subprocess

from .processes import Process, RigError, free_port, wait_for
from .programs import ROOT

PEERS = ROOT / "build" / "peers"

# Postfix wants a user and a group that nobody else uses. These exist on every Debian and own no process there, so that
# nothing has to be added to the machine's accounts.
_MAIL_OWNER, _SETGID_GROUP = "uucp", "games"


def fetch(*names):
    fetched = subprocess.run([ROOT / "tools" / "fetch-peers", *names], check=False, capture_output=True, text=True)
    if fetched.returncode != 0:
        raise RigError(f"tools/fetch-peers {' '.join(names)}: {fetched.stderr}")


class Postfix:
    """A Postfix with one smtpd port. As a client it sends everything to `relay_port`; as a server it keeps mail in
    one Maildir for all addresses."""

    def __init__(self, directory, certificates=None, name="mx.peer.example"):
        if os.geteuid() != 0:
            raise RigError("Postfix can only be run by root")
        fetch("postfix")
        self.directory, self.name = pathlib.Path(directory), name
        self.home = PEERS / "postfix"
        self.port = free_port()
        self.log_file = self.directory / "maillog"
        self.maildir = self.directory / "mail" / "all"
        self.certificates = certificates
        self.settings, self.services = {}, []  # of main.cf, and lines of master.cf
        self.process = None

    def libraries(self):
        return f"{self.home}/usr/lib/postfix:{self.home}/usr/lib/x86_64-linux-gnu"

    def environment(self):
        return {**os.environ, "LD_LIBRARY_PATH": self.libraries()}

    def main_cf(self):
        settings = {
            "compatibility_level": "3.6", "myhostname": self.name, "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4", "mynetworks": "127.0.0.0/8", "mydestination": "", "alias_maps": "",
            "mail_owner": _MAIL_OWNER, "setgid_group": _SETGID_GROUP,
            "command_directory": f"{self.home}/usr/sbin", "daemon_directory": f"{self.home}/usr/lib/postfix/sbin",
            "shlib_directory": f"{self.home}/usr/lib/postfix", "meta_directory": f"{self.home}/etc/postfix",
            "queue_directory": f"{self.directory}/queue", "data_directory": f"{self.directory}/data",
            "maillog_file": str(self.log_file), "maillog_file_prefixes": str(self.directory),
            "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH",
            "smtputf8_enable": "yes", "message_size_limit": "50000000", "mailbox_size_limit": "0",
            "virtual_mailbox_limit": "0", "biff": "no", "smtpd_tls_security_level": "none",
            "queue_run_delay": "2s", "minimal_backoff_time": "2s", "maximal_backoff_time": "4s",
            "smtp_host_lookup": "native", "smtp_dns_support_level": "disabled",
        }
        if self.certificates:
            settings |= {"smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtpd_tls_cert_file": self.certificates.chain,
                         "smtpd_tls_key_file": self.certificates.key}
        return settings | self.settings

    def accept_for(self, domain):
        """As a server: every address of this domain, in one Maildir."""
        self.settings |= {
            "virtual_mailbox_domains": domain, "virtual_mailbox_maps": "static:all/",
            "virtual_mailbox_base": str(self.maildir.parent), "virtual_uid_maps": "static:8",
            "virtual_gid_maps": "static:8", "virtual_minimum_uid": "1"}
        return self

    def relay_through(self, port, ca_file=None):
        self.settings |= {"relayhost": f"[127.0.0.1]:{port}"}
        if ca_file:
            self.settings |= {"smtp_tls_security_level": "verify", "smtp_tls_loglevel": "1", "smtp_tls_CAfile": ca_file,
                              "smtp_tls_verify_cert_match": "gw.corp.example"}
        return self

    def write_config(self):
        config = self.directory / "etc"
        config.mkdir(parents=True, exist_ok=True)
        (config / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in self.main_cf().items()))
        services = [f"127.0.0.1:{self.port} inet n - n - - smtpd"]
        services += [f"{name} unix {private} {'n' if name == 'virtual' else '-'} n {wakeup} {limit} {command}" for name, private, wakeup, limit, command in [
            ("pickup", "n", "60", "1", "pickup"), ("cleanup", "n", "-", "0", "cleanup"), ("qmgr", "n", "300", "1", "qmgr"),
            ("tlsmgr", "-", "1000?", "1", "tlsmgr"), ("rewrite", "-", "-", "-", "trivial-rewrite"),
            ("bounce", "-", "-", "0", "bounce"), ("defer", "-", "-", "0", "bounce"), ("trace", "-", "-", "0", "bounce"),
            ("verify", "-", "-", "1", "verify"), ("flush", "n", "1000?", "0", "flush"), ("proxymap", "-", "-", "-", "proxymap"),
            ("smtp", "-", "-", "-", "smtp"), ("relay", "-", "-", "-", "smtp"), ("showq", "n", "-", "-", "showq"),
            ("error", "-", "-", "-", "error"), ("retry", "-", "-", "-", "error"), ("discard", "-", "-", "-", "discard"),
            ("virtual", "-", "-", "-", "virtual"), ("anvil", "-", "-", "1", "anvil"), ("scache", "-", "-", "1", "scache")]]
        services += ["postlog unix-dgram n - n - 1 postlogd", *self.services]
        (config / "master.cf").write_text("\n".join(services) + "\n")

    def start(self):
        self.write_config()
        self.make_folders()
        self.process = Process([self.home / "usr/lib/postfix/sbin/master", "-c", self.directory / "etc", "-d"],
                               self.directory / "master.log", env={"LD_LIBRARY_PATH": self.libraries()})
        def listening():
            self.process.check_alive()
            return self.log_file.exists() and "daemon started" in self.log_file.read_text()
        wait_for(listening, lambda: f"Postfix; {self.process.output()}")
        return self

    def make_folders(self):
        queue = self.directory / "queue"
        for name in ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
                     "trace"]:
            (queue / name).mkdir(parents=True, mode=0o700)
            shutil.chown(queue / name, _MAIL_OWNER)
        (queue / "pid").mkdir()
        for name, mode in [("maildrop", 0o730), ("public", 0o710)]:
            (queue / name).mkdir()
            (queue / name).chmod(mode)
            shutil.chown(queue / name, _MAIL_OWNER, _SETGID_GROUP)
        (self.directory / "data").mkdir(mode=0o700)
        shutil.chown(self.directory / "data", _MAIL_OWNER)
        self.maildir.parent.mkdir()
        shutil.chown(self.maildir.parent, 8, 8)
        for folder in [self.directory, *self.directory.parents]:  # its processes must be able to pass
            if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)

    def stop(self):
        if self.process:
            self.process.stop()

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def queue_listing(self):
        listed = subprocess.run([self.home / "usr/sbin/postqueue", "-c", self.directory / "etc", "-p"], check=False,
                                capture_output=True, text=True, env=self.environment())
        return listed.stdout + listed.stderr

    def delivered(self):
        """Every message in the Maildir, as bytes."""
        folder = self.maildir / "new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


class Exim:
    """An Exim that sends one message at a time, with BDAT when CHUNKING is offered."""

    def __init__(self, directory, relay_port, ca_file=None):
        if os.geteuid() != 0:
            raise RigError("Exim can only be run by root")
        fetch("exim")
        self.directory = pathlib.Path(directory)
        self.home = PEERS / "exim"
        self.config, self.launcher = self.directory / "exim.conf", self.directory / "exim"
        tls = [f"  tls_verify_certificates = {ca_file}", "  hosts_require_tls = *", "  tls_sni = gw.corp.example",
               "  tls_verify_hosts = *", "  tls_verify_cert_hostnames ="] if ca_file else ["  hosts_avoid_tls = *"]
        self.config.write_text("\n".join([
            "primary_hostname = exim.peer.example", f"exim_path = {self.launcher}",
            f"spool_directory = {self.directory}/spool",
            f"log_file_path = {self.directory}/%slog", "exim_user = mail", "exim_group = mail",
            "keep_environment =",
            "never_users =", "trusted_users = root", "smtputf8_advertise_hosts = *", "allow_utf8_domains = true",
            "begin routers", "all:", "  driver = manualroute", "  route_list = * 127.0.0.1",
            "  transport = waypost", "  self = send",
            "begin transports", "waypost:", "  driver = smtp", f"  port = {relay_port}", "  allow_localhost",
            "  hosts_try_chunking = *", *tls, ""]))
        for folder in [self.directory, *self.directory.parents]:
            if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        shutil.chown(self.directory, 8, 8)
        self.write_launcher()

    def write_launcher(self):
        """Debian's Exim insists on a user of its own; it sees one without the machine having it."""
        for name, line in [("passwd", "Debian-exim:x:8:8::/nonexistent:/usr/sbin/nologin"), ("group", "Debian-exim:x:8:")]:
            accounts = pathlib.Path("/etc", name).read_text(encoding="utf-8")
            (self.directory / name).write_text(accounts + line + "\n", encoding="utf-8")
        libraries = f"{self.home}/usr/lib/x86_64-linux-gnu"
        self.launcher.write_text(
            f"#!/bin/sh\nexport LD_LIBRARY_PATH={libraries} LD_PRELOAD={libraries}/libnss_wrapper.so\n"
            f"export NSS_WRAPPER_PASSWD={self.directory}/passwd NSS_WRAPPER_GROUP={self.directory}/group\n"
            f"exec {self.home}/usr/sbin/exim4 \"$@\"\n", encoding="utf-8")
        self.launcher.chmod(0o755)

    def send(self, sender, recipients, content):
        """Takes a message in and delivers it; returns Exim's main log. Two runs, because only a set-user-id Exim could
        do both in one."""
        self.run(["-odq", "-oi", "-f", sender, *recipients], content)
        queued = self.run(["-bpr"]).stdout.decode()
        ids = re.findall(r"\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}\b", queued)
        self.run(["-M", *ids])
        return (self.directory / "mainlog").read_text(encoding="utf-8", errors="replace")

    def run(self, arguments, content=b""):
        ran = subprocess.run([self.launcher, "-C", self.config, *arguments], check=False, input=content,
                             capture_output=True, timeout=120)
        if ran.returncode != 0:
            raise RigError(f"exim {' '.join(arguments)}: {ran.returncode} {ran.stderr.decode('utf-8', 'replace')}")
        return ran
