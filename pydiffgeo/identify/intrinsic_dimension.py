"""The intrinsic dimension of a training: how many directions it needs to do nearly as well as with all of its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..checks import check_positive, check_whole
from ..errors import DataError, InputError

# Trains in a subspace of so many directions, or directly where None, with this seed; returns how well it then does.
Train = Callable[[int | None, int], float]
Key = tuple[int | None, int]


@dataclass(frozen=True, eq=False)
class IntrinsicDimension:
    """How well trainings in subspaces do.

    Attributes:
        dimensions: of the subspaces, growing, `(n,)`.
        performance: `(n, seeds)`; larger is better.
        baseline: what the direct training reaches, `(seeds,)`, or one number that was stated.
        share: of the baseline that is to be exceeded.
    """

    dimensions: Array
    performance: Array
    baseline: Array
    share: float

    @property
    def threshold(self) -> float:
        """What is to be exceeded by the mean over the seeds."""
        return self.share * float(np.mean(self.baseline))

    @property
    def value(self) -> int | None:
        """The smallest dimension whose mean over the seeds exceeds the threshold; None where none does."""
        return _first(self.dimensions, self.performance.mean(1), self.threshold)

    @property
    def of_seeds(self) -> tuple[int | None, ...]:
        """The same of each seed by itself, held against the same threshold."""
        return tuple(_first(self.dimensions, column, self.threshold) for column in self.performance.T)

    def table(self) -> str:
        """Performance against dimension as text."""
        lines = [f"{'dimension':>10}{'mean':>10}{'least':>10}{'most':>10}"]
        for d, row in zip(self.dimensions, self.performance, strict=True):
            lines.append(f"{int(d):10}{row.mean():10.4f}{row.min():10.4f}{row.max():10.4f}")
        seeds = ", ".join("none" if d is None else str(d) for d in self.of_seeds)
        lines.append(f"direct: {np.mean(self.baseline):.4f}; to be exceeded: {self.threshold:.4f}")
        reached = "none of these" if self.value is None else str(self.value)
        return "\n".join([*lines, f"intrinsic dimension: {reached} (each seed by itself: {seeds})"])


def _first(dimensions: Array, performance: Array, threshold: float) -> int | None:
    above = np.flatnonzero(performance > threshold)
    return int(dimensions[above[0]]) if len(above) else None


def intrinsic_dimension(
    train: Train,
    dimensions: Sequence[int],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    share: float = 0.9,
    baseline: float | None = None,
    file: str | Path | None = None,
    workers: int = 1,
    callback: Callable[[int | None, int, float], None] | None = None,
) -> IntrinsicDimension:
    """Trains in subspaces of several dimensions and with several seeds, and directly.

    What is found depends on the optimiser, the budget, the grid and the baseline: say them with it.

    Args:
        train: `train(dimension, seed)` returns the performance, larger for better; with `None` it trains directly.
            It must be importable where there are several workers.
        dimensions: the grid; it decides what number can be found.
        share: of the baseline.
        baseline: such as 1.0 for an accuracy; the mean of direct trainings with the same seeds where not given.
        file: results by line; those in it are not computed again.
        workers: processes that train at once.
        callback: called with dimension, seed and performance after each training.

    Raises:
        InputError: no dimension, no seed, or a performance that is no finite number.
        DataError: the file holds something else.

    Source: Li, Farkhoor, Liu and Yosinski 2018, ICLR, section 2.
    """
    check_whole(1, workers=workers)
    check_positive(share=share)
    grid, tried = sorted({*dimensions}), [*dict.fromkeys(seeds)]
    if not grid or not tried:
        raise InputError("give at least one dimension and one seed")
    for d in grid:
        check_whole(1, dimension=d)
    # One seed is carried through all dimensions before the next: a run that is stopped has whole curves.
    asked: list[Key] = [(d, seed) for seed in tried for d in (*([None] if baseline is None else []), *grid)]
    path = None if file is None else Path(file)
    known = _read(path)
    missing = [key for key in asked if key not in known]

    def keep(key: Key, performance: float) -> None:
        if not np.isfinite(performance):
            raise InputError(f"the training with dimension {key[0]} and seed {key[1]} returned {performance!r}")
        known[key] = float(performance)
        if path is not None:
            with path.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"dimension": key[0], "seed": key[1], "performance": float(performance)}) + "\n")
        if callback is not None:
            callback(*key, performance)

    if workers == 1:
        for key in missing:
            keep(key, train(*key))
    else:
        # A forked process would share the threads of PyTorch and of the engines.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            running: dict[Future[float], Key] = {pool.submit(train, *key): key for key in missing}
            for done in as_completed(running):
                keep(running[done], done.result())
    reached = [known[None, s] for s in tried] if baseline is None else [float(baseline)]
    performance = np.array([[known[d, s] for s in tried] for d in grid])
    return IntrinsicDimension(np.array(grid), performance, np.array(reached), share)


def _read(path: Path | None) -> dict[Key, float]:
    if path is None or not path.exists():
        return {}
    known: dict[Key, float] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            known[row["dimension"], row["seed"]] = float(row["performance"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: line {number} is no result of a training ({error}); delete it") from error
    return known
