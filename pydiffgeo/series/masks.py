"""What is hidden from a model of series in training: random gaps, whole variables, and all of what a basin would measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Mask
from ..checks import check_whole, check_within
from ..errors import InputError


def gaps(random: np.random.Generator, days: int, *, share: float = 0.5, shortest: int = 5, longest: int = 60) -> Mask:
    """True on the days of random gaps, `(days,)`, whose lengths are even between two ends; so are those between them.

    Args:
        share: of the days that lie in gaps, on average.

    Raises:
        InputError: a length or the share does not fit.
    """
    check_whole(1, shortest=shortest, days=days)
    check_whole(shortest, longest=longest)
    check_within(0.01, 0.99, "from 0.01 to 0.99", share=share)
    hidden = np.zeros(days, bool)
    mean = (shortest + longest) / 2
    # Many gaps ahead of the record: it begins anywhere within one, or between two.
    cycle = round(mean / share)
    at, inside = -int(random.integers(20 * cycle, 21 * cycle + 1)), True
    while at < days:
        length = int(random.integers(shortest, longest + 1))
        if not inside:
            length = max(1, round(length * (1 - share) / share))
        elif at + length > 0:
            hidden[max(at, 0) : at + length] = True
        at, inside = at + length, not inside
    return hidden


@dataclass(frozen=True)
class Masks:
    """How often each kind of mask is drawn, and how long gaps are.

    Attributes:
        gaps, variables, basins: weights of the kinds. "gaps" hides spans of days, in each variable or in none of it;
            "variables" one or more whole variables; "basins" all of the flux and its normals, as of a basin without a gauge.
        share: of the days in gaps. shortest, longest: days of a gap.

    Raises:
        InputError: when made with numbers that do not fit; names them.
    """

    gaps: float = 0.6
    variables: float = 0.2
    basins: float = 0.2
    share: float = 0.5
    shortest: int = 1
    longest: int = 60

    def __post_init__(self) -> None:
        check_within(0.0, 1e6, "zero or positive", gaps=self.gaps, variables=self.variables, basins=self.basins)
        if not self.gaps + self.variables + self.basins > 0:
            raise InputError("one kind of mask at least must have a weight above zero")
        check_within(0.01, 0.99, "from 0.01 to 0.99", share=self.share)
        check_whole(1, shortest=self.shortest)
        check_whole(self.shortest, longest=self.longest)

    def draw(self, random: np.random.Generator, days: int, variables: int, flux: int) -> tuple[Mask, bool]:
        """What is hidden in one window, `(days, variables)`, and whether the normals of the flux are hidden as well.

        Args:
            flux: number of the variable that a basin without a gauge lacks.
        """
        hidden = np.zeros((days, variables), bool)
        weights = np.array([self.gaps, self.variables, self.basins])
        kind = random.choice(3, p=weights / weights.sum())
        if kind == 0:
            chosen = random.random(variables) < 0.5
            chosen[flux] |= not chosen.any()
            for i in np.flatnonzero(chosen):
                hidden[:, i] = gaps(random, days, share=self.share, shortest=self.shortest, longest=self.longest)
        elif kind == 1:
            # At least one, and not all where there are several.
            count = int(random.integers(1, max(2, variables)))
            hidden[:, random.permutation(variables)[:count]] = True
        else:
            hidden[:, flux] = True
        return hidden, bool(kind == 2)
