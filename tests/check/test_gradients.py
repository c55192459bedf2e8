"""The check of gradients: it finds good ones good, wrong ones wrong, and says neither where it cannot tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES
from checking import FINE, check, linear, outcomes, store

import pydiffgeo as dg
from pydiffgeo.check.groups import collect, groups_of
from pydiffgeo.engines.registry import choose_engine
from pydiffgeo.errors import InputError

# --- whole reports ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["richards-linear-forcing", "exphydro", "river"])
def test_gradients_of_the_cases_agree(name: str, engine: str) -> None:
    report = check(name, engine, rtols=(1e-4, 1e-8))
    assert report.ok, report
    assert report.verdict.startswith("OK: gradients agree for ")
    assert report.engine == engine
    case = CASES[name]
    given = [f"parameter {k}" for k in case.parameters] + [f"forcing {k}" for k in case.forcing]
    assert {*given, *(f"initial {k}" for k in case.initial)} <= {g.name for g in report.groups}
    for g in report.groups:
        d = g.derivatives[-1]
        if g.outcome == "agrees":
            assert d.adjoint == pytest.approx(d.differences, abs=1e-5 * d.scale + 1e-6)
            assert d.forward == pytest.approx(d.differences, abs=1e-5 * d.scale + 1e-6)
            assert d.scale > 0
        assert g.change(1e-8, "adjoint") == 0
    resolved = [g for g in report.groups if g.outcome == "agrees"]
    assert len(resolved) >= 3
    # The gradient moves with the tolerance, and no more than that tolerance lets it.
    changes = [g.change(1e-4, mode) for g in resolved for mode in ("adjoint", "forward")]
    assert 0 < max(changes) < 1e-2
    if any(f.balance for f in case.model().fluxes):
        assert all(0 <= r.balance < 1e-6 for r in report.runs)
    assert [r.rtol for r in report.runs] == [1e-4, 1e-8]


def test_the_table_and_the_dictionary_hold_everything(tmp_path: Path) -> None:
    report = check("river", "sundials", rtols=(1e-8, 1e-4))
    text = str(report)
    lines = text.splitlines()
    assert lines[0] == "Gradients of River by sundials, Rodas5P, discrete; loss: weighted sum of states and fluxes"
    assert lines[-1] == report.verdict == "OK: gradients agree for 3 of 3 groups"
    row = next(line for line in lines if line.startswith("  forcing inflow"))
    assert row.split()[2:6] == [
        "10",
        *(
            f"{v:.6e}"
            for v in (
                report.groups[1].derivatives[-1].adjoint,
                report.groups[1].derivatives[-1].forward,
                report.groups[1].derivatives[-1].differences,
            )
        ),
    ]
    assert row.endswith(report.groups[1].verdict)
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert plain["ok"] is True
    assert plain["groups"][1]["derivatives"][1]["adjoint"] == report.groups[1].derivatives[1].adjoint
    assert plain["runs"][0]["seconds"].keys() == {"solve", "adjoint", "forward", "differences"}


def test_the_same_seed_gives_the_same_directions() -> None:
    first, again, other = (check("river", "sundials", rtols=FINE, seed=seed, only=["k"]) for seed in (0, 0, 1))
    assert first.groups == again.groups
    assert first.groups[0].derivatives[0].adjoint != other.groups[0].derivatives[0].adjoint
    # A group is moved the same whatever others are asked for.
    assert check("river", "sundials", rtols=FINE).groups[0] == first.groups[0]


def test_a_batch_and_a_loss_of_ones_own(engine: str) -> None:
    k = torch.tensor([[0.4], [0.9]])

    def late_storage(solution: dg.Solution) -> torch.Tensor:
        return (solution.states["storage"][:, -1] ** 2).sum()

    report = dg.check_gradients(store(linear), {"k": k}, times=range(3), loss=late_storage, engine=engine, rtols=FINE)
    assert outcomes(report) == {"parameter k": "agrees", "parameter c": "no effect", "initial storage": "agrees"}
    assert report.ok
    assert report.loss == "late_storage"
    assert "without effect: parameter c" in report.verdict
    # The loss is the sum of (s exp(-2k))^2.
    found = report.groups[2].derivatives[0].adjoint
    direction = groups_of(store(linear), collect(store(linear), {"k": k}, None, range(3), None), ["storage"], 0)[
        0
    ].direction
    assert found == pytest.approx(2 * report.runs[0].loss * float(direction) / 2.0, rel=1e-6)
    assert report.runs[0].loss == pytest.approx(float((4 * torch.exp(-4 * k)).sum()), rel=1e-6)


# --- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "part", "column", "group"),
    [
        # Each meets a state, so that all of its gradient comes this way.
        ("exphydro", "p", 1, "parameter S_max"),
        ("richards-flux-free", "f", 0, "forcing flux"),
        ("exphydro", "y0", 1, "initial water_storage"),
    ],
)
def test_one_percent_in_an_adjoint_is_named(
    case: str, part: str, column: int, group: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(choose_engine(engine)[0])
    original = kind.backward

    def wrong(*args: Any) -> Any:
        found = original(*args)
        getattr(found, part)[..., column] *= 1.01
        return found

    assert check(case, engine, rtols=FINE).ok
    monkeypatch.setattr(kind, "backward", wrong)
    report = check(case, engine, rtols=FINE)
    assert not report.ok
    assert [g.name for g in report.groups if g.outcome == "differs"] == [group]
    (found,) = (g for g in report.groups if g.name == group)
    assert found.differing == ("adjoint",)
    assert "the adjoint of this model is wrong" in found.verdict
    assert report.verdict.startswith(f"WRONG OR TOO LOOSE: the gradient to {group}")


def test_one_percent_in_forward_mode_is_named(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(choose_engine(engine)[0])
    original = kind.tangent

    def wrong(*args: Any) -> Any:
        found = original(*args)
        found.y *= 1.01
        return found

    monkeypatch.setattr(kind, "tangent", wrong)
    report = dg.check_gradients(store(linear), times=range(3), engine=engine, rtols=FINE, only=["k"])
    assert [g.differing for g in report.groups] == [("forward",)]
    assert "forward mode of this model is wrong" in report.groups[0].verdict


class WronglyHalved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x**2

    @staticmethod
    def backward(ctx: Any, bar: torch.Tensor) -> torch.Tensor:
        return bar  # at x = 1 it should be 2 * bar


def test_a_wrong_derivative_written_by_hand_is_found() -> None:
    model = store(
        linear, initial=lambda given, cell: {"storage": WronglyHalved.apply(given["depth"])}, initial_names=("depth",)
    )
    report = dg.check_gradients(model, times=range(3), initial={"depth": 1.0}, engine="sundials", rtols=FINE)
    assert outcomes(report) == {"parameter k": "agrees", "parameter c": "no effect", "initial depth": "differs"}
    verdict = report.groups[-1].verdict
    assert "the adjoint of this model is wrong" in verdict
    # It has no forward mode, which is said, and is no mistake.
    assert "no forward mode: " in verdict
    assert report.groups[-1].derivatives[-1].forward is None


def test_a_step_in_a_closure_is_found() -> None:
    # The store empties faster above `c`: when it passes `c` matters, which the adjoint of CVODES does not see.
    model = store(lambda storage, k, c: k * storage * torch.where(storage > c, 3.0, 1.0))
    report = dg.check_gradients(model, times=range(3), engine="sundials", rtols=(1e-6,), only=["c"])
    assert not report.ok
    assert report.groups[0].outcome == "failed", report
    assert "jumps where a comparison turns" in str(report)


def test_a_kink_is_called_one() -> None:
    def kinked(solution: dg.Solution) -> torch.Tensor:
        final = solution.states["storage"][-1, 0]
        return torch.relu(final - final.new_tensor(at)) * 3 + final

    at = 0.0
    smooth = dg.check_gradients(store(linear), times=range(3), loss=kinked, engine="sundials", rtols=FINE, only=["k"])
    assert smooth.ok
    with torch.no_grad():
        at = float(
            dg.solve(store(linear), times=range(3), engine="sundials", rtol=1e-8, atol=1e-10).states["storage"][-1, 0]
        )
    report = dg.check_gradients(store(linear), times=range(3), loss=kinked, engine="sundials", rtols=FINE, only=["k"])
    assert report.groups[0].outcome == "differs"
    assert "has a kink here" in report.groups[0].verdict
    slopes = sorted(abs(s) for s in report.groups[0].derivatives[0].sides)
    assert slopes[1] == pytest.approx(4 * slopes[0], rel=0.01)


def test_an_effect_too_small_is_neither_right_nor_wrong(engine: str) -> None:
    def loss(solution: dg.Solution) -> torch.Tensor:
        return solution.states["storage"][-1].sum()

    # The other parameter moves the loss by 1e-12 of it: an adjoint of that size could be anything.
    faint = store(lambda storage, k, c: k * storage + 1e-12 * c * storage)
    report = dg.check_gradients(faint, times=range(3), loss=loss, engine=engine, rtols=FINE)
    assert outcomes(report) == {"parameter k": "agrees", "parameter c": "unresolved", "initial storage": "agrees"}
    assert "not resolved: parameter c" in report.verdict
    # Alone, it shows nothing, which is not a success.
    alone = dg.check_gradients(faint, times=range(3), loss=loss, engine=engine, rtols=FINE, only=["parameter c"])
    assert alone.groups[0].outcome == "unresolved"
    assert not alone.ok
    assert alone.verdict.startswith("NOTHING SHOWN")


def test_a_failed_solve_is_reported_with_its_status(engine: str) -> None:
    # It reaches infinity before the end.
    model = store(lambda storage, k, c: -k * storage**2)
    report = dg.check_gradients(model, times=range(6), engine=engine, max_steps=300, rtols=(1e-4, 1e-6))
    assert not report.ok
    assert all(not r.ok and r.loss is None and r.status.startswith("solve: The ") for r in report.runs)
    assert {*outcomes(report).values()} == {"failed"}
    assert all(d.adjoint is None and d.differences is None for g in report.groups for d in g.derivatives)
    assert "FAILED at rtol=1e-04" in report.verdict
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_failed_adjoint_is_reported_with_its_status(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(choose_engine(engine)[0])
    original = kind.backward

    def fails(*args: Any) -> Any:
        found = original(*args)
        found.status[0] = dg.Status.NOT_FINITE
        return found

    monkeypatch.setattr(kind, "backward", fails)
    report = dg.check_gradients(store(linear), times=range(3), engine=engine, rtols=FINE, only=["k"])
    assert not report.ok
    assert report.groups[0].outcome == "failed"
    assert dg.Status.NOT_FINITE.value in report.groups[0].verdict
    assert report.groups[0].derivatives[0].adjoint is None


def test_a_solver_without_forward_mode_is_still_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any) -> Any:
        raise InputError("this solver has no counterpart in forward mode")

    monkeypatch.setattr(type(choose_engine("sundials")[0]), "tangent", none)
    report = dg.check_gradients(store(linear), times=range(3), engine="sundials", rtols=FINE, only=["k"])
    assert report.ok
    assert report.groups[0].verdict.endswith("(no forward mode: this solver has no counterpart in forward mode)")
