"""What may go wrong around a solve, and what is guaranteed then; docs/faults.md lists it all."""

from __future__ import annotations

import dataclasses
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from apart import LIMIT, run_apart
from faults import OSCILLATOR, endless, forward, in_process, lasting, numbers, same

import pydiffgeo as dg
from pydiffgeo.engines.registry import choose_engine
from pydiffgeo.errors import AdjointError, EngineError, InputError, SolverError, TangentError

# Ctrl-C takes some hundredths of a second. What machines that do other things make of that is not tested.
SOON = 20.0
THREADS = {"PYTHON_JULIACALL_THREADS": "2", "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes"}


def test_any_thread_may_solve(engine: str) -> None:
    run_apart("threads", engine)


def test_threads_with_different_engines(engines: tuple[str, ...]) -> None:
    run_apart("threads", *engines)


@pytest.mark.usefixtures("julia_engine")
def test_any_thread_may_solve_with_several_threads_of_julia() -> None:
    run_apart("threads", "julia", **THREADS)


def test_an_engine_may_start_in_a_thread_that_ends(engine: str) -> None:
    run_apart("first_in_thread", engine)


@pytest.mark.usefixtures("julia_engine")
def test_a_program_may_start_julia_itself() -> None:
    run_apart("julia_first")


def test_other_threads_go_on_during_a_solve(engine: str) -> None:
    run_apart("others_take_turns", engine)


def test_forked_children(engines: tuple[str, ...]) -> None:
    run_apart("forks", *engines)


def test_a_child_forked_before_the_engine_started_has_its_own(engine: str) -> None:
    run_apart("forks_before", engine)


def test_a_fork_while_a_solver_is_built() -> None:
    run_apart("forks_while_building")


def test_spawned_children(engine: str) -> None:
    assert same(in_process("spawn", engine), numbers(engine))


def seconds(printed: str) -> list[float]:
    return [float(s) for s in re.findall(r"seconds (\S+)", printed)]


def test_ctrl_c_ends_a_solve(engine: str) -> None:
    took = seconds(run_apart("interrupt", engine, module="pressed"))
    assert len(took) == 3
    assert max(took) < SOON


def test_ctrl_c_ends_derivatives(engine: str) -> None:
    took = seconds(run_apart("interrupt_derivatives", engine, module="pressed"))
    assert len(took) == 2
    assert max(took) < SOON


@pytest.mark.usefixtures("julia_engine")
def test_ctrl_c_with_several_threads_of_julia() -> None:
    for scenario, count in (("interrupt", 3), ("interrupt_derivatives", 2)):
        took = seconds(run_apart(scenario, "julia", module="pressed", **THREADS))
        assert len(took) == count
        assert max(took) < SOON


class Rung(Exception):
    """What the handler of another signal raises."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
def test_what_a_signal_raises_ends_a_julia_solve(julia_engine: str) -> None:
    expected = numbers(julia_engine)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(Rung):
        endless(julia_engine)
    assert same(numbers(julia_engine), expected)


@pytest.mark.parametrize("failure", [MemoryError, KeyboardInterrupt, ValueError])
def test_the_session_survives_an_exception_of_python(julia_engine: str, failure: type[BaseException]) -> None:
    from pydiffgeo.engines.julia.session import in_julia

    expected = numbers(julia_engine)

    def fail(package: object) -> None:
        raise failure("in between")

    with pytest.raises(failure, match="in between"):
        in_julia(fail)
    assert same(numbers(julia_engine), expected)


@pytest.mark.parametrize("thread", ["first", "other"])
def test_the_session_survives_errors_of_julia(julia_engine: str, thread: str) -> None:
    from pydiffgeo.engines.julia.session import in_julia

    expected = numbers(julia_engine)
    caught: list[BaseException] = []

    def callback() -> None:
        raise ArithmeticError("in a callback")

    def fail() -> None:
        for call in (
            lambda p: p.build(1),
            lambda p: p.module.Base.map(lambda x: callback(), p.module.Base.UnitRange(1, 2)),
        ):
            try:
                in_julia(call)
            except (EngineError, ArithmeticError) as error:
                caught.append(error)

    if thread == "first":
        fail()
    else:
        worker = threading.Thread(target=fail)
        worker.start()
        worker.join(LIMIT)
    assert len(caught) == 2
    assert isinstance(caught[0], EngineError)
    assert "MethodError" in str(caught[0])
    # What a callback raises comes through Julia as it is.
    assert isinstance(caught[1], ArithmeticError)
    assert str(caught[1]) == "in a callback"
    assert same(numbers(julia_engine), expected)


def test_impossible_members_leave_a_large_batch_as_it_is(engine: str) -> None:
    k = torch.linspace(0.1, 0.6, 1000, dtype=torch.float64)
    bad = torch.arange(20) * 49 + 7
    k[bad] = torch.linspace(1.5, 9.0, 20, dtype=torch.float64)
    good = torch.ones(1000, dtype=torch.bool)
    good[bad] = False

    def gradient(sol: dg.Solution, leaf: torch.Tensor) -> torch.Tensor:
        (sol.states["u"][sol.ok].sum() + sol.fluxes["grown"][sol.ok].square().sum()).backward()
        return leaf.grad[:, 0]

    together, leaf = forward(engine, k, throw=False, max_steps=2000)
    alone, leaf_alone = forward(engine, k[good], max_steps=2000)
    assert torch.equal(together.ok, good)
    # Each is named, with a status and the solver's own words.
    assert [*together.reasons] == bad.tolist()
    failures = [*together.failures()]
    assert len(failures) == 20
    for member, sentence in zip(bad.tolist(), failures, strict=True):
        assert sentence.startswith(f"member {member}: {together.status[member].value} (")
    assert torch.equal(together.states["u"][good], alone.states["u"])
    assert torch.equal(together.fluxes["grown"][good], alone.fluxes["grown"])
    assert together.states["u"][bad, -1].isnan().all()
    found, expected = gradient(together, leaf), gradient(alone, leaf_alone)
    assert torch.equal(found[good], expected)
    assert (expected > 0).all()
    assert (found[bad] == 0).all()
    exact = 1 / (1 - 0.8 * k[good])
    torch.testing.assert_close(alone.states["u"][:, -1, 0].detach(), exact, rtol=1e-4, atol=0)


def test_time_that_is_over_marks_what_is_not_finished(engine: str) -> None:
    numbers(engine)
    sol = endless(engine, max_seconds=1.0, throw=False)
    assert set(sol.status) == {dg.Status.SUCCESS, dg.Status.TIME_LIMIT} or set(sol.status) == {dg.Status.TIME_LIMIT}
    late = [i for i, s in enumerate(sol.status) if not s.ok]
    assert [*sol.reasons] == late
    assert sol.states["u"][late, -1].isnan().all()
    assert torch.isfinite(sol.states["u"][sol.ok]).all()
    with pytest.raises(SolverError, match="The time allowed was over before the end"):
        dg.Layer(sol.model, engine=engine, max_seconds=1e-9)({"k": 0.5}, times=[0.0, 0.4])


@pytest.mark.parametrize("sensitivity", [None, "auto", "gauss", "forward"])
@pytest.mark.parametrize("solver", ["Rodas5P", "FBDF"])
def test_every_kind_of_solver_looks_at_the_clock_between_steps(
    julia_engine: str, solver: str, sensitivity: str | None
) -> None:
    """One member and one interval of more than a day: nowhere else to look."""
    k = torch.full((1, 1), 1e9, dtype=torch.float64, requires_grad=sensitivity is not None)
    sol = dg.solve(
        OSCILLATOR,
        {"k": k},
        times=(0.0, 1.0),
        engine=julia_engine,
        solver=solver,
        sensitivity=sensitivity or "auto",
        max_steps=10**12,
        max_seconds=0.2,
        throw=False,
    )
    assert sol.status == [dg.Status.TIME_LIMIT]


@pytest.fixture
def short(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derivatives may take a tenth of a second, forward solves as long as they like."""
    chosen, _ = choose_engine(engine)

    def shorten(call):
        def short(problem, *rest):
            return call(
                dataclasses.replace(problem, options=dataclasses.replace(problem.options, max_seconds=0.1)), *rest
            )

        return short

    for name in ("backward", "tangent"):
        monkeypatch.setattr(chosen, name, shorten(getattr(chosen, name)))


def test_derivatives_have_a_limit_of_their_own(engine: str, request: pytest.FixtureRequest) -> None:
    sol, k, solve = lasting(engine)
    request.getfixturevalue("short")
    with pytest.raises(AdjointError, match="for 1 of 1 members; member 0: The time allowed was over"):
        sol.states["u"].sum().backward()
    sol = solve(k, throw=False)
    sol.states["u"].sum().backward()
    assert sol.status == [dg.Status.ADJOINT]
    assert k.grad.tolist() == [[0.0]]

    def moved(**settings) -> torch.Tensor:
        def states(k: torch.Tensor) -> torch.Tensor:
            solved.append(solve(k, **settings))
            return solved[-1].states["u"]

        return torch.func.jvp(states, (k.detach(),), (torch.ones_like(k),))[1]

    solved: list[dg.Solution] = []
    with pytest.raises(TangentError, match="for 1 of 1 members; member 0: The time allowed was over"):
        moved()
    assert not moved(throw=False).any()
    assert solved[-1].status == [dg.Status.TANGENT]


def test_enough_time_changes_nothing(engine: str) -> None:
    sol, _ = forward(engine, [0.3, 0.5], max_seconds=1000)
    assert same([sol.states["u"].detach().numpy()], numbers(engine)[:1])


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1"])
def test_a_limit_of_time_is_a_positive_number(value: object) -> None:
    with pytest.raises(InputError, match="max_seconds must be a positive number"):
        forward("sundials", [0.3], max_seconds=value)


@pytest.mark.parametrize("kind", ["result", "checkpoint"])
def test_a_killed_writer_leaves_a_whole_file(kind: str, tmp_path: Path) -> None:
    if kind == "result":
        pytest.importorskip("h5netcdf")
    run_apart(kind, str(tmp_path), module="killed")
