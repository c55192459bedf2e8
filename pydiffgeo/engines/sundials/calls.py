"""Calls of CasADi functions that solve by CVODES: fast ones, whose failures have a meaning."""

from __future__ import annotations

import re
from typing import Any

import casadi as ca
import numpy as np

from ...arrays import Array
from ...errors import EngineError
from ..base import Status
from ..batch import Failure
from ..interrupts import interrupted

# What CVODES calls its failures, and what they mean to a user.
_NOT_FINITE = ("RHSFUNC_FAIL", "FIRST_RHSFUNC_ERR", "REPTD_RHSFUNC_ERR", "UNREC_RHSFUNC_ERR")
FLAGS = {
    **{f"CV_{flag}": Status.NOT_FINITE for flag in (*_NOT_FINITE, "QRHSFUNC_FAIL", "FIRST_QRHSFUNC_ERR")},
    **{"CV_LSETUP_FAIL": Status.LINEAR_SOLVER, "CV_LSOLVE_FAIL": Status.LINEAR_SOLVER},
    **{"CV_TOO_MUCH_WORK": Status.MAX_STEPS, "CV_TOO_MUCH_ACC": Status.STEP_TOO_SMALL},
    **{"CV_ERR_FAILURE": Status.ERROR_TEST, "CV_CONV_FAILURE": Status.CONVERGENCE},
}


class Call:
    """A CasADi function with fixed memory for inputs and outputs, so that a call copies nothing else."""

    def __init__(self, function: ca.Function, inputs: dict[int, int], outputs: dict[int, int]) -> None:
        # CasADi's own types ask for the size of a memory beside it, which is not taken.
        buffer: Any
        buffer, self._evaluate = function.buffer()
        self._buffer = buffer  # kept as long as it is called
        self.inputs = [np.zeros(size) for size in inputs.values()]
        self.outputs = [np.zeros(size) for size in outputs.values()]
        for position, memory in zip(inputs, self.inputs, strict=True):
            buffer.set_arg(position, memoryview(memory.data))
        for position, memory in zip(outputs, self.outputs, strict=True):
            buffer.set_res(position, memoryview(memory.data))

    def __call__(self, *inputs: Array) -> list[Array]:
        """Returns the output memory itself: copy what is to be kept."""
        for memory, value in zip(self.inputs, inputs, strict=True):
            memory[:] = value
        try:
            self._evaluate()
        except RuntimeError as error:
            if interrupted():
                raise KeyboardInterrupt from error
            flags = re.findall(r'returned "(\w+)"', str(error))
            if not flags:
                raise EngineError(f"CasADi failed: {error}") from error
            raise Failure(FLAGS.get(flags[-1], Status.FAILED), f"(CVODES: {flags[-1]})") from error
        if not all(np.isfinite(out).all() for out in self.outputs):
            raise Failure(Status.NOT_FINITE)
        return self.outputs
