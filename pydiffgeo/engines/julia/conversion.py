"""Arrays and return codes on their way to Julia and back."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..base import Status

S = TypeVar("S", bound=np.generic)
# SciML's return codes, and what they mean to a user.
CODES = {
    **{"Success": Status.SUCCESS, "MaxIters": Status.MAX_STEPS, "DtLessThanMin": Status.STEP_TOO_SMALL},
    **{"ConvergenceFailure": Status.CONVERGENCE, "SingularMatrix": Status.LINEAR_SOLVER, "Singular": Status.SINGULAR},
    **{"TimeLimit": Status.TIME_LIMIT, "OutOfRange": Status.OUT_OF_RANGE},
    **dict.fromkeys(("DtNaN", "Unstable", "NotFinite"), Status.NOT_FINITE),
    **dict.fromkeys(("JumpNotCrossed", "JumpOfJump"), Status.JUMP),
}


def flat(array: NDArray[S]) -> NDArray[S]:
    """All values as one contiguous vector: one type of array crosses to Julia, and is compiled for once."""
    return np.ascontiguousarray(array).reshape(-1)


def status_of(codes: str) -> tuple[list[Status], dict[int, str]]:
    names = codes.split(",")
    status = [CODES.get(name.partition(";")[0], Status.FAILED) for name in names]
    return status, {i: f"(SciML: {name})" for i, name in enumerate(names) if name != "Success"}
