#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Draws what the simulator wrote: scripts/plot_sim.py CSV_FOLDER SVG_FOLDER. Standard library only."""

import csv
import math
import sys
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 80, 24, 56, 60
INK, GRID = "#24292f", "#d0d7de"
COLOURS = ["#0969da", "#cf222e", "#8250df"]


class Plot:
    """A frame with two axes, each linear or logarithmic."""

    def __init__(self, title, x_label, y_label, x_range, y_range, x_log=False, y_log=False):
        self.x_range, self.y_range, self.x_log, self.y_log = x_range, y_range, x_log, y_log
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13" fill="{INK}">',
            "<!-- SPDX-License-Identifier: MPL-2.0; written by scripts/plot_sim.py -->",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        ]
        self.text(LEFT, 24, title, size=16, weight="bold")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label, anchor="middle")
        self.text(16, (TOP + HEIGHT - BOTTOM) / 2, y_label, anchor="middle", turned=True)

    def text(self, x, y, text, size=13, anchor="start", weight="normal", turned=False):
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"{turn}>{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, colour=GRID, width=1, dash=""):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{dashes}/>')

    @staticmethod
    def part(value, bounds, log):
        low, high = (math.log10(v) for v in bounds) if log else bounds
        return ((math.log10(value) if log else value) - low) / (high - low)

    def x(self, value):
        return LEFT + self.part(value, self.x_range, self.x_log) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - self.part(value, self.y_range, self.y_log) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x_ticks, y_ticks):
        for value in y_ticks:
            self.line(LEFT, self.y(value), WIDTH - RIGHT, self.y(value))
            self.text(LEFT - 8, self.y(value) + 4, f"{value:g}", anchor="end")
        for value in x_ticks:
            self.line(self.x(value), HEIGHT - BOTTOM, self.x(value), HEIGHT - BOTTOM + 5, INK)
            self.text(self.x(value), HEIGHT - BOTTOM + 20, f"{value:g}", anchor="middle")
        self.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, INK)

    def curve(self, points, colour, dash="", steps=False):
        path, before = [], None
        for x, y in points:
            if steps and before is not None:
                path.append(f"{self.x(x):.1f},{self.y(before):.1f}")
            path.append(f"{self.x(x):.1f},{self.y(y):.1f}")
            before = y
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<polyline points="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')

    def key(self, entries):
        """Names of curves, in a row above the frame."""
        x = LEFT
        for name, colour, dash in entries:
            self.line(x, 42, x + 24, 42, colour, 2, dash)
            self.text(x + 30, 46, name)
            x += 42 + 7.2 * len(name)

    def write(self, path):
        path.write_text("\n".join([*self.parts, "</svg>", ""]))


def rows(path):
    with path.open() as f:
        return list(csv.DictReader(f))


def plot_waits(source, target):
    data = rows(source / "waits.csv")
    plot = Plot("How long a client that sends a little waits", "flooding sources", "milliseconds",
                (1, 500), (1, 20000), x_log=True, y_log=True)
    plot.axes([1, 2, 5, 10, 20, 50, 100, 200, 500], [1, 10, 100, 1000, 10000])
    entries = []
    for column, name, colour, dash in [("bare_median", "no turns, median", COLOURS[1], ""), ("bare_p99", "no turns, p99", COLOURS[1], "5 4"),
                                       ("turns_median", "turns, median", COLOURS[0], ""), ("turns_p99", "turns, p99", COLOURS[0], "5 4")]:
        points = [(float(row["sources"]), max(1.0, float(row[column]))) for row in data if float(row[column]) > 0]
        plot.curve([(x, min(y, 20000.0)) for x, y in points], colour, dash)
        entries.append((name, colour, dash))
    plot.key(entries)
    plot.write(target / "sim-waits.svg")


def plot_in_hand(source, target):
    data = [(float(row["seconds"]), float(row["in_hand"])) for row in rows(source / "in_hand.csv")]
    plot = Plot("Requests in hand: one server, after one second eight", "seconds", "requests", (0, 2), (0, 25))
    plot.axes([0, 0.2, 0.5, 1, 1.2, 1.5, 2], [0, 5, 10, 15, 20, 25])
    plot.curve([(0, 1), (1, 1), (1, 8), (2, 8)], COLOURS[1], "5 4")
    plot.curve([(x, min(y, 25.0)) for x, y in data], COLOURS[0], steps=True)
    plot.key([("in hand", COLOURS[0], ""), ("servers", COLOURS[1], "5 4")])
    plot.write(target / "sim-in-hand.svg")


def plot_strategies(source, target):
    data = [(row["strategy"], float(row["percent"])) for row in rows(source / "strategies.csv")]
    most = max(8.0, *(percent for _, percent in data))
    plot = Plot("What a strategy has of the application, in percent", "", "", (0, most * 1.1), (0, len(data)))
    space = (HEIGHT - TOP - 24) / len(data)
    for i, (name, percent) in enumerate(data):
        y, left = TOP + i * space, 190
        length = percent / (most * 1.1) * (WIDTH - left - RIGHT)
        plot.parts.append(
            f'<rect x="{left}" y="{y + 5:.1f}" width="{max(length, 1):.1f}" height="{space - 10:.1f}" fill="{COLOURS[0]}"/>')
        plot.text(left - 8, y + space / 2 + 4, name, anchor="end")
        plot.text(left + length + 6, y + space / 2 + 4, f"{percent:.2f}")
    plot.write(target / "sim-strategies.svg")


def main(args):
    if len(args) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    source, target = map(Path, args)
    target.mkdir(parents=True, exist_ok=True)
    for plot in (plot_waits, plot_in_hand, plot_strategies):
        plot(source, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
