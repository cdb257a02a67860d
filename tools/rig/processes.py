"""Processes, ports and waiting: started by us, ended by us, by process id."""

import atexit
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time


class RigError(Exception):
    """Something in the rig did not come up or did not happen; the text says what and where to look."""


def wait_for(condition, what, seconds=30.0, pause=0.01):
    """Returns the first true value of condition(); RigError when the deadline passes.

    what: for the message, in words; may be a function that is called then.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise RigError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.1)


# Below the range from which the system takes ports for outgoing connections: a daemon that is down for a moment finds
# its port free when it comes back. Test processes that run side by side draw from different parts.
_FIRST_PORT, _PORTS, _PARTS = 20_000, 12_000, 8
_given_ports = itertools.count()


def free_port():
    """A loopback port that nobody listens on, and that this process has not given away before."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    part = int(worker[2:]) % (_PARTS - 1) + 1 if worker else 0
    size = _PORTS // _PARTS
    while True:
        port = _FIRST_PORT + part * size + (os.getpid() * 37 + next(_given_ports)) % size
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


_running = []


@atexit.register
def _end_what_is_left():
    for process in _running:
        process.kill()


class Process:
    """One child process with its output in a file. It does not outlive us."""

    def __init__(self, argv, log_file, env=None, cwd=None):
        self.argv = [str(a) for a in argv]
        self.log_file = str(log_file)
        with open(self.log_file, "ab") as log:
            self.start_offset = log.tell()
            self.child = subprocess.Popen(
                self.argv, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True)
        _running.append(self)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def output(self):
        with open(self.log_file, "rb") as log:
            log.seek(self.start_offset)
            return log.read().decode("utf-8", "replace")

    def check_alive(self):
        if not self.alive():
            raise RigError(f"{self.argv[0]} ended with {self.child.returncode}; {self.log_file} says:\n"
                           + self.output()[-4000:])
        return True

    def wait_output(self, text, seconds=30):
        """Waits until the log has `text`; the whole line is returned."""
        def line():
            for candidate in self.output().splitlines():
                if text in candidate:
                    return candidate
            self.check_alive()
            return None
        return wait_for(line, lambda: f"'{text}' in {self.log_file}:\n{self.output()[-2000:]}", seconds)

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """SIGKILL, and gone when this returns."""
        if self.alive():
            self.child.kill()
        return self.child.wait()

    def stop(self, seconds=40):
        """SIGTERM, then SIGKILL. Returns the exit code."""
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            try:
                return self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RigError(f"{self.argv[0]} (pid {self.pid}) did not end within {seconds} s of SIGTERM; "
                               f"see {self.log_file}") from None
        return self.child.returncode

    def peak_memory_kib(self):
        """VmHWM: the most resident memory that the process ever had."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
        raise RigError(f"no VmHWM for pid {self.pid}")
