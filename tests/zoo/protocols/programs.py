# SPDX-License-Identifier: MPL-2.0
"""Complete programs that speak ZeroMQ, as Debian has them, with their own clients: a Jupyter kernel, Locust's master and workers, rsyslog's
czmq modules. Nothing of them is changed but the ports. scripts/deps.sh zoo installs them."""
import importlib.util
import json
import os
import shutil
import socket
import time
from pathlib import Path

from zoo import protocol
from harness.net import free_port, split_tcp

FOREIGN = Path(__file__).resolve().parents[1] / "foreign"
PYTHON = "/usr/bin/python3"
PORTS = ("shell", "iopub", "stdin", "control", "hb")
RSYSLOG_MODULES = Path("/usr/lib/x86_64-linux-gnu/rsyslog")


def module(name):
    return lambda: None if importlib.util.find_spec(name) else f"the Python package {name} is missing: scripts/deps.sh zoo"


def port_of(endpoint):
    return split_tcp(endpoint)[1]


# ---- Jupyter ----


def connection(where):
    """What a connection file says, with the ports of where(link)."""
    ports = {f"{link}_port": port_of(where(link)) for link in PORTS}
    return {**ports, "ip": "127.0.0.1", "transport": "tcp", "key": "6f1b-zoo", "signature_scheme": "hmac-sha256", "kernel_name": "python3"}


@protocol(*PORTS, settle_s=3.0, needs=module("ipykernel"))
def jupyter_kernel(cell):
    """ipykernel, and front ends on jupyter_client that execute cells, read their output until the kernel is idle, and watch its heartbeat."""
    frontends, think_s = {"low": (1, 0.2), "normal": (2, 0.05), "full": (3, 0.0)}[cell.load]
    cell.says(f"{frontends} front ends, {think_s:g} s between cells")
    cell.seconds = max(cell.seconds, 2.0)
    path = Path(cell.folder) / "kernel.json"
    path.write_text(json.dumps(connection(cell.bind)))
    home = {"HOME": cell.folder, "IPYTHONDIR": cell.folder, "JUPYTER_RUNTIME_DIR": cell.folder}
    cell.program([PYTHON, "-m", "ipykernel_launcher", "-f", path], "application", env=home, cwd=cell.folder)
    for _ in range(frontends):
        cell.clients(frontend, connection(cell.connect), think_s)


def frontend(me, info, think_s):
    from jupyter_client import BlockingKernelClient  # pylint: disable=import-outside-toplevel
    kernel = BlockingKernelClient()
    kernel.load_connection_info(info)
    kernel.start_channels()
    kernel.wait_for_ready(timeout=10)
    me.wait_start()
    number = 0
    while me.running():
        number += 1
        since = me.now()
        said = []
        reply = kernel.execute_interactive(f"print({number})", timeout=10, output_hook=said.append)
        me.done(since)
        me.must(reply["content"]["status"] == "ok", "a cell failed")
        text = "".join(message["content"].get("text", "") for message in said)
        me.must(text == f"{number}\n", "the output of a cell is another's")
        if think_s:
            me.wait_until(me.now() + think_s * me.draw.uniform(0.5, 1.5))
    me.must(kernel.hb_channel.is_beating(), "the heartbeat has stopped")
    kernel.stop_channels()


# ---- Locust ----


@protocol("master", settle_s=4.0, needs=module("locust"))
def locust_workers(cell):
    """Locust: a master, and workers that report their users' requests to it, with its heartbeats and its jobs of spawning."""
    workers, report_s = {"low": (1, 0.2), "normal": (2, 0.05), "full": (4, 0.02)}[cell.load]
    cell.says(f"{workers} workers, a report each {report_s * 1e3:g} ms")
    cell.seconds = max(cell.seconds, 2.0)
    env = {"HOME": cell.folder, "ZOO_REPORT_S": report_s}
    locust = [PYTHON, "-m", "locust", "-f", FOREIGN / "locustfile.py", "--skip-log-setup"]
    host, port = split_tcp(cell.bind("master"))
    cell.program([*locust, "--master", "--headless", "--master-bind-host", host, "--master-bind-port", port, "-u", 4 * workers, "-r", 100,
                  "--expect-workers", workers, "--only-summary"], "application", env=env, cwd=cell.folder)
    host, port = split_tcp(cell.connect("master"))
    cell.program([*locust, "--worker", "--master-host", host, "--master-port", port], "clients", count=workers, env=env, cwd=cell.folder)


# ---- rsyslog ----


RECEIVES = """module(load="imczmq" servercertpath="" clientcertpath="" authtype="" authenticator="off")
template(name="plain" type="string" string="%msg%")
input(type="imczmq" endpoints="@{endpoint}" socktype="PULL")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="udp" template="plain")
"""
SENDS = """module(load="omczmq" authenticator="off")
module(load="imudp")
template(name="plain" type="string" string="%rawmsg%")
input(type="imudp" address="127.0.0.1" port="{port}")
action(type="omczmq" endpoints=">{endpoint}" socktype="PUSH" template="plain")
"""


def rsyslog_needed():
    if shutil.which("rsyslogd") and (RSYSLOG_MODULES / "imczmq.so").exists():
        return None
    return "rsyslog-czmq is missing: scripts/deps.sh zoo"


@protocol("logs", settle_s=1.0, needs=rsyslog_needed)
def rsyslog_czmq(cell):
    """rsyslog: hosts whose omczmq pushes their log to the imczmq of a collector; each line is counted where the collector passes it on."""
    hosts, per_s = {"low": (1, 50), "normal": (3, 60), "full": (5, 120)}[cell.load]
    cell.says(f"{hosts} hosts, {per_s} lines/s each")
    out = free_port()
    ins = [free_port() for _ in range(hosts)]
    rsyslog(cell, "collector", RECEIVES.format(endpoint=cell.bind("logs"), port=out), "application")
    for i, port in enumerate(ins):
        rsyslog(cell, f"host-{i}", SENDS.format(endpoint=cell.connect("logs"), port=port), "peers")
    cell.clients(speak_and_hear, ins, out, per_s)


def rsyslog(cell, name, text, kind):
    path = Path(cell.folder) / f"{name}.conf"
    path.write_text(f'global(workDirectory="{cell.folder}")\n{text}')
    cell.program([shutil.which("rsyslogd"), "-n", "-f", path, "-i", Path(cell.folder) / f"{name}.pid"], kind)


def speak_and_hear(me, ins, out, per_s):
    said, heard = 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.bind(("127.0.0.1", out))
        s.setblocking(False)
        me.wait_start()
        due, period = time.monotonic(), 1 / (per_s * len(ins))

        def hear():
            nonlocal heard
            try:
                while True:
                    words = s.recv(4096).split()
                    heard += 1
                    me.done(int(words[-1]) / 1e9)
            except BlockingIOError:
                return

        while me.running():
            if time.monotonic() >= due:
                s.sendto(b"<13>Jan  1 00:00:00 zoo app: %d" % time.monotonic_ns(), ("127.0.0.1", ins[said % len(ins)]))
                said, due = said + 1, due + period
            else:
                time.sleep(min(0.001, max(0, due - time.monotonic())))
            hear()
        end = time.monotonic() + 3
        while heard < said and time.monotonic() < end:
            time.sleep(0.01)
            hear()
    me.must(heard == said, "lines that did not arrive")
