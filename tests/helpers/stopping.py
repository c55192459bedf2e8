"""Ctrl-C at any call of a function, and what a training or a calibration is compared with after it."""

from __future__ import annotations

import inspect
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def stopped_at(call: int = 0) -> Iterator[list[int]]:
    """Ctrl-C as the `call`-th function of Python, whichever that is, begins; counts the functions called.

    Not within a generator, whose end may come with the garbage: there Python drops exceptions.
    """
    count = [0]

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            count[0] += 1
            if 0 < call <= count[0] and not frame.f_code.co_flags & inspect.CO_GENERATOR:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


@contextmanager
def pressed_at(moment: int = 0) -> Iterator[list[int]]:
    """Ctrl-C at the `moment`-th place where Python looks for it: as a function begins, or one of C's ends.

    Yields a list of the number of places that were passed.
    """
    count = [0]

    def note(frame: Any, event: str, _: Any) -> None:
        if event in ("call", "c_return"):
            count[0] += 1
            if count[0] == moment:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)

    sys.setprofile(note)
    try:
        yield count
    finally:
        sys.setprofile(None)


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """To the last bit."""
    return {*a} == {*b} and all(torch.equal(a[name], b[name]) for name in a)
