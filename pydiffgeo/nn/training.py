"""How a network is trained, and what the training went through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..arrays import Numbers
from ..checks import check_positive, check_whole, check_within
from ..errors import InputError
from ..solve import Method

MEASURES = ("scaled", "log")


class Keywords(Method, total=False):
    """Keywords of `solve` that a network leaves open: how it is solved, and initial values that it does not give."""

    initial: Mapping[str, Numbers] | None


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        steps: in each, a batch of sites is solved, and the optimiser (Adam with decoupled weight decay) makes `inner_steps`
            steps. batch: sites in it.
        window: days compared in each step, from a random start. warmup: days solved ahead of them.
        learning_rate: at first; it falls to a tenth along half a cosine. weight_decay: per unit of it.
        clip: largest norm of the gradient.
        measure: "scaled", the mean over the sites of their `scaled_error`, or "log", the mean of its logarithm: the
            likelihood of Gaussian errors where each site has an unknown variance of its own, so that sites a
            model cannot follow do not decide for the others.
        noise: standard deviation of random numbers that are added to the attributes, as the network scales them, in
            each step. Few sites are learnt by heart without; with, the network
            becomes smooth in the attributes (Bishop 1995, Neural Comput. 7).
        inner_steps: steps of the optimiser for each time the sites are solved. With more than one, the loss of each site is
            taken for a quadratic surrogate in its values (Gauss-Newton, with the model's Jacobian, at the noise of the step),
            on which the network is trained for so many cheap steps; then the sites are solved anew.
            Takes networks without parameters that vary in time; large batches and up to about ten steps suit it.
        damping: added to the curvature of these quadratic surrogates, which hold near the values they were found at only; per
            unit of loss, in the argument of the sigmoid.
        average: the weights that come out are an exponential moving average over the steps, of which this part is
            kept in each; 0 takes the last (Polyak and Juditsky 1992, SIAM J. Control Optim. 30).
        tuning: days at the end of the record that are held back. Every `check_every` steps the loss over
            them is found, and the weights with the smallest one are kept; training stops after `patience`
            checks without a gain. 0 keeps none back, and the last weights.
        seed: of batches and windows.
        settings: keywords of `solve`.

    Raises:
        InputError: when made with numbers that do not fit; names them.
    """

    steps: int = 300
    batch: int = 16
    window: int = 730
    warmup: int = 365
    learning_rate: float = 0.01
    weight_decay: float = 0.01
    clip: float = 1.0
    measure: str = "scaled"
    noise: float = 0.0
    inner_steps: int = 1
    damping: float = 0.2
    average: float = 0.0
    tuning: int = 0
    check_every: int = 25
    patience: int = 6
    seed: int = 0
    settings: Keywords = field(default_factory=Keywords)

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps, batch=self.batch, check_every=self.check_every, patience=self.patience)
        check_whole(1, inner_steps=self.inner_steps)
        check_whole(2, window=self.window)
        check_whole(0, warmup=self.warmup, tuning=self.tuning, seed=self.seed)
        check_positive(learning_rate=self.learning_rate, clip=self.clip)
        if not isinstance(self.measure, str) or self.measure not in MEASURES:
            raise InputError(f"measure must be one of {', '.join(MEASURES)}, got {self.measure!r}")
        check_within(
            0.0, math.inf, "zero or positive", noise=self.noise, damping=self.damping, weight_decay=self.weight_decay
        )
        check_within(0.0, math.nextafter(1.0, 0.0), "a number from 0 to below 1", average=self.average)
        if not isinstance(self.settings, Mapping):
            raise InputError(f"settings must be keywords of solve by name, got {self.settings!r}")


@dataclass(frozen=True)
class TrainingHistory:
    """What training went through.

    Attributes:
        loss: of each step. tuning: of each check, and `checked` the steps they were made at.
        failures: how often each site could not be solved, by name.
        solves: sites solved and differentiated. seconds: time spent in steps, checks included.
    """

    loss: Sequence[float] = ()
    tuning: Sequence[float] = ()
    checked: Sequence[int] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    solves: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("loss", "tuning", "checked"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "failures", dict(self.failures))
