"""Terms that are prepared before a solve."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES

import pydiffgeo as dg
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.hoisted import prepare, pull_prepared, push_prepared
from pydiffgeo.engines.ir.hoisting import _frontier
from pydiffgeo.engines.ir.traced_model import trace_model


@pytest.mark.parametrize("name", CASES)
def test_preparing_moves_costly_terms_out_of_the_kernels(name: str) -> None:
    model = CASES[name].model()
    system = build_system(model, trace_model(model), Layout({p.name: 1 for p in model.parameters}))
    given = len(model.parameters)
    assert system.n_parameters == given + sum(len(s.target) for k in system.prepared for s in k.scatter)
    p = np.array([[p.default if p.default is not None else 1.5 for p in model.parameters]])
    full = prepare(system, p)
    assert full.shape == (1, system.n_parameters)
    assert np.array_equal(full[:, :given], p)
    assert np.isfinite(full).all()
    # No division, power or function of parameters and geometry alone is left.
    first_f = system.n_states + system.n_parameters
    first_c = first_f + system.n_forcings
    for kernel in (*system.stages, *system.kernels):
        fixed = {
            n
            for n, row in zip(kernel.program.inputs, kernel.gather, strict=True)
            if system.n_states <= row[0] < first_f or first_c <= row[0] < first_c + len(system.constants)
        }
        assert _frontier(kernel.program, fixed) == []


def test_what_depends_on_parameters_alone_is_computed_once_per_distinct_value() -> None:
    model = dg.Model(
        name="Decay",
        graph=dg.column(1.0, 5),
        states=(dg.State("c", "1", "concentration", default=1.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", 1.0), dg.Parameter("n", "1", "exponent", 2.0)),
        source=lambda cell, forcing: {"c": -(cell.k**1.5) * cell.c / (1 + torch.exp(cell.n))},
    )
    scalar = build_system(model, trace_model(model), Layout({"k": 1, "n": 1}))
    assert scalar.n_parameters == 2 + 2
    both = build_system(model, trace_model(model), Layout({"k": 5, "n": 1}))
    (kernel,) = both.prepared
    assert kernel.gather.shape[1] == 5
    p = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 0.5]])
    full = prepare(both, p)
    powers, reciprocals = full[0, 6:11], full[0, 11:]
    assert np.allclose(np.abs(powers), p[0, :5] ** 1.5)
    assert np.allclose(reciprocals, 1 / (1 + math.exp(0.5)))
    bar = np.zeros_like(full)
    bar[0, 6:11] = 1.0
    assert np.allclose(np.abs(pull_prepared(both, p, bar)[0, :5]), 1.5 * np.sqrt(np.arange(1.0, 6.0)))


def test_prepared_values_have_the_derivatives_of_differences() -> None:
    column = dg.models.RichardsColumn(1.0, 4, face_conductivity="arithmetic")
    # Some parameters vary over cells and some do not, so that several results go back to one of them.
    system = build_system(
        column, trace_model(column), Layout({p.name: 4 if i % 2 else 1 for i, p in enumerate(column.parameters)})
    )
    rng = np.random.default_rng(0)
    typical = np.concatenate([np.full(4 if i % 2 else 1, p.default) for i, p in enumerate(column.parameters)])
    p = typical * rng.uniform(0.9, 1.1, (3, len(typical)))
    bar = rng.normal(size=(3, system.n_parameters))
    dots = rng.normal(size=(2, *p.shape)) * typical
    pushed = push_prepared(system, p, dots)
    for dot, found in zip(dots, pushed, strict=True):
        h = 1e-6
        difference = (prepare(system, p + h * dot) - prepare(system, p - h * dot)) / (2 * h)
        assert np.allclose(found, difference, rtol=1e-6, atol=1e-7 * np.abs(prepare(system, p)).max(axis=0))
        pulled = pull_prepared(system, p, bar)
        assert np.allclose((pulled * dot).sum(axis=1), (bar * found).sum(axis=1), rtol=1e-10)
