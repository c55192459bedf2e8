"""Ctrl-C while CVODES is at work ends the solve as KeyboardInterrupt, never as a failed member."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from stopping import stopped_at

import pydiffgeo as dg
from pydiffgeo.engines.interrupts import interrupted, noted_interrupts, restores_grad_mode


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

    def work() -> None:
        with noted_interrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]


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
