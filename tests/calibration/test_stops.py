"""Trainings and calibrations that are stopped or killed at any moment go on as if nothing had happened."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apart import run_apart
from stopping import stopped_at

import pydiffgeo as dg
from pydiffgeo.calibration import CalibrationResult, Prior, Site, Strategy, calibrate, keeper
from pydiffgeo.engines.interrupts import held_interrupts
from pydiffgeo.errors import DataError
from pydiffgeo.io import read_archive, write_archive

DECAY = dg.Model(
    name="Decay",
    graph=dg.single_cell(),
    states=(dg.State("u", "mm", "what decays", default=2.0, low=0.0),),
    parameters=(dg.Parameter("k", "d-1", "rate", 0.5, low=0.0, open_low=True, typical=(0.05, 3.0), log=True),),
    source=lambda cell, forcing: {"u": -cell.k * cell.u},
)
STRATEGY = Strategy(candidates=4, starts=2, finalists=2, window=3.0, window_steps=2, steps=5, method="bfgs", seed=2)


def sites() -> list[Site]:
    times = np.linspace(0.0, 8.0, 17)
    made = []
    for name, k in (("fast", 1.2), ("slow", 0.3)):
        seen = 2.0 * np.exp(-k * times[1:]) + 0.02 * np.random.default_rng(4).normal(size=16)
        early, late = (
            dg.observe.Observation("u", "value", times[1:][p], seen[p], error=0.02)
            for p in (slice(0, 12), slice(12, 16))
        )
        made.append(
            Site(
                name,
                DECAY,
                times,
                {},
                (early,),
                {"k": None},
                tuning=(late,),
                priors={"k": Prior(0.5, 2.0)},
                loss="gaussian",
                settings={"engine": "sundials"},
            )
        )
    return made


def numbers(found: CalibrationResult) -> dict[str, Any]:
    return {f"{name} {k}": v for name, state in found.searches.items() for k, v in state.items() if k != "seconds"}


def assert_same(found: CalibrationResult, known: CalibrationResult) -> None:
    assert numbers(found).keys() == numbers(known).keys()
    for name, value in numbers(known).items():
        np.testing.assert_array_equal(numbers(found)[name], value, err_msg=name)
    assert found.failures == known.failures


@pytest.fixture(scope="module")
def undisturbed() -> tuple[CalibrationResult, int]:
    calibrate(sites(), STRATEGY, progress=False)
    with stopped_at() as calls:
        found = calibrate(sites(), STRATEGY, progress=False)
    return found, calls[0]


@pytest.mark.parametrize("often", [True, False])
def test_a_calibration_that_is_stopped_at_any_call_leaves_no_trace(
    undisturbed: tuple[CalibrationResult, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: bool
) -> None:
    known, calls = undisturbed
    monkeypatch.setattr(keeper, "SAVE_EVERY", 0.0 if often else 10.0)
    random, stops = np.random.default_rng(often), 0
    for chain in range(4):
        path = tmp_path / f"{chain}.npz"
        for _ in range(4):
            try:
                with stopped_at(int(random.integers(1, calls // 2))):
                    calibrate(sites(), STRATEGY, checkpoint=path, progress=False)
            except KeyboardInterrupt:
                stops += 1
        assert_same(calibrate(sites(), STRATEGY, checkpoint=path, progress=False), known)
    assert stops >= 8


def test_ctrl_c_at_any_call_while_a_file_is_written_is_ctrl_c(tmp_path: Path) -> None:
    path, old, new = tmp_path / "a.npz", {"x": np.arange(3.0)}, {"x": np.arange(4.0), "y": np.ones(2)}
    with stopped_at() as calls:
        write_archive(path, {}, old)
    for call in range(1, calls[0]):
        with pytest.raises(KeyboardInterrupt), stopped_at(call):
            write_archive(path, {}, new)
        assert {*read_archive(path)[1]} in ({*old}, {*new})
        write_archive(path, {}, old)


def test_an_error_of_a_callback_costs_a_calibration_nothing(
    undisturbed: tuple[CalibrationResult, int], tmp_path: Path
) -> None:
    seen: list[Any] = []

    def fail(step: Any) -> None:
        seen.append(step)
        if len(seen) == 4:
            raise ZeroDivisionError("its own affair")

    path = tmp_path / "c.npz"
    with pytest.raises(ZeroDivisionError):
        calibrate(sites(), STRATEGY, checkpoint=path, progress=False, callback=fail)
    rest: list[Any] = []
    found = calibrate(sites(), STRATEGY, checkpoint=path, progress=False, callback=rest.append)
    assert_same(found, undisturbed[0])
    assert len(seen) + len(rest) == sum(int(s["step"]) for s in found.searches.values()) + 2 * STRATEGY.window_steps


def test_a_checkpoint_that_is_refused_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    calibrate(sites(), STRATEGY, checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(DataError, match="belongs to another configuration"):
        calibrate(sites(), Strategy(candidates=5, starts=2, finalists=1, steps=2), checkpoint=path, progress=False)
    assert path.read_bytes() == before
    # Nothing new has been found: nothing is written.
    written = path.stat().st_mtime_ns
    calibrate(sites(), STRATEGY, checkpoint=path, progress=False)
    assert path.stat().st_mtime_ns == written


def test_ctrl_c_waits_until_what_must_be_whole_is_done() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = []
    try:
        with pytest.raises(KeyboardInterrupt), held_interrupts():  # noqa: PT012 - it arrives at the end
            os.kill(os.getpid(), signal.SIGINT)
            done.append("first")
            with held_interrupts():
                os.kill(os.getpid(), signal.SIGINT)
                done.append("inner")
            done.append("last")
        assert done == ["first", "inner", "last"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with held_interrupts():
            done.append("undisturbed")
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", ["training", "calibration"])
def test_work_that_is_killed_and_interrupted_at_random_moments_comes_to_the_same_bits(
    kind: str, tmp_path: Path
) -> None:
    run_apart(kind, str(tmp_path), module="killed")
    assert not [p.name for p in tmp_path.iterdir() if p.suffix not in (".npz", ".part")]
