"""Waiting for a condition, never for a time."""

import os
import time

PATIENCE = float(os.environ.get("DRAVE_TEST_PATIENCE", 60))  # seconds; generous, since only failing tests use it up


class TooLate(AssertionError):
    """A condition did not come true in time."""


def until(condition, what, seconds=None, step=0.01):
    """Calls condition until it returns something true, and returns that; what says what was hoped for (text or a function)."""
    deadline = time.monotonic() + (seconds or PATIENCE)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TooLate(f"never happened: {what() if callable(what) else what}")
        time.sleep(step)
