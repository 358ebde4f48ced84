# SPDX-License-Identifier: MPL-2.0
"""Long work says what runs, how far it is, and how long the rest will take."""

import sys
import time

EVERY_S = 30    # where lines cannot be overwritten: in a log file, or in CI
LEAST_PART = 0.02  # less done than this says too little about the rest


def span(seconds):
    """A length of time for a person: 40 s, 7 min, 1 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Of work that consists of `total` units, for example seconds or runs. A terminal shows one line, which is overwritten. Elsewhere a line is written at most every 30 s."""

    def __init__(self, total, out=None, clock=time.monotonic):
        self.total, self.finished = total, 0
        self.out, self.clock = out or sys.stderr, clock
        self.overwrites = self.out.isatty()
        self.began = self.said = clock()

    def left_s(self):
        """Seconds that the rest will take if it goes on as before; None while too little is done to tell."""
        part = self.finished / self.total if self.total else 1
        return (self.clock() - self.began) * (1 - part) / part if part >= LEAST_PART else None

    def line(self, what):
        left = self.left_s()
        rest = f", about {span(left)} left" if left is not None else ""
        return f"{100 * self.finished / (self.total or 1):3.0f} %, {span(self.clock() - self.began)} so far{rest}: {what}"

    def says(self, what):
        """`what` runs now."""
        if self.overwrites:
            print(f"\r{self.line(what):<79.79}", end="", file=self.out, flush=True)
        elif self.clock() - self.said >= EVERY_S:
            self.said = self.clock()
            print(self.line(what), file=self.out, flush=True)

    def advance(self, units=1):
        self.finished = min(self.total, self.finished + units)

    def clear(self):
        """Before other output, and at the end."""
        if self.overwrites:
            print(f"\r{'':<79}\r", end="", file=self.out, flush=True)
