"""L1: how long a full reading of a directory with 100,000 people takes, from slapd over TLS.

    python3 -m rig.bench.directory [PEOPLE] [ROUNDS]      (in tools/)
"""

import json
import shutil
import statistics
import sys

from ..gateway import Gateway
from ..programs import ROOT
from ..sink import Certificates
from ..slapd import Slapd, person

TARGET_SECONDS = 5.0


def measure(people, rounds, directory):
    """Seconds of each full reading; each person has two addresses in an own domain."""
    slapd = Slapd(directory, Certificates(directory / "tls", ["127.0.0.1"]), limits=["sizelimit unlimited"])
    slapd.load("".join(person(f"user{number:06}", number) for number in range(1, people + 1)))
    slapd.start()
    try:
        gateway = Gateway(directory)
        gateway.config["routing"]["target_domains"]["orgname.awsapps.com"] = "workmail"
        gateway.config["next_hops"]["workmail"] = {"hosts": ["127.0.0.1:25"], "tls": "none"}
        gateway.config["directories"] = {"ad": slapd.options()}
        gateway.write_config()
        taken = []
        for _ in range(rounds):
            ran = gateway.run("directory", "sync", "ad", "--full", "--json")
            outcome = json.loads(ran.stdout)
            if ran.returncode != 0 or outcome["entries"] != 2 * people:
                raise SystemExit(f"the reading failed: {ran.stdout}{ran.stderr}")
            taken.append(outcome["took_ms"] / 1000)
        return taken
    finally:
        slapd.stop()


def main():
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    directory = ROOT / "build" / "bench-directory"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    taken = measure(people, rounds, directory)
    median = statistics.median(taken)
    shutil.rmtree(directory, ignore_errors=True)
    print(f"{people} people in {median:.2f} s ({min(taken):.2f} to {max(taken):.2f}); target: {TARGET_SECONDS:g} s for 100000")
    return 0 if median <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
