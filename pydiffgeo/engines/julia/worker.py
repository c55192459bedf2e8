"""The one thread that enters Julia; whoever wants something of Julia waits for it.

Julia knows each thread that ever entered it, and stops them all to collect garbage. Threads of Python come, end and
hold Python's lock as they like, so that two of them in Julia wait for each other sooner or later. One thread never
does, and the others, Python's first one with its signals included, wait where Python can reach them.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

from ..interrupts import held_interrupts

# Seconds that an interrupted caller waits for its work to stop. It stops within a step; code that is being
# compiled does not, and is left to end by itself.
GRACE = 1.0
# Bytes of stack, more than some systems give to threads: Julia compiles on it.
STACK = 1 << 25
SIGNALS = "PYTHON_JULIACALL_HANDLE_SIGNALS"
# Windows does not interrupt a wait without an end.
POLL = 0.05 if os.name == "nt" else -1.0

_numbers = itertools.count(1)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Job(Generic[T_co]):
    """Something to do, and what came of it."""

    def __init__(self, work: Callable[[], T_co]) -> None:
        self.number, self.work, self.unwanted = next(_numbers), work, False
        self.result: T_co | None = None
        self.error: BaseException | None = None
        # Held until the job is over. A bare lock: an exception in the middle of waiting leaves it as it is.
        self.over = threading.Lock()
        self.over.acquire()

    def do(self) -> None:
        try:
            if not self.unwanted:
                self.result = self.work()
        except BaseException as error:  # whatever it is, it belongs to who asked
            _forget_frames(error)
            self.error = error
        finally:
            self.over.release()


class Worker:
    """A thread that does jobs one after the other, as long as the process lives.

    `address` is that of two integers of 64 bits: the number of the job at work, and that of the job to be stopped.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job[object]] = SimpleQueue()
        self._words = (ctypes.c_int64 * 2)(0, -1)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> int:
        return ctypes.addressof(self._words)

    def here(self) -> bool:
        """Is this the worker's thread?"""
        return threading.current_thread() is self._thread

    def run(self, work: Callable[[], T]) -> T:
        """Result of `work()`, done by the worker; raises what it raises.

        An exception that arrives while waiting, Ctrl-C as a rule, stops the work where it looks for that, and is raised.
        """
        if self.here():
            return work()
        self._start()
        job = _Job(work)
        try:
            self._jobs.put(job)
            while not job.over.acquire(timeout=POLL):
                pass
        except BaseException:
            job.unwanted = True
            self._words[1] = job.number
            job.over.acquire(timeout=GRACE)
            raise
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def _start(self) -> None:
        # Ctrl-C between the start and its note would have a second thread enter Julia.
        with self._starting, held_interrupts():
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="julia", daemon=True)
                before = threading.stack_size(STACK)
                try:
                    thread.start()
                finally:
                    threading.stack_size(before)
                self._thread = thread

    def _work(self) -> None:
        while True:
            self._next()

    def _next(self) -> None:
        # A function of its own, so that nothing of a job stays behind while there is none.
        job = self._jobs.get()
        self._words[0] = job.number
        job.do()


def _forget_frames(error: BaseException | None) -> None:
    """Empties the frames that an error came through: what they hold of Julia is not to be dropped by another thread."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextmanager
def signals_settled() -> Iterator[None]:
    """Tells juliacall within to leave signals alone, as it does unless told otherwise.

    Not told, it would ask Julia whether there are several threads, to warn of them: through conversions that compile for 0.7 s.
    Where more than one thread may be asked for, it is left to warn.
    """
    options = ("handle_signals", "threads")
    asked = {f"juliacall-{name.replace('_', '-')}" for name in options} & set(sys._xoptions)
    asked |= {f"PYTHON_JULIACALL_{name.upper()}" for name in options} & set(os.environ)
    if asked or os.environ.get("JULIA_NUM_THREADS", "1") != "1":
        yield
        return
    os.environ[SIGNALS] = "no"
    try:
        yield
    finally:
        del os.environ[SIGNALS]


@contextmanager
def ctrl_c_kept() -> Iterator[None]:
    """Leaves Ctrl-C to Python, whoever replaces its handler within: Julia does, told to handle signals."""
    if os.name == "nt":
        yield
        return
    sigaction = ctypes.CDLL(None).sigaction
    handler = ctypes.create_string_buffer(1024)  # whatever the system keeps there, and then some
    sigaction(signal.SIGINT, None, handler)
    try:
        yield
    finally:
        sigaction(signal.SIGINT, handler, None)
