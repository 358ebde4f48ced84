# SPDX-License-Identifier: MPL-2.0
"""Sixty clients behind one address, of which one floods with valid requests: cheap, costly or large ones. Each flood also meets the bare
application at the same time, and what the other 59 have there is what they have at least behind Weir. How much better they fare is measured by
`make survival`, on a machine of its own."""
import pytest
from harness.balancer import Balancer
from systems import *

FLOODS = {
    "cheap": {"depth": 1000, "cost_ms": 0.2},
    "costly": {"depth": 100, "cost_ms": 20},
    "large": {"depth": 20, "cost_ms": 2, "bytes": 300_000},
}
CALM_S = 2.5

pytestmark = pytest.mark.alone


ADDRESS, BALANCER = "127.9.7.7", "127.9.8.8"


def sixty(others_ms, **flood):
    """The one that will flood comes when the others have been there for a while."""
    return [{"kind": "asker", "count": 59, "source": ADDRESS, "think_ms": 250, "cost_ms": others_ms},
            {"kind": "flooder", "count": 1, "source": ADDRESS, "after_ms": 1000 * CALM_S, **flood}]


@pytest.fixture
def balance():
    """A load balancer that names its clients to Weir, and is only in the way where there is none."""
    made = []

    def front(endpoint, weir):
        made.append(Balancer(endpoint, "v2" if weir else "none", BALANCER))
        return made[-1].endpoint

    yield front
    for balancer in made:
        balancer.close()


TIMES = {"warm": CALM_S, "seconds": 1.5}
PROXIED = {"proxy_protocol": {"from": [BALANCER]}}


def slower(all_of_them):
    for systems in all_of_them:
        systems.finish(settled=False)
        assert not systems.verdicts() and systems.weir.groups[0]["unanswered"] == 0, systems.describe()
    return [systems.describe() for systems in all_of_them if systems.is_slower([0])]


def test_the_others_are_no_worse_off_than_without_weir(system, balance):
    def run():
        return slower([*(system("server", sixty(1, **flood), **TIMES) for flood in FLOODS.values()),
                       system("server", sixty(1, **FLOODS["costly"]), front=balance, config=PROXIED, **TIMES)])

    never_slower(run)


COUNTED_FLOODS = {
    "cheap": ({"depth": 1000}, {"work_us": 1000, "large_us": 1000}),
    "costly": ({"depth": 100, "bytes": 200}, {"work_us": 1000, "large_us": 20_000}),
    "large": ({"depth": 20, "bytes": 300_000}, {"work_us": 1000, "large_us": 2000}),
}


def test_nor_are_they_with_a_counter(system, balance):
    def run():
        flood, work = COUNTED_FLOODS["costly"]
        all_of_them = [*(system("counted", sixty(0, **flood), **TIMES, **work) for flood, work in COUNTED_FLOODS.values()),
                       system("counted", sixty(0, **flood), front=balance, config=PROXIED, **TIMES, **work)]
        found = slower(all_of_them)
        assert all(systems.weir.weir.metric("weir_counter_state") == 1 for systems in all_of_them)
        return found

    never_slower(run)
