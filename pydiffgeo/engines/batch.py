"""Members of a batch, solved one after the other or on threads, until they are done, fail, or their time is over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from .base import Options, Status
from .interrupts import Interrupt, noting_interrupts


class Failure(Exception):
    """The solver gave up on a member, or was told to."""

    def __init__(self, status: Status, reason: str = "") -> None:
        super().__init__(status.value, reason)
        self.status, self.reason = status, reason


class Watch:
    """What a solve looks at between intervals: the time it is allowed, and whether Ctrl-C was pressed."""

    def __init__(self, max_seconds: float, interrupt: Interrupt) -> None:
        self._max_seconds, self._interrupt = max_seconds, interrupt
        self._deadline = time.monotonic() + max_seconds

    def look(self) -> None:
        """Raises `Failure` when the time is over, and KeyboardInterrupt after Ctrl-C."""
        if self._interrupt.pressed:
            raise KeyboardInterrupt
        if time.monotonic() >= self._deadline:
            raise Failure(Status.TIME_LIMIT, f"(max_seconds={self._max_seconds:g})")

    def uncounted(self, seconds: float) -> None:
        """Allows for time that was spent on something else than solving."""
        self._deadline += seconds


def processors() -> int:
    """How many this process may use, which a batch system may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each_member(
    options: Options, some: Sequence[int], members: int, work: Callable[[int, Watch], None]
) -> tuple[list[Status], dict[int, str]]:
    """Does `work(member, watch)` for `some` of the `members`; returns a status for each, and reasons of failures."""
    status, reasons = [Status.SUCCESS] * members, dict[int, str]()
    threads = min(options.threads or processors(), len(some))

    def all_members(interrupt: Interrupt) -> None:
        watch = Watch(options.max_seconds, interrupt)

        def guarded(m: int) -> None:
            try:
                watch.look()
                work(m, watch)
            except Failure as failure:
                status[m], reasons[m] = failure.status, failure.reason

        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(guarded, some))
        else:
            for m in some:
                guarded(m)

    noting_interrupts(all_members, at_once=threads < 2)
    return status, dict(sorted(reasons.items()))
