"""A Samba Active Directory domain controller in namespaces of its own.

It wants ports 88 and 389, and its files below /usr. So it gets a network of its own, with nothing but loopback, and a
view of the file system where what tools/fetch-peers has unpacked lies over /usr. The machine sees nothing of it.
"""

import os
import pathlib
import subprocess

from .peers import PEERS, fetch
from .processes import Process, RigError, wait_for

REALM, HOST, BASE = "CORP.EXAMPLE", "dc1.corp.example", "DC=corp,DC=example"
ADMIN, ADMIN_PASSWORD = "administrator@corp.example", "Passw0rd.Administrator"
READER, READER_PASSWORD = "svc-waypost@corp.example", "Passw0rd.Service"

# What Exchange adds to the schema, as far as we need it: its own names, numbers and syntaxes.
_SCHEMA = f"""
dn: CN=ms-Exch-Target-Address,CN=Schema,CN=Configuration,{BASE}
changetype: add
objectClass: attributeSchema
lDAPDisplayName: targetAddress
attributeID: 1.2.840.113556.1.2.352
attributeSyntax: 2.5.5.12
oMSyntax: 64
isSingleValued: TRUE
searchFlags: 1
schemaIDGUID:: tmf5Nc5W0RGpwwAA+HVnXw==

dn: CN=ms-Exch-Home-MDB,CN=Schema,CN=Configuration,{BASE}
changetype: add
objectClass: attributeSchema
lDAPDisplayName: homeMDB
attributeID: 1.2.840.113556.1.2.244
attributeSyntax: 2.5.5.1
oMSyntax: 127
oMObjectClass:: KwwCh3McAIVK
isSingleValued: TRUE
schemaIDGUID:: hWf5Nc5W0RGpwwAA+HVnXw==

dn:
changetype: modify
add: schemaUpdateNow
schemaUpdateNow: 1

dn: CN=Mail-Recipient,CN=Schema,CN=Configuration,{BASE}
changetype: modify
add: mayContain
mayContain: targetAddress
mayContain: homeMDB

dn:
changetype: modify
add: schemaUpdateNow
schemaUpdateNow: 1
"""

_NAMESPACE = """
mount --make-rprivate / && mount -t overlay overlay -o lowerdir={home}/usr:/usr /usr &&
mount --bind {directory}/hosts /etc/hosts && ip link set lo up && echo the room is ready && exec sleep infinity
"""


class SambaDomain:
    """Life: start (provisions; some ten seconds) -> stop. `certificates` must name HOST."""

    def __init__(self, directory, certificates):
        if os.geteuid() != 0:
            raise RigError("Samba can only be run by root")
        fetch("samba")
        self.directory, self.certificates = pathlib.Path(directory), certificates
        self.room = self.process = None
        self.password_file = self.directory / "password"

    # ---- the namespaces

    def run(self, *argv, text="", env=None, check=True):
        """A program in the domain's world; a CompletedProcess."""
        ran = subprocess.run(["nsenter", "-t", str(self.room.pid), "-m", "-n", "--", *[str(a) for a in argv]], input=text, check=False,
                             capture_output=True, text=True, timeout=120, env={**os.environ, **self.environment(), **(env or {})})
        if check and ran.returncode != 0:
            raise RigError(f"{argv[0]} ended with {ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
        return ran

    def environment(self):
        return {"KRB5_CONFIG": f"{self.directory}/krb5.conf", "LDAPTLS_CACERT": str(self.certificates.ca)}

    # ---- life

    def start(self):
        self._write_files()
        self.room = Process(["unshare", "-m", "-n", "sh", "-c", _NAMESPACE.format(home=PEERS / "samba", directory=self.directory)],
                            self.directory / "room.log")
        self.room.wait_output("the room is ready")
        self.run("samba-tool", "domain", "provision", f"--realm={REALM}", "--domain=CORP", "--server-role=dc", "--dns-backend=NONE",
                 f"--adminpass={ADMIN_PASSWORD}", f"--targetdir={self.directory}/domain", "--host-name=dc1", "--host-ip=127.0.0.1")
        self.smb_conf = self.directory / "smb.conf"
        self._start_server()
        self.modify(_SCHEMA)
        # A real domain controller registers this name itself.
        self.modify(f"dn: CN=DC1,OU=Domain Controllers,{BASE}\nchangetype: modify\nadd: servicePrincipalName\n"
                    f"servicePrincipalName: ldap/{HOST}\n\n")
        self.run("samba-tool", "user", "add", READER.split("@")[0], READER_PASSWORD, "-s", self.smb_conf)
        return self

    def _write_files(self):
        hosts = pathlib.Path("/etc/hosts").read_text(encoding="utf-8")
        (self.directory / "hosts").write_text(f"127.0.0.1 {HOST} dc1\n{hosts}", encoding="utf-8")
        (self.directory / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_realm = false\n dns_lookup_kdc = false\n rdns = false\n"
            f" dns_canonicalize_hostname = false\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.1\n }}\n"
            f"[domain_realm]\n .corp.example = {REALM}\n")
        self.password_file.write_text(READER_PASSWORD + "\n")
        self.password_file.chmod(0o600)
        domain = self.directory / "domain"
        settings = {
            "binddns dir": domain / "bind-dns", "cache directory": domain / "cache", "lock directory": domain, "private dir": domain / "private",
            "state directory": domain / "state", "pid directory": domain / "run", "ncalrpc dir": domain / "run/ncalrpc",
            "ntp signd socket directory": domain / "run/ntp", "netbios name": "DC1", "realm": REALM, "workgroup": "CORP",
            "server role": "active directory domain controller", "server services": "ldap, kdc", "bind interfaces only": "yes",
            "interfaces": "lo", "dsdb:schema update allowed": "true",
            # As a Windows server does it: inside TLS no encryption by SASL besides.
            "ldap server require strong auth": "allow_sasl_over_tls", "tls certfile": self.certificates.chain,
            "tls keyfile": self.certificates.key, "tls cafile": self.certificates.ca}
        (self.directory / "smb.conf").write_text("[global]\n" + "".join(f"\t{key} = {value}\n" for key, value in settings.items()))

    def _start_server(self):
        (self.directory / "domain/run").mkdir(exist_ok=True)
        self.process = Process(["nsenter", "-t", self.room.pid, "-m", "-n", "--", "samba", "-F", "--no-process-group", "--model=single",
                                "-s", self.smb_conf, "--debug-stdout"], self.directory / "samba.log", env=self.environment())
        asked = []

        def answers():
            self.process.check_alive()
            asked.append(self.run("ldapsearch", *self._as_admin(), "-s", "base", "-b", BASE, "dn", check=False))
            return asked[-1].returncode == 0
        wait_for(answers, lambda: f"Samba: {asked[-1].stderr}{self.process.output()[-2000:]}", seconds=60)

    def stop(self):
        for process in (self.process, self.room):
            if process:
                process.stop()
        self.process = self.room = None

    # ---- what is in it

    def _as_admin(self):
        return ["-x", "-H", f"ldaps://{HOST}", "-D", ADMIN, "-w", ADMIN_PASSWORD]

    def modify(self, ldif):
        self.run("ldapmodify", *self._as_admin(), text=ldif)

    def keytab(self):
        """A file with the reader's Kerberos key."""
        path = self.directory / "reader.keytab"
        if not path.exists():
            self.run("samba-tool", "domain", "exportkeytab", path, f"--principal={READER.split('@')[0]}@{REALM}", "-s", self.smb_conf)
        return path


def unit(name):
    return f"dn: OU={name},{BASE}\nchangetype: add\nobjectClass: organizationalUnit\nou: {name}\n\n"


def person(name, where, *lines):
    """A mail user; its account name is made unique by `where`."""
    return (f"dn: CN={name},OU={where},{BASE}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}-{where}\nmail: {name}@corp.example\n"
            f"proxyAddresses: SMTP:{name}@corp.example\nproxyAddresses: smtp:{name}.alias@corp.example\n"
            f"targetAddress: SMTP:{name}@orgname.awsapps.com\n" + "".join(line + "\n" for line in lines) + "\n")
