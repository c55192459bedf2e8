"""The file of a training that a stopped one goes on from: plain arrays and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..engines.interrupts import held_interrupts
from ..errors import DataError
from ..io import read_archive, write_archive

S = TypeVar("S", bound="Tensor | Mapping[str, Tensor] | None")
FORMAT = 1


@dataclass(eq=False)
class Progress(Generic[S]):
    """How far a training has come.

    Attributes:
        state: what the next window begins with. sums: of the parameters of `count` windows, the last ones.
        losses: of each window so far. in_a_row: windows that failed, up to the last one. running: statistics.
    """

    state: S
    sums: list[Tensor]
    count: int = 0
    in_a_row: int = 0
    running: Tensor | None = None
    losses: list[float] = field(default_factory=list)


def save_training(
    path: Path, identity: str, progress: Progress[S], learnt: Sequence[Tensor], adam: torch.optim.Adam
) -> None:
    """Writes the file, whole or not at all."""
    arrays = {f"sum/{i}": value for i, value in enumerate(progress.sums)}
    for i, parameter in enumerate(learnt):
        arrays[f"parameter/{i}"] = parameter.detach()
        arrays |= {f"adam/{i}/{name}": value for name, value in adam.state[parameter].items()}
    if progress.running is not None:
        arrays["running"] = progress.running
    if isinstance(progress.state, Mapping):
        arrays |= {f"state/{name}": value for name, value in progress.state.items()}
    elif progress.state is not None:
        arrays["state/"] = progress.state
    # JSON has no NaN.
    losses = [None if math.isnan(value) else value for value in progress.losses]
    about = {"format": FORMAT, "identity": identity, "losses": losses}
    about |= {"count": progress.count, "in_a_row": progress.in_a_row}
    with held_interrupts():
        write_archive(path, about, {name: value.numpy() for name, value in arrays.items()})


def load_training(
    path: Path, identity: str, progress: Progress[S], learnt: Sequence[Tensor], adam: torch.optim.Adam
) -> None:
    """Sets progress, parameters and optimiser to what a file holds.

    Raises:
        DataError: it cannot be read, or belongs to another training.
    """
    try:
        about, raw = read_archive(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if about.get("format") != FORMAT or about.get("identity") != identity:
        raise DataError(f"{path} belongs to another training: remove it, or name another file")
    arrays = {name: torch.from_numpy(value) for name, value in raw.items()}
    with torch.no_grad():
        for i, parameter in enumerate(learnt):
            parameter.copy_(arrays[f"parameter/{i}"])
            of_adam = {n.split("/")[2]: v for n, v in arrays.items() if n.startswith(f"adam/{i}/")}
            if of_adam:
                adam.state[parameter] = of_adam
    progress.sums = [arrays[f"sum/{i}"] for i in range(len(learnt))]
    progress.count, progress.in_a_row = about["count"], about["in_a_row"]
    progress.losses = [math.nan if value is None else value for value in about["losses"]]
    progress.running = arrays.get("running")
    state = {n.removeprefix("state/"): v for n, v in arrays.items() if n.startswith("state/")}
    if isinstance(progress.state, Tensor):
        progress.state = state[""]  # type: ignore[assignment]
    elif progress.state is not None:
        progress.state = state  # type: ignore[assignment]
