"""Names and numbers of models never become code."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.traced_model import trace_model
from pydiffgeo.engines.ir.tracing import trace
from pydiffgeo.engines.julia.codegen import RULES, julia_loop
from pydiffgeo.errors import ModelError


def bucket(state: str = "S", parameter: str = "k", name: str = "Bucket", boundary: str = "outlet") -> dg.Model:
    return dg.Model(
        name=name,
        graph=dg.single_cell(),
        states=(dg.State(state, "mm", "storage", default=10.0),),
        parameters=(dg.Parameter(parameter, "1/d", "rate", 0.3),),
        fluxes=(dg.IntegratedFlux("out", "mm", "outflow", balance=-1),),
        boundaries=(
            dg.Boundary(
                boundary,
                (0,),
                lambda cell, forcing, face: {
                    state: -getattr(cell, parameter) * getattr(cell, state),
                    "out": getattr(cell, parameter) * getattr(cell, state),
                },
            ),
        ),
    )


@pytest.mark.parametrize(
    "name",
    [
        "a; run(`touch /tmp/x`)",
        "$(run(`touch x`))",
        "x\nexit()",
        'x"; exit(); "',
        "x)",
        "a b",
        "a.b",
        "1a",
        "",
        "../x",
        "x#",
        "cell[0]",
        "lambda",
        "__class__",
        "__dict__",
    ],
)
@pytest.mark.parametrize("kind", ["state", "parameter", "boundary"])
def test_names_that_are_code_are_refused(kind, name):
    with pytest.raises(ModelError, match=rf"Bucket: {kind} name {re.escape(repr(name))} is not an identifier"):
        bucket(**{kind: name})


def test_letters_that_python_reads_as_others_are_refused():
    # The micro sign is read as the Greek letter, so `cell.µ` would look for a name that is not there.
    with pytest.raises(ModelError, match="parameter name 'µ' is read as 'μ' by Python; write it so"):
        bucket(parameter="\N{MICRO SIGN}")
    with pytest.raises(ModelError, match="state name 'ﬁeld' is read as 'field'"):
        bucket(state="ﬁeld")


def test_letters_of_any_alphabet_work_on_each_engine(engine):
    evil = 'Bucket"); run(`touch x`); ("\nexit()'
    sol = dg.solve(bucket("θ", "κ_größe", evil), {}, times=[0.0, 1.0], engine=engine)
    assert float(sol.states["θ"][-1, 0]) == pytest.approx(10 * np.exp(-0.3), rel=1e-5)


def test_no_name_and_nothing_but_numbers_reaches_julia():
    """Generated source consists of its own words, positions and numbers."""
    own = {
        *("function", "i", "in", "axes", "end", "return", "nothing", "x", "out", "fused", "whole", "Val"),
        *("NaN", "Inf"),
    }
    own |= set(re.findall(r"[^\W\d]\w*", " ".join(RULES.values()))) | {"inbounds", "for", "simd", "ivdep"}
    model = bucket("θ", "touch", "exit()")
    system = build_system(model, trace_model(model), Layout({"touch": 1}))
    sources = [
        julia_loop(k.program, {"x": [*k.program.inputs]}, {"out": [*k.program.outputs]}, 1) for k in system.kernels
    ]
    numbers = [0.1, -0.0, float("nan"), float("inf"), -float("inf"), 1e300, 5e-324, torch.tensor(0.1), np.float64(0.2)]
    for number in numbers:
        program = trace("x", lambda cell, n=number: {"out": torch.maximum(cell.a, cell.a * 0 + n)}, [("cell", ["a"])])
        sources.append(julia_loop(program, {"x": [*program.inputs]}, {"out": ["out"]}, 9))
    for source in sources:
        words = set(re.findall(r"[^\W\d]\w*", re.sub(r"\d+\.?\d*(e[+-]?\d+)?", "", source)))
        assert words - {w for w in words if re.fullmatch(r"t\d*", w)} <= own, source
        assert set(source) <= set("abcdefghijklmnopqrstuvwxyzIVN0123456789_@()[]{}.,+-*/=<>&|! \n"), source


class Number(float):
    """A number that writes itself as code."""

    def __repr__(self) -> str:
        return "exit()"


def test_a_number_that_writes_itself_as_code_is_a_number():
    program = trace("x", lambda cell: {"out": cell.a * Number(0.25)}, [("cell", ["a"])])
    source = julia_loop(program, {"x": [*program.inputs]}, {"out": ["out"]}, 1)
    assert "exit" not in source
    assert "0.25" in source


def test_a_long_program_is_plain_lines():
    def long(cell: SimpleNamespace) -> dict[str, Any]:
        value = cell.a
        for k in range(5000):
            value = value * (1 + 1e-4 * k) + torch.sin(value)
        return {"out": value}

    program = trace("x", long, [("cell", ["a"])])
    lines = julia_loop(program, {"x": [*program.inputs]}, {"out": ["out"]}, 1).splitlines()
    assert len(lines) > 10_000
    assert max(map(len, lines)) < 100
