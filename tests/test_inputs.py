"""Every kind of bad input is refused before anything is solved, by a message that names it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from case_models import aquifer

import pydiffgeo as dg
from pydiffgeo.errors import (
    BoundsError,
    DtypeError,
    EngineNotAvailableError,
    InputError,
    MissingNameError,
    ShapeError,
    TimeError,
    UnknownNameError,
)

NAN, INF = float("nan"), float("inf")
RAGGED: Any = [[0.0], [1.0, 2.0]]


@pytest.fixture(autouse=True)
def nothing_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: Any) -> NoReturn:
        pytest.fail("the solve was started")

    # The package's `solve` is the function; its module is found by name.
    monkeypatch.setattr(import_module("pydiffgeo.solve"), "differentiable_solve", reached)


def full(shape: tuple[int, ...], value: float) -> torch.Tensor:
    return torch.full(shape, value, dtype=torch.float64)


def parameter(**values: Any) -> dict[str, Any]:
    return {"parameters": values}


def forcing(**values: Any) -> dict[str, Any]:
    return {"forcing": {"flux": [0.01, 0.02]} | values}


def initial(**values: Any) -> dict[str, Any]:
    return {"initial": values}


def times(*values: Any) -> dict[str, Any]:
    return {"times": values}


def series(*arguments: Any) -> dict[str, Any]:
    return forcing(flux=dg.TimeSeries(*arguments))


# What is wrong -> what is given to a column of five cells over two intervals, the error, and parts of its message.
BAD: dict[str, tuple[dict[str, Any], type[Exception], list[str]]] = {
    # names
    "parameter near": (parameter(theta_R=0.1), UnknownNameError, ["'theta_R'", "did you mean 'theta_r'?", "'K_s'"]),
    "parameter far": (parameter(xyz=0.1), UnknownNameError, ["'xyz'", "the model has ['theta_r'"]),
    "parameter number": (parameter() | {"parameters": {3: 0.1}}, UnknownNameError, ["parameter 3"]),
    "forcing near": (forcing(flx=0.1), UnknownNameError, ["forcing 'flx'", "did you mean 'flux'?"]),
    "forcing missing": ({"forcing": {}}, MissingNameError, ["forcing 'flux'"]),
    "forcing none": ({"forcing": None}, MissingNameError, ["forcing 'flux'"]),
    "initial near": (initial(tehta=0.1), UnknownNameError, ["'tehta'", "did you mean 'theta'?", "'head'"]),
    "initial missing": (initial(), MissingNameError, ["'theta' or 'head'", "no default"]),
    "initial twice": (initial(theta=0.2, head=-1.0), InputError, ["'theta'", "'head'", "give one of them"]),
    # kinds
    "model": ({"model": dg.models.RichardsColumn}, InputError, ["model must be a pydiffgeo.Model", "RichardsColumn"]),
    "parameters tensor": ({"parameters": torch.ones(3)}, InputError, ["parameters must be a mapping", "Tensor"]),
    "forcing list": ({"forcing": [0.1, 0.1]}, InputError, ["forcing must be a mapping", "list"]),
    "parameter text": (parameter(n="1.5"), DtypeError, ["'n'", "number, array or tensor", "str"]),
    "parameter none": (parameter(n=None), DtypeError, ["'n'", "NoneType"]),
    "parameter integer": (parameter(n=torch.tensor(2)), DtypeError, ["'n'", "torch.int64", "floating-point"]),
    "forcing integer": (forcing(flux=torch.ones(2, dtype=torch.int32)), DtypeError, ["'flux'", "torch.int32"]),
    "forcing boolean": (forcing(flux=torch.ones(2, dtype=torch.bool)), DtypeError, ["'flux'", "torch.bool"]),
    "series integer": (series([0, 2], torch.ones(1, dtype=torch.int64)), DtypeError, ["'flux'", "torch.int64"]),
    "initial integer": (initial(theta=np.array(1)), DtypeError, ["initial 'theta'", "int64"]),
    "parameter complex": (parameter(n=torch.ones(1) * 1j), DtypeError, ["'n'", "torch.complex"]),
    # shapes
    "parameter vector": (parameter(n=full((3,), 1.5)), ShapeError, ["'n'", "(3,)", "(5,)", "use shape (batch, 1)"]),
    "parameter matrix": (parameter(n=full((2, 3), 1.5)), ShapeError, ["'n'", "(2, 3)", "(batch, 5)", "cells=5"]),
    "parameter cube": (parameter(n=full((2, 2, 5), 1.5)), ShapeError, ["'n'", "(2, 2, 5)"]),
    "no members": (parameter(n=full((0, 1), 1.5)), ShapeError, ["'n'", "(0, 1)"]),
    "initial vector": (initial(theta=full((4,), 0.2)), ShapeError, ["initial 'theta'", "(4,)", "(5,)"]),
    "forcing vector": (forcing(flux=[0.1] * 3), ShapeError, ["'flux'", "(3,)", "2 values (one per interval)"]),
    "forcing matrix": (forcing(flux=full((2, 3), 0.1)), ShapeError, ["'flux'", "(2, 3)", "(batch, 2)"]),
    "forcing cube": (forcing(flux=full((1, 2, 5), 0.1)), ShapeError, ["'flux'", "(1, 2, 5)"]),
    "series constant": (series([0, 1, 2], [0.1] * 3), ShapeError, ["'flux'", "(3,)", "2 values (one per interval)"]),
    "series linear": (series([0, 1, 2], [0.1] * 2, "linear"), ShapeError, ["'flux'", "3 values (one per time)"]),
    "batches": (
        parameter(n=full((3, 1), 1.5), K_s=full((1, 5), 1.0)) | forcing(flux=full((4, 2), 0.1)),
        ShapeError,
        ["batch sizes differ", "parameter 'n' has 3", "forcing 'flux' has 4"],
    ),
    "batch of initials": (
        parameter(n=full((3, 1), 1.5)) | initial(theta=full((2, 5), 0.2)),
        ShapeError,
        ["parameter 'n' has 3", "initial 'theta' has 2"],
    ),
    # values
    "n": (parameter(n=1.0), BoundsError, ["'n'", "it is 1", "(1, inf)"]),
    "K_s zero": (parameter(K_s=0.0), BoundsError, ["'K_s'", "it is 0", "(0, inf) m d-1"]),
    "K_s cell": (parameter(K_s=[1.0, 1.0, -2.5, 1.0, 1.0]), BoundsError, ["'K_s'", "entry (2,) is -2.5"]),
    "K_s member": (parameter(K_s=[[1.0], [-2.5]]), BoundsError, ["'K_s'", "entry (1, 0) is -2.5"]),
    "theta_s high": (parameter(theta_s=1.2), BoundsError, ["'theta_s'", "it is 1.2", "(0, 1]"]),
    "parameter NaN": (parameter(alpha=NAN), BoundsError, ["'alpha'", "it is nan", "(0, inf) m-1"]),
    "parameter infinite": (parameter(alpha=INF), BoundsError, ["'alpha'", "it is inf"]),
    "theta_r": (parameter(theta_r=0.5), BoundsError, ["theta_r < theta_s", "theta_r=0.5", "theta_s=0.43"]),
    "theta_r equal": (parameter(theta_r=0.43), BoundsError, ["theta_r < theta_s", "theta_r=0.43"]),
    "theta_r cell": (
        parameter(theta_r=[[0.1], [0.4]], theta_s=[0.5, 0.5, 0.3, 0.5, 0.5]),
        BoundsError,
        ["entry (1, 2)", "theta_r=0.4", "theta_s=0.3"],
    ),
    "forcing NaN": (forcing(flux=[0.1, NAN]), BoundsError, ["'flux'", "finite", "entry (1,) is nan"]),
    "forcing infinite": (forcing(flux=[-INF, 0.1]), BoundsError, ["'flux'", "finite", "entry (0,) is -inf"]),
    "initial NaN": (initial(theta=NAN), BoundsError, ["initial 'theta'", "it is nan"]),
    "initial infinite": (initial(head=-INF), BoundsError, ["initial 'head'", "finite", "it is -inf"]),
    "initial negative": (initial(theta=[0.2] * 4 + [-0.1]), BoundsError, ["'theta'", "entry (4,) is -0.1", "[0, inf]"]),
    # times
    "unsorted": (times(0.0, 2.0, 1.5), TimeError, ["entries 1 and 2 are not sorted", "2, 1.5"]),
    "repeated": (times(0.0, 1.0, 1.0), TimeError, ["entries 1 and 2 are repeated", "1, 1"]),
    "time NaN": (times(0.0, NAN, 1.0), TimeError, ["entry 1 is nan"]),
    "time infinite": (times(0.0, 1.0, INF), TimeError, ["entry 2 is inf"]),
    "one time": (times(3.0), TimeError, ["at least two", "3."]),
    "matrix of times": ({"times": [[0.0, 1.0]]}, TimeError, ["one-dimensional"]),
    "ragged times": ({"times": RAGGED}, TimeError, ["one-dimensional", "[[0.0], [1.0, 2.0]]"]),
    "text times": (times("a", "b"), TimeError, ["numbers", "'a'"]),
    "times none": ({"times": None}, TimeError, ["None"]),
    "series ends early": (series([0.0, 1.5], [0.1]), TimeError, ["'flux' covers 0 to 1.5", "run from 0 to 2"]),
    "series starts late": (series([0.5, 9.0], [0.1]), TimeError, ["'flux' covers 0.5 to 9", "run from 0 to 2"]),
    # settings
    "engine": ({"engine": "jula"}, EngineNotAvailableError, ["'jula'", "'auto', 'julia', 'sundials'"]),
    "solver": ({"solver": "Euler"}, InputError, ["solver 'Euler'", "'sundials'", "'cvodes-bdf'"]),
    "sensitivity": ({"sensitivity": "exact"}, InputError, ["sensitivity 'exact'", "'sundials'", "'adjoint'"]),
    "not of this engine": ({"sensitivity": "forward"}, InputError, ["'forward'", "'sundials'", "'auto'"]),
    "rtol zero": ({"rtol": 0.0}, InputError, ["rtol", "positive", "0.0"]),
    "rtol negative": ({"rtol": -1e-6}, InputError, ["rtol", "positive", "-1e-06"]),
    "rtol NaN": ({"rtol": NAN}, InputError, ["rtol", "positive", "nan"]),
    "atol text": ({"atol": "1e-8"}, InputError, ["atol", "positive", "'1e-8'"]),
    "no steps": ({"max_steps": 0}, InputError, ["max_steps", "whole number, 1 or more", "0"]),
    "half a step": ({"max_steps": 0.5}, InputError, ["max_steps", "whole number", "0.5"]),
    "threads": ({"threads": -1}, InputError, ["threads", "0 or more", "-1"]),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_and_named(what: str) -> None:
    given, error, parts = BAD[what]
    good: dict[str, Any] = {
        "model": dg.models.RichardsColumn(0.5, 5),
        "parameters": {},
        "forcing": {"flux": [0.01, 0.02]},
        "times": [0.0, 1.0, 2.0],
        "initial": {"theta": 0.2},
        "engine": "sundials",
    }
    with pytest.raises(error) as caught:
        dg.solve(**good | given)
    assert type(caught.value) is error
    for part in parts:
        assert part in str(caught.value)


def test_a_good_input_does_reach_the_solve() -> None:
    with pytest.raises(pytest.fail.Exception, match="the solve was started"):
        dg.solve(
            dg.models.ExpHydro(),
            forcing=WEATHER,
            times=[0.0, 1.0, 2.0],
            engine="sundials",
            max_steps=np.int64(9),
            rtol=np.float32(1e-3),
        )


WEATHER = {"precipitation": [1.0, 2.0], "temperature": 5.0, "daylength": 9.0}


@pytest.mark.parametrize(
    ("forcing", "parts"),
    [
        ({"precipitation": [1.0, -2.0]}, ["'precipitation'", "entry (1,) is -2", "[0, inf] mm d-1"]),
        ({"daylength": 25.0}, ["'daylength'", "is 25", "[0, 24] h"]),
        ({"temperature": [[5.0, 6.0], [7.0, 400.0]]}, ["'temperature'", "entry (1, 1) is 400", "[-100, 100] degC"]),
    ],
)
def test_forcing_out_of_bounds(forcing: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(BoundsError) as caught:
        dg.solve(dg.models.ExpHydro(), forcing=WEATHER | forcing, times=[0.0, 1.0, 2.0], engine="sundials")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "forcing", "error", "parts"),
    [
        ({"K_face": full((12,), 9.0)}, {}, ShapeError, ["'K_face'", "(12,)", "(17,)", "faces=17"]),
        ({}, {"recharge": full((2, 11), 0.1)}, ShapeError, ["'recharge'", "(2, 11)", "(2, 12)", "(batch, 2, 12)"]),
        ({}, {"stage": full((2, 12), 0.1)}, ShapeError, ["'stage'", "(2, 12)", "(2,)"]),
    ],
)
def test_shapes_over_faces_and_cells(
    parameters: dict[str, Any], forcing: dict[str, Any], error: type[Exception], parts: list[str]
) -> None:
    with pytest.raises(error) as caught:
        dg.solve(
            aquifer(),
            parameters,
            forcing={"recharge": 0.001, "stage": 9.0} | forcing,
            times=[0.0, 1.0, 2.0],
            engine="sundials",
        )
    for part in parts:
        assert part in str(caught.value)


def test_a_required_parameter_is_asked_for_with_its_meaning() -> None:
    model = dg.models.RichardsColumn(0.5, 5, closure="haverkamp")
    with pytest.raises(MissingNameError, match=r"'A_theta' \(retention coefficient, m\^B_theta\) has no default"):
        dg.solve(model, forcing={"flux": 0.01}, times=[0.0, 1.0], initial={"theta": 0.2}, engine="sundials")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (([0.0, 2.0, 1.0], [0.1, 0.1]), ["times of a TimeSeries", "entries 1 and 2 are not sorted"]),
        (([0.0, NAN], [0.1]), ["times of a TimeSeries", "entry 1 is nan"]),
        (([0.0, 1.0], [0.1], "cubic"), ["'constant' or 'linear'", "'cubic'"]),
    ],
)
def test_a_bad_time_series_is_refused_when_made(arguments: tuple[Any, ...], parts: list[str]) -> None:
    with pytest.raises(TimeError) as caught:
        dg.TimeSeries(*arguments)
    for part in parts:
        assert part in str(caught.value)


def test_names_of_julia_solvers_are_checked(julia_engine: str) -> None:
    good: dict[str, Any] = {"forcing": WEATHER, "times": [0.0, 1.0, 2.0], "engine": julia_engine}
    for setting, parts in (({"solver": "cvodes-bdf"}, ["'FBDF'"]), ({"sensitivity": "exact"}, ["'gauss'"])):
        with pytest.raises(InputError) as caught:
            dg.solve(dg.models.ExpHydro(), **good | setting)
        for part in [*parts, "'julia'", *map(repr, setting.values())]:
            assert part in str(caught.value)
