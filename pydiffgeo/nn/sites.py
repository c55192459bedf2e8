"""Many sites as tensors, and how they are split for training and testing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import TypedDict

from ..arrays import Dates
from ..days import day
from ..errors import DataError, InputError, UnknownNameError
from ..io import SiteTable


class Entry(TypedDict):
    """One site: its attributes `(inputs,)`, forcing `(days,)` by name, what was observed `(days,)`, and its name."""

    attributes: Tensor
    forcing: dict[str, Tensor]
    observed: Tensor
    name: str


@dataclass(frozen=True, eq=False)
class SiteData(torch.utils.data.Dataset[Entry]):
    """Daily series and attributes of sites that share a calendar. As a torch dataset, an entry is one site.

    Attributes:
        names: of the sites.
        dates: consecutive days, `(days,)`.
        forcing: name -> `(sites, days)`; a network takes those of its model.
        observed: daily means of a flux, `(sites, days)`; NaN where missing.
        attributes: `(sites, inputs)`; NaN where unknown. inputs: their names.
        flux: name of the integrated flux that was observed.
    """

    names: tuple[str, ...]
    dates: Dates
    forcing: dict[str, Tensor]
    observed: Tensor
    attributes: Tensor
    inputs: tuple[str, ...]
    flux: str

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, site: int) -> Entry:
        """Tensors of one site without the leading dimension, which a `DataLoader` puts back; and its name."""
        if not -len(self) <= site < len(self):
            raise IndexError(site)
        forcing = {k: v[site] for k, v in self.forcing.items()}
        return Entry(
            attributes=self.attributes[site], forcing=forcing, observed=self.observed[site], name=self.names[site]
        )

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
        forcing, observed = {k: v[at] for k, v in self.forcing.items()}, self.observed[at]
        return replace(self, names=tuple(sites), forcing=forcing, observed=observed, attributes=self.attributes[at])

    def joined(self, table: SiteTable) -> SiteData:
        """The same sites with the columns of a table as further attributes, such as embeddings from a file.

        Raises:
            DataError: a site is not in the table. InputError: an attribute of that name is there already.
        """
        if twice := [name for name in table.columns if name in self.inputs]:
            raise InputError(f"the attribute {twice[0]!r} is there already, and in the table as well")
        more = torch.from_numpy(table.take(self.names).values).to(self.attributes.dtype)
        attributes = torch.cat([self.attributes, more], dim=1)
        return replace(self, attributes=attributes, inputs=(*self.inputs, *table.columns))

    def between(self, start: object, end: object) -> SiteData:
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
