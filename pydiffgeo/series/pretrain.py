"""Trains a model of series by what is hidden from it: masked reconstruction and forecast in one objective."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .. import __version__
from ..arrays import Json
from ..checks import check_positive, check_whole, check_within, is_whole
from ..days import days_of_year
from ..engines.interrupts import held_interrupts, restores_grad_mode, saved_when_stopped
from ..errors import DataError, InputError, UnknownNameError
from ..fingerprint import digest
from ..io import read_archive, write_archive
from ..nn import SiteData, TrainingHistory
from ..nn.state import State, copied, from_arrays, moments_of, remind, to_arrays
from .masks import Masks
from .normals import usual_of, values_of
from .series_model import SeriesModel

FORMAT = 1
# Seconds of work that a crash may cost at most, besides the step it happens in.
SAVE_EVERY = 10.0


@dataclass(frozen=True)
class Pretraining:
    """How a model of series is trained.

    Attributes:
        steps: of the optimiser (Adam with decoupled weight decay). batch: windows in each, of random sites and days.
        window: times in a window. spacings: days between these, of which each step draws one.
        leads: days ahead that are predicted in each step; 0 is the reconstruction of what is hidden. Without 0 forecasts
            alone are learnt, with 0 alone reconstruction.
        reconstruction: its share of the loss, where there are forecasts as well.
        masks: what is hidden.
        weights: variable -> its weight in the loss, mean squared error in units of the spread; 1 where not given.
        learning_rate: at first; it falls to a tenth along half a cosine. weight_decay: per unit of it.
        clip: largest norm of the gradient. average: part of the moving average of weights that is kept in each step.
        seed: of windows and masks.

    Raises:
        InputError: when made with numbers that do not fit; names them.
    """

    steps: int = 800
    batch: int = 32
    window: int = 180
    spacings: tuple[int, ...] = (1,)
    leads: tuple[int, ...] = (0, 1, 3, 7)
    reconstruction: float = 0.5
    masks: Masks = field(default_factory=Masks)
    weights: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.98
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps, batch=self.batch)
        check_whole(2, window=self.window)
        check_whole(0, seed=self.seed)
        for name, least in (("spacings", 1), ("leads", 0)):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or not given or not all(is_whole(v, least) for v in given):
                raise InputError(f"{name} must be whole days, {least} or more, at least one, got {given!r}")
            object.__setattr__(self, name, tuple(given))
        check_within(0.0, 1.0, "from 0 to 1", reconstruction=self.reconstruction)
        check_within(0.0, 1e6, "zero or positive", weight_decay=self.weight_decay)
        for name, weight in self.weights.items():
            check_within(0.0, 1e6, "zero or positive", **{f"the weight of {name}": weight})
        check_within(0.0, 0.9999, "a number from 0 to below 1", average=self.average)
        check_positive(learning_rate=self.learning_rate, clip=self.clip)


@restores_grad_mode
def pretrain(
    model: SeriesModel,
    data: SiteData,
    plan: Pretraining | None = None,
    *,
    period: tuple[object, object] | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    callback: Callable[[int, float], None] | None = None,
) -> TrainingHistory:
    """Trains a model of series in place; afterwards it knows its period, and what is normal.

    Days outside of the period are cut off first: neither windows nor normals see them, here or in any later use of the
    model. All random numbers of a step follow from the seed and its number: the same call gives the same weights.

    Args:
        data: the sites for training.
        period: first and last day for training; all days of the data if None. Whole years are best.
        checkpoint: a file that is kept up to date. A run that was stopped goes on from it to the same weights, to the
            last bit; it is refused where it belongs to another training.
        progress: show a bar with the loss and the time left, on a terminal.
        callback: called after each step with its number and loss.

    Raises:
        InputError: (or a subclass) the model takes other attributes or series, or the period is too short.
        DataError: the data do not cover the period, a variable is hardly ever observed, or the checkpoint cannot be used.
        KeyboardInterrupt: after the checkpoint is written; the message says where the training stands.
    """
    plan = plan or Pretraining()
    run = _Run(model, data if period is None else data.between(*period), plan, checkpoint)
    run.load()
    bar = tqdm(
        desc="pretraining", total=plan.steps, initial=run.state.step, unit="step", disable=None if progress else True
    )
    with saved_when_stopped(run.save, run.where, bar.close):
        while run.state.step < plan.steps:
            run.advance()
            loss = run.state.seen.loss[-1]
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            bar.update(1)
            if callback is not None:
                callback(run.state.step, loss)
        run.save()
    with torch.no_grad():
        model.load_state_dict({**model.state_dict(), **run.state.result})
    return run.state.seen


class _Run:
    """What a training has to do, which does not change, and the state it is in."""

    def __init__(self, model: SeriesModel, data: SiteData, plan: Pretraining, checkpoint: str | Path | None) -> None:
        self.model, self.plan, self.path = model, plan, None if checkpoint is None else Path(checkpoint)
        if tuple(data.inputs) != model.inputs:
            raise InputError(f"the model takes {list(model.inputs)}, the data hold {list(data.inputs)}")
        if data.flux not in model.variables:
            raise UnknownNameError(f"{data.flux!r} was observed, and the model has {list(model.variables)} only")
        if unknown := [name for name in plan.weights if name not in model.variables]:
            raise UnknownNameError(f"weights: the model has no {unknown[0]!r}; it has {list(model.variables)}")
        needed = plan.window * max(plan.spacings) + max(plan.leads)
        if len(data.dates) <= needed:
            raise InputError(f"{len(data.dates)} days for training are fewer than window and leads need, {needed + 1}")
        self.values = values_of(data, model.variables)
        usual = usual_of(self.values, data.dates)
        if bare := [v for v, s in zip(model.variables, usual.spread, strict=True) if not torch.isfinite(s)]:
            raise DataError(f"{bare[0]!r}: no site has a year of observations within the days for training")
        model.settle(usual, data.attributes, (data.dates[0], data.dates[-1]))
        self.normals = model.normals(data)
        self.attributes, self.places = data.attributes, torch.from_numpy(days_of_year(data.dates))
        self.flux = model.variables.index(data.flux)
        self.weights = torch.tensor([float(plan.weights.get(v, 1.0)) for v in model.variables])
        first = {name: value for name, value in copied(model.state_dict()).items() if value.dtype == torch.float32}
        self.state = State(0, first, copied(first) if plan.average else {})
        self.identity: dict[str, Json] = {
            "pydiffgeo": __version__,
            "plan": asdict(plan),
            "model": [*model.variables, *model.inputs, str(model.width)],
            "first weights": digest(first),
            "data": digest(data.dates, self.values, data.attributes),
        }
        self.saved = time.monotonic()

    def advance(self) -> None:
        """One step, from the present state to the next."""
        started, plan, now = time.perf_counter(), self.plan, self.state
        self.model.load_state_dict({**self.model.state_dict(), **now.weights})
        rate = plan.learning_rate * (0.55 + 0.45 * np.cos(np.pi * now.step / plan.steps))
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=rate, weight_decay=plan.weight_decay)
        remind(optimiser, now.moments)
        optimiser.zero_grad()
        loss = self.loss(np.random.default_rng([plan.seed, now.step]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip)
        optimiser.step()
        weights = {name: self.model.state_dict()[name].clone() for name in now.weights}
        # At first the average would remember little but where training began.
        kept = min(plan.average, (now.step + 1) / (now.step + 10))
        average = {name: value.lerp(weights[name], 1 - kept) for name, value in now.average.items()}
        seconds = now.seen.seconds + time.perf_counter() - started
        seen = replace(now.seen, loss=(*now.seen.loss, loss.item()), seconds=seconds)
        self.state = replace(
            now, step=now.step + 1, weights=weights, average=average, moments=moments_of(optimiser), seen=seen
        )
        if time.monotonic() - self.saved > SAVE_EVERY:
            self.save()

    def loss(self, random: np.random.Generator) -> Tensor:
        """Of one batch: windows of sites with something hidden, every lead."""
        plan, model = self.plan, self.model
        spacing = int(random.choice(plan.spacings))
        last = len(self.places) - plan.window * spacing - max(plan.leads)
        sites = torch.from_numpy(random.integers(0, len(self.values), plan.batch))
        days = torch.from_numpy(random.integers(0, last, plan.batch)).unsqueeze(1)
        days = days + spacing * torch.arange(plan.window)
        drawn = [plan.masks.draw(random, plan.window, len(model.variables), self.flux) for _ in range(plan.batch)]
        hidden = torch.from_numpy(np.stack([mask for mask, _ in drawn]))
        normals = self.normals.of(sites).without(torch.tensor([bare for _, bare in drawn]), self.flux, model.usual)
        known = model.known_of(self.attributes[sites], normals)

        def target(lead: int) -> tuple[Tensor, Tensor]:
            """Anomalies some days after each time, and the climatology there; both in units of the spread."""
            normal = normals.on(self.places[days + lead])
            spread = normals.spread.unsqueeze(1)
            return (self.values[sites.unsqueeze(1), days + lead] - normal) / spread, normals.course(normal)

        present = target(0)[0]
        shown = torch.where(hidden, torch.nan, present)
        states = model.states(shown, known, self.places[days] / 366, spacing)
        losses = {}
        for lead in plan.leads:
            wanted, normal = target(lead)
            usable = ~torch.isnan(wanted) & hidden if lead == 0 else ~torch.isnan(wanted)
            error = model.anomaly(states, shown, normal, known, lead) - torch.nan_to_num(wanted).to(torch.float32)
            weight = usable * self.weights
            losses[lead] = (weight * error**2).sum() / weight.sum().clamp(min=1e-9)
        ahead = [loss for lead, loss in losses.items() if lead > 0]
        if 0 not in losses:
            return torch.stack(ahead).mean()
        if not ahead:
            return losses[0]
        return plan.reconstruction * losses[0] + (1 - plan.reconstruction) * torch.stack(ahead).mean()

    def where(self) -> str:
        """Where a training that was stopped stands, and how to go on."""
        step = f"pretraining stopped after step {self.state.step} of {self.plan.steps}"
        return step if self.path is None else f"{step}; the same call goes on from {self.path}"

    def save(self) -> None:
        self.saved = time.monotonic()
        if self.path is not None:
            state, arrays = to_arrays(self.state)
            with held_interrupts():
                write_archive(self.path, {"format": FORMAT, "identity": self.identity, **state}, arrays)

    def load(self) -> None:
        """Goes on from the checkpoint where there is one."""
        if self.path is None or not self.path.exists():
            return
        try:
            about, arrays = read_archive(self.path)
            then, now = about.get("identity", {}), json.loads(json.dumps(self.identity))
            other = [k for k in now if then.get(k) != now[k]] if about.get("format") == FORMAT else ["format"]
            state = None if other else from_arrays(about, arrays, self.state, [*self.model.parameters()])
        # A file that holds something else fails in many ways.
        except Exception as error:
            raise DataError(f"{self.path}: the checkpoint cannot be read ({error}); delete it to start anew") from error
        if state is None:
            what = ", ".join(other)
            raise DataError(
                f"{self.path}: the checkpoint belongs to another training (different: {what}); delete it to start anew"
            )
        self.state = state
