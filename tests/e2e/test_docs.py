# SPDX-License-Identifier: MPL-2.0
"""What the documentation says is true: configurations are accepted, examples run, programs work, links lead somewhere, names exist."""
import re
import subprocess
import textwrap

import pytest
import yaml
import zmq
from harness.net import PATIENCE, free_port, tcp
from harness.proc import Child
from harness.weir import ROOT, program

PAGES = sorted(page for folder in (".", "docs", "docs/library", "bench", "demo") for page in (ROOT / folder).glob("*.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
GUIDE = (ROOT / "docs" / "guide.md").read_text()
LIMITS = (ROOT / "docs" / "limits.md").read_text()


def name_of(path):
    return str(path.relative_to(ROOT))


def weir(*args):
    return subprocess.run([*program(), *args], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)


def blocks(text, language):
    """The contents of all fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


# ---- configurations ----

def configurations():
    found = [(f"{name_of(page)}#{i}", text) for page in PAGES for i, text in enumerate(blocks(page.read_text(), "ya?ml"))]
    man = (ROOT / "man" / "weir.1").read_text().replace("\\-", "-")
    found += [(f"man#{i}", text) for i, text in enumerate(re.findall(r"^\.EX\n(.*?)^\.EE$", man, re.M | re.S)) if "gates:" in text]
    return found


def test_there_are_configurations_to_check():
    assert len(configurations()) >= 4 and len(EXAMPLES) >= 5


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in configurations()])
def test_configurations_in_the_documentation(text, paths):
    """A block without gates shows keys of one gate. The folders that it names need not be on this machine."""
    config = yaml.safe_load(textwrap.dedent(text))
    if "gates" not in config:
        text = yaml.safe_dump({"gates": [{"listen": paths.ipc(), "forward": paths.ipc(), **config}]})
    path = paths.file("weir.yaml")
    with open(path, "w") as f:
        f.write(text)
    done = weir("check", path)
    warnings = [line for line in done.stdout.splitlines() if "warning" in line and "cannot be made by user" not in line]
    assert (done.returncode, done.stderr, warnings) == (0, "", []), done


# ---- examples ----

# What the application binds and what its clients are, and how one message goes.
PATTERNS = {"router": (zmq.ROUTER, zmq.REQ), "pull": (zmq.PULL, zmq.PUSH), "pub": (zmq.PUB, zmq.SUB), "auto": (zmq.REP, zmq.REQ)}


def adapt(config, paths):
    """The same configuration with addresses of this test. Gates that shared an application still do."""
    forwards = {}
    if "admin" in config:
        config["admin"]["listen"] = f"127.0.0.1:{free_port()}"
    for gate in config["gates"]:
        gate["listen"] = "tcp://127.0.0.1:*"
        forwards.setdefault(gate["forward"], paths.ipc() if gate["forward"].startswith("ipc:") else tcp())
        gate["forward"] = forwards[gate["forward"]]
    return config


def pass_one_message(app, client):
    """From the client to the application and back, or the way that the pattern has."""
    if app.type == zmq.PUB:
        while not client.poll(100):  # until the subscription has arrived
            app.send(b"price")
        assert client.recv() == b"price"
        return
    client.send(b"message")
    frames = app.recv_multipart()
    assert frames[-1] == b"message"
    if client.type == zmq.REQ:
        app.send_multipart([*frames[:-1], b"answer"])
        assert client.recv() == b"answer"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, start_weir, peers, paths):
    config = adapt(yaml.safe_load(example.read_text()), paths)
    weir = start_weir(config=config)
    apps = {}
    for gate, (listen, forward) in zip(config["gates"], weir.gates, strict=True):
        of_app, of_client = PATTERNS[gate.get("socket", "auto")]
        if forward not in apps:
            apps[forward] = peers.app(of_app, forward)
        options = {"SUBSCRIBE": b""} if of_client == zmq.SUB else {}
        pass_one_message(apps[forward], peers.client(of_client, listen, **options))
        assert weir.metric("weir_connections_established_total", gate=gate.get("name", "main")) == 1


def test_examples_are_installed():
    build = (ROOT / "dist" / "meson.build").read_text()
    assert set(re.findall(r"'examples' / '([\w-]+\.yaml)'", build)) == {path.name for path in EXAMPLES}


# ---- the guide's programs ----

@pytest.fixture
def guide(paths, start_weir):
    """guide(block) -> a path to it, with the guide's ports replaced by free ones; guide.weir is the gate between them."""
    listen, forward = tcp(), tcp()

    def write(name, text):
        assert "tcp://127.0.0.1:555" in text
        path = paths.file(name)
        with open(path, "w") as f:
            f.write(text.replace("tcp://127.0.0.1:5555", listen).replace("tcp://127.0.0.1:5556", forward))
        return path

    write.weir = start_weir(listen=listen, forward=forward)
    return write


def run_client(guide):
    client = guide("client.py", blocks(GUIDE, "python")[1])
    return subprocess.run(["/usr/bin/python3", client], capture_output=True, text=True, timeout=PATIENCE).stdout


def test_the_five_minutes(guide, paths):
    app = Child(["/usr/bin/python3", guide("app.py", blocks(GUIDE, "python")[0])], paths.folder, "app.py")
    try:
        assert run_client(guide) == "done\n"
        line = app.wait_line(bool)[0]
        assert re.fullmatch(r"127\.0\.0\.1:\d+ work", line), line
    finally:
        app.kill()


def test_the_c_program(guide, paths):
    source, binary = guide("app.c", blocks(GUIDE, "c")[0]), paths.file("app")
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", binary, source, "-lzmq"], check=True, timeout=PATIENCE)
    app = Child([binary], paths.folder, "app")
    try:
        assert run_client(guide) == "done\n"
        assert re.fullmatch(r"127\.0\.0\.1:\d+", app.wait_line(bool)[0])
    finally:
        app.kill()


def test_the_paced_client(guide, start_weir, peers):
    """The guide's 2/s with a burst of 3: `pause` answers all ten, `drop` and `close` four and then nothing for ever."""
    text = next(block for block in blocks(GUIDE, "yaml") if "2/s" in block)
    for over, answers in (("pause", 10), ("drop", 4), ("close", 4)):
        forward = tcp()
        config = yaml.safe_load(text.replace("over: pause", f"over: {over}"))
        config["admin"]["listen"] = f"127.0.0.1:{free_port()}"
        config["gates"][0].update(listen="tcp://127.0.0.1:*", forward=forward)
        app = peers.app(zmq.REP, forward)
        config["gates"][0]["socket"] = "rep"
        gate = start_weir(config=config)
        client = peers.client(zmq.REQ, gate.listen, RECONNECT_IVL=10)
        for i in range(answers):
            client.send(b"%d" % i)
            assert app.recv() == b"%d" % i
            app.send(b"ok")
            assert client.recv() == b"ok"
        if over != "pause":
            client.send(b"lost")
            gate.wait_metric("weir_verdicts_total", 1, verdict="over_messages")
            # long enough for the rate to allow another message, which never comes
            assert not app.poll(1500) and not client.poll(0)


# ---- names ----

def labels(page, pattern):
    return set(re.findall(pattern, (ROOT / "docs" / page).read_text(), re.M))


METRICS = labels("metrics.md", r"^\| `(\w+)`")
VERDICTS = labels("verdicts.md", r"^\| `(\w+)`")
EVENTS = labels("events.md", r"^\| `(\w+)`")  # and their fields


def schema():
    """{key: default} as the program prints them."""
    return dict(re.findall(r"^### (\S+)\n\n\*.*; default: (.*)\*$", weir("help", "config").stdout, re.M))


# What applications call.
FUNCTIONS = {name for header in (ROOT / "include" / "weir").glob("*.h") for name in re.findall(r"\bweir_\w+", header.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_metrics_that_pages_name_exist(page):
    unknown = set(re.findall(r"\b(?:weir|process)_[a-z_]+\b", page.read_text())) - METRICS - FUNCTIONS
    assert not unknown


OPERATORS_PAGES = [ROOT / "README.md", ROOT / "THREAT-MODEL.md", *sorted((ROOT / "docs").glob("*.md"))]

# Names of others: libzmq's functions and properties.
FOREIGN = {"zmq_bind", "zmq_connect", "zmq_send", "zmq_msg_gets", "zmq_proxy", "__fd"}


@pytest.mark.parametrize("page", OPERATORS_PAGES, ids=name_of)
def test_names_in_code_exist(page):
    """`two_words` is a verdict, a metric, a part of a key, or foreign; `section.key` is a key or the beginning of one."""
    keys = schema()
    known = VERDICTS | METRICS | EVENTS | FOREIGN | FUNCTIONS | {part for key in keys for part in key.split(".")}
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    words = set(re.findall(r"`(\w+_\w+)`", text)) - set(re.findall(r"`([A-Z_]+)`", text))
    assert words <= known
    sections = {key.split(".")[0] for key in keys if "." in key}
    dotted = {word for word in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text) if word.split(".")[0] in sections}
    assert {word for word in dotted if not any(key == word or key.startswith(word + ".") for key in keys)} == set()


# ---- the page of limits ----

NO_LIMITS = {"enforce_key", "admin.listen", "admin.token_file", "state.file", "events.file", "workers", "log.level", "name", "listen", "forward", "counter", "socket", "upstream.source", "zmtp2", "classes", "classes.name",
             "classes.match.networks"}


def limit_rows():
    rows = [cells(line) for line in LIMITS.splitlines() if line.startswith("| `")]
    assert rows and all(len(row) == 6 for row in rows)
    return [(row[0].strip("`"), row[1], row[3]) for row in rows]


def test_the_page_of_limits_has_every_default():
    rows = limit_rows()
    stated = {key: default for key, default, _ in rows}
    assert len(stated) == len(rows), "a key stands there twice"
    assert stated == {key: default for key, default in schema().items() if key not in NO_LIMITS and key.split(".")[-1] != "enforce"}


def test_the_page_of_limits_names_real_verdicts():
    keys = {part for key in schema() for part in key.split(".")}
    named = {word for _, _, reached in limit_rows() for word in re.findall(r"`([a-z_]+)`", reached)}
    assert named and named - keys <= VERDICTS


DIFFERENCES = (ROOT / "docs" / "differences.md").read_text()
# Defaults with which a limit limits nothing; what such a key is set to is the operator's own difference.
WITHOUT_EFFECT = {"unlimited", "0", "off", "none", "default"}


def named_differences():
    return set(re.findall(r"`([a-z0-9_.*]+)`", DIFFERENCES))


def is_on_the_page(key):
    """By its name, or with its whole group: `breaker.*`."""
    named = named_differences()
    return key in named or any(f"{key[:i]}.*" in named for i, letter in enumerate(key) if letter == ".")


def test_the_page_of_differences_names_every_verdict():
    assert VERDICTS - {"pass"} - named_differences() == set()


def test_the_page_of_differences_names_every_limit_in_force():
    in_force = [key for key, default, reached in limit_rows() if default not in WITHOUT_EFFECT and not default.startswith("what the rate") and reached]
    assert [key for key in in_force if not is_on_the_page(key)] == []


def test_the_page_of_differences_names_what_the_threat_model_counts_on():
    keys = schema()
    floods = (ROOT / "THREAT-MODEL.md").read_text().split("## The floods")[1].split("\n## ")[0]
    counted_on = {key for key in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", floods) if keys.get(key) not in WITHOUT_EFFECT}
    missing = {key for key in counted_on if key in keys and not is_on_the_page(key)}
    assert counted_on and missing == set()


def test_the_page_of_differences_names_real_keys():
    keys = schema()
    dotted = {word for word in named_differences() if "." in word}
    unknown = {word for word in dotted if word not in keys and not any(key.startswith(word.removesuffix("*")) for key in keys)}
    assert len(dotted) > 30 and unknown == set()


def test_the_guide_has_an_answer_to_every_common_verdict():
    """Whatever can hit an honest client is in the table of troubleshooting."""
    table = GUIDE[GUIDE.index("## Troubleshooting"):]
    rare = {"pass", "draining", "wrong_role", "bad_metadata", "bad_routing_id", "reserved_routing_id", "more_on_command", "bad_frame_size", "message_abandoned",
            "bad_curve_frame", "unknown_command", "command_too_large", "bad_ping", "peer_error", "not_a_subscriber", "subscriber_message",
            "application_changed", "application_protocol", "too_many_half_open"}
    assert VERDICTS - rare == {verdict for verdict in VERDICTS - rare if f"`{verdict}`" in table}


# ---- links ----

def anchors(text):
    """The anchors of a page's headings, as Markdown renderers make them."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link
