"""Missing terms from noisy and partial observations: increments of a smoothed record, and candidates seen as it sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..assimilate import SmoothedRecord
from ..assimilate.record_smoother import means
from ..checks import check_whole
from ..errors import InputError, UnknownNameError
from .increments import Increments, rms
from .models import Candidate
from .terms import Term


def record_increments(record: SmoothedRecord, state: str, *, width: int = 1, seed: int = 0) -> Increments:
    """What a model lacked in the balance of a state, by a smoothed record.

    Its floor is what errors of observations alone would have made. `treatment` says what was observed and how noisy.

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
