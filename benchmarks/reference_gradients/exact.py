"""The linear problems by matrix exponentials in forty digits (mpmath): the other standalone way.

The derivative of the exponential of A t along dA is the corner of the exponential of a block matrix
(Van Loan 1978) for the cascade, and the divided differences of the exponential in the eigenvectors of
the symmetric A (Daleckii and Krein 1965) for the column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
from statement import Problem

mp.mp.dps = 40


def _array(matrix: Any) -> Any:
    """An object array, in which NumPy computes with mpmath's numbers."""
    return np.array(matrix.tolist(), dtype=object).reshape(matrix.rows, matrix.cols)


def _numbers(values: Any) -> Any:
    """The decimal numbers as they are written, not their nearest doubles."""
    return np.array([mp.mpf(repr(float(v))) for v in np.ravel(values)], dtype=object)


def _dot(a: Any, b: Any) -> Any:
    return sum(a * b, mp.mpf(0))


def cascade(problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """State (storages, cumulative discharge), and one more that stands for the inflow of the day."""
    k, start, inflow = (_numbers(v.value) for v in problem.inputs.values())
    n, days = len(k), len(inflow)
    size, inputs = n + 2, 2 * n + days

    def generator(residence: Any) -> Any:
        """The matrix of the linear system; entry `i` of `residence` multiplies s_i."""
        A = mp.zeros(size)
        for i in range(n):
            A[i, i] = -residence[i]
            A[i + 1, i] = residence[i]
        return A

    A = generator(1 / k)
    A[0, n + 1] = mp.mpf(1)
    transition = _array(mp.expm(A))
    derivatives = []
    for i in range(n):
        block = mp.zeros(2 * size)
        block[:size, :size] = block[size:, size:] = A
        block[:size, size:] = generator([-1 / k[i] ** 2 if j == i else mp.mpf(0) for j in range(n)])
        derivatives.append(_array(mp.expm(block)[:size, size:]))

    state = np.concatenate([start, _numbers([0.0, 0.0])])
    tangent = np.full((size, inputs), mp.mpf(0), dtype=object)
    for i in range(n):
        tangent[i, n + i] = mp.mpf(1)
    discharge, slopes = [], []
    for d in range(days):
        state[n], tangent[n] = mp.mpf(0), mp.mpf(0)
        state[n + 1], tangent[n + 1] = inflow[d], mp.mpf(0)
        tangent[n + 1, 2 * n + d] = mp.mpf(1)
        tangent = transition @ tangent
        for i in range(n):
            tangent[:, i] += derivatives[i] @ state
        state = transition @ state
        discharge.append(state[n])
        slopes.append(tangent[n].copy())
    weights = 1 + _numbers(np.arange(1, days + 1)) / 10
    discharge, slopes = np.array(discharge, dtype=object), np.array(slopes, dtype=object)
    values = {
        "discharge": _dot(weights, discharge),
        "misfit": _dot(discharge - 3, discharge - 3),
        "stored": _dot(state[:n], state[:n]),
    }
    gradients = {
        "discharge": weights @ slopes,
        "misfit": 2 * (discharge - 3) @ slopes,
        "stored": 2 * state[:n] @ tangent[:n],
    }
    return values, gradients


def heat(problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """T' = A T + b u with symmetric A; heat that enters is what is stored, as the base is closed."""
    D, start, surface = (_numbers(v.value) for v in problem.inputs.values())
    n, days = len(D), len(surface)
    dx = _numbers(problem.constants["dx"])[0]
    inputs = 2 * n + days

    def operator(faces: Any, top: Any) -> Any:
        """A, from the conductances at the faces between cells and at the surface."""
        A = np.full((n, n), mp.mpf(0), dtype=object)
        for i, g in enumerate(faces):
            A[i, i] -= g
            A[i + 1, i + 1] -= g
            A[i, i + 1] += g
            A[i + 1, i] += g
        A[0, 0] -= top
        return A / dx**2

    A = operator(2 * D[:-1] * D[1:] / (D[:-1] + D[1:]), 2 * D[0])
    b = 2 * D[0] / dx**2
    eigenvalues, vectors = mp.eigsy(mp.matrix(A.tolist()))
    lam, V = _array(eigenvalues).ravel(), _array(vectors)
    growth = np.array([mp.exp(x) for x in lam], dtype=object)
    held = (growth - 1) / lam  # the integral of the exponential over a day
    divided = [
        [growth[i] if i == j else (growth[i] - growth[j]) / (lam[i] - lam[j]) for j in range(n)] for i in range(n)
    ]
    divided = np.array(divided, dtype=object)
    transition, response = (V * growth) @ V.T, (V * held) @ V.T[:, 0]  # response of T to b u
    d_transition, d_response = [], []
    for p in range(n):
        faces = np.full(n - 1, mp.mpf(0), dtype=object)
        if p > 0:
            faces[p - 1] = 2 * D[p - 1] ** 2 / (D[p - 1] + D[p]) ** 2
        if p < n - 1:
            faces[p] = 2 * D[p + 1] ** 2 / (D[p] + D[p + 1]) ** 2
        dA = operator(faces, mp.mpf(2 if p == 0 else 0))
        change = V @ (divided * (V.T @ dA @ V)) @ V.T
        d_transition.append(change)
        # A R = exp(A) e - e, and so A dR = d(exp(A)) e - dA R.
        d_response.append(V @ ((V.T @ (change[:, 0] - dA @ response)) / lam))

    state, tangent = start, np.full((n, inputs), mp.mpf(0), dtype=object)
    for i in range(n):
        tangent[i, n + i] = mp.mpf(1)
    warmth, heat_in = mp.mpf(0), mp.mpf(0)
    d_warmth = d_heat = np.full(inputs, mp.mpf(0), dtype=object)
    for d in range(days):
        new, slope = transition @ state + response * b * surface[d], transition @ tangent
        for p in range(n):
            slope[:, p] += d_transition[p] @ state + d_response[p] * b * surface[d]
        slope[:, 0] += response * (2 / dx**2) * surface[d]
        slope[:, 2 * n + d] += response * b
        warmth += _dot(new - 8, new - 8) / (n * days)
        d_warmth = d_warmth + 2 * (new - 8) @ slope / (n * days)
        heat_in += (d + 1) * dx * sum(new - state)
        d_heat = d_heat + (d + 1) * dx * (slope - tangent).sum(0)
        state, tangent = new, slope
    return {"warmth": warmth, "heat": heat_in}, {"warmth": d_warmth, "heat": d_heat}


EXACT: dict[str, Callable[[Problem], tuple[dict[str, Any], dict[str, Any]]]] = {"cascade": cascade, "heat": heat}


def solve(name: str, problem: Problem) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Values of the outputs, and output -> input -> derivatives."""
    values, gradients = EXACT[name](problem)
    where = problem.layout()
    return {k: float(v) for k, v in values.items()}, {
        out: {k: np.array(row[s], dtype=float) for k, s in where.items()} for out, row in gradients.items()
    }
