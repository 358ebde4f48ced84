# SPDX-License-Identifier: MPL-2.0
"""Small libzmq programs, by subject. Each says what it sees, in the same words each time; test_run_behaviour.py runs them bare and under `weir run`."""
