# SPDX-License-Identifier: MPL-2.0
"""Who was served in calm time is established: after it has connected again, and after Weir was restarted or killed, if there is a state file."""
import os
import signal
import stat

import pytest
import zmq
from harness.net import free_port, from_source, wait_until

CUSTOMER, STRANGER = "127.9.3.1", "127.9.3.2"


@pytest.fixture
def port():
    return free_port()


def config(paths, port, app, kept=True):
    state = {"state": {"file": paths.file("state")}} if kept else {}
    return {**state, "gates": [{"name": "main", "listen": f"tcp://127.0.0.1:{port}", "forward": app.endpoint}]}


def standing(weir, which):
    return weir.metric("weir_limiter_connections", standing=which)


def ask(client, text=b"a request"):
    client.send(text)
    assert client.recv() == text


def earn(weir, client):
    """Served until it is established: some seconds of calm time."""
    def served():
        ask(client)
        return standing(weir, "established") == 1

    wait_until(served, "the customer to be established", step=0.02)


def arrive(weir, peers, source):
    """A client that connects, is served once, and stays."""
    seen = weir.metric("weir_connections_established_total")
    client = peers.client(zmq.REQ, from_source(source, weir.endpoint))
    ask(client)
    assert weir.metric("weir_connections_established_total") == seen + 1
    return client


def test_after_it_has_connected_again(start_weir, start_app, peers, paths, port):
    weir = start_weir(config=config(paths, port, start_app("rep", paths.ipc()), kept=False))
    customer = arrive(weir, peers, CUSTOMER)
    assert standing(weir, "established") == 0
    earn(weir, customer)
    customer.close()
    weir.wait_metric("weir_connections", lambda n: n == 0)
    kept = [arrive(weir, peers, STRANGER)]
    assert (standing(weir, "established"), standing(weir, "stranger")) == (0, 1)
    kept.append(arrive(weir, peers, CUSTOMER))
    assert (standing(weir, "established"), standing(weir, "stranger")) == (1, 1)


def test_after_weir_was_killed_and_after_it_was_restarted(start_weir, start_app, peers, paths, port):
    app = start_app("rep", paths.ipc())
    file = paths.file("state") + ".claims"
    weir = start_weir(config=config(paths, port, app))
    customer = arrive(weir, peers, CUSTOMER)
    earn(weir, customer)
    # Written every ten seconds while somebody is served.
    first = os.stat(file).st_mtime_ns if os.path.exists(file) else None
    wait_until(lambda: ask(customer) or (os.path.exists(file) and os.stat(file).st_mtime_ns != first), "the claims to be written", step=0.1)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    customer.close()
    weir.expected_exit = -signal.SIGKILL
    weir.signal(signal.SIGKILL)
    weir.wait()
    for stranger in ("127.9.3.11", "127.9.3.12"):
        weir = start_weir(config=config(paths, port, app))
        wait_until(lambda weir=weir: "claims of" in weir.stderr(), "a line about the claims")
        clients = [arrive(weir, peers, source) for source in (CUSTOMER, stranger)]
        assert (standing(weir, "established"), standing(weir, "stranger")) == (1, 1)
        for client in clients:
            client.close()
        weir.stop()


def test_without_a_state_file_all_are_strangers_again(start_weir, start_app, peers, paths, port):
    app = start_app("rep", paths.ipc())
    weir = start_weir(config=config(paths, port, app, kept=False))
    customer = arrive(weir, peers, CUSTOMER)
    earn(weir, customer)
    customer.close()
    weir.stop()
    weir = start_weir(config=config(paths, port, app, kept=False))
    customer = arrive(weir, peers, CUSTOMER)
    assert (standing(weir, "established"), standing(weir, "stranger")) == (0, 1)
    assert not customer.closed and not os.path.exists(paths.file("state") + ".claims")


@pytest.mark.parametrize("foreign", [b"", b"WEIRCLMS", b"WEIRBANS" + bytes(100), b"another program's file, longer than any head"],
                         ids=["empty", "cut", "bans", "foreign"])
def test_a_file_that_is_damaged_or_foreign(foreign, start_weir, start_app, peers, paths, port):
    app = start_app("rep", paths.ipc())
    file = paths.file("state") + ".claims"
    with open(file, "wb") as f:
        f.write(foreign)
    weir = start_weir(config=config(paths, port, app))
    line = f"state file {file} is damaged: set aside as {file}.damaged; starting without claims"
    wait_until(lambda: line in weir.stderr(), "the warning")
    with open(file + ".damaged", "rb") as f:
        assert f.read() == foreign
    customer = arrive(weir, peers, CUSTOMER)
    assert (standing(weir, "established"), standing(weir, "stranger")) == (0, 1)
    customer.close()
    weir.stop()
    assert os.path.exists(file)
