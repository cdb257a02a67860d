"""One operation on the disk fails in each life of the gateway: a write, a sync, a name, each in its turn.

After each failure the process is killed, in every second life with the power cut. In the end everything that was ever
acknowledged has arrived. WAYPOST_EVERY_OPERATION=1 goes through all operations; without it, a dozen that WAYPOST_CRASH_SEED
chooses: always the same ones in a landing, others each time in tools/explore.
"""

import errno
import hashlib
import os
import random
import socket

import pytest
from conftest import message
from disk import PowerCut
from rig.exchange import Exchange
from rig.processes import wait_for
from rig.programs import sanitized

LONGEST_LIFE = 400  # operations: more than one life has
SEED = int(os.environ.get("WAYPOST_CRASH_SEED", "1"))
LARGE = 3_000_000  # streamed; a second one needs another segment


class Lives:
    def __init__(self, world, library):
        self.world, self.chance = world, random.Random(SEED)
        self.workmail = world.sink()
        self.gateway = world.gateway(self.workmail, users=["bob", "eve"], start=False)
        self.gateway.change({"spool": {"segment_size": "4 MiB", "stream_threshold": "128 KiB"}})
        self.disk = PowerCut(self.gateway.spool_directory, library, self.chance)
        self.acknowledged, self.answers, self.refused_starts = {}, {}, 0

    def live(self, number, cut_power=True, **failing):
        """One life; the kinds of operations that it had. It ends with a kill."""
        self.gateway.start(env=self.disk.environment(**failing), ready=False)
        process = self.gateway.process
        wait_for(lambda: not process.alive() or self.listens(), "a listening port, or a refusal to start")
        if process.alive():
            self.send_some(number)
            self.gateway.run("queue", "hold", "--recipient", "eve@corp.example")
            if self.chance.random() < 0.7:  # else the journal has something to say at the next start
                self.gateway.run("queue", "release", "--recipient", "eve@corp.example")
        else:
            self.explains(process)
        kinds = self.disk.operations()
        self.gateway.kill()
        if cut_power:
            self.disk.cut()
        return kinds

    def change_sides(self):
        """With nobody to take it the mail stays, and new segments are made."""
        if self.workmail.process.alive():
            self.workmail.stop()
        else:
            self.workmail.start()

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.gateway.smtp_port)) == 0

    def explains(self, process):
        self.refused_starts += 1
        said = process.output()
        assert process.child.returncode == 69, (process.child.returncode, said[-2000:])
        assert str(self.gateway.spool_directory) in said.splitlines()[-1], said[-2000:]

    def send_some(self, number):
        exchange = Exchange(self.gateway.smtp_port, ca_file=self.world.gateway_certificates.ca)
        for n in range(4):
            body = self.chance.randbytes(LARGE // 2 if n == 2 else 900).hex() + "\r\n"
            content = message(f"{number}-{n}", body="\r\n".join(body[i:i + 900] for i in range(0, len(body), 900)))
            sent = exchange.send("ann@ext.example", ["bob@corp.example", "eve@corp.example"], content,
                                 chunks=[LARGE // 2] if n == 2 else [])
            last = next((r for r in [sent.mail, *sent.recipients.values(), sent.verdict] if r and r.code >= 400),
                        sent.verdict)
            assert last.code in (250, 452, 451), sent
            self.answers[str(last.code)] = self.answers.get(str(last.code), 0) + 1
            if sent.accepted:
                self.acknowledged[hashlib.sha256(content).hexdigest()] = f"{number}-{n}"
            else:
                exchange.command("RSET")
        exchange.quit()

    def missing(self):
        arrived = {(record["sha256_below"], recipient["address"]) for record in self.workmail.records()
                   for recipient in record["recipients"]}
        return [(name, who) for digest, name in self.acknowledged.items()
                for who in ("bob@orgname.awsapps.com", "eve@orgname.awsapps.com") if (digest, who) not in arrived]


@pytest.mark.skipif(sanitized(), reason="a sanitized build can't be preloaded")
def test_nothing_is_lost_when_an_operation_fails(world, preload, capsys):
    lives = Lives(world, preload("watched_disk"))
    operations = len(lives.live(0))
    assert 30 < operations < LONGEST_LIFE, operations
    numbers = list(range(1, operations + operations // 4))
    if not os.environ.get("WAYPOST_EVERY_OPERATION"):
        numbers = sorted(lives.chance.sample(numbers, 12))
    kinds = set()
    for turn, number in enumerate(numbers):
        if turn % 3 == 2:
            lives.change_sides()
        for error, on in [(errno.EIO, False), (errno.ENOSPC, False), (errno.ENOSPC, True)]:
            lived = lives.live(f"{number}-{error}-{on}", cut_power=lives.chance.random() < 0.5, fail_at=number,
                               error=error, on=on)
            kinds.add(lived[number - 1] if number <= len(lived) else "none")
    with capsys.disabled():
        print(f"\n  seed {SEED}: {3 * len(numbers)} lives with a failed operation of kinds {''.join(sorted(kinds))}: "
              f"{len(lives.acknowledged)} messages acknowledged, answers {lives.answers}, "
              f"{lives.refused_starts} refused to start")
    if not lives.workmail.process.alive():
        lives.workmail.start()
    lives.gateway.start()
    lives.gateway.run("queue", "release", "--recipient", "eve@corp.example")
    wait_for(lambda: not lives.missing(), lambda: f"what was acknowledged: {lives.missing()[:10]}", 60)
    lives.gateway.wait_empty()
    verified = lives.gateway.run("spool", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
