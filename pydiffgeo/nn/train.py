"""Trains a parameter network over many sites, in mini-batches of sites and windows of time."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import __version__
from ..errors import DataError, InputError, SolverError
from ..io import read_archive, write_archive
from ..solve import Solution
from .network import ParameterNetwork
from .parabola import measured, parabolas
from .sites import SiteData
from .training import Trained, Training

FORMAT = 3


def scaled_error(simulated: Tensor, observed: Tensor, spread: Tensor) -> Tensor:
    """Mean squared error of each site over the variance of its observations, `(sites,)`; NaN where none is known.

    With the spread of the whole record this is one minus the Nash-Sutcliffe efficiency, and comparable over
    windows (Kratzert et al. 2019, Hydrol. Earth Syst. Sci. 23, their eq 1 without the small constant).

    Args:
        simulated, observed: `(sites, days)`, gaps are NaN. spread: standard deviation of each site, `(sites,)`.
    """
    valid = ~torch.isnan(observed)
    error = torch.where(valid, simulated - torch.nan_to_num(observed), 0.0)
    return (error**2).sum(1) / valid.sum(1) / spread**2


def train(
    network: ParameterNetwork,
    data: SiteData,
    training: Training | None = None,
    *,
    flux: str = "runoff",
    checkpoint: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[int, float], None] | None = None,
) -> Trained:
    """Trains a network in place, so that an integrated flux of its model follows what was observed.

    A site that cannot be solved in a step is left out of it, and counted.

    Args:
        network: normalised here where that has not been done.
        data: the sites for training, over the days for training.
        flux: compared with `data.observed`, as a daily mean; the time unit of the model is a day.
        checkpoint: a file that is kept up to date; a run that was interrupted goes on from it to the same
            weights, and is refused where it belongs to another training.
        progress: show a bar with the loss and the time left, on a terminal.
        callback: called after each step with its number and loss.

    Raises:
        InputError: the record is shorter than warm-up and window, or a site has no spread.
        DataError: the checkpoint cannot be used. SolverError: no site of a step could be solved.
    """
    training = training or Training()
    run = _Run(network, data, training, flux, None if checkpoint is None else Path(checkpoint))
    if resume and run.path is not None and run.path.exists():
        run.load()
    bar = tqdm(desc="training", total=training.steps, initial=run.step, unit="step", disable=None if progress else True)
    try:
        while run.step < training.steps and not run.stopped:
            run.advance()
            bar.set_postfix_str(f"loss {run.seen.loss[-1]:.4g}", refresh=False)
            bar.update()
            if callback is not None:
                callback(run.step, run.seen.loss[-1])
    finally:
        bar.close()
        run.save()
    run.finish()
    return run.seen


def predict(
    network: ParameterNetwork, data: SiteData, *, warmup: int = 365, throw: bool = False, **settings: Any
) -> Solution:
    """Solves the sites of `data` with the values the network gives, without gradients.

    The first `warmup` days are run ahead of the record; times count from its first day.

    Args:
        settings: keywords of `solve`.

    Raises:
        SolverError: a site cannot be solved and `throw` is set.
    """
    lead = {k: torch.cat([v[:, :warmup], v], dim=1) for k, v in data.forcing.items()}
    times = np.arange(data.observed.shape[1] + warmup + 1.0) - warmup
    weather = replace(data, forcing=lead).weather(network.weather) if network.weather else None
    with torch.no_grad():
        return network.simulate(data.attributes, lead, times, weather, throw=throw, **settings)


class _Run:
    """A training as it stands. Batches and windows follow from the seed and the step, so nothing else is kept."""

    def __init__(self, network: ParameterNetwork, data: SiteData, training: Training, flux: str, path: Path | None):
        self.network, self.data, self.training, self.flux, self.path = network, data, training, flux, path
        days = data.observed.shape[1] - training.selection
        if days < training.warmup + training.window:
            raise InputError(
                f"{days} days for training are fewer than warm-up and window need, {training.warmup + training.window}"
            )
        self.days = days
        known = data.observed[:, :days]
        self.spread = ((known - known.nanmean(1, keepdim=True)) ** 2).nanmean(1).sqrt()
        if flat := [n for n, s in zip(data.names, self.spread, strict=True) if not s > 0]:
            raise InputError(f"sites {flat[:3]} have no observations that vary, among the days for training")
        if tuple(data.inputs) != network.inputs:
            raise InputError(f"the network takes {list(network.inputs)}, the data hold {list(data.inputs)}")
        if not network.scaling.fitted:
            network.normalise(data.attributes, self._weather(data.days(slice(0, days))))
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self.step, self.stale, self.stopped, self.seen = 0, 0, False, Trained()
        self.best: dict[str, Tensor] = {}
        self.average = {k: v.clone() for k, v in network.state_dict().items()} if training.average else {}
        self.began = _digest(network.state_dict().values())
        self.saved = time.monotonic()

    def _weather(self, data: SiteData) -> Tensor | None:
        return data.weather(self.network.weather) if self.network.weather else None

    def _batch(self) -> tuple[list[int], int]:
        """The sites of this step, all in turn in random order, and the first day that is solved."""
        o, count = self.training, len(self.data)
        size = min(o.batch, count)
        sites: list[int] = []
        position = self.step * size
        while len(sites) < size:
            epoch, at = divmod(position + len(sites), count)
            sites.append(int(np.random.default_rng([o.seed, 0, epoch]).permutation(count)[at]))
        last = self.days - o.warmup - o.window
        return sorted(set(sites)), int(np.random.default_rng([o.seed, 1, self.step]).integers(0, last + 1))

    def advance(self) -> None:
        started, o = time.perf_counter(), self.training
        sites, first = self._batch()
        part = self.data.take([self.data.names[i] for i in sites]).days(slice(first, first + o.warmup + o.window))
        # The learning rate follows from the step alone.
        share = 0.55 + 0.45 * np.cos(np.pi * self.step / o.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = o.learning_rate * share
        if o.reuse == 1:
            loss = self._loss(part, self.spread[sites], o.warmup, self._noise(len(sites)))
            self._descend(loss, 0)
        else:
            loss = self._descend_parabolas(part, self.spread[sites])
        self.step += 1
        self.seen.loss.append(loss.item())
        self.seen.solves += len(sites)
        if o.selection and self.step % o.check_every == 0:
            self._check()
        self.seen.seconds += time.perf_counter() - started
        if time.monotonic() - self.saved > 10.0:
            self.save()

    def _descend(self, loss: Tensor, again: int) -> None:
        """A step of the optimiser, the one after `again` others with the same solves."""
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.training.clip)
        self.optimiser.step()
        # At first the average would remember little but where training began.
        done = self.step * self.training.reuse + again + 1
        kept = min(self.training.average, done / (done + 9))
        for name, value in self.average.items():
            value.lerp_(self.network.state_dict()[name], 1 - kept)

    def _descend_parabolas(self, part: SiteData, spread: Tensor) -> Tensor:
        """All steps with the same solves. Returns the loss at the first."""
        o = self.training
        noise = self._noise(len(part))
        found = parabolas(
            self.network, part, spread, flux=self.flux, warmup=o.warmup, measure=o.measure, damping=o.damping,
            noise=noise, settings=o.settings,
        )  # fmt: skip
        self._count_failures(part, found.solution, found.usable)
        for again in range(o.reuse):
            # The noise stays that of the solves: with another the values would lie far from where these hold.
            self._descend(found(self.network.variables(part.attributes, noise=noise)), again)
        return found.loss[found.usable].mean()

    def _noise(self, count: int) -> Tensor | None:
        """Noise for the attributes of so many sites; seed and step alone decide it."""
        if not self.training.noise:
            return None
        random = np.random.default_rng([self.training.seed, 2, self.step])
        return torch.from_numpy(self.training.noise * random.normal(size=(count, len(self.network.inputs))))

    def _loss(self, part: SiteData, spread: Tensor, warmup: int, noise: Tensor | None = None) -> Tensor:
        """Mean over the sites that could be solved and have observations."""
        times = np.arange(part.observed.shape[1] + 1.0)
        solution = self.network.simulate(
            part.attributes,
            part.forcing,
            times,
            self._weather(part),
            noise=noise,
            throw=False,
            **self.training.settings,
        )
        usable = solution.ok & (~torch.isnan(part.observed[:, warmup:])).any(1)
        self._count_failures(part, solution, usable)
        simulated = solution.select(usable).fluxes[self.flux][:, warmup:]
        error = scaled_error(simulated, part.observed[usable, warmup:], spread[usable])
        return measured(error, self.training.measure).mean()

    def _count_failures(self, part: SiteData, solution: Solution, usable: Tensor) -> None:
        for name, good in zip(part.names, solution.ok, strict=True):
            if not good:
                self.seen.failures[name] = self.seen.failures.get(name, 0) + 1
        if not usable.any():
            raise SolverError(
                f"no site of step {self.step + 1} could be solved and compared; {next(solution.failures(), '')}"
            )

    def _check(self) -> None:
        """Finds the loss over the days that are held back, and keeps the weights that are best there."""
        o = self.training
        late = self.data.days(slice(self.days - o.warmup, None))
        now = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average or now)
        with torch.no_grad():
            found = self._loss(late, self.spread, o.warmup).item()
        self.network.load_state_dict(now)
        if not self.seen.selection or found < min(self.seen.selection):
            self.best, self.stale = {k: v.clone() for k, v in (self.average or now).items()}, 0
        else:
            self.stale += 1
        self.stopped = self.stale >= o.patience
        self.seen.selection.append(found)
        self.seen.checked.append(self.step)

    def finish(self) -> None:
        if self.best or self.average:
            self.network.load_state_dict(self.best or self.average)

    def _identity(self) -> dict[str, Any]:
        training = asdict(replace(self.training, settings={k: repr(v) for k, v in self.training.settings.items()}))
        data = _digest((*self.data.forcing.values(), self.data.observed, self.data.attributes))
        return {"pydiffgeo": __version__, "training": training, "model": self.network.model.name,
                "network": self.network.settings, "first weights": self.began, "flux": self.flux,
                "sites": list(self.data.names), "data": data}  # fmt: skip

    def save(self) -> None:
        self.saved = time.monotonic()
        if self.path is None:
            return
        about = {"format": FORMAT, "identity": self._identity(), "step": self.step, "stale": self.stale,
                 "stopped": self.stopped, "seen": asdict(self.seen)}  # fmt: skip
        arrays = {f"now/{k}": v.detach().numpy() for k, v in self.network.state_dict().items()}
        for kind, kept in (("best", self.best), ("average", self.average)):
            arrays |= {f"{kind}/{k}": v.numpy() for k, v in kept.items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            arrays |= {f"optimiser/{i}/{k}": np.asarray(v) for k, v in state.items()}
        write_archive(self.path, about, arrays)

    def load(self) -> None:
        assert self.path is not None
        try:
            about, arrays = read_archive(self.path)
            self._restore(about, arrays)
        except DataError:
            raise
        # A file that holds something else fails in many ways.
        except Exception as error:
            raise DataError(f"{self.path}: the checkpoint cannot be read ({error}); delete it to start anew") from error

    def _restore(self, about: dict[str, Any], arrays: Mapping[str, Any]) -> None:
        known = json.loads(json.dumps(self._identity()))
        if about.get("format") != FORMAT or about["identity"] != known:
            different = [k for k in known if about.get("identity", {}).get(k) != known[k]] or ["format"]
            raise DataError(
                f"{self.path}: the checkpoint belongs to another training (different: {', '.join(different)}); delete it to start anew"
            )
        parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}, "average": {}, "optimiser": {}}
        for key, value in arrays.items():
            kind, _, name = key.partition("/")
            parts[kind][name] = torch.from_numpy(value)
        self.network.load_state_dict(parts["now"])
        self.best, self.average = parts["best"], parts["average"]
        states: dict[int, dict[str, Tensor]] = {}
        for key, tensor in parts["optimiser"].items():
            i, _, name = key.partition("/")
            states.setdefault(int(i), {})[name] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": states})
        self.step, self.stale, self.stopped = about["step"], about["stale"], about["stopped"]
        self.seen = Trained(**about["seen"])


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for values in tensors:
        digest.update(np.ascontiguousarray(values.detach().numpy()).tobytes())
    return digest.hexdigest()[:16]
