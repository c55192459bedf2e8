"""Ctrl-C during solves and derivatives, in processes of their own: `python -m pressed NAME ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import torch
from faults import PATIENCE, endless, lasting, numbers, same

from pydiffgeo.engines.registry import choose_engine


def pressed_during(work: Callable[[], Any], wait: float) -> float:
    """Seconds from Ctrl-C, pressed after those to `wait`, to its exception."""
    sent: list[float] = []

    def press() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(wait, press)
    try:
        timer.start()
        work()
    except KeyboardInterrupt:
        took = time.monotonic() - sent[-1]
        timer.join()
        return took
    raise AssertionError("no KeyboardInterrupt")


def interrupt(engine: str, rounds: str = "2") -> None:
    """Ctrl-C during a long solve, and while nothing is solved; prints the seconds from signal to exception."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    expected = numbers(engine)
    for _ in range(int(rounds)):
        print("seconds", pressed_during(lambda: endless(engine), 1.0))
        assert same(numbers(engine), expected)
    print("seconds", pressed_during(lambda: time.sleep(PATIENCE), 1.0))


def interrupt_derivatives(engine: str) -> None:
    """The same during a backward pass, and during derivatives along a direction."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    expected = numbers(engine)
    sol, k, solve = lasting(engine)
    print("seconds", pressed_during(lambda: sol.states["u"].sum().backward(), 0.1))
    assert same(numbers(engine), expected)
    chosen, _ = choose_engine(engine)
    tangent, took = chosen.tangent, []

    def pressed(*arguments: Any) -> None:
        took.append(pressed_during(lambda: tangent(*arguments), 0.1))
        raise KeyboardInterrupt

    chosen.tangent = pressed
    try:
        torch.func.jvp(lambda k: solve(k).states["u"], (k.detach(),), (torch.ones_like(k),))
    except KeyboardInterrupt:
        print("seconds", *took)
    chosen.tangent = tangent
    assert same(numbers(engine), expected)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
    print("done")
