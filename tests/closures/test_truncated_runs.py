"""Learning from statistics: what truncation and memory do, exactly, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.closures import learn
from pydiffgeo.errors import BoundsError, DataError, InputError, ShapeError, SolverError


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def relaxing(a: Tensor):
    """x' = 0.9 x + a for three steps; its mean over the window is the statistic."""

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        seen = []
        for _ in range(3):
            x = 0.9 * x + a
            seen.append(x)
        return x, torch.stack(seen).mean(0)

    return run


def test_a_run_that_goes_on_finds_the_equilibrium_although_gradients_are_cut() -> None:
    """At rest x is 10 a; three steps of a window alone would need a = 2 / 1.9 and more."""
    a = number(0.5)
    done = learn(
        relaxing(a), lambda s: (s - 2.0) ** 2, [a], torch.zeros((), dtype=torch.float64), windows=400, rate=0.02
    )
    assert a.item() == pytest.approx(0.2, abs=2e-3)
    assert done.statistics.item() == pytest.approx(2.0, abs=0.02)
    assert done.state.item() == pytest.approx(2.0, abs=0.02)
    assert not done.state.requires_grad
    assert len(done.losses) == 400
    assert done.failures == 0


@pytest.mark.parametrize("kind", ["tensor", "names", "none"])
def test_a_stopped_training_goes_on_to_the_same_numbers(tmp_path, kind: str) -> None:
    class Stopped(Exception):
        pass

    begin = {"tensor": torch.zeros(2).double(), "names": {"x": torch.zeros(2).double()}, "none": None}[kind]

    def trained(checkpoint=None, stop: int = -1):
        a, seen = number(0.5), []
        inner = relaxing(a)

        def run(state):
            x = torch.zeros(2).double() if state is None else state["x"] if kind == "names" else state
            later, mean = inner(x)
            seen.append(0)
            # Every seventh window fails, the first of all as well.
            mean = mean * (float("nan") if len(losses) % 7 == 0 else 1.0)
            return {"tensor": later, "names": {"x": later}, "none": None}[kind], mean

        losses = []

        def watch(window: int, value: float) -> None:
            losses.append(value)
            if window == stop:
                raise Stopped

        if checkpoint is not None and checkpoint.exists():
            losses.extend([0.0] * 12)
        choices = {"windows": 40, "rate": 0.02, "memory": 3.0, "watch": watch, "checkpoint": checkpoint}
        return learn(run, lambda s: (s - 2.0).square().sum(), [a], begin, **choices), a.item(), len(seen)

    path = tmp_path / "training.npz"
    whole, value, _ = trained()
    with pytest.raises(Stopped):
        trained(path, stop=11)
    again, resumed, solved = trained(path)
    assert solved == 28
    assert resumed == value
    assert again.failures == whole.failures == 6
    assert str(again.losses) == str(whole.losses)
    assert torch.equal(again.statistics, whole.statistics)
    with pytest.raises(DataError, match="belongs to another training"):
        learn(relaxing(number(0.5)), torch.sum, [number(0.5)], begin, windows=41, checkpoint=path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        trained(path)


def test_windows_that_begin_anew_know_no_equilibrium() -> None:
    a = number(0.5)
    inner = relaxing(a)

    def run(state: None) -> tuple[None, Tensor]:
        return None, inner(torch.zeros((), dtype=torch.float64))[1]

    learn(run, lambda s: (s - 2.0) ** 2, [a], None, windows=400, rate=0.02)
    # The mean of a, 1.9 a and 2.71 a.
    assert a.item() == pytest.approx(2.0 / (5.61 / 3), abs=2e-3)


def test_memory_averages_the_statistic_and_leaves_the_slope() -> None:
    """Windows of +1 and -1 around a: with memory the loss sees their mean; the slope is that of one window."""
    a, sign, slopes = number(3.0), [1.0], []

    def run(state: None) -> tuple[None, Tensor]:
        sign[0] = -sign[0]
        return None, a + sign[0]

    def loss(s: Tensor) -> Tensor:
        s.register_hook(lambda g: slopes.append(g.item()))
        return s

    done = learn(run, loss, [a], None, windows=5, rate=1e-12, memory=4.0, averaged=0.0)
    expected = [2.0]
    for i in range(1, 5):
        expected.append(expected[-1] + (3.0 + (1.0 if i % 2 else -1.0) - expected[-1]) / 4)
    assert done.losses == pytest.approx(expected)
    assert slopes == [1.0] * 5


def test_tensors_by_name_are_carried_on() -> None:
    a = number(1.0)

    def run(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        later = {"x": state["x"] + 1, "y": a * state["x"]}
        return later, a * state["x"]

    done = learn(run, lambda s: s**2, [a], {"x": torch.ones(()), "y": torch.ones(())}, windows=3)
    assert done.state["x"].item() == 4
    assert not done.state["y"].requires_grad


def test_a_window_that_fails_is_left_out_and_begins_anew() -> None:
    a, calls = number(1.0), [0]

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        calls[0] += 1
        if calls[0] == 3:
            raise SolverError("no convergence")
        if calls[0] == 5:
            return x, a * math.nan
        return x + 1, a * x

    done = learn(run, lambda s: s**2, [a], torch.ones((), dtype=torch.float64), windows=6, averaged=0.0)
    assert done.failures == 2
    assert [math.isnan(x) for x in done.losses] == [False, False, True, False, True, False]
    assert done.state.item() == 2  # one window after the last failure
    assert "2 left out" in str(done)


def test_windows_that_all_fail_end_it() -> None:
    a = number(1.0)
    with pytest.raises(SolverError, match="windows 0 to 9"):
        learn(lambda s: (s, a * math.nan), lambda s: s, [a], None, windows=50)
    with pytest.raises(SolverError, match="none of 3"):
        learn(lambda s: (s, a * math.nan), lambda s: s, [a], None, windows=3)


def test_errors_of_the_user_are_not_taken_for_failures() -> None:
    a = number(1.0)

    def run(state: None) -> tuple[None, Tensor]:
        raise BoundsError("porosity above one")

    with pytest.raises(BoundsError, match="porosity"):
        learn(run, lambda s: s, [a], None, windows=5)


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        ({"parameters": []}, InputError, "leaves that require gradients"),
        ({"parameters": [torch.ones(2)]}, InputError, "leaves that require gradients"),
        ({"windows": 0}, InputError, "windows"),
        ({"rate": -1.0}, InputError, "rate"),
        ({"memory": 0.5}, InputError, "memory"),
        ({"averaged": 1.5}, InputError, "averaged"),
        ({"loss": lambda s: s * torch.ones(2)}, ShapeError, "scalar"),
        ({"loss": lambda s: s.detach() ** 2}, InputError, "does not depend"),
        ({"loss": lambda s: torch.ones((), requires_grad=True) * 1.0}, InputError, "does not depend"),
    ],
)
def test_what_does_not_fit_is_refused(choice: dict, error: type[Exception], message: str) -> None:
    a = number(1.0)
    asked = {"loss": lambda s: s**2, "parameters": [a], "windows": 2, **choice}
    with pytest.raises(error, match=message):
        learn(lambda s: (s, a * 1.0), state=None, **asked)


def test_a_network_in_a_basin_learns_from_a_flow_duration_curve() -> None:
    """A store whose outflow is a network: no day is compared with a day, only sorted flows."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()

    def model(law, networks=None) -> dg.Model:
        def source(cell, forcing):
            outflow = law(cell)
            return {"storage": forcing.rain - outflow, "discharge": outflow}

        return dg.Model(
            "Store",
            dg.single_cell(),
            states=(dg.State("storage", "mm", "water", low=0.0),),
            parameters=(),
            forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
            fluxes=(dg.IntegratedFlux("discharge", "mm", "outflow", -1),),
            source=source,
            networks=networks or {},
        )

    rain = torch.distributions.Gamma(0.3, 0.1).sample((240,)).double()
    question = {
        "forcing": {"rain": rain},
        "times": range(241),
        "initial": {"storage": 30.0},
        "engine": "sundials",
        "rtol": 1e-4,
        "atol": 1e-4,
    }
    chances = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95]
    true = dg.solve(model(lambda cell: (cell.storage / 20) ** 2), **question).fluxes["discharge"]
    wanted = dg.losses.flow_duration_curve(true[40:], chances)
    learnt = model(lambda cell: cell.storage / 20 * torch.exp(cell.law(cell.storage / 30)), {"law": network})

    def run(state: None) -> tuple[None, Tensor]:
        flow = dg.solve(learnt, **question).fluxes["discharge"]
        return None, dg.losses.flow_duration_curve(flow[40:], chances)

    done = learn(
        run,
        lambda s: dg.losses.rms_log_ratio(s, wanted),
        network.parameters(),
        None,
        windows=25,
        rate=0.05,
        averaged=0.0,
    )
    assert done.losses[-1] < 0.3 * done.losses[0]
