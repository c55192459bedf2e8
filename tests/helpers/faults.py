"""What the tests of faults run in processes of their own: `python -m faults NAME ARGUMENTS`."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.errors import EngineNotAvailableError

# How long a thread or process may take on a machine that is busy with other things.
PATIENCE = 120


def explosive() -> dg.Model:
    """`u' = k u^2`: from one, `u` is `1 / (1 - k t)`, which has no value from `t = 1 / k` on."""

    def source(cell, forcing):
        growth = cell.k * cell.u * cell.u
        return {"u": growth, "grown": growth}

    return dg.Model(
        name="Explosive",
        graph=dg.single_cell(),
        states=(dg.State("u", "mm", "what grows", default=1.0),),
        parameters=(dg.Parameter("k", "mm-1 d-1", "rate of growth", 0.5, low=0.0, high=10.0),),
        fluxes=(dg.IntegratedFlux("grown", "mm", "growth", balance=1),),
        source=source,
    )


def oscillator() -> dg.Model:
    """`u' = k v`, `v' = -k u`: steps as short as `k` is large, and no end of them."""

    def source(cell, forcing):
        return {"u": cell.k * cell.v, "v": -cell.k * cell.u}

    return dg.Model(
        name="Oscillator",
        graph=dg.single_cell(),
        states=(dg.State("u", "mm", "one", default=1.0), dg.State("v", "mm", "the other", default=0.0)),
        parameters=(dg.Parameter("k", "d-1", "angular frequency", 1.0, low=0.0, high=1e9),),
        fluxes=(),
        source=source,
    )


MODEL, OSCILLATOR = explosive(), oscillator()


def forward(engine: str, k: Any, times: Any = (0.0, 0.4, 0.8), **settings: Any) -> tuple[dg.Solution, torch.Tensor]:
    """A solve of members with rates `k`, and the leaf that they are."""
    k = torch.as_tensor(k, dtype=torch.float64).reshape(-1, 1).clone().requires_grad_()
    return dg.solve(MODEL, {"k": k}, times=times, engine=engine, **settings), k


def numbers(engine: str, k: Any = (0.3, 0.5)) -> list[np.ndarray]:
    """States, fluxes and gradient of a solve."""
    sol, leaf = forward(engine, k)
    (sol.states["u"].sum() + sol.fluxes["grown"].square().sum()).backward()
    return [sol.states["u"].detach().numpy(), sol.fluxes["grown"].detach().numpy(), leaf.grad.numpy()]


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def in_thread(work: Callable[[], Any], expected: type[Exception] | tuple[()] = ()) -> Any:
    """Result of `work` in another thread, while this one waits; raises what was `expected` of it."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except expected as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert results, "the thread failed or hangs"
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0]


def collect_garbage(engine: str) -> None:
    if engine == "julia":
        from pydiffgeo.engines.julia.session import in_julia

        in_julia(lambda package: package.module.Base.GC.gc())


def threads(*engines: str) -> None:
    """Solves in other threads than the first, at once and mixed, with Julia collecting garbage in each."""
    expected = {engine: numbers(engine) for engine in engines}

    def often(engine: str) -> bool:
        good = True
        for i in range(20):
            good = good and same(numbers(engine), expected[engine])
            if i % 5 == 0:
                collect_garbage(engine)
        return good

    def append(results: list[bool], engine: str) -> None:
        results.append(often(engine))

    for engine in engines:
        assert in_thread(lambda engine=engine: often(engine)), engine
        sol, leaf = forward(engine, (0.3, 0.5))
        loss = sol.states["u"].sum() + sol.fluxes["grown"].square().sum()
        in_thread(lambda loss=loss: loss.backward() or True)
        assert np.array_equal(leaf.grad.numpy(), expected[engine][2]), "backward in another thread"
        assert often(engine)
    for pair in [(a, b) for a in engines for b in engines]:
        results: list[bool] = []
        workers = [threading.Thread(target=append, args=(results, e), daemon=True) for e in (*pair, *pair)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PATIENCE)
        assert results == [True] * 4, pair


def first_in_thread(engine: str) -> None:
    """The engine starts in a thread that ends; others go on with it."""
    expected = in_thread(lambda: numbers(engine))
    collect_garbage(engine)
    assert same(numbers(engine), expected)
    assert same(in_thread(lambda: numbers(engine)), expected)


def julia_first() -> None:
    """The program starts Julia itself, in its first thread, and goes on using it beside the engine."""
    from juliacall import Main

    try:
        in_thread(lambda: numbers("julia"), EngineNotAvailableError)
    except EngineNotAvailableError as error:
        assert "let that one solve first" in str(error)  # noqa: PT017 - this is no test function
    else:
        raise AssertionError("Julia's first thread may be at work")
    expected = numbers("julia")
    for _ in range(5):
        Main.seval("GC.gc()")
        collect_garbage("julia")
        assert Main.seval("sum(rand(10) for _ in 1:10_000)")[0] > 0
        assert same(in_thread(lambda: numbers("julia")), expected)
        assert same(numbers("julia"), expected)


def others_take_turns(engine: str) -> None:
    """Another Python thread goes on while a long solve holds the engine."""
    numbers(engine)
    ticks, over = [], threading.Event()

    def count() -> None:
        while not over.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.01)

    counter = threading.Thread(target=count, daemon=True)
    counter.start()
    started = time.monotonic()
    endless(engine, max_seconds=0.5, throw=False)
    ended = time.monotonic()
    over.set()
    assert ended - started > 0.4
    assert sum(started < t < ended for t in ticks) >= 5


def solve_for(engine: str, queue: Any) -> None:
    try:
        queue.put(numbers(engine))
    except EngineNotAvailableError as error:
        queue.put(str(error))


def in_process(method: str, engine: str) -> Any:
    """What a child process, forked or spawned, gets from the engine: numbers, or its error."""
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=solve_for, args=(engine, queue), daemon=True)
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0, child.exitcode
    return queue.get()


class Solves(torch.utils.data.Dataset):
    """A dataset whose items are solves."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def __len__(self) -> int:
        return 4

    def __getitem__(self, item: int) -> np.ndarray:
        return numbers(self.engine)[0]


def forks(*engines: str) -> None:
    """Children forked after the engines started."""
    expected = {engine: numbers(engine) for engine in engines}
    loaders = {
        e: torch.utils.data.DataLoader(Solves(e), num_workers=2, multiprocessing_context="fork") for e in engines
    }
    for engine in engines:
        found = in_process("fork", engine)
        if engine == "julia":
            assert "forked process" in found, found
            assert "spawn" in found
            try:
                list(loaders[engine])
            except EngineNotAvailableError as error:
                assert "spawn" in str(error)  # noqa: PT017 - this is no test function
            else:
                raise AssertionError("a forked worker used Julia")
        else:
            assert same(found, expected[engine])
            assert all(np.array_equal(item[0], expected[engine][0]) for item in loaders[engine])
        assert same(numbers(engine), expected[engine]), "the parent goes on"
    # Workers that are still there, kept by the error of one, would be taken leave of in the child, too.
    gc.collect()
    # A child that ends as scripts do, and not as multiprocessing does, runs what Julia left for the exit.
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    for engine in engines:
        assert same(numbers(engine), expected[engine])


def forks_while_building() -> None:
    """Children forked while another thread builds a CVODES solver get one of their own."""
    expected = numbers("sundials")
    over = threading.Event()

    def build() -> None:
        while not over.is_set():
            dg.solve(explosive(), times=(0.0, 0.4), engine="sundials")

    builder = threading.Thread(target=build, daemon=True)
    builder.start()
    for _ in range(5):
        assert same(in_process("fork", "sundials"), expected)
    over.set()
    builder.join(PATIENCE)


def forks_before(engine: str) -> None:
    """A child forked before the engine started in the parent starts its own."""
    found = in_process("fork", engine)
    assert same(found, numbers(engine))


def endless(engine: str, **settings: Any) -> dg.Solution:
    """A solve of an hour or so: it ends by Ctrl-C or its limit of time."""
    k = torch.full((50, 1), 1e5, dtype=torch.float64)
    return dg.solve(
        OSCILLATOR,
        {"k": k},
        times=np.linspace(0.0, 1.0, 1001),
        engine=engine,
        **{"max_seconds": PATIENCE, "max_steps": 10**9, **settings},
    )


def lasting(engine: str, seconds: float = 0.5) -> tuple[dg.Solution, torch.Tensor, Callable[..., dg.Solution]]:
    """A solve of one member that takes `seconds` at least, its rate, and the same solve for another rate.

    In one interval where the engine looks around between steps, in many where it does so between intervals.
    """
    intervals = 4

    def solve(k: torch.Tensor, **settings: Any) -> dg.Solution:
        times = np.linspace(0.0, 1e-3 * intervals, 2 if engine == "julia" else intervals + 1)
        return dg.solve(OSCILLATOR, {"k": k}, times=times, engine=engine, max_steps=10**9, **settings)

    k = torch.full((1, 1), 1e5, dtype=torch.float64, requires_grad=True)
    solve(k).states["u"].sum().backward()
    k.grad = None
    while True:
        started = time.monotonic()
        sol = solve(k)
        if time.monotonic() - started > seconds:
            return sol, k, solve
        intervals *= 2


if __name__ == "__main__":
    # Children that are spawned import this module by its name.
    import faults

    getattr(faults, sys.argv[1])(*sys.argv[2:])
    print("done")
