"""Candidate terms as local functions: evaluated on a record of states, and added to the model when one is found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import torch
from torch import Tensor

from ..errors import InputError, UnknownNameError
from ..model import IntegratedFlux, Model, Parameter
from ..model.balance import quantity_of
from .discovery import Discovery
from .increments import Increments
from .terms import Term, powers, ratio, written

# A rate of `(cell, forcing)`, in plain PyTorch, as `source` of a model reads them.
Rate = Callable[[SimpleNamespace, SimpleNamespace], Tensor]


@dataclass(frozen=True)
class Candidate:
    """A rate that a model may lack; products and whole powers of candidates are candidates.

    Attributes:
        name: as it is shown. rate: see `Rate`. unit: of what it returns.
    """

    name: str
    rate: Rate
    unit: str = "1"

    def __mul__(self, other: Candidate) -> Candidate:
        unit = written(powers(self.unit), powers(other.unit))
        return Candidate(f"{self.name} {other.name}", _Product(self.rate, other.rate), unit)

    def __pow__(self, power: int) -> Candidate:
        unit = written({symbol: n * power for symbol, n in powers(self.unit).items()}, {})
        return Candidate(f"{self.name}^{power}", _Power(self.rate, power), unit)

    def on(self, states: Mapping[str, Tensor], forcing: Mapping[str, Tensor], parameters: Mapping[str, object]) -> Term:
        """The candidate on states `(samples, cells)`, forcing `(samples, 1)` and parameters."""
        try:
            value = self.rate(SimpleNamespace(**parameters, **states), SimpleNamespace(**forcing))
        except AttributeError as error:
            raise UnknownNameError(f"the candidate {self.name} reads what is not given: {error}") from error
        like = next(iter(states.values()))
        return Term(self.name, torch.as_tensor(value, dtype=torch.float64).expand_as(like), self.unit)


def library(
    candidates: Sequence[Candidate],
    found: Mapping[str, Increments],
    forcing: Mapping[str, Tensor],
    parameters: Mapping[str, object],
) -> list[Term]:
    """Candidates at the middle of the intervals of `model_increments`; forcing is that of the intervals used."""
    states = {name: each.middle for name, each in found.items()}
    driven = {name: series.to(torch.float64).reshape(-1, 1) for name, series in forcing.items()}
    return [candidate.on(states, driven, parameters) for candidate in candidates]


def with_terms(model: Model, state: str, discovery: Discovery, candidates: Sequence[Candidate]) -> Model:
    """The model with the terms that were found in the balance of a state, their coefficients as parameters.

    A coefficient is named `c_` and the number of its term, after those that the model has already; it can be calibrated
    through the solver like any other, from nothing to three times what was found. Where the model declares what adds to the
    state, each term is a flux of its balance too, `added_` and the number.

    Raises:
        UnknownNameError: there is no such state, or a term is not among the candidates.
        InputError: nothing was found.
    """
    units = {s.name: s.unit for s in model.states}
    if state not in units:
        raise UnknownNameError(f"{model.name} has no state {state!r}; it has {[*units]}")
    known = {candidate.name: candidate for candidate in candidates}
    if missing := [name for name in discovery.terms if name not in known]:
        raise UnknownNameError(f"the term {missing[0]!r} is none of the candidates {[*known]}")
    if not discovery.terms:
        raise InputError("nothing was found that could be added")
    rates = [known[name].rate for name in discovery.terms]
    taken = sum(bool(re.fullmatch(r"c_\d+", p.name)) for p in model.parameters)
    names = [f"c_{taken + i + 1}" for i in range(len(rates))]
    tendency = ratio(units[state], model.time_unit)
    made = tuple(
        Parameter(
            name,
            ratio(tendency, known[term].unit),
            f"coefficient of {term}, found from increments",
            value,
            typical=(min(0.0, 3 * value), max(0.0, 3 * value)),
        )
        for name, (term, value) in zip(names, discovery.terms.items(), strict=True)
    )
    # Where the model says what adds to the state, its balance is to count what was found too.
    stored, fluxes = quantity_of(model, state), tuple[IntegratedFlux, ...]()
    if stored is not None:
        fluxes = tuple(
            IntegratedFlux(name.replace("c_", "added_"), stored.unit, f"{term}, found from increments", +1)
            for name, term in zip(names, discovery.terms, strict=True)
        )
    return replace(
        model,
        name=f"{model.name}With{len(made)}Terms",
        parameters=(*model.parameters, *made),
        fluxes=(*model.fluxes, *fluxes),
        source=_Added(model.source, state, tuple(names), tuple(rates), tuple(f.name for f in fluxes)),
    )


@dataclass(frozen=True)
class _Product:
    one: Rate
    other: Rate

    def __call__(self, cell: SimpleNamespace, forcing: SimpleNamespace) -> Tensor:
        return self.one(cell, forcing) * self.other(cell, forcing)


@dataclass(frozen=True)
class _Power:
    rate: Rate
    power: int

    def __call__(self, cell: SimpleNamespace, forcing: SimpleNamespace) -> Tensor:
        return self.rate(cell, forcing) ** self.power


@dataclass(frozen=True)
class _Added:
    """A source with more terms in the balance of one state; `flows` are their names as fluxes, none where they are none."""

    source: Callable[[SimpleNamespace, SimpleNamespace], Mapping[str, Tensor | float]] | None
    state: str
    names: tuple[str, ...]
    rates: tuple[Rate, ...]
    flows: tuple[str, ...]

    def __call__(self, cell: SimpleNamespace, forcing: SimpleNamespace) -> dict[str, Tensor | float]:
        rates = dict(self.source(cell, forcing)) if self.source is not None else {}
        terms = [getattr(cell, name) * rate(cell, forcing) for name, rate in zip(self.names, self.rates, strict=True)]
        for term in terms:
            rates[self.state] = rates[self.state] + term if self.state in rates else term
        return rates | dict(zip(self.flows, terms, strict=False))
