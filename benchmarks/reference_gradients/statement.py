"""What a problem states, and how derivatives of one are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Input:
    value: Any
    unit: str
    meaning: str

    @property
    def array(self) -> Any:
        return np.asarray(self.value, dtype=float)


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        inputs: `parameters.`, `forcing.` or `initial.` and a name -> what derivatives are taken to.
        constants: name -> what is given and not differentiated.
        outputs: name -> statement of a scalar.
        groups: group -> names of inputs that are compared together; in a group of parameters each
            derivative times the value of its parameter, because units differ. Inputs in no group are
            compared by themselves.
        second: the way that is independent of pydiffgeo.
    """

    title: str
    source: str
    equations: tuple[str, ...]
    times: Any
    time_unit: str
    inputs: dict[str, Input]
    outputs: dict[str, str]
    constants: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    second: str = "radau"

    def layout(self) -> dict[str, slice]:
        """Where each input lies in the vector of all inputs."""
        found, start = {}, 0
        for name, given in self.inputs.items():
            found[name] = slice(start, start + given.array.size)
            start += given.array.size
        return found

    def vector(self) -> Any:
        return np.concatenate([given.array.ravel() for given in self.inputs.values()])


def differences(problem: Problem, found: dict[str, Any], reference: dict[str, Any]) -> dict[str, float]:
    """Largest difference in each group of inputs, relative to the largest entry of the reference there."""
    grouped = {name for names in problem.groups.values() for name in names}
    groups = {name: (name,) for name in problem.inputs if name not in grouped} | problem.groups
    result = {}
    for group, names in groups.items():
        weights = [problem.inputs[k].array if group == "parameters" else 1.0 for k in names]
        a = np.concatenate([np.ravel(np.asarray(found[k]) * w) for k, w in zip(names, weights, strict=True)])
        b = np.concatenate([np.ravel(np.asarray(reference[k]) * w) for k, w in zip(names, weights, strict=True)])
        result[group] = float(np.abs(a - b).max() / np.abs(b).max())
    return result
