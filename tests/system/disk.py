"""A disk whose power can be cut: what was not synced is lost, kept or torn, by chance.

Watches the spool of a gateway that runs with tests/system/preload/watched_disk.c. kill() the gateway, then cut(): the
folder then holds what the disk could have held at that moment.
"""

import errno
import os
import struct

RECORD = struct.Struct("=ccIQQ")
PAGE, SECTOR = 4096, 512
FAILED = b"\1"


class File:
    """What is on the disk for sure, and what may be."""

    def __init__(self, image=b""):
        self.image = bytearray(image)
        self.pending = []  # ("write", offset, octets) | ("size", octets) | ("allocate", octets)

    def apply(self, what):
        kind, number, *octets = what
        if kind == "size":
            del self.image[number:]
            self.grow(number)
        elif kind == "allocate":
            self.grow(number)
        else:
            self.grow(number + len(octets[0]))
            self.image[number:number + len(octets[0])] = octets[0]

    def grow(self, size):
        if len(self.image) < size:
            self.image.extend(bytes(size - len(self.image)))

    def settle(self, keeps=None):
        """Everything pending is on the disk; with `keeps`, what it says of each page."""
        for what in self.pending:
            if keeps is None:
                self.apply(what)
            elif what[0] != "write":
                if keeps():
                    self.apply(what)
            else:
                self.tear(what[1], what[2], keeps)
        self.pending = []

    def tear(self, offset, octets, keeps):
        at = 0
        while at < len(octets):
            end = min(len(octets), at + PAGE - (offset + at) % PAGE)
            kept = keeps()
            if kept == "torn":
                end = min(end, at + SECTOR)
            if kept:
                self.apply(("write", offset + at, octets[at:end]))
            at = min(len(octets), at + PAGE - (offset + at) % PAGE)


class PowerCut:
    """One spool folder. environment() for each start of the gateway; cut() after each kill."""

    def __init__(self, directory, layer, chance):
        self.directory, self.layer, self.chance = directory, layer, chance
        self.log_file = directory.with_name(directory.name + ".disk-log")

    def environment(self, fail_at=None, error=errno.EIO, on=False, slow_us=0):
        """fail_at: which operation fails, counted from 1; on: and every later one like it. slow_us: for each sync."""
        self.log_file.unlink(missing_ok=True)
        self.base = {path: path.read_bytes() for path in self.files()}
        self.inodes = {path.stat().st_ino: path for path in self.base}
        made = {"LD_PRELOAD": self.layer, "DISK_DIR": str(self.directory), "DISK_LOG": str(self.log_file),
                "DISK_SLOW": str(slow_us)}
        if fail_at:
            made["DISK_FAIL"] = f"{fail_at} {error}" + (" on" if on else "")
        return made

    def files(self):
        return [path for path in self.directory.rglob("*") if path.is_file()]

    def records(self):
        """(kind, failed, inode, offset, octets) in the order in which they happened."""
        with open(self.log_file, "rb") as log:
            while len(head := log.read(RECORD.size)) == RECORD.size:
                kind, failed, length, inode, offset = RECORD.unpack(head)
                octets = log.read(length)
                if len(octets) < length:
                    return  # killed while it was written down: it had not happened
                yield kind.decode(), failed == FAILED, inode, offset, octets

    def operations(self):
        """Kinds of what could have failed."""
        return [kind for kind, *_ in self.records() if kind not in "OT"]

    def cut(self):
        """Returns how many pending things there were."""
        names = {str(path): File(octets) for path, octets in self.base.items()}
        files = {inode: names[str(path)] for inode, path in self.inodes.items()}
        folders = {os.stat(path).st_ino: path for path, *_ in os.walk(self.directory)}
        renames = []  # that are pending, of names: ("link", path, file) | ("rename", old, new) | ("unlink", path)
        for kind, failed, inode, offset, octets in self.records():
            if kind in "CO" and not failed and (kind == "C" or inode not in files):
                files[inode] = names.get(octets.decode(), File()) if kind == "O" else File()
                if kind == "C":
                    renames.append(("link", octets.decode(), files[inode]))
            elif kind == "W":
                files[inode].pending.append(("write", offset, octets))
            elif kind in "TA" and not failed:
                files[inode].pending.append(("size" if kind == "T" else "allocate", offset))
            elif kind == "S":
                # After a failed sync the system takes the pages for clean: no later sync writes them.
                files[inode].settle(self.keeps() if failed else None)
            elif kind == "D" and not failed:
                here = [one for one in renames if os.path.dirname(one[1]) == folders.get(inode)]
                renames = [one for one in renames if one not in here]
                self.name(names, here)
            elif kind == "R" and not failed:
                renames.append(("rename", *octets.decode().split("\0")))
            elif kind == "U" and not failed:
                renames.append(("unlink", octets.decode()))
        pending = len(renames) + sum(len(file.pending) for file in files.values())
        self.name(names, renames[:self.chance.randrange(len(renames) + 1)])  # file systems keep their order
        for file in {id(file): file for file in files.values()}.values():
            file.settle(self.keeps())
        for path in self.files():
            path.unlink()
        for path, file in names.items():
            with open(path, "wb") as out:
                out.write(file.image)
            os.chmod(path, 0o600)
        return pending

    @staticmethod
    def name(names, renames):
        for kind, path, *rest in renames:
            if kind == "link":
                names[path] = rest[0]
            elif kind == "unlink":
                names.pop(path, None)
            elif path in names:
                names[rest[0]] = names.pop(path)

    def keeps(self):
        """A chance for each page: nothing, everything, or some."""
        share = self.chance.choice([0.0, 1.0, self.chance.random(), self.chance.random()])

        def one():
            if self.chance.random() >= share:
                return False
            return "torn" if share < 1 and self.chance.random() < 0.02 else True
        return one
