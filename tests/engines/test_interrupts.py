"""Ctrl-C while CVODES is at work ends the solve as KeyboardInterrupt, never as a failed member."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from stopping import pressed_at, stopped_at

import pydiffgeo as dg
from pydiffgeo.engines.base import Options
from pydiffgeo.engines.batch import Watch, each_member
from pydiffgeo.engines.interrupts import Interrupt, interrupted, noting_interrupts, restores_grad_mode


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal; what runs in the background of a shell starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_not_taken_for_a_failed_solve() -> None:
    model = dg.models.RichardsColumn(1.0, 200)

    def run() -> None:
        forcing = {"flux": [0.03] * 60}
        dg.solve(model, forcing=forcing, times=range(61), initial={"theta": 0.2}, engine="sundials", throw=False)

    run()
    handler = signal.getsignal(signal.SIGINT)
    for delay in (0.03, 0.06, 0.09, 0.12):
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - whichever line it arrives at
            timer.start()
            while timer.is_alive():
                run()
            time.sleep(1.0)
        timer.join()
        assert signal.getsignal(signal.SIGINT) is handler
        assert not interrupted()
    run()


def test_other_threads_leave_signals_alone() -> None:
    handlers = []

    def work(interrupt: Interrupt) -> None:
        handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=noting_interrupts, args=(work,), kwargs={"at_once": True})
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_at_any_moment_of_a_batch_ends_it(threads: int) -> None:
    def batch() -> None:
        def solve(member: int, watch: Watch) -> None:
            time.sleep(1e-4)
            watch.look()

        each_member(Options(threads=threads), range(3), 3, solve)

    with pressed_at() as passed:
        batch()
    handler, ended = signal.getsignal(signal.SIGINT), 0
    for moment in range(1, passed[0] + 1):
        pressed, now = False, [0]
        try:
            with pressed_at(moment) as now:
                batch()
        except KeyboardInterrupt:
            pressed = True
        # Two threads do not pass the same number of moments in each run.
        assert pressed or now[0] < moment, moment
        assert signal.getsignal(signal.SIGINT) is handler, moment
        assert not interrupted(), moment
        ended += pressed
        batch()
    assert ended > 0.8 * passed[0]


@pytest.mark.usefixtures("ctrl_c")
def test_a_handler_of_the_users_own_is_called_once() -> None:
    called = []
    before = signal.signal(signal.SIGINT, lambda number, frame: called.append(number))
    try:
        for threads in (1, 2):
            with pytest.raises(KeyboardInterrupt):
                each_member(
                    Options(threads=threads),
                    range(2),
                    2,
                    lambda m, watch: os.kill(os.getpid(), signal.SIGINT) if m else None,
                )
            assert called == threads * [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_at_any_call_leaves_gradients_as_they_were() -> None:
    @restores_grad_mode
    def work() -> None:
        for _ in range(2):
            with torch.no_grad():
                torch.zeros(2)

    with stopped_at() as calls:
        work()
    # The first call is that of the guard, which has not begun.
    for call in range(2, calls[0]):
        with pytest.raises(KeyboardInterrupt), stopped_at(call):
            work()
        assert torch.is_grad_enabled()
    with torch.no_grad():
        work()
        assert not torch.is_grad_enabled()
