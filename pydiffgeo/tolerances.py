"""Tolerances as users give them: one absolute tolerance, or one for each state and integrated flux."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .checks import check_positive, shown
from .errors import InputError, UnknownNameError
from .model import Model, quantities


@dataclass(frozen=True)
class Tolerances:
    """What a solve is asked for.

    Attributes:
        atol: the absolute tolerance of all, or the least of them.
        by_name: state or integrated flux -> its own, of all of them; none where there is one for all.
    """

    rtol: float
    atol: float
    by_name: tuple[tuple[str, float], ...] = ()

    def of(self, name: str) -> float:
        """That of a state or flux."""
        return dict(self.by_name).get(name, self.atol)

    @property
    def largest(self) -> float:
        return max((atol for _, atol in self.by_name), default=self.atol)

    @property
    def asked(self) -> float | Mapping[str, float]:
        """What statistics say."""
        return dict(self.by_name) or self.atol


# Those of `solve`, where nothing else is said.
USUAL = Tolerances(1e-6, 1e-8)


def tolerances(model: Model, rtol: float, atol: float | Mapping[str, float], otherwise: float) -> Tolerances:
    """Checked tolerances; states that `atol` does not name have `otherwise`.

    Integrated fluxes that it does not name have the largest of the states that they balance.

    Raises:
        InputError: a tolerance is no positive number.
        UnknownNameError: a name is neither a state nor an integrated flux.
    """
    check_positive(rtol=rtol)
    if not isinstance(atol, Mapping):
        check_positive(atol=atol)
        return Tolerances(float(rtol), float(atol))
    if not isinstance(model, Model):
        # That is said by those who look at the model.
        return Tolerances(float(rtol), otherwise)
    states, fluxes = [s.name for s in model.all_states], [f.name for f in model.fluxes]
    for name, value in atol.items():
        if name not in states and name not in fluxes:
            raise UnknownNameError(
                f"atol names {shown(name)}, which is no state of {model.name}; the states are {states}, "
                f"the integrated fluxes {fluxes}"
            )
        check_positive(**{f"atol of {name!r}": value})
    own = {name: float(atol.get(name, otherwise)) for name in states}
    balanced = _balanced(model)
    for name in fluxes:
        stored = [own[state] for state in balanced.get(name, ())]
        own[name] = float(atol.get(name, max(stored, default=otherwise)))
    return Tolerances(float(rtol), min(own.values()), tuple(own.items()))


def times_atol(atol: float | Mapping[str, float], factor: float) -> float | dict[str, float]:
    """An absolute tolerance, or those by name, times a factor."""
    if isinstance(atol, Mapping):
        return {name: factor * float(value) for name, value in atol.items()}
    return factor * float(atol)


def _balanced(model: Model) -> dict[str, set[str]]:
    """The states that each integrated flux balances, where units tell."""
    states: dict[str, set[str]] = {}
    try:
        found = quantities(model)
    except InputError:
        return states
    for quantity in found:
        for flux in quantity.fluxes:
            states.setdefault(flux.name, set()).update(quantity.weights)
    return states
