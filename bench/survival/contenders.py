# SPDX-License-Identifier: MPL-2.0
"""What stands between the flood and the application. Each start_*(cell) brings up the application and the protection in front of it, sets
cell.front (where clients connect) and cell.target (where the flood goes), and is undone by ending the cell's processes."""
import os
import shutil
import subprocess
import time
from pathlib import Path

from run import ROOT, Failed, free_port, wait_listening

HERE = Path(__file__).resolve().parent
PROXY_PATTERN = {"pull": "push-pull", "pub": "pub-sub", "xpub": "pub-sub"}


class NotRun(Exception):
    """The contender cannot run here; the reason is printed in its place."""


def _tcp(port=None):
    return f"tcp://127.0.0.1:{port or free_port()}"


def _port(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def start_bare(cell):
    cell.front = cell.target = cell.start_application(_tcp())


def start_ideal(cell):
    cell.front, cell.target = cell.start_application(_tcp()), _tcp()
    cell.start(cell.build / "bench/survival_sink", cell.target, core=cell.flood_core, nice=10).line("ready")


def _choose_ends(cell):
    cell.back = f"ipc://{cell.folder}/app.sock"
    cell.front = cell.target = _tcp()


def _behind(cell):
    _choose_ends(cell)
    cell.start_application(cell.back)


def start_haproxy(cell):
    _behind(cell)
    env = {"FRONT": cell.front[6:], "BACK": "unix@" + cell.back[6:]}
    cell.relay = cell.start("haproxy", "-q", "-db", "-f", HERE / "haproxy.cfg", core=cell.app_core, env=env)
    wait_listening(_port(cell.front), cell.relay)


def start_zmq_proxy(cell):
    _behind(cell)
    pattern = PROXY_PATTERN.get(cell.row.app, "req-rep")
    cell.relay = cell.start(cell.build / "bench/bench_proxy", pattern, cell.front, cell.back, core=cell.app_core)
    cell.relay.line("ready")


def _serve(cell):
    """Weir with no option but the admin port; what the row or the column asks for beyond that stands in a file."""
    cell.admin_port = free_port()
    keys = {"listen": cell.front, "forward": cell.back}
    if cell.counter:
        keys["counter"] = cell.counter
    if cell.row.proxied:
        keys["proxy_protocol"] = "{from: [127.0.0.1]}"
    if len(keys) == 2:
        how = ["--listen", cell.front, "--forward", cell.back]
    else:
        Path(cell.folder, "weir.yaml").write_text("gates:\n  - name: main\n" + "".join(f"    {key}: {value}\n" for key, value in keys.items()))
        how = ["-c", f"{cell.folder}/weir.yaml"]
    cell.relay = cell.start(cell.build / "weir", "serve", *how, "--admin", f"127.0.0.1:{cell.admin_port}", core=cell.app_core)
    cell.relay.line("weir:")


def start_weir(cell):
    _behind(cell)
    _serve(cell)


def start_weir_with_counter(cell):
    """The application itself writes how many messages it has taken; Weir reads that page, and is there first."""
    if cell.row.publishes:
        raise NotRun("a publisher takes no messages")
    _choose_ends(cell)
    cell.counter = f"{cell.folder}/counter"
    _serve(cell)
    cell.start_application(cell.back)


def start_weir_run(cell):
    """Weir with no option but the admin port, in front of the command that starts the application. Its memory is not measured."""
    cell.admin_port = free_port()
    cell.under = (cell.build / "weir", "run", "--admin", f"127.0.0.1:{cell.admin_port}", "--")
    start_bare(cell)


def _namespace_of(pid):
    """None of a process that has ended, or that may not be looked at."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def _enter_namespace(cell):
    """A network namespace that lives as long as its keeper, a process that sleeps. Everything that the cell starts from now on is in it."""
    mine = os.geteuid() == 0
    keeper = cell.start("unshare", "--net", *([] if mine else ["--map-root-user"]), "sleep", "60")
    pid = keeper.process.pid
    end = time.monotonic() + 2
    while _namespace_of(pid) in (None, _namespace_of("self")):
        if keeper.process.poll() is not None or time.monotonic() > end:
            raise NotRun("no rights to a network namespace")
        time.sleep(0.005)
    inside = ["nsenter", "--target", str(pid), "--net", *([] if mine else ["--user", "--preserve-credentials"])]
    if subprocess.run([*inside, "ip", "link", "set", "lo", "up"], capture_output=True, check=False).returncode != 0:
        raise NotRun("no rights to a network namespace")
    cell.prefix = inside
    return inside


def start_nftables(cell):
    for tool in ("nft", "ip", "unshare", "nsenter"):
        if not shutil.which(tool):
            raise NotRun(f"{tool} is missing")
    inside = _enter_namespace(cell)
    start_bare(cell)
    rules = (HERE / "nftables.nft").read_text().replace("PORT", str(_port(cell.front)))
    loaded = subprocess.run([*inside, "nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if loaded.returncode != 0:
        raise NotRun("nft: " + (loaded.stderr.strip().splitlines() or ["failed"])[0])


def start_balancer(cell):
    """A load balancer before everything else; only Weir is told who its clients are."""
    if not shutil.which("haproxy"):
        raise NotRun("haproxy is missing")
    tells = cell.contender.startswith("weir")
    behind, cell.front = cell.front, _tcp()
    cell.target = cell.front
    path = Path(cell.folder, "balancer.cfg")
    path.write_text((HERE / "balancer.cfg").read_text().replace("SEND_PROXY", "send-proxy-v2" if tells else ""))
    process = cell.start("haproxy", "-q", "-db", "-f", path, core=cell.app_core, env={"FRONT": cell.front[6:], "BACK": behind[6:]})
    wait_listening(_port(cell.front), process)


CONTENDERS = {"bare": start_bare, "haproxy": start_haproxy, "zmq_proxy": start_zmq_proxy, "nftables": start_nftables, "weir": start_weir,
              "weir+counter": start_weir_with_counter, "weir-run": start_weir_run, "ideal": start_ideal}


def bring_up(cell):
    CONTENDERS[cell.contender](cell)
    if cell.row.proxied:
        start_balancer(cell)


OURS = ("bare", "weir", "weir+counter")  # the others run the rows that are to compare them, unless --full


def runs(row, full):
    """The contenders that a row is for. Without a flood there is nothing that `ideal` could be spared."""
    usual = [name for name in CONTENDERS if name in OURS or (name != "ideal" and (row.compared or full) and not row.proxied)]
    if row.publishes or (row.uncounted and not full):
        usual.remove("weir+counter")
    spared = (row.control or full) and row.flood and not (row.proxied or row.askers or row.stalls)
    return usual + ["ideal"] * bool(spared)


__all__ = ["CONTENDERS", "NotRun", "Failed", "ROOT", "bring_up", "runs"]
