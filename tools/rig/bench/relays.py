"""The relays, each with the same task: 100,000 rewrites from a table, everything to one next hop, durably.

Each has port, cpu() in seconds since its start, and stop(). How it is set up stands in docs/benchmark.md.
"""

import pathlib
import subprocess

from ..gateway import OWN_DOMAIN, OWN_NAME, TARGET_DOMAIN, Gateway
from ..peers import Postfix
from ..processes import wait_for
from .lab import idle
from .measure import cpu_seconds


def entries(count):
    return [(f"user{n}@{OWN_DOMAIN}", f"user{n}@{TARGET_DOMAIN}") for n in range(count)]


class Waypost:
    """With the defaults of config/waypost.yaml; what a test gateway changes for speed of testing is put back."""

    label = "waypost"

    def __init__(self, directory, sink, table, certificates=None, changes=None):
        self.gateway = Gateway(directory, certificates=certificates)
        self.gateway.route(sink)
        for section, keys in [("spool", ["segment_size", "spare_segments", "minimum_free"]), ("queue", ["backoff", "jitter"])]:
            for key in keys:
                self.gateway.config[section].pop(key)
        self.gateway.write_table(table)
        self.gateway.change(changes or {})

    def start(self):
        self.gateway.start()
        self.wait_spares()
        return self

    def wait_spares(self):
        """Spare segments are filled with zeros in the background after the first start; that would share the disk."""
        spares = 2
        wait_for(lambda: len(list(self.gateway.spool_directory.glob("*.log"))) >= spares, "spare segments")
        idle(self.pid)

    @property
    def pid(self):
        return self.gateway.process.pid

    @property
    def port(self):
        return self.gateway.smtp_port

    def cpu(self):
        return cpu_seconds(self.pid)

    def wait_queue(self, messages=0, seconds=120):
        """Until no more than so many messages are in the queue."""
        wait_for(lambda: self.gateway.queued() <= messages, "Waypost's queue empty", seconds)

    def stop(self):
        self.gateway.stop()


class PostfixRelay:
    """The settings of the measurements that we compare with; nothing that weakens its durability."""

    label = "postfix"

    def __init__(self, directory, sink, table, certificates=None, ca_file=None):
        self.postfix = Postfix(directory, certificates, name=OWN_NAME)
        home = self.postfix.home
        meta = pathlib.Path(directory) / "meta"
        meta.mkdir(parents=True)
        (meta / "dynamicmaps.cf").write_text(
            f"lmdb\t{home}/usr/lib/postfix/postfix-lmdb.so\tdict_lmdb_open\tmkmap_lmdb_open\n", encoding="ascii")
        self.table = pathlib.Path(directory) / "virtual"
        self.table.write_text("".join(f"{a} {t}\n" for a, t in table), encoding="ascii")
        self.postfix.settings |= {
            "meta_directory": str(meta), "in_flow_delay": "0", "default_process_limit": "150",
            "default_destination_concurrency_limit": "20", "initial_destination_concurrency": "20",
            "smtpd_client_connection_count_limit": "0", "smtpd_client_connection_rate_limit": "0",
            "smtpd_client_message_rate_limit": "0", "smtpd_client_recipient_rate_limit": "0",
            "smtpd_client_new_tls_session_rate_limit": "0", "smtpd_peername_lookup": "no",
            "virtual_alias_domains": OWN_DOMAIN, "virtual_alias_maps": f"lmdb:{self.table}",
            "relayhost": f"[127.0.0.1]:{sink.port}", "smtp_connection_cache_destinations": f"[127.0.0.1]:{sink.port}",
            "queue_run_delay": "300s", "minimal_backoff_time": "300s", "maximal_backoff_time": "4000s"}
        if sink.certificates:
            self.postfix.settings |= {
                "smtp_tls_security_level": "secure", "smtp_tls_CAfile": sink.certificates.ca,
                "smtp_tls_secure_cert_match": sink.name, "smtp_tls_connection_reuse": "yes",
                "smtp_tls_session_cache_database": f"lmdb:{directory}/data/smtp_scache",
                "smtpd_tls_session_cache_database": f"lmdb:{directory}/data/smtpd_scache"}
            self.postfix.services += ["tlsproxy unix - - n - 0 tlsproxy"]
        self.postfix.settings["smtpd_tls_loglevel"] = self.postfix.settings["smtp_tls_loglevel"] = "0"

    def start(self):
        self.postfix.write_config()
        made = subprocess.run([self.postfix.home / "usr/sbin/postmap", "-c", self.postfix.directory / "etc", f"lmdb:{self.table}"],
                              env=self.postfix.environment(), capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise OSError(f"postmap: {made.stderr}")
        self.postfix.start()
        return self

    @property
    def port(self):
        return self.postfix.port

    @property
    def process_id(self):
        return self.postfix.process.pid

    def cpu(self):
        return cpu_seconds(self.postfix.process.pid)

    def wait_queue(self, messages=0, seconds=120):
        assert messages == 0
        wait_for(lambda: "is empty" in self.postfix.queue_listing(), "Postfix's queue empty", seconds)

    def stop(self):
        self.postfix.stop()
