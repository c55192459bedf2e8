"""How sites are split for training and testing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..checks import check_names, check_whole, is_whole
from ..errors import InputError


def held_out(names: Sequence[str], count: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Splits names at random into those for training and `count` that are held out, each in their order.

    Raises:
        InputError: unless both parts hold at least one.
    """
    names = check_names("names", names)
    check_whole(0, seed=seed)
    if not is_whole(count) or not 0 < count < len(names):
        raise InputError(f"of {len(names)} sites, from 1 to {len(names) - 1} can be held out, not {count}")
    out = {names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]}
    return [n for n in names if n not in out], [n for n in names if n in out]


def k_fold(names: Sequence[str], k: int, *, seed: int = 0) -> Iterator[tuple[list[str], list[str]]]:
    """Splits names `k` times into training and held-out ones; each is held out once.

    Raises:
        InputError: unless `k` is from 2 to the number of names.
    """
    names = check_names("names", names)
    check_whole(0, seed=seed)
    if not is_whole(k) or not 2 <= k <= len(names):
        raise InputError(f"{len(names)} sites can be split into 2 to {len(names)} folds, not {k}")
    for fold in np.array_split(np.random.default_rng(seed).permutation(len(names)), k):
        out = {names[i] for i in fold}
        yield [n for n in names if n not in out], [n for n in names if n in out]
