# SPDX-License-Identifier: MPL-2.0
"""Child processes that never outlive the test run, and what /proc says about them."""
import os
import re
import signal
import subprocess
import threading
import time

from .net import PATIENCE, wait_until

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")


class Child:
    """A process whose stdout is kept as lines and whose stderr is a file. It dies with the thread that started it, so start it from
    the test's main thread."""

    def __init__(self, command, folder, name, nofile=None, env=None, stdin=False, cwd=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.stderr_path = os.path.join(folder, f"{name}-{os.urandom(3).hex()}.stderr")
        self.lines = []
        self._more = threading.Condition()
        self._ended = False
        self._last_words = None
        limit = ["prlimit", f"--nofile={nofile}:{nofile}"] if nofile else []
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *limit, *self.command],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, **(env or {})}, cwd=cwd, text=True, bufsize=1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def stderr(self):
        if self._last_words is not None:
            return self._last_words
        with open(self.stderr_path, errors="replace") as f:
            return f.read()

    def sanitizer_report(self):
        text = self.stderr()
        return text if SANITIZER.search(text) else ""

    def describe(self, why):
        return (f"{self.name}: {why}\ncommand: {' '.join(self.command)}\nexit code: {self.process.poll()}\n"
                f"stdout:\n" + "\n".join(self.lines[-50:]) + f"\nstderr:\n{self.stderr()[-20000:]}")

    def wait_line(self, accept, count=1, limit=PATIENCE, start=0):
        """The first `count` lines from line number `start` on that accept() is true of."""
        with self._more:
            self._more.wait_for(lambda: self._ended or sum(map(bool, map(accept, self.lines[start:]))) >= count, timeout=limit)
            found = [line for line in self.lines[start:] if accept(line)]
            ended = self._ended
        if len(found) >= count:
            return found[:count]
        raise AssertionError(self.describe("ended before it said what was awaited" if ended else f"said nothing fitting within {limit:.0f} s"))

    def has_said(self, text, count=1):
        """Waits until standard error has `text` that often: a log is written by a thread of its own, a moment after what it tells of."""
        wait_until(lambda: self.stderr().count(text) >= count, f"{self.name} to say {text!r}")
        return True

    def says(self, text, count=1):
        """The same, and no oftener."""
        return self.has_said(text, count) and self.stderr().count(text) == count

    def signal(self, number):
        self.process.send_signal(number)

    def suspend(self):
        """A peer that hangs: its kernel goes on accepting connections and bytes."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: status(self.pid, "State").startswith("T"), f"{self.name} to stop")

    def resume(self):
        self.signal(signal.SIGCONT)

    def wait(self, limit=PATIENCE):
        try:
            return self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.describe(f"did not end within {limit:.0f} s")) from None

    def terminate(self, limit=PATIENCE):
        """SIGTERM; returns the exit code."""
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait(limit)

    def kill(self):
        """SIGKILL, also for a suspended process; returns when it is gone."""
        if self.alive():
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=5)
        self._last_words = self.stderr()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    pass


def status(pid, key):
    """One value of /proc/PID/status, e.g. status(pid, 'Threads')."""
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(key + ":"):
                return line.split(":", 1)[1].strip()
    raise KeyError(key)


def rss_bytes(pid):
    return int(status(pid, "VmRSS").split()[0]) * 1024


def peak_rss_bytes(pid):
    return int(status(pid, "VmHWM").split()[0]) * 1024


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    """User and system time of all threads, by the clock of the process. /proc counts ticks, and misses most of who runs for less at a time."""
    return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of it
