"""Assimilation of a linear model against Kalman's filter, twins of a basin and of a column, stops and failures."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.assimilate import Ensemble, Problem, Variational, assimilate
from pydiffgeo.assimilate import windows as module
from pydiffgeo.assimilate.cycle_file import CycleFile
from pydiffgeo.errors import DataError, InputError, MissingNameError, UnknownNameError

K, B, DT = 0.3, 1.5, 1.0


def decay() -> dg.Model:
    return dg.Model(
        name="Decay",
        graph=dg.single_cell(),
        states=(dg.State("u", "m", "what decays", default=2.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", K, typical=(0.05, 3.0)),),
        forcings=(dg.ForcingVariable("b", "m d-1", "what comes"),),
        source=lambda cell, forcing: {"u": forcing.b - cell.k * cell.u},
    )


def linear(cycles: int = 8, **changes) -> Problem:
    times = np.arange(cycles + 1.0) * DT
    values = torch.linspace(4.0, 5.0, cycles).double()
    values[3] = torch.nan
    seen = dg.observe.Observation("u", "value", times[1:], values, error=0.4)
    settings = {"engine": "sundials", "rtol": 1e-9}
    given = {"model": decay(), "observations": [seen]}
    return Problem(
        times=times,
        forcing={"b": np.full(cycles, B)},
        **{**given, "uncertain": {"u": 1.0}, "model_error": {"u": 0.2}, "settings": settings, **changes},
    )


def kalman(problem: Problem) -> tuple[list[float], list[float]]:
    """By hand: u goes to u e^-k + b (1 - e^-k)/k, and the model's error is white."""
    mean, variance, means, sds = 2.0, 1.0, [], []
    for value in problem.observations[0].values.tolist():
        mean, variance = mean * math.exp(-K) + B * (1 - math.exp(-K)) / K, variance * math.exp(-2 * K)
        if not math.isnan(value):
            gain = variance / (variance + 0.16)
            mean, variance = mean + gain * (value - mean), (1 - gain) * variance
        means.append(mean)
        sds.append(variance**0.5)
        # The model's error comes at the end of a window, after its observations.
        variance += 0.04
    return means, sds


def test_four_d_var_of_a_linear_model_is_kalmans_filter() -> None:
    problem = linear()
    found = assimilate(problem, Variational(), window=1)
    means, sds = kalman(problem)
    assert found.analysis[:, 0].tolist() == pytest.approx(means, rel=1e-6)
    assert found.analysis_sd[:, 0].tolist() == pytest.approx(sds, rel=1e-6)
    assert found.names == ("u",)
    assert len(found.innovations[3]) == 0
    assert found.increments[3].abs().max() < 1e-6


@pytest.mark.parametrize("update", ["transform", "stochastic"])
def test_many_members_tend_to_a_kalman_filter(update: str) -> None:
    """Of a model without error, where filter and window agree on what comes when."""
    problem = linear(model_error={})
    exact = assimilate(problem, Variational(), window=1)
    found = assimilate(problem, Ensemble(400, update=update, seed=3), window=1)
    assert (found.analysis - exact.analysis).abs().max() < 0.03
    assert found.analysis_sd[:, 0].tolist() == pytest.approx(exact.analysis_sd[:, 0].tolist(), rel=0.15)


def test_a_smoother_updates_the_beginning_and_runs_again() -> None:
    problem = linear(model_error={})
    exact = assimilate(problem, Variational(), window=1)
    found = assimilate(problem, Ensemble(400, smoother=True, seed=3), window=1)
    assert (found.analysis - exact.analysis).abs().max() < 0.03
    assert found.solves == 400 * (8 + 7)


def test_a_sought_parameter_is_learnt_along_with_the_state() -> None:
    times = np.arange(41.0)
    model = decay()
    truth = dg.solve(
        model, {"k": 0.5}, forcing={"b": np.full(40, B)}, times=times, initial={"u": 8.0}, engine="sundials"
    )
    values = truth.states["u"][1:, 0].detach() + 0.02 * torch.randn(40, generator=torch.Generator().manual_seed(1))
    seen = dg.observe.Observation("u", "value", times[1:], values, error=0.02)
    problem = Problem(
        model,
        times,
        {"b": np.full(40, B)},
        [seen],
        uncertain={"u": 1.0},
        initial={"u": 7.0},
        sought={"k": (0.3, 0.2)},
        settings={"engine": "sundials", "rtol": 1e-7},
    )
    for method in (Variational(), Ensemble(60, seed=2)):
        found = assimilate(problem, method, window=4)
        assert abs(found.analysis[-1, 1] - 0.5) < 3 * found.analysis_sd[-1, 1] + 1e-3
        assert found.analysis_sd[-1, 1] < 0.02


def basin(cycles: int, window: int) -> tuple[Problem, torch.Tensor]:
    """A twin: each window has its own factor of the rain, and its runoff is seen daily with an error of a tenth."""
    random, n, model = np.random.default_rng(1), cycles * window, dg.models.ExpHydro()
    rain = np.where(random.random(n) < 0.35, random.exponential(9, n), 0.0)
    days = np.arange(n)
    forcing = {
        "precipitation": rain,
        "temperature": 10 - 9 * np.cos(2 * np.pi * days / 365) + random.normal(0, 2, n),
        "daylength": 0.5 - 0.15 * np.cos(2 * np.pi * days / 365),
    }
    log_sd = np.sqrt(np.log1p(0.3**2))
    factors = np.exp(log_sd * random.normal(size=cycles) - log_sd**2 / 2)
    real = forcing | {"precipitation": rain * np.repeat(factors, window)}
    times, start = np.arange(n + 1.0), {"snow_storage": 2.0, "water_storage": 900.0}
    begin = start | {"water_storage": 900.0 + 60 * random.normal()}
    sol = dg.solve(model, forcing=real, times=times, initial=begin, rtol=1e-6, engine="sundials")
    runoff = sol.fluxes["runoff"].detach().reshape(-1)
    error = torch.clamp(0.1 * runoff, min=0.05)
    noise = torch.randn(n, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    seen = dg.observe.Observation(
        "runoff", "flux_sum", np.stack([times[:-1], times[1:]], 1), runoff + error * noise, error
    )
    problem = Problem(
        model,
        times,
        forcing,
        [seen],
        uncertain={"snow_storage": 1.0, "water_storage": 60.0},
        initial=start,
        forcing_error={"precipitation": 0.3},
        settings={"rtol": 1e-5, "engine": "sundials"},
    )
    truth = torch.cat([sol.states[k][window::window].reshape(-1, 1) for k in problem.uncertain], 1).detach()
    return problem, truth


@pytest.mark.parametrize("method", [Ensemble(40), Ensemble(40, update="stochastic"), Ensemble(40, smoother=True)])
def test_a_basin_is_known_from_its_runoff(method) -> None:
    problem, truth = basin(60, 5)
    found = assimilate(problem, method, window=5)
    storage = found.analysis[5:, 1] - truth[5:, 1]
    # Sixty millimetres were not known at first, and thirty per cent of the rain of each window.
    assert storage.square().mean().sqrt() < 4.0
    assert 0.7 < found.analysis_sd[5:, 1].square().mean().sqrt() / storage.square().mean().sqrt() < 1.4
    # Of sixty windows, whose days share a factor: one within three standard deviations.
    assert 0.5 < found.reduced_chi_squared < 1.6
    assert (found.members >= 0).all()
    ranks = torch.cat(found.ranks)
    assert 0.35 < ranks.mean() < 0.65


def test_four_d_var_of_a_basin() -> None:
    problem, truth = basin(12, 5)
    found = assimilate(problem, Variational(), window=5)
    assert (found.analysis[4:, 1] - truth[4:, 1]).square().mean().sqrt() < 6.0
    assert found.analysis_sd[-1, 1] < 6.0


def test_a_column_is_known_from_three_probes(usual_engine: str) -> None:
    random, n, model = np.random.default_rng(0), 20, dg.models.RichardsColumn(1.0, 15)
    depth = np.asarray(model.graph.cell["depth"])
    flux, times = np.where(random.random(n) < 0.3, random.exponential(0.012, n), 0.0), np.arange(n + 1.0)
    log_sd = np.sqrt(np.log1p(0.3**2))
    real = flux * np.exp(log_sd * random.normal(size=n) - log_sd**2 / 2)
    root = np.linalg.cholesky(0.03**2 * np.exp(-np.abs(depth[:, None] - depth[None]) / 0.3))
    start = 0.25 + root @ random.normal(size=15)
    settings = {"rtol": 1e-4, "engine": usual_engine}
    sol = dg.solve(model, forcing={"flux": real}, times=times, initial={"theta": start}, **settings)
    truth = sol.states["theta"][1:].detach()
    seen = [
        dg.observe.Observation(
            "theta",
            "value",
            times[1:],
            truth[:, cell] + 0.01 * torch.from_numpy(random.normal(size=n)),
            0.01,
            cell=cell,
        )
        for cell in (2, 7, 12)
    ]
    problem = Problem(
        model,
        times,
        {"flux": flux},
        seen,
        uncertain={"theta": 0.03},
        initial={"theta": 0.25},
        bounds={"theta": (0.079, 0.43)},
        forcing_error={"flux": 0.3},
        correlation=0.3,
        settings=settings,
    )
    found = assimilate(problem, Ensemble(40, localisation=0.3), window=1)
    assert found.names[:2] == ("theta[0]", "theta[1]")
    assert found.error(truth, skip=5).square().mean().sqrt() < 0.006
    # Fifteen cycles that hang together.
    assert 0.5 < found.spread_skill(truth, skip=5) < 2.0
    fitted = assimilate(problem, Variational(), window=1, cycles=4)
    assert fitted.error(truth[:4], skip=3).square().mean().sqrt() < 0.012


@pytest.mark.parametrize("method", [Ensemble(10), Variational()])
def test_a_stopped_run_goes_on_to_the_same_numbers(tmp_path, method) -> None:
    problem, path = linear(), tmp_path / "a.cycles"
    whole = assimilate(problem, method, window=2)
    assimilate(problem, method, window=2, cycles=2, checkpoint=path)
    # Stopped in the middle of writing: what a crash leaves of a transaction is no part of the file.
    stopped, base = path.read_bytes(), sqlite3.connect(path)
    base.execute("delete from kept")
    base.execute("delete from latest")
    base.close()
    assert path.read_bytes() == stopped
    again = assimilate(problem, method, window=2, checkpoint=path)
    for name in ("analysis", "analysis_sd", "forecast", "forecast_sd", "members"):
        assert torch.equal(getattr(again, name), getattr(whole, name))
    for name in ("innovations", "innovation_sd", "ranks"):
        assert all(map(torch.equal, getattr(again, name), getattr(whole, name)))
    assert again.solves == whole.solves
    # Fewer windows than the file holds.
    first = assimilate(problem, method, window=2, cycles=2, checkpoint=path)
    assert torch.equal(first.analysis, whole.analysis[:2])
    assert len(first.times) == len(first.innovations) == 2
    with pytest.raises(DataError, match="belongs to another assimilation"):
        assimilate(problem, method, window=1, checkpoint=path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        assimilate(problem, method, window=2, checkpoint=path)
    with pytest.raises(DataError, match="unable to open"):
        assimilate(problem, method, window=2, checkpoint=tmp_path / "nowhere" / "a.cycles")


def test_a_cycle_writes_its_own_results_alone(tmp_path) -> None:
    path, written = tmp_path / "a.cycles", []
    file = CycleFile(path, "one")
    state = {"ensemble": torch.zeros(40, 50).double()}
    for cycle in range(30):
        before = path.read_bytes()
        file.add(cycle, {"analysis": torch.full((5000,), cycle).double()}, "lost" if cycle == 7 else None, state, cycle)
        after = path.read_bytes()
        pages = range(0, len(after), 4096)
        written.append(sum(before[at : at + 4096] != after[at : at + 4096] for at in pages))
    # 40 kB of results and 16 kB of state are 14 pages; the rest is the index.
    assert max(written) <= 25
    found = CycleFile(path, "one").read()
    assert (found.solves, found.failures) == (29, {7: "lost"})
    assert torch.equal(found.latest["ensemble"], state["ensemble"])
    assert [float(row["analysis"][0]) for row in found.kept] == [*range(30)]


@pytest.mark.parametrize("method", [Ensemble(10), Variational()])
def test_a_window_that_fails_is_named_and_the_rest_goes_on(monkeypatch, method) -> None:
    problem, run = linear(), Problem.run

    def failing(self, z, rest, factors, window, seen):
        end, simulated, gone, ok = run(self, z, rest, factors, window, seen)
        return end, simulated, gone, ok & (window.start != 2)

    monkeypatch.setattr(module.Problem, "run", failing)
    found = assimilate(problem, method, window=1)
    assert [*found.failures] == [2]
    assert "could be solved" in found.failures[2] or "cannot be solved" in found.failures[2]
    assert torch.isfinite(found.analysis).all()
    assert len(found.analysis) == 8
    assert found.members.shape == (8, method.members if isinstance(method, Ensemble) else 0, 1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"uncertain": {"v": 1.0}}, UnknownNameError, "uncertain: there is no 'v'"),
        ({"uncertain": {"u": 0.0}}, InputError, "uncertain: the standard deviation of 'u'"),
        ({"uncertain": {}, "model_error": {}}, InputError, "at least one uncertain state"),
        ({"sought": {"q": (1.0, 0.1)}}, UnknownNameError, "sought: there is no 'q'"),
        ({"forcing_error": {"rain": 0.1}}, UnknownNameError, "forcing_error: there is no 'rain'"),
        ({"observations": []}, InputError, "nothing to assimilate"),
        (
            {"observations": [dg.observe.Observation("u", "value", [1.0, 2.0], np.ones((2, 2)), 0.1)]},
            InputError,
            r"u: one record has values and errors of shape \(n,\)",
        ),
        ({"forcing": {"b": np.ones(3)}}, InputError, "one value for each of 8 intervals"),
    ],
)
def test_problems_that_make_no_sense_are_refused(change, error, message: str) -> None:
    with pytest.raises(error, match=message):
        replace(linear(), **change)


def test_a_flux_over_parts_of_two_windows_is_refused() -> None:
    model = replace(
        decay(),
        fluxes=(dg.IntegratedFlux("lost", "m", "what decayed"),),
        source=lambda cell, forcing: {"u": forcing.b - cell.k * cell.u, "lost": cell.k * cell.u},
    )

    def lost(*windows: tuple[float, float]) -> Problem:
        seen = dg.observe.Observation("lost", "flux_sum", windows, np.ones(len(windows)), 0.1)
        return linear(model=model, observations=[seen])

    across = lost((0.0, 2.0), (2.0, 5.0), (7.0, 8.0))
    with pytest.raises(
        InputError, match=r"lost was observed from 2 to 5, across the end of a window at 4 \(1 of 3 are\)"
    ):
        assimilate(across, Variational(), window=2)
    found = assimilate(across, Variational(), window=8)
    assert len(found.innovations[0]) == 3
    # Windows that end where a flux does hold it whole.
    found = assimilate(lost((0.0, 2.0), (2.0, 4.0), (5.0, 6.0)), Variational(), window=2)
    assert [len(each) for each in found.innovations] == [1, 1, 1, 0]


def test_a_record_shorter_than_a_window_and_a_state_without_a_start_are_refused() -> None:
    with pytest.raises(InputError, match="fewer than a window of 9"):
        assimilate(linear(), Variational(), window=9)
    column = dg.models.RichardsColumn(1.0, 5)
    seen = dg.observe.Observation("theta", "value", [1.0], [0.2], 0.01, cell=1)
    with pytest.raises(MissingNameError, match="'theta' has no default"):
        _ = Problem(column, [0.0, 1.0], {"flux": [0.0]}, [seen], uncertain={"theta": 0.1}).start
