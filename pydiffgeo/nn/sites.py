"""Many sites as tensors, and how they are split for training and testing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..basin import FORCINGS, day
from ..checks import check_names, check_whole, is_whole
from ..errors import DataError, InputError, UnknownNameError, UnknownSiteError


@dataclass(frozen=True, eq=False)
class SiteData(torch.utils.data.Dataset[dict[str, Any]]):
    """Daily series and attributes of sites that share a calendar. As a torch dataset, an entry is one site.

    Attributes:
        names: of the sites.
        dates: consecutive days, `(days,)`.
        forcing: name -> `(sites, days)`.
        observed: what is compared with the simulated flux, `(sites, days)`; NaN where missing.
        attributes: `(sites, inputs)`; NaN where unknown. inputs: their names.
    """

    names: tuple[str, ...]
    dates: NDArray[np.datetime64]
    forcing: dict[str, Tensor]
    observed: Tensor
    attributes: Tensor
    inputs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, site: int) -> dict[str, Any]:
        """Tensors of one site without the leading dimension, which a `DataLoader` puts back; and its name."""
        if not -len(self) <= site < len(self):
            raise IndexError(site)
        forcing = {k: v[site] for k, v in self.forcing.items()}
        return {"attributes": self.attributes[site], "forcing": forcing, "observed": self.observed[site],
                "name": self.names[site]}  # fmt: skip

    def weather(self, names: Sequence[str]) -> Tensor:
        """Some of the forcings side by side, `(sites, days, names)`, as a network sees them."""
        return torch.stack([self.forcing[name] for name in names], dim=2)

    def take(self, sites: Sequence[str]) -> SiteData:
        """Some of the sites, in the order given.

        Raises:
            UnknownNameError: a site is not there.
        """
        for name in sites:
            if name not in self.names:
                raise UnknownNameError(f"there is no site {name!r} among {len(self)}")
        at = [self.names.index(name) for name in sites]
        return replace(
            self, names=tuple(sites), forcing={k: v[at] for k, v in self.forcing.items()}, observed=self.observed[at],
            attributes=self.attributes[at],
        )  # fmt: skip

    def between(self, start: Any, end: Any) -> SiteData:
        """The days from `start` to `end`, both included.

        Raises:
            DataError: the data do not cover them.
        """
        first, last = day("start", start), day("end", end)
        if not self.dates[0] <= first <= last <= self.dates[-1]:
            raise DataError(
                f"the data run from {self.dates[0]} to {self.dates[-1]}, which does not cover {first} to {last}"
            )
        days = slice(int((first - self.dates[0]).astype(int)), int((last - self.dates[0]).astype(int)) + 1)
        return self.days(days)

    def days(self, days: slice) -> SiteData:
        """Some of the days, by their numbers."""
        forcing = {k: v[:, days] for k, v in self.forcing.items()}
        return replace(self, dates=self.dates[days], forcing=forcing, observed=self.observed[:, days])


def site_data(
    data: Any, inputs: Sequence[str], *, basins: Sequence[str] | None = None, start: Any = None, end: Any = None
) -> SiteData:
    """Basins of a dataset as `dg.io.open_camels`, `open_caravan` or `open_cf` return it, with static attributes.

    Args:
        data: with the dimensions `(basin, time)`, the forcings of a basin model, and runoff; where the dataset has
            no runoff at all, as of basins without gauges, observations are NaN: enough to predict, not to train.
        inputs: names of numeric variables `(basin,)`: the attributes.
        basins: labels; all of them where not given. start, end: first and last day.

    Raises:
        UnknownNameError: an attribute is not there, or is no number per basin.
        DataError: forcing has gaps, or other days in some basins, or anything else `dg.io.basin_data` refuses.
    """
    from ..io import basin_data

    inputs = check_names("inputs", inputs, least=1)
    if "basin" not in getattr(data, "coords", ()):
        raise DataError("the data must be a dataset with basins, as dg.io.open_camels returns it")
    if basins is not None and (isinstance(basins, str) or not len(basins)):
        raise InputError(f"basins must be a list of labels, 1 or more, got {basins!r}")
    labels = [str(b) for b in data["basin"].values]
    chosen = labels if basins is None else [str(b) for b in basins]
    for name in inputs:
        if name not in data or data[name].dims != ("basin",) or data[name].dtype.kind not in "fiu":
            numeric = [str(k) for k, v in data.data_vars.items() if v.dims == ("basin",) and v.dtype.kind in "fiu"]
            raise UnknownNameError(
                f"there is no attribute {name!r} that is a number for each basin; there are {numeric}"
            )
    for name in chosen:
        if name not in labels:
            raise UnknownSiteError(f"there is no basin {name!r} among {len(labels)}")
    series = [basin_data(data, name, start=start, end=end, gauged=False) for name in chosen]
    for one in series:
        if len(one) != len(series[0]) or one.dates[0] != series[0].dates[0]:
            raise DataError(
                f"basin {one.basin} has forcing from {one.dates[0]} to {one.dates[-1]}, basin {chosen[0]} from "
                f"{series[0].dates[0]} to {series[0].dates[-1]}; choose start and end within what all have"
            )
    at = [labels.index(name) for name in chosen]
    table = [data[name].values[at].astype(np.float64) for name in inputs]
    return SiteData(
        names=tuple(chosen), dates=series[0].dates,
        forcing={k: torch.from_numpy(np.stack([getattr(s, k) for s in series])) for k in FORCINGS},
        observed=torch.from_numpy(np.stack([s.runoff for s in series])),
        attributes=torch.from_numpy(np.stack(table, axis=1)), inputs=tuple(inputs),
    )  # fmt: skip


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
    for part in np.array_split(np.random.default_rng(seed).permutation(len(names)), k):
        out = {names[i] for i in part}
        yield [n for n in names if n not in out], [n for n in names if n in out]
