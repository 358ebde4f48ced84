# SPDX-License-Identifier: MPL-2.0
"""The processes of a cell: a group of parts is a forked process with a thread for each, a program is a command. Both end with the cell, and
with the harness if that dies."""
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time

import zmq

from .part import Part, Report

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


class Group:
    """Parts of one process: `roles` is [(role, function, args, count, plan)]."""

    def __init__(self, name, kind):
        self.name, self.kind, self.roles = name, kind, []
        self.pid = self.pipe = self.report = None
        self.bytes = bytearray()

    def start(self, shared, seed):
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        harness = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            self._live(shared, seed, write_end, harness)
        os.close(write_end)
        os.set_blocking(read_end, False)
        self.pipe = read_end

    def _live(self, shared, seed, write_end, harness):
        """The child; never returns."""
        code = 1
        try:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if os.getppid() == harness:
                report = self.run_parts(shared, seed)
                with os.fdopen(write_end, "wb") as pipe:
                    pickle.dump(report, pipe)
                code = 0
        finally:
            os._exit(code)  # pylint: disable=protected-access

    def run_parts(self, shared, seed):
        context = zmq.Context()
        parts, threads = [], []
        for role, function, args, count, plan in self.roles:
            for index in range(count):
                part = Part(context, shared, role, index, count, plan, seed)
                parts.append(part)
                threads.append(threading.Thread(target=part.run, args=(function, args)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        context.term()
        report = Report()
        for part in parts:
            report.add(part.report)
        return report

    def finished(self):
        """Whether the process is done; its report is then in self.report."""
        while self.report is None and self.pipe is not None:
            try:
                piece = os.read(self.pipe, 1 << 16)
            except BlockingIOError:
                return False
            if piece:
                self.bytes += piece
                continue
            self._reap()
            self.report = pickle.loads(self.bytes) if self.bytes else failed(f"{self.name} died")
        return True

    def _reap(self):
        os.close(self.pipe)
        self.pipe = None
        os.waitpid(self.pid, 0)
        self.pid = None

    def ask_to_end(self):
        """The word in the shared page is enough."""

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
            self.report = failed(f"{self.name} did not end")


class Program:
    """A command. Its environment has ZOO_START_NS and ZOO_END_NS (CLOCK_MONOTONIC; 0 for what starts before the load is planned) and
    ZOO_PERIOD_NS (between two operations of it; 0: as fast as it can). Lines of its stdout: `op DONE_NS LATENCY_NS`, `broken TEXT`,
    `fact NAME VALUE`, `tally NAME NUMBER`; others are ignored. A client ends by itself, the others by SIGTERM."""

    def __init__(self, name, kind, command, plan, env=None, cwd=None):
        self.name, self.kind, self.command, self.plan, self.env, self.cwd = name, kind, [str(word) for word in command], plan, env or {}, cwd
        self.process = self.report = self.asked = None
        self.out, self.err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # pylint: disable=consider-using-with

    def start(self, shared, seed):
        start_ns = int(shared.start * 1e9)
        env = {"ZOO_START_NS": start_ns, "ZOO_END_NS": start_ns and start_ns + int(self.plan.seconds * 1e9),
               "ZOO_PERIOD_NS": int(self.plan.period_s * 1e9), "ZOO_SEED": seed, **self.env}
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.command], stdin=subprocess.DEVNULL,  # pylint: disable=consider-using-with
                                        stdout=self.out, stderr=self.err, env={**os.environ, **{key: str(value) for key, value in env.items()}}, cwd=self.cwd)

    def finished(self):
        if self.report is None and self.process is not None:
            code = self.process.poll()
            if code is None:
                return False
            self.report = self._read()
            if code not in ((0, -signal.SIGTERM, 128 + signal.SIGTERM) if self.asked else (0,)):
                self.err.seek(0)
                self.report.broken[f"{self.name} ended with {code}: {self.err.read()[-300:].strip()}"] = 1
        return True

    def _read(self):
        report = Report()
        self.out.seek(0)
        for line in self.out:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "op":
                done, latency = rest.split()
                report.times.append(int(done) / 1e9)
                report.latencies.append(int(latency) / 1e9)
            elif word == "broken":
                report.broken[rest] = report.broken.get(rest, 0) + 1
            elif word == "fact":
                name, _, report.facts[name] = rest.partition(" ")
            elif word == "tally":
                name, _, value = rest.partition(" ")
                report.counts[name] = report.counts.get(name, 0) + float(value)
        return report

    def ask_to_end(self):
        if self.process and self.process.poll() is None:
            self.asked = True
            self.process.terminate()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.report = self.report or failed(f"{self.name} did not end")


def failed(why):
    report = Report()
    report.broken[why] = 1
    return report


def wait_finished(groups, deadline):
    """Those that are not finished at the deadline."""
    left = list(groups)
    while True:
        left = [group for group in left if not group.finished()]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.01)
