"""The verification suite in small form, on every engine; and that it notices wrong physics."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pydiffgeo.commands.cli import main
from pydiffgeo.verification import exact
from pydiffgeo.verification.catalogue import PROBLEMS
from pydiffgeo.verification.convergence import study
from pydiffgeo.verification.problem import Bench, DataNotFoundError, Outcome, check

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def solved(name: str, engine: str, **disturbed: float) -> Outcome:
    try:
        return PROBLEMS[name].run(Bench(engine, True, DATA, disturbed))
    except DataNotFoundError as reason:
        pytest.skip(str(reason))


def complaint(outcome: Outcome) -> str:
    worst = outcome.worst
    return f"{worst.what}: error {worst.error:g}, tolerance {worst.tolerance:g}; balance {outcome.balance}"


@pytest.mark.parametrize("name", PROBLEMS)
def test_problem_is_reproduced(name: str, engine: str) -> None:
    outcome = solved(name, engine)
    assert outcome.passed, complaint(outcome)


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_percent_of_a_parameter_is_noticed(name: str) -> None:
    outcome = solved(name, "sundials", **{PROBLEMS[name].sensitive: 1.01})
    assert not all(c.passed for c in outcome.checks), complaint(outcome)


def test_every_problem_says_what_it_is() -> None:
    assert len(PROBLEMS) >= 25
    for name, problem in PROBLEMS.items():
        assert problem.name == name
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert problem.source
        assert problem.parameters
        assert problem.compared
        assert problem.reason


def test_checks_fail_where_they_should() -> None:
    near = check("x", "m", ["a"], [1.01], [1.0], 0.02, "", relative=True)
    assert near.passed
    assert not check("x", "m", ["a"], [1.03], [1.0], 0.02, "").passed
    assert not check("x", "m", ["a"], [np.nan], [1.0], 0.02, "").passed
    second = study("space", [0.1, 0.05, 0.025], lambda h: 3 * h**2, "m", 2.0, 1.8, 2.2, "")
    assert second.passed
    assert second.observed == pytest.approx(2)
    assert not study("space", [0.1, 0.05], lambda h: h, "m", 2.0, 1.8, 2.2, "").passed
    # Errors that something else keeps far below the tolerance may fall as they like.
    free = study("time", [1e-1, 1e-3, 1e-5], lambda rtol: 4e-6, "mm", 1.0, 0.5, 1.6, "", within=1.0)
    assert free.passed
    assert not study("time", [1e-1, 1e-3, 1e-5], lambda rtol: 2e-5, "mm", 1.0, 0.5, 1.6, "", within=1.0).passed
    assert not Outcome((), None).passed


def test_exact_solutions_satisfy_their_equations() -> None:
    # Advection and dispersion: dc/dt + v dc/dx - D d2c/dx2 = 0, and its integral is what came in.
    v, d, t = 0.3, 0.05, 2.0
    x, e = np.linspace(0.1, 2.0, 30), 1e-4

    def c(x, t):
        return exact.ogata_banks(x, t, v, d)

    rest = (c(x, t + e) - c(x, t - e)) / (2 * e) + v * (c(x + e, t) - c(x - e, t)) / (2 * e)
    rest -= d * (c(x + e, t) - 2 * c(x, t) + c(x - e, t)) / e**2
    assert np.abs(rest).max() < 1e-6
    fine = np.linspace(0, 6, 4001)
    amount = np.sum(0.5 * (c(fine[1:], t) + c(fine[:-1], t)) * np.diff(fine))
    assert amount == pytest.approx(exact.ogata_banks_inflow(np.array([t]), v, d)[0], rel=1e-6)

    # Srivastava and Yeh: K_zz + K_z = K_t in K = exp(alpha h), scaled to K_s = alpha = 1 and a unit of water content.
    def k(z, t):
        soil = {"K_s": 1.0, "alpha": 1.0, "length": 5.0, "theta": (0.0, 1.0), "fluxes": (0.1, 0.9)}
        return np.exp(exact.srivastava_yeh(z, t, **soil))

    z, e = np.linspace(0.2, 4.8, 20), 1e-3
    rest = (k(z + e, t) - 2 * k(z, t) + k(z - e, t)) / e**2 + (k(z + e, t) - k(z - e, t)) / (2 * e)
    assert np.abs(rest - (k(z, t + e) - k(z, t - e)) / (2 * e)).max() < 1e-5
    # Green and Ampt: what was asked for comes back.
    depth = exact.green_ampt(np.array([0.1, 1.0]), 0.3, 0.05)
    np.testing.assert_allclose(depth - 0.05 * np.log1p(depth / 0.05), [0.03, 0.3], rtol=1e-12)


def test_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["nash-cascade", "exphydro-peer"]
    assert main(["verify", "--engine", "sundials", "--small", "--problem", *chosen, "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^passed\s+nash-cascade\s+sundials", printed, re.MULTILINE)
    assert re.search(r"^skipped\s+exphydro-peer\s+sundials\s+data not found", printed, re.MULTILINE)
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "://" not in page
    numbers = json.loads((tmp_path / "report.json").read_text())
    verdicts = {r["problem"]: r["verdict"] for r in numbers["results"]}
    assert verdicts == {"nash-cascade": "passed", "exphydro-peer": "skipped"}
    assert numbers["results"][0]["checks"][0]["error"] < 1e-8


def test_command_fails_where_a_problem_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydiffgeo.verification import suite

    monkeypatch.setattr(suite, "Bench", lambda *a: Bench(*a, disturbed={"k": 1.01}))
    arguments = ["verify", "--engine", "sundials", "--small", "--problem", "nash-cascade", "--output", str(tmp_path)]
    assert main(arguments) == 1


def test_unknown_problem_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--problem", "no-such"]) == 1
    assert "no-such" in capsys.readouterr().err
