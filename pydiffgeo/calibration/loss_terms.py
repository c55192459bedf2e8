"""Losses that are weighted sums of others, each of some of the observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..checks import is_number, shown
from ..errors import InputError
from ..observe import Observation

# Of simulated `(members, n)`, observed values and the observation, `(members,)`.
Function = Callable[[Tensor, Tensor, Observation], Tensor]


@dataclass(frozen=True)
class Term:
    """A part of a loss: `weight` times what `loss` gives for the observations of the quantities `of`.

    Attributes:
        loss: a name, as for `Site.loss`, or a function of simulated values `(members, n)`, observed ones and the
            `Observation` that returns `(members,)`, whose results for each series are added up.
        weight: positive.
        of: names of observed states, outputs or fluxes; all where there are none.

    Raises:
        InputError: a weight that is not positive, or names that are none.
    """

    loss: str | Function
    weight: float = 1.0
    of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.loss, str) or callable(self.loss)):
            raise InputError(f"a term of a loss needs a name or a function, got {shown(self.loss)}")
        if not (is_number(self.weight) and self.weight > 0):
            raise InputError(f"the weight of a term of a loss must be positive, got {shown(self.weight)}")
        if isinstance(self.of, str) or not all(isinstance(name, str) for name in self.of):
            raise InputError(f"a term of a loss is of names of quantities, in a tuple, got {shown(self.of)}")
        object.__setattr__(self, "of", tuple(self.of))

    def chosen(self, observations: Sequence[Observation]) -> list[Observation]:
        """Those of the observations that the term is of."""
        return [one for one in observations if not self.of or one.name in self.of]

    def __str__(self) -> str:
        name = self.loss if isinstance(self.loss, str) else getattr(self.loss, "__name__", "a function")
        weight = "" if self.weight == 1 else f"{self.weight:g} "
        return f"{weight}{name}" + (f" of {' and '.join(self.of)}" if self.of else "")


# A name, a function, or a weighted sum.
Loss = str | Function | tuple[Term, ...]


def terms_of(loss: Loss, observations: Sequence[Observation]) -> Iterator[tuple[Term, list[Observation]]]:
    """The terms of a loss with what they are of, without those that are of nothing."""
    for term in loss if isinstance(loss, tuple) else (Term(loss),):
        if chosen := term.chosen(observations):
            yield term, chosen


def told(loss: Loss) -> str:
    """A loss in words."""
    return " + ".join(map(str, loss)) if isinstance(loss, tuple) else str(Term(loss))
