"""Trains a parameter network over many sites, in mini-batches of sites and windows of time.

A training is a function from one `State` to the next: a step, or a check on the days that are held back. What a
stop interrupts is done again from the last state, so that it leaves no trace.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import __version__
from ..arrays import Json
from ..engines.interrupts import held_interrupts, restores_grad_mode, saved_when_stopped
from ..engines.ir.structure import fingerprint
from ..errors import DataError, InputError, SolverError, UnknownNameError
from ..fingerprint import digest
from ..io import read_archive, write_archive
from ..solve import Solution
from .network import ParameterNetwork
from .quadratic_surrogate import measured, quadratic_surrogate, scaled_error
from .sites import SiteData
from .state import State, Weights, copied, from_arrays, moments_of, remind, to_arrays
from .training import Training, TrainingHistory

FORMAT = 5
# Seconds of work that a crash may cost at most, besides the step it happens in.
SAVE_EVERY = 10.0
# What random numbers are for; they follow from the seed, this and the number of the epoch or step.
ORDER, WINDOW, NOISE, LAYERS = range(4)


@restores_grad_mode
def train(
    network: ParameterNetwork,
    data: SiteData,
    training: Training | None = None,
    *,
    climate: SiteData | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = True,
    progress: bool = True,
    callback: Callable[[int, float], None] | None = None,
) -> TrainingHistory:
    """Trains a network in place, so that an integrated flux of its model follows what was observed.

    A site that cannot be solved in a step is left out of it, and counted.

    After each step, and whatever ends the training early, an error or Ctrl-C, the network holds the weights that the
    training would end with if it ended there: those that were best on the days held back, else the average, else the
    last. (The training has its own; changing these has no effect on it.)

    Args:
        network: normalised here where that has not been done; a network with weather whose reference period is not
            known takes the days for training.
        data: the sites for training, over the days for training. The time unit of the model is a day.
        climate: the same sites over the reference period of the network, where `data` do not hold it; see `predict`.
        checkpoint: a file that is kept up to date. A run that was stopped, or killed, at any moment goes on from it
            to the same weights, to the last bit; the network is given as it was at first, or as the stop left it.
            The file is refused where it belongs to another training.
        progress: show a bar with the loss and the time left, on a terminal.
        callback: called after each step with its number and loss.

    Raises:
        InputError: the record is shorter than warm-up and window, or a site has no spread.
        UnknownNameError: the model has no such flux as was observed.
        DataError: the checkpoint cannot be used, or the reference period is not in the data.
        SolverError: no site of a step could be solved.
        KeyboardInterrupt: after the checkpoint is written; the message says where the training stands.
    """
    training = training or Training()
    run = _Run(network, data, training, None if checkpoint is None else Path(checkpoint), climate)
    if resume and run.path is not None and run.path.exists():
        run.load()
    bar = tqdm(
        desc="training", total=training.steps, initial=run.state.step, unit="step", disable=None if progress else True
    )
    with saved_when_stopped(run.keep, run.where, bar.close):
        while not run.done:
            run.advance()
            bar.set_postfix_str(f"loss {run.state.seen.loss[-1]:.4g}", refresh=False)
            bar.update(run.state.step - bar.n)
            if callback is not None:
                callback(run.state.step, run.state.seen.loss[-1])
        run.save()
    return run.state.seen


class _Run:
    """What a training has to do, which does not change, and the state it is in."""

    def __init__(
        self,
        network: ParameterNetwork,
        data: SiteData,
        training: Training,
        path: Path | None,
        climate: SiteData | None = None,
    ) -> None:
        self.data, self.training, self.path = data, training, path
        days = data.observed.shape[1] - training.tuning
        if days < training.warmup + training.window:
            raise InputError(
                f"{days} days for training are fewer than warm-up and window need, {training.warmup + training.window}"
            )
        self.days = days
        observed = data.observed[:, :days]
        self.spread = ((observed - observed.nanmean(1, keepdim=True)) ** 2).nanmean(1).sqrt()
        if flat := [n for n, s in zip(data.names, self.spread, strict=True) if not s > 0]:
            raise InputError(f"sites {flat[:3]} have no observations that vary, among the days for training")
        if tuple(data.inputs) != network.inputs:
            raise InputError(f"the network takes {list(network.inputs)}, the data hold {list(data.inputs)}")
        if data.flux not in (fluxes := [f.name for f in network.model.fluxes]):
            raise UnknownNameError(
                f"{data.flux!r} was observed, and {network.model.name} has no such flux; it has {fluxes}"
            )
        network.prepare(data.days(slice(0, days)))
        self.climate = network.climate(data, climate)
        # Steps are made with a network of their own, so that nobody else's work is in them.
        self.network, self.shown = copy.deepcopy(network), network
        weights = copied(network.state_dict())
        self.began = digest(weights)
        self.state = State(0, weights, copied(weights) if training.average else {})
        self.identity = {} if path is None else self._identity()
        self.saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether a check is to be made before the next step."""
        plan, now = self.training, self.state
        return bool(plan.tuning and now.step % plan.check_every == 0 and now.step > max(now.seen.checked, default=0))

    @property
    def done(self) -> bool:
        now = self.state
        return not self.due and (now.step >= self.training.steps or now.stale >= self.training.patience)

    def advance(self) -> None:
        """A step, unless the check after the last one is still to be made; then the check, if one is due."""
        if not self.due:
            self.commit(self._stepped(self.state))
        if self.due:
            self._check()
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()

    def commit(self, state: State) -> None:
        """Makes `state` the present one, and shows what the training would end with."""
        with held_interrupts(), torch.no_grad():
            self.state = state
            shown = self.shown.state_dict()
            for name, value in state.result.items():
                shown[name].copy_(value)

    def keep(self) -> None:
        """Commits and saves: what interrupts a commit or the last write leaves them half done."""
        # A second Ctrl-C has to wait.
        with held_interrupts():
            self.commit(self.state)
            self.save()

    def _check(self) -> None:
        self.commit(self._checked(self.state))

    def _stepped(self, now: State) -> State:
        """The state after the next step."""
        started, plan = time.perf_counter(), self.training
        sites, first = self._batch(now.step)
        days = slice(first, first + plan.warmup + plan.window)
        batch = self.data.take([self.data.names[i] for i in sites]).days(days)
        optimiser, average = self._worker(now), now.average
        with self._random(now.step):
            noise = self._noise(now.step, len(sites))
            reached, failed, again = self._begin(batch, sites, noise)
            for count in range(plan.inner_steps):
                optimiser.zero_grad()
                again().backward()
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), plan.clip)
                optimiser.step()
                average = self._averaged(average, now.step * plan.inner_steps + count + 1)
        seen = _went_on(now.seen, started, failed)
        seen = replace(seen, loss=(*seen.loss, reached), solves=seen.solves + len(sites))
        weights, moments = copied(self.network.state_dict()), moments_of(optimiser)
        return replace(now, step=now.step + 1, weights=weights, average=average, moments=moments, seen=seen)

    def _checked(self, now: State) -> State:
        """The state after the loss over the days that are held back has been found."""
        started = time.perf_counter()
        late = self.data.days(slice(self.days - self.training.warmup, None))
        weights = now.average or now.weights
        self.network.load_state_dict(weights)
        with torch.no_grad(), self._random(now.step):
            loss, failed = self._loss(late, range(len(self.data)))
        reached, before = loss.item(), now.seen.tuning
        seen = _went_on(now.seen, started, failed)
        seen = replace(seen, tuning=(*before, reached), checked=(*seen.checked, now.step))
        if not before or reached < min(before):
            return replace(now, best=weights, stale=0, seen=seen)
        return replace(now, stale=now.stale + 1, seen=seen)

    def _worker(self, now: State) -> torch.optim.Optimizer:
        """The network and an optimiser as they are in a state."""
        plan = self.training
        self.network.load_state_dict(now.weights)
        # The learning rate follows from the step alone: it falls to a tenth along half a cosine.
        rate = plan.learning_rate * (0.55 + 0.45 * np.cos(np.pi * now.step / plan.steps))
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=plan.weight_decay)
        remind(optimiser, now.moments)
        return optimiser

    def _begin(
        self, batch: SiteData, sites: list[int], noise: Tensor | None
    ) -> tuple[float, list[str], Callable[[], Tensor]]:
        """Solves the sites of a step. Returns the loss, the sites that failed, and the loss to descend, anew each time."""
        plan = self.training
        if plan.inner_steps == 1:
            loss, failed = self._loss(batch, sites, noise)
            return loss.item(), failed, lambda: loss
        climate = None if self.climate is None else self.climate[sites]
        near = quadratic_surrogate(self.network, batch, self.spread[sites], plan, climate=climate, noise=noise)
        failed = self._failed(batch, near.solution, near.usable)
        reached = near.loss[near.usable].mean().item()
        # The noise stays that of the solves: with another the values would lie far from where these hold.
        return reached, failed, lambda: near(self.network.variables(batch.attributes, climate=climate, noise=noise))

    def _loss(self, batch: SiteData, sites: Sequence[int], noise: Tensor | None = None) -> tuple[Tensor, list[str]]:
        """Mean over the sites that could be solved and have observations, and those that could not."""
        plan, times = self.training, np.arange(batch.observed.shape[1] + 1.0)
        weather = batch.weather(self.network.weather) if self.network.varying else None
        climate = None if self.climate is None else self.climate[list(sites)]
        solution = self.network.simulate(
            batch.attributes, batch.forcing, times, weather, climate=climate, noise=noise, throw=False, **plan.settings
        )
        observed = batch.observed[:, plan.warmup :]
        usable = solution.ok & (~torch.isnan(observed)).any(1)
        failed = self._failed(batch, solution, usable)
        simulated = solution.select(usable).fluxes[self.data.flux][:, plan.warmup :]
        error = scaled_error(simulated, observed[usable], self.spread[list(sites)][usable])
        return measured(error, plan.measure).mean(), failed

    def _failed(self, batch: SiteData, solution: Solution, usable: Tensor) -> list[str]:
        if not usable.any():
            raise SolverError(
                f"no site of step {self.state.step + 1} could be solved and compared; {next(solution.failures(), '')}"
            )
        return [name for name, good in zip(batch.names, solution.ok, strict=True) if not good]

    def _averaged(self, average: Weights, done: int) -> Weights:
        """The average after so many steps of the optimiser, where one is taken."""
        # At first the average would remember little but where training began.
        kept = min(self.training.average, done / (done + 9))
        now = self.network.state_dict()
        learnt = {name for name, _ in self.network.named_parameters()}
        return {
            name: value.lerp(now[name], 1 - kept) if name in learnt else now[name].clone()
            for name, value in average.items()
        }

    def _batch(self, step: int) -> tuple[list[int], int]:
        """The sites of a step, all in turn in random order, and the first day that is solved."""
        plan, count = self.training, len(self.data)
        size = min(plan.batch, count)
        sites: list[int] = []
        while len(sites) < size:
            epoch, at = divmod(step * size + len(sites), count)
            sites.append(int(np.random.default_rng([plan.seed, ORDER, epoch]).permutation(count)[at]))
        last = self.days - plan.warmup - plan.window
        return sorted(set(sites)), int(np.random.default_rng([plan.seed, WINDOW, step]).integers(0, last + 1))

    def _noise(self, step: int, count: int) -> Tensor | None:
        """Noise for the attributes of so many sites; seed and step alone decide it."""
        if not self.training.noise:
            return None
        random = np.random.default_rng([self.training.seed, NOISE, step])
        return torch.from_numpy(self.training.noise * random.normal(size=(count, len(self.network.inputs))))

    @contextmanager
    def _random(self, step: int) -> Iterator[None]:
        """What a network of one's own draws at random, for dropout say, follows from seed and step as well."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([self.training.seed, LAYERS, step]).integers(2**63)))
            yield

    def _identity(self) -> dict[str, Json]:
        data, settings = self.data, {k: digest(v) for k, v in self.training.settings.items()}
        return {
            "pydiffgeo": __version__,
            "training": asdict(self.training) | {"settings": settings},
            "model": fingerprint(self.network.model),
            "network": self.network.settings,
            "flux": data.flux,
            "sites": list(data.names),
            "data": digest(data.dates, data.forcing, data.observed, data.attributes, self.climate),
        }

    def where(self) -> str:
        """Where a training that was stopped stands, and how to go on."""
        step = f"training stopped after step {self.state.step} of {self.training.steps}"
        return step if self.path is None else f"{step}; the same call goes on from {self.path}"

    def save(self) -> None:
        self.saved = time.monotonic()
        if self.path is not None:
            state, arrays = to_arrays(self.state)
            about = {"format": FORMAT, "identity": self.identity, "first weights": self.began, **state}
            with held_interrupts():
                write_archive(self.path, about, arrays)

    def load(self) -> None:
        assert self.path is not None
        try:
            about, arrays = read_archive(self.path)
            then, now = about.get("identity", {}), json.loads(json.dumps(self.identity))
            if about.get("format") != FORMAT or then != now:
                raise self._other(", ".join(k for k in now if then.get(k) != now[k]) or "format")
            state = from_arrays(about, arrays, self.state, [*self.network.parameters()])
            # The network may be given as a stop has left it.
            if self.began not in (began := about["first weights"], digest(state.result)):
                raise self._other("first weights; give the network as it was at first, or as the stop left it")
        except DataError:
            raise
        # A file that holds something else fails in many ways.
        except Exception as error:
            raise DataError(f"{self.path}: the checkpoint cannot be read ({error}); delete it to start anew") from error
        self.began = began
        self.commit(state)

    def _other(self, what: str) -> DataError:
        return DataError(
            f"{self.path}: the checkpoint belongs to another training (different: {what}); delete it to start anew"
        )


def _went_on(seen: TrainingHistory, started: float, failed: list[str]) -> TrainingHistory:
    """What a training went through, with what began at `started` and the sites that failed in it."""
    failures = {**seen.failures, **{name: seen.failures.get(name, 0) + 1 for name in failed}}
    return replace(seen, failures=failures, seconds=seen.seconds + time.perf_counter() - started)
