# SPDX-License-Identifier: MPL-2.0
"""One running Weir: start, readiness, metrics, stop, and the checks that hold for every test (alive, clean exit, no sanitizer report)."""
import json
import os
import re
import signal
import socket
import urllib.request
from pathlib import Path

import yaml

from . import proc
from .net import PATIENCE, free_port, reachable, wait_until

ROOT = Path(__file__).resolve().parents[3]
READY = re.compile(r"^weir: ready: (\S+) -> (\S+)$")
SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def program():
    """The program under test, as a command."""
    return os.environ.get("WEIR", str(ROOT / "build" / "weir")).split()


def with_memory(config, listen, forward):
    """The configuration with `memory` of WEIR_TEST_MEMORY ("16MiB": everything at another budget), unless it sets one itself; what
    stands on the command line moves into a file then. None: the command line is left as it is."""
    memory = os.environ.get("WEIR_TEST_MEMORY")
    if not memory:
        return config
    if config is None and listen and forward:
        config = {"gates": [{"name": "main", "listen": listen, "forward": forward}]}
    return config if config is None else {"memory": memory, **config}


def without_warm_up(config):
    """Tests begin right after the start, and most that offend want a ban. Those of `ban.warm_up` itself set it; without a file it is as it is."""
    def gate(g):
        ban = g.get("ban", {}) if isinstance(g, dict) else None
        return {**g, "ban": {"warm_up": "0s", **ban}} if isinstance(ban, dict) else g
    gates = config.get("gates") if isinstance(config, dict) else None
    return {**config, "gates": [gate(g) for g in gates]} if isinstance(gates, list) else config


def parse_samples(text):
    """[(name, {label: value}, number)] of a page of metrics."""
    found = []
    for line in text.splitlines():
        match = None if line.startswith("#") else SAMPLE.match(line)
        if match:
            found.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))
    return found


class Weir(proc.Child):
    """`config` is the YAML file as a dict; without it the gate comes from --listen and --forward. An admin port is added unless the
    configuration has one or admin=False."""

    def __init__(self, folder, config=None, listen=None, forward=None, admin=True, args=(), nofile=None, wait=True):
        self.admin = None
        self.admin_seen = False
        self.expected_exit = None
        command = [*program(), "serve"]
        given, config = config, with_memory(config, listen, forward)
        if given is None and config is not None:
            listen = forward = None
        if config is not None:
            self.path = os.path.join(folder, f"weir-{os.urandom(3).hex()}.yaml")
            self.write(config)
            command += ["-c", self.path]
            self.admin = config.get("admin", {}).get("listen")
        if listen:
            command += ["--listen", listen]
        if forward:
            command += ["--forward", forward]
        if admin and not self.admin:
            self.admin = f"127.0.0.1:{free_port()}"
            command += ["--admin", self.admin]
        self.gate_count = len(config.get("gates", [])) if config else 1
        env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1"),
               "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1")}
        super().__init__([*command, *args], folder, "weir", nofile=nofile, env=env)
        self.gates = []
        if wait:
            self.wait_ready()

    def write(self, config):
        """The file; a SIGHUP has it read again."""
        with open(self.path, "w") as f:
            yaml.safe_dump(without_warm_up(with_memory(config, None, None)), f, sort_keys=False)

    def wait_ready(self, limit=PATIENCE):
        """Fills self.gates with (listen, forward) as printed, in order."""
        lines = self.wait_line(READY.match, count=self.gate_count, limit=limit)
        self.gates = [READY.match(line).groups() for line in lines]

    @property
    def listen(self):
        """The first gate's real address, as printed."""
        return self.gates[0][0]

    @property
    def endpoint(self):
        """Where clients connect to reach the first gate."""
        return reachable(self.listen)

    # ---- the admin port ----

    def get(self, path, limit=PATIENCE):
        """The body of an admin page, as text. The gates may be ready a moment before the admin port is."""
        host, _, port = self.admin.rpartition(":")

        def listening():
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=limit).close()
                return True
            except ConnectionRefusedError:
                if not self.alive():
                    raise AssertionError(self.describe("died")) from None
                return False

        if not self.admin_seen:
            wait_until(listening, "the admin port")
            self.admin_seen = True
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=limit) as answer:
            return answer.read().decode()

    def get_json(self, path):
        return json.loads(self.get(path))

    def samples(self):
        """[(name, {label: value}, number)] from /metrics."""
        return parse_samples(self.get("/metrics"))

    def metrics(self):
        """{'weir_connections{gate="main"}': 3.0, ...}"""
        return {name + ("{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}" if labels else ""): value
                for name, labels, value in self.samples()}

    def metric(self, name, **labels):
        """The sum of all samples of a metric that carry these labels: metric('weir_messages_total', direction='in')."""
        return sum(value for found, has, value in self.samples() if found == name and labels.items() <= has.items())

    def wait_metric(self, name, accept, limit=PATIENCE, **labels):
        """Polls until accept(value) is true; returns the value. accept may be a number: at least that much."""
        test = accept if callable(accept) else lambda value: value >= accept
        last = [None]

        def reached():
            last[0] = self.metric(name, **labels)
            return test(last[0])

        try:
            wait_until(reached, f"{name} {labels}", limit, step=0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}; last value {last[0]}") from None
        return last[0]

    # ---- /proc ----

    def rss_bytes(self):
        return proc.rss_bytes(self.pid)

    def fd_count(self):
        return proc.fd_count(self.pid)

    # ---- the end ----

    def check(self):
        """Raises if Weir died or a sanitizer spoke. Called by the fixture; tests may call it in between."""
        if self.sanitizer_report():
            raise AssertionError(self.describe("sanitizer report"))
        if self.expected_exit is None and not self.alive():
            raise AssertionError(self.describe("died"))

    def stop(self, limit=PATIENCE):
        """SIGTERM, and the drain. Asserts exit code 0 and a clean stderr."""
        self.check()
        if self.alive():
            self.resume()
            self.signal(signal.SIGTERM)
        code = self.wait(limit)
        self.expected_exit = 0 if self.expected_exit is None else self.expected_exit
        if code != self.expected_exit:
            raise AssertionError(self.describe(f"exit code {code} after SIGTERM, {self.expected_exit} expected"))
        self.check()
        return code
