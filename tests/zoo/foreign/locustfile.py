# SPDX-License-Identifier: MPL-2.0
"""Users without a system under test: each fires a request event twenty times a second. Workers report as often as ZOO_REPORT_S says; the master
prints each report as an operation of the zoo, with the time that it was under way."""
import os
import time

import gevent
import locust.runners
from locust import User, constant, events, task

locust.runners.__version__ = "2.12.1"  # Debian's package leaves it empty, and then its master refuses its workers
locust.runners.WORKER_REPORT_INTERVAL = float(os.environ["ZOO_REPORT_S"])
END_S = int(os.environ.get("ZOO_END_NS", 0)) / 1e9
START_NS = int(os.environ.get("ZOO_START_NS", 0))


class Visitor(User):
    wait_time = constant(0.05)

    @task
    def visit(self):
        self.environment.events.request.fire(request_type="VISIT", name="page", response_time=1, response_length=10, exception=None, context={})


@events.report_to_master.add_listener
def on_report(client_id, data):
    data["sent_ns"] = time.monotonic_ns()


@events.worker_report.add_listener
def on_worker_report(client_id, data):
    now = time.monotonic_ns()
    print(f"op {now} {now - data['sent_ns']}", flush=True)


@events.init.add_listener
def on_init(environment, **_):
    if isinstance(environment.runner, locust.runners.WorkerRunner):
        gevent.spawn_later(max(0, END_S - time.monotonic()), environment.runner.quit)
