"""`pydiffgeo warmup`: does once what the first solve in a fresh environment waits for, and says how long each part takes."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ..engines.julia.session import in_julia
from ..engines.registry import choose_engine
from ..errors import PydiffgeoError
from ..simulation import Configuration, read_configuration, template
from ..simulation.run import problem
from ..solve import Settings, Solution, solve

USUAL = "RichardsColumn"


class _Stages:
    """Prints how long it is since the stage before."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def end(self, name: str) -> None:
        now = time.perf_counter()
        print(f"  {name:<44} {now - self._last:8.2f} s", flush=True)
        self._last = now


def warm_up(what: str | None = None, *, engine: str | None = None, code: bool = False) -> None:
    """Starts an engine, solves a model and takes a gradient; prints seconds by stage.

    What Julia compiles of its packages it keeps in its depot, for every process to come, and beside it the functions of this model, which
    others compile anew in each process. SUNDIALS keeps nothing between processes: there it shows that all works.

    Args:
        what: path of a configuration as `pydiffgeo init` writes it, or the name of a model; a usual column where left out.
        engine: as of `solve`; that of the configuration where left out.
        code: whether a model that is no ready one may be imported, which runs its code.

    Raises:
        DataError: there is no such model or configuration. EngineNotAvailableError: the engine is not there.
        SolverError, AdjointError: the model cannot be solved or differentiated.
    """
    configuration = _configuration(USUAL if what is None else what, code)
    name, why = choose_engine(engine or configuration.engine)
    print(f"{configuration.model.name}, engine {name.name} ({why})", flush=True)
    stages = _Stages()
    if name.name == "julia":
        print("  Julia compiles its packages where that was not done before: minutes, once", flush=True)
        in_julia(lambda package: None)
        stages.end("Julia and its packages")
    with torch.no_grad():
        _solved(configuration, name.name, {})
    stages.end("first solve: tracing, building, compiling")
    leaves = _leaves(configuration)
    solution = _solved(configuration, name.name, leaves)
    stages.end("first solve that keeps its steps")
    loss = torch.stack([state.mean() for state in solution.states.values()]).sum()
    gradients = torch.autograd.grad(loss, [*leaves.values()], allow_unused=True) if leaves else ()
    if not all(g is None or bool(torch.isfinite(g).all()) for g in gradients):
        raise PydiffgeoError(f"{configuration.path}: the gradient of the mean state is not finite")
    stages.end(f"first gradient, to {len(leaves)} parameters")
    _solved(configuration, name.name, {})
    stages.end("and once more, warm: a solve")
    if name.name == "julia":
        kept = in_julia(lambda package: int(package.keep()))
        stages.end(f"{kept} functions of the model kept for later processes")


def _configuration(what: str, code: bool) -> Configuration:
    """That of a file, or of a model with values to start from."""
    if what.endswith(".toml") or Path(what).is_file():
        return read_configuration(what, code=code)
    text = template(what, code=code, folder=Path.cwd())
    with TemporaryDirectory(prefix="pydiffgeo-") as folder:
        path = Path(folder) / "warmup.toml"
        path.write_text(text, encoding="utf-8")
        return read_configuration(path, code=code)


def _leaves(c: Configuration) -> dict[str, Tensor]:
    """The parameters of a model, of which a gradient is taken."""
    values = {p.name: c.parameters.get(p.name, p.default) for p in c.model.parameters}
    return {k: torch.as_tensor(v, dtype=torch.float64).requires_grad_() for k, v in values.items() if v is not None}


def _solved(c: Configuration, engine: str, leaves: dict[str, Tensor]) -> Solution:
    times, forcing, _ = problem(c)
    parameters = {name: torch.as_tensor(value) for name, value in c.parameters.items()} | leaves
    initial = {name: torch.as_tensor(value) for name, value in c.initial.items()}
    how: Settings = {"engine": engine, "solver": c.solver, "rtol": c.rtol, "atol": c.atol}
    return solve(c.model, parameters, forcing=forcing, times=times, initial=initial, **how)
