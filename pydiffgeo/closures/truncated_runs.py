"""Gradients of statistics through windows of a run that goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..checks import check_positive, check_whole, check_within
from ..errors import AdjointError, InputError, ShapeError, SolverError
from ..fingerprint import digest
from .training_file import Progress, load_training, save_training

S = TypeVar("S", bound="Tensor | Mapping[str, Tensor] | None")
# Windows without a finite gradient, one after the other, before learning is given up.
PATIENCE = 10


@dataclass(frozen=True, eq=False)
class Learned(Generic[S]):
    """How learning went; the parameters themselves were changed in place.

    Attributes:
        losses: of the running statistics at each window, NaN where it failed. statistics: their running mean at the end.
        state: the state at the end, to go on from. failures: windows that failed and were left out.
    """

    losses: tuple[float, ...]
    statistics: Tensor
    state: S
    failures: int

    def __str__(self) -> str:
        good = [x for x in self.losses if math.isfinite(x)]
        left_out = f", {self.failures} left out" if self.failures else ""
        return f"{len(self.losses)} windows{left_out}: loss from {good[0]:.4g} to {good[-1]:.4g}"


def learn(
    run: Callable[[S], tuple[S, Tensor]],
    loss: Callable[[Tensor], Tensor],
    parameters: Iterable[Tensor],
    state: S,
    *,
    windows: int,
    rate: float = 0.01,
    memory: float = 1.0,
    clip: float = 1.0,
    averaged: float = 0.5,
    watch: Callable[[int, float], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Learned[S]:
    """Trains what is inside a solver on statistics of its runs, by Adam, window by window.

    A run goes on from window to window, so that its statistics come to be those of the closure and not of the first state;
    gradients reach back to the beginning of a window only (truncation). Through chaos a window has to be shorter than the
    time in which neighbours part; noise of short windows is taken out of the loss by `memory`, not out of the gradient.

    Args:
        run: from a state to the state a window later and the statistics of the window, a tensor of any shape, differentiable
            in the parameters. Solvers that fail may raise `SolverError`.
        loss: of statistics, a scalar tensor.
        parameters: tensors that require gradients, changed in place.
        state: a tensor, tensors by name, or None where every window begins anew.
        windows: how many. rate: of Adam; it falls to a tenth over the run, by a cosine.
        memory: windows over which statistics are averaged, with weights that decay; 1 is the last window alone.
        clip: largest norm of a gradient.
        averaged: share of the windows, the last ones, over which the parameters are averaged in the end; 0 keeps the last.
        watch: called with the number of the window and the loss.
        checkpoint: a file that is written after each window, and that a stopped training goes on from to the same numbers.
            `run` must not hold anything else that changes.

    Raises:
        InputError: there is nothing to learn, or a number is out of its range. ShapeError: the loss is not a scalar.
        SolverError: ten windows in a row gave no finite loss and gradient.
        DataError: the checkpoint cannot be read or written, or belongs to another training.
    """
    learnt = list(parameters)
    if not learnt or not all(p.requires_grad and p.is_leaf for p in learnt):
        raise InputError("parameters must be leaves that require gradients, one or more; use parameters() of a module")
    check_whole(1, windows=windows)
    check_positive(rate=rate, clip=clip)
    check_within(1.0, math.inf, "1 or more", memory=memory)
    check_within(0.0, 1.0, "from 0 to 1", averaged=averaged)
    adam = torch.optim.Adam(learnt, lr=rate)
    first_averaged = windows - max(1, round(averaged * windows))
    now = Progress(state, [torch.zeros_like(p) for p in learnt])
    path = None if checkpoint is None else Path(checkpoint)
    begin = [p.detach() for p in learnt], state if isinstance(state, Tensor | None) else dict(state)
    identity = digest(begin, windows, rate, memory, clip, averaged)
    if path is not None and path.exists():
        load_training(path, identity, now, learnt, adam)
    for window in range(len(now.losses), windows):
        adam.zero_grad()
        for group in adam.param_groups:
            group["lr"] = rate * (0.1 + 0.45 * (1 + math.cos(math.pi * window / windows)))
        found = _window(run, loss, now.state, now.running, memory, learnt)
        if found is None:
            now.in_a_row += 1
            now.losses.append(math.nan)
            if now.in_a_row == PATIENCE:
                raise SolverError(f"windows {window - PATIENCE + 1} to {window} gave no finite loss and gradient")
            now.state = state
        else:
            now.in_a_row = 0
            now.state, now.running, value = found
            now.losses.append(value)
            torch.nn.utils.clip_grad_norm_(learnt, clip)
            adam.step()
        if window >= first_averaged:
            now.count += 1
            for mean, p in zip(now.sums, learnt, strict=True):
                mean += p.detach()
        if path is not None:
            save_training(path, identity, now, learnt, adam)
        if watch is not None:
            watch(window, now.losses[-1])
    if now.running is None:
        raise SolverError(f"none of {windows} windows gave a finite loss and gradient")
    if averaged:
        with torch.no_grad():
            for mean, p in zip(now.sums, learnt, strict=True):
                p.copy_(mean / now.count)
    return Learned(tuple(now.losses), now.running, now.state, sum(math.isnan(x) for x in now.losses))


def _window(
    run: Callable[[S], tuple[S, Tensor]],
    loss: Callable[[Tensor], Tensor],
    state: S,
    running: Tensor | None,
    memory: float,
    learnt: list[Tensor],
) -> tuple[S, Tensor, float] | None:
    """The next state, the running statistics and the loss, gradients being set; None where something is not finite."""
    try:
        with torch.enable_grad():
            later, statistics = run(state)
            fresh = statistics.detach()
            mean = fresh if running is None else running + (fresh - running) / memory
            # The value is that of the running mean; the slope is as if all of it were as sensitive as this window.
            value = loss(mean + (statistics - fresh))
        if value.ndim:
            raise ShapeError(f"the loss must be a scalar, got the shape {tuple(value.shape)}")
        if not torch.isfinite(value):
            return None
        if value.requires_grad:
            value.backward()
    except (SolverError, AdjointError):
        return None
    grads = [p.grad for p in learnt if p.grad is not None]
    if not grads:
        raise InputError("the loss does not depend on the parameters: no gradient reaches them")
    if not all(torch.isfinite(g).all() for g in grads):
        return None
    return _cut(later), mean, float(value.detach())


def _cut(state: S) -> S:
    """The state without what led to it."""
    if isinstance(state, Tensor):
        return state.detach()  # type: ignore[return-value]
    if isinstance(state, Mapping):
        return {name: values.detach() for name, values in state.items()}  # type: ignore[return-value]
    return state
