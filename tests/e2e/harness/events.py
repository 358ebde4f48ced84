# SPDX-License-Identifier: MPL-2.0
"""The event log as its readers see it."""
import json
import os

from .net import wait_until


class EventLog:
    def __init__(self, path):
        self.path = path

    def text(self):
        if not os.path.exists(self.path):
            return b""
        with open(self.path, "rb") as f:
            return f.read()

    def all(self, event=None, **fields):
        """All events, or those of a kind that have these fields. Whatever is in the file must be whole lines of JSON in ASCII."""
        whole = self.text().rpartition(b"\n")[0]
        found = []
        for line in whole.split(b"\n") if whole else []:
            assert line.isascii() and b"\r" not in line, line
            found.append(json.loads(line))
        return [e for e in found if event in (None, e["event"]) and fields.items() <= e.items()]

    def wait(self, event, count=1, **fields):
        wait_until(lambda: len(self.all(event, **fields)) >= count, f"{count} events {event} {fields}")
        return self.all(event, **fields)
