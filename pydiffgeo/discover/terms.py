"""Candidate terms: values at samples and places, with a unit that says what may be added."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, ShapeError, UnitError

TIMES = ("s", "min", "h", "d", "month", "y")
_PART = re.compile(r"([A-Za-z%_]+)(-?\d+)?$")


@dataclass(frozen=True, eq=False)
class Term:
    """A candidate for what a model lacks, evaluated.

    Attributes:
        name: as it is shown. values: `(samples, *places)`. unit: of the values, in symbols: "mm d-1", or "1".

    Raises:
        UnitError: the unit is no product of symbols. InputError: a value is not finite.
    """

    name: str
    values: Tensor
    unit: str = "1"

    def __post_init__(self) -> None:
        powers(self.unit)
        if not torch.isfinite(self.values).all():
            raise InputError(f"the term {self.name} is not finite at all samples")

    def __mul__(self, other: Term) -> Term:
        unit = written(powers(self.unit), powers(other.unit))
        return Term(f"{self.name} {other.name}", self.values * other.values, unit)

    def __pow__(self, power: int) -> Term:
        unit = written({symbol: n * power for symbol, n in powers(self.unit).items()}, {})
        return Term(f"{self.name}^{power}", self.values**power, unit)

    def __add__(self, other: Term) -> Term:
        self._same(other, "added to")
        return Term(f"({self.name} + {other.name})", self.values + other.values, self.unit)

    def __sub__(self, other: Term) -> Term:
        self._same(other, "subtracted from")
        return Term(f"({self.name} - {other.name})", self.values - other.values, self.unit)

    def _same(self, other: Term, how: str) -> None:
        if powers(self.unit) != powers(other.unit):
            raise UnitError(f"{other.name} [{other.unit}] cannot be {how} {self.name} [{self.unit}]")


def powers(unit: str) -> dict[str, int]:
    """Symbols of a unit and their powers; those of "1" are none.

    Raises:
        UnitError: it is no product of symbols with whole powers, such as "mm d-1".
    """
    found: Counter[str] = Counter()
    for part in unit.split():
        if part == "1":
            continue
        match = _PART.match(part)
        if match is None:
            raise UnitError(f"{unit!r} is no product of symbols with whole powers, such as 'mm d-1'")
        found[match[1]] += int(match[2] or 1)
    return {symbol: n for symbol, n in sorted(found.items()) if n}


def written(a: Mapping[str, int], b: Mapping[str, int], sign: int = 1) -> str:
    """The unit of a product, or with `sign=-1` of a ratio."""
    found = {symbol: a.get(symbol, 0) + sign * b.get(symbol, 0) for symbol in {**a, **b}}
    parts = [symbol if n == 1 else f"{symbol}{n}" for symbol, n in sorted(found.items(), key=_place) if n]
    return " ".join(parts) or "1"


def _place(part: tuple[str, int]) -> tuple[bool, bool, str]:
    """Numerators first, times last: mm-1 d-1."""
    symbol, power = part
    return power < 0, symbol in TIMES, symbol


def ratio(unit: str, other: str) -> str:
    """The unit of what takes `other` to `unit`."""
    return written(powers(unit), powers(other), -1)


def products(terms: Sequence[Term], degree: int) -> list[Term]:
    """All products of up to `degree` of the terms, each as a power; a hydrologist's polynomial."""
    if degree < 1:
        raise InputError(f"products have at least one factor, got degree {degree}")
    made = []
    for count in range(1, degree + 1):
        for chosen in itertools.combinations_with_replacement(range(len(terms)), count):
            factors = [terms[i] if n == 1 else terms[i] ** n for i, n in Counter(chosen).items()]
            product = factors[0]
            for factor in factors[1:]:
                product = product * factor
            made.append(product)
    return made


def columns(library: Sequence[Term], samples: int, places: tuple[int, ...]) -> Tensor:
    """Values of all terms, `(samples, places, terms)`; names must differ and shapes agree."""
    names = [term.name for term in library]
    if not library or len({*names}) < len(names):
        raise InputError(f"a library needs terms, each with a name of its own, got {names}")
    made = []
    for term in library:
        if tuple(term.values.shape) != (samples, *places):
            raise ShapeError(
                f"the term {term.name} has shape {tuple(term.values.shape)}, the increments {(samples, *places)}"
            )
        made.append(term.values.to(torch.float64).reshape(samples, math.prod(places)))
    return torch.stack(made, -1)
