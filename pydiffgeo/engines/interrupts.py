"""Ctrl-C during foreign code that turns it into an error of its own.

CasADi asks Python for pending signals while it solves, and CVODES takes the exception for a failure of
the right-hand side: without a note of the signal, Ctrl-C would be lost, and a good member reported as failed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")

_seen = threading.Event()


def interrupted() -> bool:
    """Has Ctrl-C been pressed within the present `noted_interrupts()`?"""
    return _seen.is_set()


@contextmanager
def noted_interrupts() -> Iterator[threading.Event]:
    """Raises KeyboardInterrupt at the end where a signal arrived and was swallowed on the way.

    Yields what is set as soon as one arrives, for threads that work for this one.

    Signals reach the main thread only; elsewhere this does nothing.
    """
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield threading.Event()
        return

    def note(number: int, frame: FrameType | None) -> None:
        _seen.set()
        previous(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield _seen
        if _seen.is_set():
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, previous)
        _seen.clear()


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Lets Ctrl-C wait for the end of what must not be left half done, a few moments at most; in the first thread."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield
        return
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if seen:
            previous(signal.SIGINT, None)


@contextmanager
def saved_when_stopped(
    save: Callable[[], object], where: Callable[[], str], close: Callable[[], object]
) -> Iterator[None]:
    """Saves what has been found, whatever stops the work: Ctrl-C, or an error of a callback, say; and closes in any case.

    What Ctrl-C raises says where the work stands.
    """
    try:
        yield
    except BaseException as error:
        save()
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(where()) from None
        raise
    finally:
        close()


def restores_grad_mode(work: Callable[P, T]) -> Callable[P, T]:
    """A function after which gradients are recorded as before it, wherever Ctrl-C ends it.

    PyTorch's own context managers are written in Python: Ctrl-C as one of them ends would leave the whole process
    without gradients.
    """

    @wraps(work)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        before = torch.is_grad_enabled()
        try:
            return work(*args, **kwargs)
        finally:
            torch.set_grad_enabled(before)

    return guarded
