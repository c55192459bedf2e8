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


class Interrupt:
    """Whether Ctrl-C was pressed during some work.

    A bare attribute: what waits or locks would be entered a second time by a signal that arrives within it.
    """

    def __init__(self) -> None:
        self.pressed = False


_present = Interrupt()


def interrupted() -> bool:
    """Has Ctrl-C been pressed during the work at hand?"""
    return _present.pressed


def noting_interrupts(work: Callable[[Interrupt], None], *, at_once: bool) -> None:
    """Does `work(interrupt)`; KeyboardInterrupt at its end where a signal arrived and was swallowed on the way.

    Signals reach the main thread only; elsewhere nothing is noted.

    Args:
        at_once: a signal is also raised where it arrives. Not for work that hands jobs to threads: Python's own pools
            and locks, when an exception comes between two of their lines, can leave a lock taken for ever. Such work
            looks at `interrupt` from time to time.
    """
    global _present
    previous, outer, mine = signal.getsignal(signal.SIGINT), _present, Interrupt()
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        work(mine)
        return
    raises = False

    def note(number: int, frame: FrameType | None) -> None:
        mine.pressed = True
        if raises:
            previous(number, frame)

    # Nothing is raised while the handler is another's, but in `work`. (A context manager would not do: its own lines
    # are interrupted like any others, and then it does not end.)
    signal.signal(signal.SIGINT, note)
    try:
        _present = mine
        raises = at_once
        work(mine)
    finally:
        raises = False
        _present = outer
        signal.signal(signal.SIGINT, previous)
        if mine.pressed and not at_once:
            previous(signal.SIGINT, None)
    if mine.pressed:
        raise KeyboardInterrupt


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
