# SPDX-License-Identifier: MPL-2.0
"""python3 -m behaviour SUBJECT [CASE]...: runs the cases one after the other, and says one line of JSON for each."""
import faulthandler
import json
import sys
import time

from .case import PATIENCE, Case, cases_of


def main(subject, *names):
    cases = cases_of(subject)
    for name in names or cases:
        faulthandler.dump_traceback_later(6 * PATIENCE, exit=True)
        case, began = Case(), time.monotonic()
        try:
            cases[name](case)
        except Exception as e:  # it is what this case has come to, and the next one goes on
            case.say("raised", type(e).__name__, str(e), line_of(e, cases[name]))
        case.close()
        print(json.dumps({"case": name, "said": case.said, "seconds": round(time.monotonic() - began, 2)}), flush=True)


def line_of(e, function):
    """In the case itself."""
    here, at = e.__traceback__, None
    while here:
        if here.tb_frame.f_code is function.__code__:
            at = here.tb_lineno
        here = here.tb_next
    return f"line {at}"


if __name__ == "__main__":
    main(*sys.argv[1:])
