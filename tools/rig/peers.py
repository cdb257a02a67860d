"""Postfix, Exim and OpenSMTPD, unpacked by tools/fetch-peers, each from a configuration folder of its own on loopback."""

import os
import pathlib
import re
import shutil
import socket
import stat
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


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


class EximServer(Exim):
    """An Exim that takes mail for everybody into one Maildir; it is delivered there when somebody asks for it."""

    def __init__(self, directory, certificates=None, name="mx.peer.example"):
        super().__init__(directory, 0)
        self.port, self.process = free_port(), None
        self.maildir = self.directory / "maildir"
        tls = ["tls_advertise_hosts = "]
        if certificates:
            for file, mode in [(certificates.chain, 0o644), (certificates.key, 0o640)]:
                copy = self.directory / pathlib.Path(file).name
                shutil.copy(file, copy)
                shutil.chown(copy, 8, 8)
                copy.chmod(mode)
            tls = ["tls_advertise_hosts = *", f"tls_certificate = {self.directory / pathlib.Path(certificates.chain).name}",
                   f"tls_privatekey = {self.directory / pathlib.Path(certificates.key).name}"]
        self.config.write_text("\n".join([
            f"primary_hostname = {name}", f"exim_path = {self.launcher}", f"spool_directory = {self.directory}/spool",
            f"log_file_path = {self.directory}/%slog", "exim_user = mail", "exim_group = mail", "keep_environment =", "never_users =",
            "local_interfaces = 127.0.0.1", f"daemon_smtp_ports = {self.port}", "queue_only", "chunking_advertise_hosts = *",
            "message_size_limit = 50M", "acl_smtp_rcpt = accept_all", *tls,
            "begin acl", "accept_all:", "  accept",
            "begin routers", "all:", "  driver = accept", "  transport = keep",
            "begin transports", "keep:", "  driver = appendfile", f"  directory = {self.maildir}", "  maildir_format", "  user = mail",
            "  create_directory", ""]))

    def start(self):
        self.process = Process([self.launcher, "-C", self.config, "-bdf"], self.directory / "exim.log")
        wait_for(lambda: self.process.check_alive() and listens(self.port), lambda: f"Exim's port; it says: {self.process.output()}")
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def log(self):
        file = self.directory / "mainlog"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def delivered(self):
        self.run(["-qf"])
        folder = self.maildir / "new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


class SmtpSink:
    """Postfix's smtp-sink, which takes everything, or fails in the way that its options say."""

    def __init__(self, directory, *options):
        fetch("postfix")
        self.directory, self.options, self.port, self.process = pathlib.Path(directory), options, free_port(), None

    def start(self):
        home = PEERS / "postfix"
        libraries = f"{home}/usr/lib/postfix:{home}/usr/lib/x86_64-linux-gnu"
        user = ["-u", "mail"] if os.geteuid() == 0 else []
        self.process = Process([home / "usr/sbin/smtp-sink", *user, *self.options, f"127.0.0.1:{self.port}", "64"],
                               self.directory / f"smtp-sink-{self.port}.log", env={"LD_LIBRARY_PATH": libraries})
        wait_for(lambda: self.process.check_alive() and listens(self.port), lambda: f"smtp-sink; it says: {self.process.output()}")
        return self

    def stop(self):
        if self.process:
            self.process.kill()  # it knows no other end


class OpenSmtpd:
    """An OpenSMTPD with one port, in a root folder of its own: its paths and users are compiled in. It keeps mail for all
    addresses in one Maildir, or sends all of it through a relay."""

    CA_FILE = "etc/ssl/certs/ca-certificates.crt"

    def __init__(self, directory, certificates=None, name="mx.peer.example"):
        if os.geteuid() != 0:
            raise RigError("OpenSMTPD can only be run by root")
        if certificates:
            raise RigError("Debian 12's OpenSMTPD (6.8, with OpenSSL 3) fails in each handshake as a server")
        fetch("opensmtpd")
        self.directory, self.name = pathlib.Path(directory), name
        self.root = self.directory / "root"
        self.port = free_port()
        self.log_file = self.directory / "smtpd.log"
        self.action = 'maildir "/home/mail/Maildir" virtual <everybody>'
        self.ca_file, self.process = None, None

    def relay_through(self, port, ca_file=None):
        scheme = "smtp+tls" if ca_file else "smtp+notls"
        self.action, self.ca_file = f'relay host "{scheme}://gw.corp.example:{port}" helo "{self.name}"', ca_file
        return self

    def config(self):
        lines = ['table everybody { "@" = "mail" }']
        lines += [f"listen on 127.0.0.1 port {self.port} hostname {self.name}", f'action "all" {self.action}',
                  'match from any for any action "all"']
        return "\n".join(lines) + "\n"

    def make_root(self):
        peer, root = PEERS / "opensmtpd", self.root
        for folder in ["dev", "etc", "tmp", "run", "bin", "var/empty", "var/lib/opensmtpd/empty", "var/spool/smtpd", "home/mail",
                       "usr/sbin"]:
            (root / folder).mkdir(parents=True)
        shutil.copytree(peer / "usr/libexec", root / "usr/libexec")
        for program in ["smtpd", "smtpctl"]:
            shutil.copy(peer / "usr/sbin" / program, root / "usr/sbin")
        shutil.copy("/bin/sh", root / "bin/sh")
        (root / "var/run").symlink_to("../run")
        programs = [root / "usr/sbin/smtpd", root / "bin/sh", *(root / "usr/libexec/opensmtpd").iterdir()]
        listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True,
                                env={**os.environ, "LD_LIBRARY_PATH": f"{peer}/usr/lib/x86_64-linux-gnu"}).stdout
        for library in sorted(set(re.findall(r"(/\S+\.so\S*) \(0x", listed))):
            place = root / library.split(str(peer))[-1].lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)
        for name, minor in [("null", 3), ("random", 8), ("urandom", 9)]:
            os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            (root / "dev" / name).chmod(0o666)
        users = [("root", 0, "/"), ("mail", 8, "/home/mail"), ("opensmtpd", 71, "/var/empty"), ("opensmtpq", 72, "/var/empty")]
        texts = {"passwd": "".join(f"{n}:x:{i}:{i}::{home}:/bin/sh\n" for n, i, home in users),
                 "group": "".join(f"{n}:x:{i}:\n" for n, i, _ in users), "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
                 "hosts": "127.0.0.1 localhost gw.corp.example\n", "resolv.conf": "lookup file\nnameserver 127.0.0.1\n",
                 "mailname": self.name + "\n", "smtpd.conf": self.config()}
        for name, text in texts.items():
            (root / "etc" / name).write_text(text, encoding="utf-8")
        if self.ca_file:
            (root / self.CA_FILE).parent.mkdir(parents=True)
            shutil.copy(self.ca_file, root / self.CA_FILE)
        for folder, mode in [(root, 0o755), (root / "var/spool/smtpd", 0o711), (root / "tmp", 0o1777)]:
            folder.chmod(mode)
        shutil.chown(root / "home/mail", 8, 8)

    def start(self):
        self.make_root()
        self.process = Process(["chroot", self.root, "/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"], self.log_file)
        self.process.wait_output("OpenSMTPD")
        wait_for(lambda: self.process.check_alive() and listens(self.port), lambda: f"OpenSMTPD's port; it says: {self.log()}")
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def log(self):
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def delivered(self):
        folder = self.root / "home/mail/Maildir/new"
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []
