"""Missing terms from noisy and partial observations: increments of a smoothed record, and candidates seen as it sees.

Records of nature are short, and their terms much alike: what relevance vectors keep of them changes with every resample.
`record_lacks` compares all small sets instead, and asks of a second term that it explain five per cent more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..assimilate import SmoothedRecord
from ..assimilate.record_smoother import means
from ..checks import check_whole
from ..errors import InputError, UnknownNameError
from ..model import Model
from .discovery import Discovery, discover
from .increments import Increments, rms
from .models import Candidate, with_terms
from .refining import Refined, refine
from .terms import Term, ratio

# Mean square of the residuals, in units of the errors, beyond which a record has not been fitted.
MISSED = 2.0


def record_lacks(
    record: SmoothedRecord,
    candidates: Sequence[Candidate],
    *,
    width: int = 10,
    most: int = 2,
    tolerance: float = 0.05,
    resamples: int = 20,
    seed: int = 0,
) -> dict[str, Discovery]:
    """What the model of a smoothed record lacks in the balance of each state that may be wrong, state -> discovery.

    All sets of up to `most` candidates are compared; relevance vectors have no say.

    Args:
        width: see `record_increments`. tolerance, resamples, seed: see `discover`.

    Raises:
        InputError: (or a subclass) `most` is not positive, the record has fewer than two means over `width` intervals, or
            a candidate does not vary or reads what is not given.
    """
    check_whole(1, most=most)
    model, found = record.problem.model, {}
    units = {state.name: ratio(state.unit, model.time_unit) for state in model.states}
    for state in record.problem.model_error:
        amiss = record_increments(record, state, width=width, seed=seed)
        terms = record_library(candidates, record, state, width=width)
        found[state] = discover(
            terms,
            amiss,
            unit=units[state],
            thresholds=(),
            tolerance=tolerance,
            all_of=most,
            resamples=resamples,
            seed=seed,
        )
    return found


def mended_record(
    record: SmoothedRecord, lacks: Mapping[str, Discovery], candidates: Sequence[Candidate], *, steps: int = 8
) -> tuple[Model, Refined]:
    """The model with all that was found in it, and the coefficients that fit the observations best through the solver.

    Coefficients are named `c_1`, `c_2`, ..., state after state. What is uncertain of the start is refined with them, from the
    smoothed record.

    Args:
        lacks: state -> discovery, as from `record_lacks`. steps: see `refine`.

    Raises:
        InputError: (or a subclass) nothing was found in a state, or it does not fit. SolverError: see `refine`.
    """
    model = record.problem.model
    known = {p.name for p in model.parameters}
    for state, discovery in lacks.items():
        model = with_terms(model, state, discovery, candidates)
    names = [p.name for p in model.parameters if p.name not in known]
    start = {name: value[0] for name, value in record.states.items()}
    return model, refine(model, record.problem, names, start=start, free_start=True, steps=steps)


def record_increments(record: SmoothedRecord, state: str, *, width: int = 1, seed: int = 0) -> Increments:
    """What a model lacked in the balance of a state, by a smoothed record.

    Its floor is what errors of observations alone would have made. `treatment` says what was observed and how noisy;
    `doubt`, where the record was not fitted.

    Args:
        width: intervals of which means are taken. Errors of states at the ends of intervals cancel in the sum of their
            defects, so that noise falls as one over the width; terms that differ only within it cannot be told apart.
        seed: of the draws that the floor is estimated by.

    Raises:
        UnknownNameError: there is no such state. InputError: the record has fewer than two such means.
    """
    _known(record, state, width)
    dt, course = record.interval, record.states[state]
    return Increments(
        means(record.defects[state] / dt, width),
        means((course[1:] + course[:-1]) / 2, width),
        rms(means(course.diff(dim=0) / dt, width)),
        record.noise(state, width=width, seed=seed),
        0.0,
        _treatment(record, width),
        _doubt(record),
    )


def record_library(
    candidates: Sequence[Candidate],
    record: SmoothedRecord,
    state: str,
    *,
    width: int = 1,
    parameters: Mapping[str, object] | None = None,
) -> list[Term]:
    """Candidates for the balance of a state on a smoothed record, as `SmoothedRecord.seen_through` would see each.

    Their means over intervals are those of Simpson's rule. They may read all states, the forcings, the parameters of the
    problem and of the model, and the numbers of its cells.

    Args:
        width: as in `record_increments`.
        parameters: what candidates read besides, name -> value, `()` or `(cells,)`.

    Raises:
        UnknownNameError: there is no such state, or a candidate reads what is not given.
    """
    _known(record, state, width)
    problem, course = record.problem, record.states
    known: dict[str, object] = {p.name: p.default for p in problem.model.parameters if p.default is not None}
    known |= {name: torch.from_numpy(value.copy()) for name, value in problem.model.graph.cell.items()}
    known |= {name: torch.as_tensor(value, dtype=torch.float64) for name, value in problem.parameters.items()}
    known |= dict(parameters or {})
    forcing = {name: series[:, None] for name, series in problem.driven.items()}
    starts, ends = {n: v[:-1] for n, v in course.items()}, {n: v[1:] for n, v in course.items()}
    middles = {n: (v[:-1] + v[1:]) / 2 for n, v in course.items()}
    # All states must have one shape in a candidate's `expand_as`: that of the state in question comes first.
    made = []
    for candidate in candidates:
        first, middle, last = (candidate.on({state: at[state], **at}, forcing, known) for at in (starts, middles, ends))
        mean = (first.values + 4 * middle.values + last.values) / 6
        made.append(Term(candidate.name, means(record.seen_through(state, mean), width), candidate.unit))
    return made


def _doubt(record: SmoothedRecord) -> str:
    """Why defects of a record are not to be believed, if so."""
    if not record.converged:
        return f"the smoothed record had not converged after {record.iterations} steps"
    if record.reduced_chi_squared > MISSED:
        size = record.reduced_chi_squared**0.5
        return f"the smoothed record misses the observations by {size:.2g} of their errors"
    return ""


def _treatment(record: SmoothedRecord, width: int) -> str:
    """What was observed, how often and how noisy, and what was done about it, in words."""
    seen = []
    for one in record.problem.observations:
        there = ~torch.isnan(one.values)
        error = one.error.expand(one.values.shape)[there]
        seen.append(f"{one.what} ({int(there.sum())} values, errors about {float(error.median()):.3g})")
    errors = ", ".join(f"{name} {record.model_error[name]:.3g}" for name in record.problem.model_error)
    return (
        f"weak-constraint 4D-Var of the whole record from {'; '.join(seen)}; model errors per unit of time by evidence: "
        f"{errors}; terms seen through its averaging kernel; means over {width} interval{'s' if width > 1 else ''}"
    )


def _known(record: SmoothedRecord, state: str, width: int) -> None:
    check_whole(1, width=width)
    if len(record.problem.axis) - 1 < 2 * width:
        raise InputError(f"{len(record.problem.axis) - 1} intervals have no two means over {width}")
    if state not in record.problem.model_error:
        raise UnknownNameError(
            f"{state!r} is no state whose model may be wrong; there are {[*record.problem.model_error]} in model_error"
        )
