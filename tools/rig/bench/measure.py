"""What is measured, and how: CPU and memory of processes, the disk, medians and ratios."""

import atexit
import contextlib
import os
import pathlib
import statistics
import time

_TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    return int(fields[1]), [int(n) / _TICKS for n in fields[11:15]]  # parent; user, system, and those of ended children


def cpu_seconds(pid):
    """User and system time of a process and all its descendants, ended ones included, in seconds."""
    parents, times = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)], times[int(entry)] = _stat(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
    total, wanted = 0.0, {pid}
    for process in sorted(times):  # children have higher numbers, but for wrap-around: then twice
        if parents[process] in wanted:
            wanted.add(process)
    for process in sorted(times):
        if parents[process] in wanted:
            wanted.add(process)
    for process in wanted & set(times):
        total += sum(times[process])
    return total


class CpuGroup:
    """CPU of a relay whose parents do not wait for their children, so that their time is in nobody's account: a control group of
    their own counts it. Where none can be made: cpu_seconds() of the processes, which is too little then."""

    def __init__(self, name):
        self.pids, self.folder = [], None
        for root, file in [("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat")]:
            folder = pathlib.Path(root, f"waypost-bench-{os.getpid()}-{name}")
            if not (folder.parent / file).exists():
                continue
            try:
                folder.mkdir(exist_ok=True)
            except OSError:
                continue
            self.folder, self.file = folder, folder / file
            atexit.register(self._remove_empty)
            break

    def add(self, *pids):
        self.pids += pids
        for pid in pids if self.folder else ():
            (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def seconds(self):
        if not self.folder:
            return sum(cpu_seconds(pid) for pid in self.pids)
        text = self.file.read_text(encoding="ascii")
        return int(text) / 1e9 if self.file.name == "cpuacct.usage" else int(text.split()[1]) / 1e6

    def _remove_empty(self):
        """Those of earlier runs too, which were broken off or whose last process was still ending."""
        for folder in self.folder.parent.glob("waypost-bench-*"):
            with contextlib.suppress(OSError):
                folder.rmdir()


def pss_of_all(pid):
    """PSS of a process and its descendants, KiB."""
    total = 0
    for process in descendants(pid):
        with contextlib.suppress(OSError):
            total += pss_kib(process)
    return total


def descendants(pid):
    """The process and all below it, as they are now."""
    found = [pid]
    for process in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{process}/task"):
                found += [int(word) for word in pathlib.Path(f"/proc/{process}/task/{task}/children").read_text(encoding="ascii").split()]
    return found


def pss_kib(pid):
    """Proportional set size of one process, KiB."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise OSError(f"no Pss for pid {pid}")


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Disk:
    """The limit of the disk below `directory`: overwriting a zero-filled file, as a recycled segment is."""

    def __init__(self, directory, octets=64 * 2**20):
        self.path, self.octets = pathlib.Path(directory) / "raw-disk", octets
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        for at in range(0, octets, 2**20):
            os.pwrite(self.file, bytes(2**20), at)
        os.fsync(self.file)
        self.at = 0

    def synced_writes(self, octets=12 * 1024, count=1000, rate=None):
        """Seconds of each write + fdatasync of `octets`. rate: so many a second, by the clock, as mail would come."""
        data, seconds, due = os.urandom(octets), [], time.perf_counter()
        for _ in range(count):
            if rate:
                due += 1 / rate
                time.sleep(max(0, due - time.perf_counter()))
            if self.at + octets > self.octets:
                self.at = 0
            begun = time.perf_counter()
            os.pwrite(self.file, data, self.at)
            os.fdatasync(self.file)
            seconds.append(time.perf_counter() - begun)
            self.at += octets
        return seconds

    def sequential_octets_per_second(self, octets=512 * 2**20):
        """A new file, written in pieces of 1 MiB, with one sync at the end."""
        path, piece = self.path.with_suffix(".sequential"), os.urandom(2**20)
        begun = time.perf_counter()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for _ in range(octets // 2**20):
            os.write(file, piece)
        os.fdatasync(file)
        seconds = time.perf_counter() - begun
        os.close(file)
        path.unlink()
        return octets / seconds

    def cold_octets_per_second(self, octets=2 * 2**30):
        """A file that nothing of is in memory, read in pieces of 1 MiB."""
        path, piece = self.path.with_suffix(".cold"), os.urandom(2**20)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        for _ in range(octets // 2**20):
            os.write(file, piece)
        os.fdatasync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        begun = time.perf_counter()
        for at in range(0, octets, 2**20):
            os.pread(file, 2**20, at)
        seconds = time.perf_counter() - begun
        os.close(file)
        path.unlink()
        return octets / seconds

    def close(self):
        os.close(self.file)
        self.path.unlink()


class Series:
    """Figures of several rounds: their median, and how far they lie apart."""

    def __init__(self, values):
        self.values = list(values)

    @property
    def median(self):
        return statistics.median(self.values)

    def show(self, form):
        """`12,345 (11,900 to 13,010)`"""
        if len(self.values) == 1:
            return form(self.values[0])
        return f"{form(self.median)} ({form(min(self.values))} to {form(max(self.values))})"


def ratios(ours, theirs):
    """Round by round: both were measured next to one another."""
    return Series(a / b for a, b in zip(ours, theirs, strict=True))


def count(value):
    return f"{value:,.0f}"


def ratio(value):
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def microseconds(seconds):
    return f"{seconds * 1e6:,.0f} us"
