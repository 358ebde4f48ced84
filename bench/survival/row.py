# SPDX-License-Identifier: MPL-2.0
"""What a row of the catalogue is. `flood` are the words of the flood tool (tests/e2e/attacks/options.c), which sends to loopback only."""
from dataclasses import dataclass, field

WORK_US, COSTLY_US = 20, 2000
STEADY = {"n": 8, "r": 50}         # 400 a second: under 2 % of the application's time, 10 % of router8's
COSTLY_STEADY = {"n": 4, "r": 20}  # 80 a second, and ten newcomers: 18 %
LONG_S = 10


@dataclass
class Row:
    name: str
    app: str
    what: str
    flood: str = ""  # the words; empty: no flood
    work_us: int = WORK_US
    clients: dict = field(default_factory=lambda: dict(STEADY))
    publish: tuple = (200, 200)  # messages a second, bytes
    flood_s: int = 2       # LONG_S where the flood works on the application's time: p99 then speaks of the flood, the column "onset" of its begin
    honest: bool = False   # no attack: nothing may be refused, slowed or dropped
    variant: bool = False  # of a flood that another row shows; only `bare` and `weir` run it unless --full
    control: bool = False  # `ideal` runs it even without --full
    busy: int = 0          # one honest client at full speed with messages of so many bytes
    quick: bool = False
    curve: bool = False    # the application and its clients speak CURVE, with the keys of curve.h
    neighbour: bool = False  # the flood comes from the address that all clients share
    against_bare: bool = False  # judged against the bare application in the same run, by figures.compare_with_bare()
