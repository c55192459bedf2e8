"""Seconds of a measurement: those of a clock or, on a machine that others use as well, those of the processor."""

from __future__ import annotations

import os
import resource
import time

PROCESSOR = "PEERS_PROCESSOR_TIME"


def seconds() -> float:
    """Of this process and of those it has waited for."""
    if not os.environ.get(PROCESSOR):
        return time.perf_counter()
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)
