# SPDX-License-Identifier: MPL-2.0
"""What a row of the catalogue is. `flood` are the words of the flood tool (tests/e2e/attacks/options.c), which sends to loopback only."""
from dataclasses import dataclass, field

WORK_US, COSTLY_US = 20, 2000
STEADY = {"n": 8, "r": 50}         # 400 a second: under 2 % of the application's time, 10 % of router8's
COSTLY_STEADY = {"n": 4, "r": 20}  # 80 a second, and ten newcomers: 18 %
CALM_S = 3.0   # of honest traffic alone before the flood: Weir believes what a connection was served in calm time after two seconds
BRIEF_S = 0.7  # where no messages of the flood compete for the application, so that what was served before is of no matter
LONG_S = 10
DRAWN_S = 5  # of rows that are judged against bare in the same run
PUBLISHERS = ("pub", "xpub")  # these take next to no messages, so there is nothing for a counter to count
ONE_WAY = ("pull", "dealer", "mute")  # these answer nothing, and know themselves what has arrived


@dataclass
class Row:
    name: str
    app: str
    what: str
    flood: str = ""  # the words; empty: no flood
    work_us: int = WORK_US
    clients: dict = field(default_factory=lambda: dict(STEADY))
    publish: tuple = (200, 200)  # messages a second, bytes
    others_us: int = 0     # work for a message of the flood, where it is another
    flood_s: int = 2       # LONG_S where the flood works on the application's time: p99 then speaks of the flood, the column "onset" of its begin
    calm_s: float = CALM_S
    honest: bool = False   # no attack: nothing may be refused, slowed or dropped
    compared: bool = False  # HAProxy, zmq_proxy and nftables run it even without --full
    control: bool = False  # `ideal` runs it even without --full
    busy: int = 0          # one honest client at full speed with messages of so many bytes
    quick: bool = False
    extra: bool = False    # only with --full, or when it is named
    curve: bool = False    # the application and its clients speak CURVE, with the keys of curve.h
    askers: str = ""       # the flood is libzmq's (askers.c): connections and bytes of a request
    neighbour: bool = False  # the flood comes from the address that all clients share
    proxied: bool = False  # everybody comes through a load balancer, which tells Weir who it is (PROXY protocol)
    early: bool = False    # the flood is there before the first client, and before the first answer
    stalls: bool = False   # the application stands still for four seconds, from the beginning of the flood on
    against_bare: bool = False  # judged against the bare application in the same run, by figures.compare_with_bare()
    promise_ms: float = 0  # p99 that Weir with the counter promises here, with a goodput of 99 %
    uncounted: bool = False  # no message of the flood reaches the application: without the column of the counter, unless --full
    note: str = ""         # what Weir can know here, and what not

    @property
    def publishes(self):
        return self.app in PUBLISHERS
