# SPDX-License-Identifier: MPL-2.0
"""Cases of which the test of the tests knows what they have to say: whether a difference is seen."""
import os

import zmq


def the_same(t):
    one, other = (t.bound(zmq.PULL)[1] for _ in range(2))
    t.say(one)
    t.say(other, one)


def a_variable(t):
    t.say("libweir-run" in os.environ.get("LD_PRELOAD", ""))


def a_library(t):
    with open("/proc/self/maps") as f:
        t.say("libweir-run" in f.read())


def an_address(t):
    """A port in place of another one of the same kind."""
    one, other = (t.bound(zmq.PULL)[1] for _ in range(2))
    t.say(one, other)
    t.say(one if "WEIR_RUN" in os.environ else other)


def a_number_of_words(t):
    for _ in range(1 + ("WEIR_RUN" in os.environ)):
        t.say("word")


def a_failure(t):
    t.bound(zmq.PULL, RCVTIMEO=1)[0].recv()


def nothing_said(t):
    t.say()
    t.said.clear()
