# SPDX-License-Identifier: MPL-2.0
"""The command line: what it prints, where, and with which exit code."""
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.net import PATIENCE, free_port, raw_connect, wait_until
from harness.weir import ROOT, program

COMMANDS = ["serve", "run", "count", "check", "explain", "suggest", "ctl", "help"]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def weir(*args):
    """Runs a command that ends by itself."""
    return subprocess.run([*program(), *args], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)


def fails_with_usage(*args):
    """Exit code 2, nothing on stdout, one clear line and one hint; returns the line."""
    done = weir(*args)
    assert (done.returncode, done.stdout) == (2, ""), done
    line, hint = done.stderr.splitlines()
    assert re.fullmatch(r"Try: weir ([a-z]+ )?--help", hint)
    return line


# ---- help and version ----

def test_help_lists_every_command():
    for args in (["--help"], ["-h"], ["help"]):
        done = weir(*args)
        assert (done.returncode, done.stderr) == (0, "")
        for command in COMMANDS:
            assert re.search(rf"^  {command} ", done.stdout, re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    first = weir("help", command)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(f"Usage: weir {command}")
    assert weir(command, "--help").stdout == first.stdout
    assert weir(command, "-h").stdout == first.stdout
    assert all(len(line) <= 120 for line in first.stdout.splitlines())


def test_help_config_is_the_committed_page():
    done = weir("help", "config")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "docs" / "config.md").read_text()


def test_version_names_what_is_built_in():
    lines = weir("--version").stdout.splitlines()
    assert re.fullmatch(r"weir \d+\.\d+\.\d+", lines[0])
    assert [line.split()[0] for line in lines[1:]] == ["libsodium", "libyaml", "libmicrohttpd", "jansson", "libbpf", "libnftables"]
    assert all(re.fullmatch(r"\S+ (\d+\.\d+\S*|not built in)", line) for line in lines)


def man(name):
    return (ROOT / "man" / name).read_text().replace("\\-", "-")


def test_man_page_knows_every_command_and_option():
    page = man("weir.1")
    for command in COMMANDS:
        assert f"weir {command}" in page
        options = set(re.findall(r"--[a-z][a-z-]+", weir("help", command).stdout))
        assert not [option for option in options if option not in (man("weir-run.1") if command == "run" else page)]


def test_man_pages_know_no_other_option():
    """But those of other programs, which are named after them."""
    assert set(re.findall(r"--[a-z][a-z-]+", man("weir-run.1"))) <= set(re.findall(r"--[a-z][a-z-]+", weir("help", "run").stdout))


def test_man_page_of_the_configuration_is_what_the_tables_say():
    done = subprocess.run([ROOT / "scripts/man_yaml.py", "--check"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man here")
@pytest.mark.parametrize("page", sorted(page.name for page in (ROOT / "man").iterdir()))
def test_man_pages_are_well_formed(page):
    done = subprocess.run(["man", "--warnings", "-l", ROOT / "man" / page], capture_output=True, text=True, timeout=PATIENCE, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and not done.stderr and "SEE ALSO" in done.stdout


def test_full_standard_output_is_a_failure():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*program(), "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "standard output" in done.stderr


# ---- usage ----

@pytest.mark.parametrize("args, line", [
    ([], "weir: a command is missing"),
    (["srve"], 'weir: unknown command: "srve", did you mean "serve"?'),
    (["xyzzy"], 'weir: unknown command: "xyzzy"'),
    (["\x1b[31m"], 'weir: unknown command: "\\x1b[31m"'),
    (["--frobnicate"], "weir: unknown option before the command: --frobnicate"),
    (["serve"], "weir serve: nothing to serve: give -c FILE, or --listen URL and --forward URL"),
    (["serve", "--listen", "ipc:///x"], "weir serve: --forward is missing: --listen and --forward go together"),
    (["serve", "--forward", "ipc:///x"], "weir serve: --listen is missing: --listen and --forward go together"),
    (["serve", "-c"], "weir serve: -c needs a value"),
    (["serve", "--listen"], "weir serve: --listen needs a value"),
    (["serve", "--frobnicate"], "weir serve: unknown option: --frobnicate"),
    (["serve", "-x"], "weir serve: unknown option: -x"),
    (["serve", "-c", "a", "b"], 'weir serve: no argument is expected: "b"'),
    (["serve", "-c", "a", "-c", "b"], 'weir serve: given twice, with "a" and "b": an option may come once'),
    (["serve", "-c", "a", "--listen", "ipc:///x"], "weir serve: either -c FILE or --listen and --forward, not both"),
    (["check"], "weir check: a FILE is missing"),
    (["check", "a", "b"], 'weir check: one FILE at a time: "b" is too much'),
    (["check", "--strict", "a"], "weir check: unknown option: --strict"),
    (["help", "a", "b"], 'weir help: one command at a time: "b" is too much'),
    (["help", "chekc"], 'weir: unknown command: "chekc", did you mean "check"?'),
])
def test_usage(args, line):
    assert fails_with_usage(*args) == line


def test_wrong_endpoints_name_the_mistake():
    done = weir("serve", "--listen", "tcp://127.0.0.1", "--forward", "inproc://x")
    assert (done.returncode, done.stdout) == (2, "")
    listen, forward = done.stderr.splitlines()
    assert listen.startswith('weir: listen is not an endpoint: "tcp://127.0.0.1" (a port is missing')
    assert forward.startswith('weir: forward is not an endpoint: "inproc://x" (an endpoint begins with tcp:// or ipc://)')


def test_wrong_admin_address():
    done = weir("serve", "--listen", "tcp://127.0.0.1:*", "--forward", "ipc:///x", "--admin", "9700")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith('weir: admin.listen is not an address and port: "9700"')


# ---- check ----

def test_check_finds_every_mistake(paths):
    path = paths.file("wrong.yaml")
    with open(path, "w") as f:
        f.write("workers: 99\n"
                "gates:\n"
                "  - listen: tcp://127.0.0.1:5555\n"
                "    mesage: {size: 1MiB}\n"
                "    message: {frame: 2MiB, size: 1MiB}\n")
    done = weir("check", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f'{path}:1:10: workers is too large: "99", allowed 0 to 64',
        f'{path}:4:5: unknown key in a gate: "mesage", did you mean "message"?',
        f"{path}:3:5: forward is missing: every gate needs one, allowed tcp://HOST:PORT or ipc://PATH",
        f"{path}:5:22: message.frame is larger than message.size: 2MiB, allowed up to 1MiB",
    ]
    served = weir("serve", "-c", path)
    assert (served.returncode, served.stdout, served.stderr) == (1, "", done.stdout)


def test_check_of_a_missing_file():
    done = weir("check", "/nonexistent/weir.yaml")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "/nonexistent/weir.yaml: cannot be opened: No such file or directory\n"


def test_warnings_do_not_fail(paths):
    path = paths.file("open.yaml")
    with open(path, "w") as f:
        f.write("admin: {listen: '*:9700'}\ngates: [{listen: 'ipc:///a', forward: 'ipc:///b'}]\n")
    done = weir("check", path)
    assert done.returncode == 0
    warning, ok = done.stdout.splitlines()
    assert warning.startswith(f"{path}:1:17: warning: admin.listen can be reached from other machines")
    assert ok == f"{path}: ok, 1 gate"


def test_check_of_files_that_cannot_be_made(paths):
    path, there = paths.file("paths.yaml"), paths.file("events.log")
    with open(path, "w") as f:
        f.write("state: {file: /nonexistent/state}\n"
                f"events: {{file: {there}}}\n"
                "gates: [{listen: 'ipc:///a', forward: 'ipc:///b', counter: /proc/counter}]\n")
    done = weir("check", path)
    user = os.geteuid()
    assert done.returncode == 0
    if user == 0:  # root may write to every folder that there is
        done.stdout = re.sub(r"^.*counter cannot.*\n", "", done.stdout, flags=re.M)
    expected = [f"{path}:1:15: warning: state.file cannot be made by user {user}: /nonexistent: No such file or directory"]
    if user:
        expected += [f"{path}:3:61: warning: counter cannot be made by user {user}: /proc: Permission denied"]
    assert done.stdout.splitlines() == [*expected, f"{path}: ok, 1 gate"]


def test_check_of_gates_that_cannot_both_listen(paths):
    path = paths.file("two.yaml")
    with open(path, "w") as f:
        f.write("gates:\n"
                "  - {name: a, listen: 'tcp://*:5555', forward: 'ipc:///b'}\n"
                "  - {name: b, listen: 'tcp://127.0.0.1:5555', forward: 'ipc:///b'}\n")
    done = weir("check", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == (f"{path}:3:23: listen is taken: tcp://127.0.0.1:5555, by tcp://*:5555 of the gate at line 2; "
                           "each gate needs an address of its own\n")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_right(example):
    done = weir("check", str(example))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"{re.escape(str(example))}: ok, \d gates?\n", done.stdout)


# ---- serve ----

def test_ready_lines_show_real_addresses(start_weir):
    """The wildcard port is resolved, and the gate accepts from that moment, although nothing is behind it."""
    forward = f"tcp://127.0.0.1:{free_port()}"
    w = start_weir(listen="tcp://127.0.0.1:*", forward=forward)
    assert w.lines[0] == f"weir: admin: http://{w.admin}"
    host, port = w.gates[0][0].removeprefix("tcp://").split(":")
    assert (host, w.gates[0][1]) == ("127.0.0.1", forward)
    assert int(port) > 0
    raw_connect(w.endpoint).close()
    assert w.stop() == 0


def test_ready_line_for_each_gate_of_a_file(start_weir, paths):
    gates = [{"name": name, "listen": paths.ipc(), "forward": paths.ipc()} for name in ("a", "b", "c")]
    w = start_weir(config={"gates": gates}, admin=False)
    assert w.gates == [(gate["listen"], gate["forward"]) for gate in gates]
    assert not any(line.startswith("weir: admin:") for line in w.lines)


def test_admin_option_replaces_the_file(start_weir, paths):
    port, other = free_port(), free_port()
    w = start_weir(config={"admin": {"listen": f"127.0.0.1:{other}"}, "gates": [{"listen": paths.ipc(), "forward": paths.ipc()}]},
                   args=["--admin", f"127.0.0.1:{port}"])
    assert w.lines[0] == f"weir: admin: http://127.0.0.1:{port}"
    w.admin = f"127.0.0.1:{port}"
    assert "weir_" in w.get("/metrics")


def test_as_many_workers_as_processors_that_it_may_use(start_weir, paths):
    """Those of its container or CPU set, not the machine's."""
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})  # inherited by the process that is started now
        weir = start_weir(listen="tcp://127.0.0.1:*", forward=paths.ipc())
    finally:
        os.sched_setaffinity(0, mine)
    names = [Path(f"/proc/{weir.pid}/task/{thread}/comm").read_text() for thread in os.listdir(f"/proc/{weir.pid}/task")]
    assert len([name for name in names if name.startswith("weir-worker")]) == 1


def test_a_taken_address_is_a_failure(paths):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = weir("serve", "--listen", f"tcp://127.0.0.1:{port}", "--forward", "ipc:///x")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(port) in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(start_weir, paths, number):
    w = start_weir(listen=paths.ipc(), forward=paths.ipc())
    w.expected_exit = 0
    w.signal(number)
    assert w.wait() == 0


def test_hangup_is_no_end(start_weir, paths, no_file):
    w = start_weir(listen=paths.ipc(), forward=paths.ipc())
    w.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in w.stderr(), "a line about SIGHUP")
    raw_connect(w.endpoint).close()


def test_second_signal_cuts_the_drain_short(start_weir, start_app, peers, paths):
    """A message that is half sent keeps the drain waiting; the second signal does not wait for it."""
    endpoint = paths.ipc()
    start_app("pull", endpoint)
    w = start_weir(config={"drain": "1h", "gates": [{"listen": "tcp://127.0.0.1:*", "forward": endpoint,
                                                     "message": {"complete_within": "1h"}}]})
    with raw_connect(w.endpoint) as client:
        half_a_message(client)
        w.wait_metric("weir_connections_established_total", 1)
        w.expected_exit = 0
        w.signal(signal.SIGTERM)
        wait_until(lambda: "draining" in w.stderr(), "the drain to begin")
        assert w.alive()
        w.signal(signal.SIGTERM)
        assert w.wait() == 0


def half_a_message(s):
    """A PUSH peer's NULL handshake, then a frame of 100 bytes of which ten come."""
    s.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    ready = b"\x05READY" + b"\x0bSocket-Type" + b"\0\0\0\x04PUSH"
    s.sendall(b"\x04" + bytes([len(ready)]) + ready)
    got = b""
    while b"READY" not in got:  # its own traffic must not come before the other side's READY
        got += s.recv(4096)
    s.sendall(b"\x00\x64" + bytes(10))


def test_service_manager_is_told(start_weir, paths, monkeypatch):
    path = paths.file("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        w = start_weir(listen=paths.ipc(), forward=paths.ipc())
        assert manager.recv(100) == b"READY=1"
        w.stop()
        assert manager.recv(100) == b"STOPPING=1"
