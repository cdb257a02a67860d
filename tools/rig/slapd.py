"""OpenLDAP's slapd with a schema like Exchange's, from a folder of its own on loopback."""

import base64
import os
import pathlib
import subprocess

from .peers import PEERS, fetch, listens
from .processes import Process, RigError, free_port, wait_for

BASE = "DC=corp,DC=example"
PEOPLE = f"OU=People,{BASE}"
READER = f"CN=reader,{BASE}"
PASSWORD = "a password for the tests"

# Names and types as in Exchange's schema; the numbers are ours (RFC 4512 §1.4 leaves them to us below an arc for examples).
_SCHEMA = """
attributetype ( 1.3.6.1.4.1.32473.1.1 NAME 'proxyAddresses'
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.32473.1.2 NAME 'targetAddress' SINGLE-VALUE
  EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.32473.1.3 NAME 'homeMDB' SINGLE-VALUE
  EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.3.6.1.4.1.32473.1.4 NAME 'objectGUID' SINGLE-VALUE
  EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
attributetype ( 1.3.6.1.4.1.32473.1.5 NAME 'uSNChanged' SINGLE-VALUE
  EQUALITY integerMatch ORDERING integerOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )
attributetype ( 1.3.6.1.4.1.32473.1.6 NAME 'msExchRecipientTypeDetails' SINGLE-VALUE
  EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )
attributetype ( 1.3.6.1.4.1.32473.1.7 NAME 'extensionAttribute10' SINGLE-VALUE
  EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.32473.2.1 NAME 'user' SUP top STRUCTURAL MUST cn
  MAY ( mail $ userPassword $ proxyAddresses $ targetAddress $ homeMDB $ objectGUID $ uSNChanged $
        msExchRecipientTypeDetails $ extensionAttribute10 ) )
"""


def entry(dn, **attributes):
    """One entry as LDIF; a value is a text, bytes or a list of them."""
    lines = [f"dn: {dn}"]
    for name, values in attributes.items():
        for value in values if isinstance(values, list) else [values]:
            plain = isinstance(value, str) and value.isascii() and not value.startswith((" ", ":", "<"))
            octets = value if isinstance(value, bytes) else value.encode()
            lines.append(f"{name}: {value}" if plain else f"{name}:: {base64.b64encode(octets).decode()}")
    return "\n".join(lines) + "\n\n"


def person(name, number, domain="corp.example", **attributes):
    """A mail user as Exchange leaves it behind when the mailbox has moved. None takes an attribute away."""
    values = {"objectClass": "user", "cn": name, "mail": f"{name}@{domain}",
              "proxyAddresses": [f"SMTP:{name}@{domain}", f"smtp:{name}.alias@{domain}", f"X500:/o=Corp/cn={name}"],
              "targetAddress": f"SMTP:{name}@orgname.awsapps.com",
              "objectGUID": number.to_bytes(16, "big"), "uSNChanged": str(number), "msExchRecipientTypeDetails": "128"}
    values |= attributes
    return entry(f"CN={name},{PEOPLE}", **{key: value for key, value in values.items() if value is not None})


class Slapd:
    """Life: add -> start -> stop. `limits`: lines of slapd.conf below the database."""

    def __init__(self, directory, certificates=None, limits=(), label="slapd"):
        fetch("slapd")
        self.directory = pathlib.Path(directory) / label
        (self.directory / "db").mkdir(parents=True)
        self.home, self.certificates, self.limits = PEERS / "slapd", certificates, list(limits)
        self.port, self.tls_port = free_port(), free_port()
        self.process = None
        self.password_file = self.directory / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)
        self._write_config()
        self.load(entry(BASE, objectClass=["top", "domain"], dc="corp")
                  + entry(PEOPLE, objectClass="organizationalUnit", ou="People")
                  + entry(READER, objectClass="user", cn="reader", userPassword=PASSWORD))

    def _program(self, name):
        for folder in (self.home / "usr/sbin", self.home / "usr/bin", pathlib.Path("/usr/sbin")):
            if (folder / name).exists():
                return folder / name
        raise RigError(f"{self.home} has no {name}")

    def _environment(self):
        return {"LD_LIBRARY_PATH": f"{self.home}/usr/lib/x86_64-linux-gnu"}

    def _write_config(self):
        schemas = self.home / "etc/ldap/schema"
        (self.directory / "exchange.schema").write_text(_SCHEMA)
        lines = [f"include {schemas}/core.schema", f"include {schemas}/cosine.schema", f"include {self.directory}/exchange.schema",
                 f"pidfile {self.directory}/pid", f"modulepath {self.home}/usr/lib/ldap", "moduleload back_mdb"]
        if self.certificates:
            lines += [f"TLSCertificateFile {self.certificates.chain}", f"TLSCertificateKeyFile {self.certificates.key}"]
        lines += ["database mdb", f"suffix {BASE}", f"rootdn CN=admin,{BASE}", f"rootpw {PASSWORD.replace(' ', '')}", "maxsize 2000000000",
                  f"directory {self.directory}/db", "dbnosync", "index objectClass eq", "index targetAddress sub,eq", "index uSNChanged eq",
                  "access to attrs=userPassword by anonymous auth", "access to * by users read", *self.limits]
        (self.directory / "slapd.conf").write_text("\n".join(lines) + "\n")

    def _run(self, name, *arguments, text=""):
        ran = subprocess.run([str(a) for a in [self._program(name), *arguments]], input=text, check=False, capture_output=True, text=True,
                             env={**os.environ, **self._environment()})
        if ran.returncode != 0:
            raise RigError(f"{name} ended with {ran.returncode}: {ran.stderr}")
        return ran.stdout

    def load(self, ldif):
        """Into the database, while slapd is not running."""
        self._run("slapadd", "-q", "-f", self.directory / "slapd.conf", text=ldif)

    def modify(self, ldif):
        """Changes of a running slapd, as ldapmodify reads them."""
        self._run("ldapmodify", "-x", "-H", f"ldap://127.0.0.1:{self.port}", "-D", f"CN=admin,{BASE}", "-w", PASSWORD.replace(" ", ""),
                  text=ldif)

    def start(self):
        listen = f"ldap://127.0.0.1:{self.port}/" + (f" ldaps://127.0.0.1:{self.tls_port}/" if self.certificates else "")
        self.process = Process([self._program("slapd"), "-f", self.directory / "slapd.conf", "-h", listen, "-d", "256"],
                               self.directory / "log", env=self._environment())
        wait_for(lambda: self.process.check_alive() and listens(self.port), lambda: f"slapd: {self.process.output()[-2000:]}")
        return self

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def log(self):
        return self.process.output()

    def options(self, *servers, **settings):
        """A directory of a gateway's configuration; `servers`: default: this one by ldaps."""
        options = {"servers": list(servers) or [f"ldaps://127.0.0.1:{self.tls_port}"], "base": PEOPLE, "bind_dn": READER,
                   "password_file": str(self.password_file), "snapshot": str(self.directory.parent / "ad.csv")}
        if self.certificates:
            options["ca_file"] = self.certificates.ca
        return options | settings
