"""From a network back to a formula: a learnt rate sampled where the data were, put through the same sparse regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..arrays import Array
from ..errors import InputError, MissingPackageError, ShapeError
from .discovery import THRESHOLDS, Discovery, discover
from .increments import Increments, rms
from .models import Candidate, Rate
from .terms import Term

# A formula stands for what was learnt where it explains so much of it.
ENOUGH = 0.95
# Trainings agree where they differ by no more than this part of how far what they say varies over the data.
ALIKE = 0.25


@dataclass(frozen=True, eq=False)
class Sampled:
    """A learnt rate at the states that data visited.

    Attributes:
        values: mean over the trainings, `(samples, cells)`. spread: root mean square of the standard deviation over the
            trainings; NaN of a single one. trainings: how many.
        states, forcing, parameters: where it was sampled, for candidates.
    """

    values: Tensor
    spread: float
    trainings: int
    states: dict[str, Tensor]
    forcing: dict[str, Tensor]
    parameters: dict[str, object]


def sample_rate(
    rate: Rate,
    trainings: Sequence[Mapping[str, nn.Module]],
    states: Mapping[str, Tensor],
    forcing: Mapping[str, Tensor] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> Sampled:
    """A rate that calls networks, at states and forcings of a record, for each training of the networks.

    Args:
        rate: what is asked about, of `(cell, forcing)`, which calls networks as local functions of a model do:
            `lambda cell, forcing: torch.exp(cell.discharge(cell.storage / 500))`.
        trainings: the `networks` of the model, trained from one seed and from others.
        states: name -> `(samples, cells)` that the data visited, such as those of a solution, or of an assimilation.
        forcing: name -> `(samples,)`. parameters: name -> value, what the rate and candidates read besides.

    Raises:
        InputError: (or a subclass) nothing to sample, or a rate that is not finite.
    """
    if not trainings or not states:
        raise InputError("a rate is sampled from at least one training, at the states of at least one sample")
    shapes = {name: tuple(value.shape) for name, value in states.items()}
    if len({*shapes.values()}) > 1 or any(len(shape) != 2 for shape in shapes.values()):
        raise ShapeError(f"states must have one shape (samples, cells), got {shapes}")
    at = {name: value.detach().to(torch.float64) for name, value in states.items()}
    driven = {name: value.detach().to(torch.float64).reshape(-1, 1) for name, value in (forcing or {}).items()}
    known, each = dict(parameters or {}), []
    for networks in trainings:
        called = {name: _called(network) for name, network in networks.items()}
        candidate = Candidate("what was learnt", rate)
        with torch.no_grad():
            each.append(candidate.on(at, driven, {**known, **called}).values)
    stacked = torch.stack(each)
    spread = rms(stacked.std(0)) if len(each) > 1 else float("nan")
    return Sampled(stacked.mean(0), spread, len(each), at, driven, known)


def formula_of(
    sampled: Sampled,
    candidates: Sequence[Candidate],
    *,
    unit: str = "1",
    thresholds: Sequence[float] = THRESHOLDS,
    tolerance: float = 0.01,
    resamples: int = 20,
    all_of: int = 2,
    seed: int = 0,
) -> Discovery:
    """The fewest candidates that say what a network learnt, with units, by the regression of `discover`.

    A network that nobody trained is a smooth function, too, which some formula fits well. What tells them apart is that
    trainings from different seeds agree where the data were: with one alone, or where they differ, the verdict is "not
    trustworthy". Whether the formula serves the model is for the data to say: put it in place of the network.

    Args:
        unit: of the rate. Otherwise as in `discover`.

    Raises:
        InputError: (or a subclass) as `discover`. MissingPackageError: scikit-learn is not installed.
    """
    library = [c.on(sampled.states, sampled.forcing, sampled.parameters) for c in candidates]
    size = rms(sampled.values)
    said = f"sampled from {sampled.trainings} training{'s' if sampled.trainings > 1 else ''} at states of the data"
    found = discover(
        library,
        Increments(sampled.values, sampled.values, size, 0.0, 0.0, said),
        unit=unit,
        thresholds=thresholds,
        tolerance=tolerance,
        resamples=resamples,
        all_of=all_of,
        seed=seed,
    )
    found, varied = replace(found, floor=sampled.spread), max(float(sampled.values.std()), 1e-300)
    if sampled.trainings < 2:
        why = "one training cannot tell what the data taught from where it began: train again from other seeds"
    elif sampled.spread > ALIKE * varied:
        why = f"trainings differ by {sampled.spread / varied:.0%} of how far what they say varies over the data"
    elif found.r2 < ENOUGH:
        why = f"the formula explains {found.r2:.0%} of what was learnt, less than {ENOUGH:.0%}"
    else:
        return found
    return replace(found, verdict="not trustworthy", why=why)


class Regressor(Protocol):
    """What `free_form` needs of a symbolic regressor, as scikit-learn has it."""

    def fit(self, X: Array, y: Array, **about: object) -> object:
        """Learns values `(rows,)` from inputs `(rows, inputs)`."""
        ...

    def predict(self, X: Array) -> Array:
        """Values `(rows,)` of inputs `(rows, inputs)`."""
        ...


@dataclass(frozen=True)
class FreeForm:
    """A formula of any form. Attributes: equation: as the regressor writes it. r2: share explained. regressor: fitted."""

    equation: str
    r2: float
    regressor: Regressor


def free_form(
    target: Tensor,
    inputs: Sequence[Term],
    *,
    regressor: Regressor | None = None,
    units: tuple[Sequence[str], str] | None = None,
    **options: object,
) -> FreeForm:
    """Free-form symbolic regression by PySR (Cranmer 2023, arXiv 2305.01582), which calls Julia as this package does.

    Args:
        target: `(samples, places)`, such as `Sampled.values` or `Increments.values`.
        inputs: what a formula may contain, each `(samples, places)`; their names are those of its variables, of letters,
            digits and underscores.
        regressor: any with `fit` and `predict`; a new `pysr.PySRRegressor(**options)` where not given.
        units: of the inputs and of the target, as the regressor writes units; not given to it where None.
        options: of PySR's regressor, such as `niterations=40, binary_operators=["+", "*", "^"]`.

    Raises:
        InputError: (or a subclass) shapes or names do not fit, or options for a regressor that is given.
        MissingPackageError: PySR is not installed.
    """
    names = [term.name for term in inputs]
    if bad := [name for name in names if not name.isidentifier()]:
        raise InputError(f"variables of a formula have names of letters, digits and underscores, not {bad}")
    if not inputs or len({*names}) < len(names):
        raise InputError(f"a formula needs variables, each with a name of its own, got {names}")
    if bad := [term.name for term in inputs if term.values.shape != target.shape]:
        raise ShapeError(f"{bad} do not have the shape of the target, {tuple(target.shape)}")
    if units is not None and len(units[0]) != len(names):
        raise ShapeError(f"{len(names)} inputs have {len(units[0])} units")
    if regressor is None:
        try:
            import sympy
            from pysr import PySRRegressor
        except ImportError as error:
            raise MissingPackageError("free-form regression needs PySR: pip install 'pydiffgeo[pysr]'") from error
        if bad := [name for name in names if hasattr(sympy, name)]:
            raise InputError(f"{bad} mean something else in SymPy, which PySR reads formulas by: choose other names")
        regressor = PySRRegressor(**options)
    elif options:
        raise InputError(
            f"options {[*options]} are for a regressor that is made here; set them on the one that is given"
        )
    x = np.stack([term.values.detach().numpy().reshape(-1) for term in inputs], -1)
    y = target.detach().numpy().reshape(-1)
    about: dict[str, object] = {"variable_names": names}
    if units is not None:
        about |= {"X_units": [*units[0]], "y_units": units[1]}
    assert regressor is not None
    regressor.fit(x, y, **about)
    left = y - np.asarray(regressor.predict(x)).reshape(-1)
    best = getattr(regressor, "get_best", None)
    equation = str(best()["equation"]) if callable(best) else str(regressor)
    return FreeForm(equation, 1 - float((left**2).sum() / ((y - y.mean()) ** 2).sum()), regressor)


def _called(network: nn.Module) -> Callable[..., Tensor | tuple[Tensor, ...]]:
    """As local functions call it: of one tensor for each feature, giving one for each output."""

    def call(*features: Tensor) -> Tensor | tuple[Tensor, ...]:
        stacked = torch.stack(torch.broadcast_tensors(*map(torch.as_tensor, features)), -1)
        parameter = next(network.parameters(), stacked)
        outputs = network(stacked.to(parameter.dtype)).to(torch.float64).unbind(-1)
        return outputs[0] if len(outputs) == 1 else outputs

    return call
