# SPDX-License-Identifier: MPL-2.0
"""Systems of the field that nobody attacks work behind Weir as they do without it, with no configuration: a message is not a request, and
what is not answered is not in anybody's way. Each runs bare at the same time."""
import math
import os
import time

import pytest
from systems import *

pytestmark = pytest.mark.alone


def broker(socket, workers, clients, work_ms, **more):
    return [{"kind": "worker", "count": workers, "socket": socket, "work_ms": work_ms, **more}, {"kind": "asker", "count": clients}]


NOTES = [{"kind": "noter", "count": 10, "notes": 5, "calls": 1}]
JOBS = [{"kind": "reporter", "count": 8, "work_ms": 20, "reports": 3, "beat_ms": 50, "socket": "DEALER"}]
SYSTEMS = {
    "lru-broker": ("broker", broker("REQ", 2, 2, 5), {}),
    "majordomo": ("broker", broker("DEALER", 4, 8, 2, beat_ms=250), {"hop": True}),
    "paranoid-pirate": ("broker", broker("DEALER", 8, 30, 20, beat_ms=100), {}),
    "notes-and-calls": ("notes", NOTES, {}),
    "jobs": ("jobs", JOBS, {}),
    "batches": ("batches", [{"kind": "asker", "count": 64, "think_ms": 100}], {"slots": 32, "work_ms": 10}),
    "64-slots": ("slots", [{"kind": "asker", "count": 80}], {"slots": 64, "work_ms": 10, "most_ms": 190}),
    "200-slots": ("slots", [{"kind": "asker", "count": 240}], {"slots": 200, "work_ms": 40, "most_ms": 760}),
    "forgetful": ("forgetful", [{"kind": "relaxed", "count": 7, "patience_ms": 100, "think_ms": 20}, {"kind": "asker", "count": 5, "think_ms": 20}], {}),
}


# Side by side are those that mostly sleep.
TOGETHER = [("lru-broker", "notes-and-calls", "jobs"), ("majordomo",), ("paranoid-pirate", "batches"), ("64-slots", "forgetful"), ("200-slots",)]


def as_bare(system, names, stall_s=0.0):
    systems = [system(kind, groups, **spec) for kind, groups, spec in (SYSTEMS[name] for name in names)]
    if stall_s:
        time.sleep(1.2)
        for s in systems:
            s.stall(stall_s)
    for s in systems:
        s.finish().assert_sound()
    return [s.describe() for s in systems if s.is_slower()]


@pytest.mark.parametrize("names", TOGETHER, ids=" ".join)
def test_as_bare(system, names):
    never_slower(lambda: as_bare(system, names))


@pytest.fixture
def one_core():
    """For everything that the test starts from now on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("names", [TOGETHER[0], ("majordomo",), ("paranoid-pirate", "batches", "64-slots")], ids=" ".join)
def test_on_one_core_with_a_stall(one_core, system, names):
    """The application stands still for 200 ms in the middle, as a collector of garbage or a disk would have it."""
    never_slower(lambda: as_bare(system, names, stall_s=0.2))


# ---- who has left ----

def test_lazy_pirates(system):
    """More than the server can do is asked for, and whoever gives up asks anew on another connection: no fewer are answered in time than
    without Weir, but for chance."""
    systems = system("server", [{"kind": "pirate", "count": 40, "patience_ms": 200, "cost_ms": 20}], seconds=3).finish(settled=False)
    bare, weir = (side.groups[0]["answered"] for side in systems.sides)
    assert weir >= bare - 3 * math.sqrt(bare + weir), systems.describe()
    assert systems.verdicts().keys() <= {"handshake_abandoned", "asker_left"}, systems.describe()  # gave up even before


def test_what_a_client_that_has_left_had_asked_for(system):
    """In front of an application that has enough to do strangers wait in Weir; when one of them leaves, nobody works on its request. Those
    who were there before are no worse off than without Weir."""
    def run():
        systems = system("server", [{"kind": "asker", "count": 3, "source": "127.9.6.1", "think_ms": 20, "cost_ms": 5},
                                    {"kind": "asker", "count": 40, "source": "127.9.6.2", "after_ms": 2500, "cost_ms": 5},
                                    {"kind": "leaver", "count": 40, "source": "127.9.6.3", "after_ms": 3500, "patience_ms": 80, "cost_ms": 5}],
                         warm=2.5, seconds=2, rep=True).finish()
        assert systems.verdicts().keys() <= {"handshake_abandoned", "asker_left"}, systems.describe()
        bare, weir = (side.heard.get("leave", 0) for side in (systems.bare, systems.weir))
        return [systems.describe()] if weir + 10 > bare or systems.is_slower([0]) else []

    never_slower(run)
