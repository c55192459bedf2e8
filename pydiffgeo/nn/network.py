"""A network that gives the parameters of a model from what is known of a place."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import __version__
from ..checks import check_names, check_whole, is_number, is_pair, is_whole
from ..errors import BoundsError, DataError, DtypeError, InputError, ShapeError, UnknownNameError
from ..io import read_archive, write_archive
from ..model import Model
from ..solve import Solution, solve
from ..transforms import Bounded, bounded
from .scaling import NormalScores, Standardise
from .varying import time_varying

FORMAT = 3
SCALINGS: dict[str, type[Standardise] | type[NormalScores]] = {"standard": Standardise, "normal_scores": NormalScores}
Range = tuple[float, float]


class ParameterNetwork(torch.nn.Module):
    """Attributes of places, and weather if asked for, to parameters of a model within bounds.

    Attributes pass through layers of `tanh`; weather through a gated recurrent unit, whose outputs join the
    attributes: at each time for parameters that vary in time, and on average for those that do not.

    Args:
        model: whose parameters are given.
        inputs: names of the attributes, in their order.
        bounds: parameter -> range, where its usual one is not to be used.
        fixed: parameter -> value, of those that are not learnt.
        initial: initial value -> range; these are learnt too.
        varying: parameters that vary in time; needs weather. See `time_varying`.
        weather: names of the weather inputs, in their order.
        hidden: width of each layer. memory: width of the recurrent unit.
        scaling: of the attributes: "standard", by mean and spread, or "normal_scores", by their rank, for few places
            and skewed attributes; see `Standardise` and `NormalScores`.
        start: value -> where training starts, such as the median of calibrated basins; else the middle of its
            range.
        seed: of the first weights.

    Raises:
        InputError: (or a subclass) names or numbers that do not fit; names them.
    """

    def __init__(
        self,
        model: Model,
        inputs: Sequence[str],
        *,
        bounds: Mapping[str, Range] | None = None,
        fixed: Mapping[str, float] | None = None,
        initial: Mapping[str, Range] | None = None,
        varying: Sequence[str] = (),
        weather: Sequence[str] = (),
        hidden: Sequence[int] = (32,),
        memory: int = 16,
        scaling: str = "standard",
        start: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        inputs, weather = check_names("inputs", inputs, least=1), check_names("weather", weather)
        varying = check_names("varying", varying)
        for what, mapping in (("bounds", bounds), ("fixed", fixed), ("initial", initial), ("start", start)):
            if mapping is not None and not isinstance(mapping, Mapping):
                raise InputError(f"{what} must be a mapping from names to values, got {mapping!r}")
        for name, ends in (*(bounds or {}).items(), *(initial or {}).items()):
            if not is_pair(ends):
                raise BoundsError(f"the range of {name!r} must be two finite numbers, got {ends!r}")
        for name, value in (*(fixed or {}).items(), *(start or {}).items()):
            if not is_number(value):
                raise BoundsError(f"the value of {name!r} must be a finite number, got {value!r}")
        if (
            isinstance(hidden, (str, bytes))
            or not isinstance(hidden, Sequence)
            or not all(is_whole(h, 1) for h in hidden)
        ):
            raise InputError(f"hidden must be the widths of layers, whole numbers of 1 or more, got {hidden!r}")
        check_whole(1, memory=memory)
        check_whole(0, seed=seed)
        self.settings: dict[str, Any] = {
            "inputs": list(inputs), "bounds": {k: list(v) for k, v in (bounds or {}).items()}, "fixed": dict(fixed or {}),
            "initial": {k: list(v) for k, v in (initial or {}).items()}, "varying": list(varying),
            "weather": list(weather), "hidden": list(hidden), "memory": memory,
            "scaling": scaling,
        }  # fmt: skip
        if not isinstance(scaling, str) or scaling not in SCALINGS:
            raise InputError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
        if varying and not weather:
            raise InputError(f"{list(varying)} can only vary in time with weather")
        self.inputs, self.weather, self.varying = tuple(inputs), tuple(weather), tuple(varying)
        self.fixed, self.initial = dict(fixed or {}), tuple(initial or {})
        self.model = time_varying(model, varying) if varying else model
        self.items = _items(model, bounds or {}, self.fixed, initial or {}, self.varying)
        # Other random numbers of the program stay what they would have been.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.scaling: Standardise | NormalScores = SCALINGS[scaling](len(inputs))
            self.scaling_weather = Standardise(len(weather)) if weather else None
            self.recurrent = torch.nn.GRU(len(weather), memory, batch_first=True) if weather else None
            widths = [len(inputs) + (memory if weather else 0), *hidden]
            layers: list[torch.nn.Module] = []
            for a, b in itertools.pairwise(widths):
                layers += [torch.nn.Linear(a, b), torch.nn.Tanh()]
            self.layers = torch.nn.Sequential(*layers)
            self.head = torch.nn.Linear(widths[-1], len(self.items))
        self.double()
        with torch.no_grad():
            # At first all places are alike, or nearly so.
            self.head.weight *= 0.1
            self.head.bias.zero_()
            for name, value in (start or {}).items():
                at = [item.name for item in self.items]
                if name not in at:
                    raise UnknownNameError(f"start is given for {name!r}; learnt are {at}")
                # A start on a bound would never leave it.
                x = self.items[at.index(name)].inverse(torch.tensor(float(value), dtype=torch.float64))
                self.head.bias[at.index(name)] = x.clamp(-4.0, 4.0)

    def normalise(self, attributes: Tensor, weather: Tensor | None = None) -> ParameterNetwork:
        """Learns mean and spread of the inputs from the places for training; they are saved with the network.

        Args:
            attributes: `(places, inputs)`. weather: `(places, time, weather inputs)`.

        Returns:
            The network itself.
        """
        self._check(attributes, weather)
        self.scaling.fit(attributes)
        if self.scaling_weather is not None and weather is not None:
            self.scaling_weather.fit(weather)
        return self

    def forward(
        self, attributes: Tensor, weather: Tensor | None = None, *, noise: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Learnt values: name -> `(places, 1)`, or `(places, time)` of those that vary.

        Args:
            attributes: `(places, inputs)`; NaN where unknown, which counts as the mean.
            weather: `(places, time, weather inputs)`, where the network has any.
            noise: added to the scaled attributes, `(places, inputs)`.

        Raises:
            ShapeError: the shapes do not fit. InputError: weather is missing.
        """
        if self.recurrent is None:
            return self.values(self.variables(attributes, noise=noise))
        self._check(attributes, weather)
        known = self._known(attributes, noise)
        assert weather is not None
        assert self.scaling_weather is not None
        course, _ = self.recurrent(self.scaling_weather(weather.to(torch.float64)))
        mean = self.head(self.layers(torch.cat([known, course.mean(1)], dim=1)))
        found = self.values(mean)
        if self.varying:
            along = known.unsqueeze(1).expand(-1, course.shape[1], -1)
            each = self.head(self.layers(torch.cat([along, course], dim=2)))
            names = [item.name for item in self.items]
            for name in self.varying:
                i = names.index(name)
                found[name] = self.items[i].forward(each[:, :, i])
        return found

    def variables(self, attributes: Tensor, *, noise: Tensor | None = None) -> Tensor:
        """What the values follow from by transforms to their bounds, `(places, values)`.

        Args:
            attributes, noise: as for `forward`.

        Raises:
            ShapeError: the shapes do not fit. InputError: the network has weather.
        """
        self._check(attributes, None)
        found: Tensor = self.head(self.layers(self._known(attributes, noise)))
        return found

    def values(self, variables: Tensor) -> dict[str, Tensor]:
        """Values within their bounds, name -> `(places, 1)`, of variables `(places, values)`."""
        return {item.name: item.forward(variables[:, i : i + 1]) for i, item in enumerate(self.items)}

    def _known(self, attributes: Tensor, noise: Tensor | None) -> Tensor:
        known: Tensor = self.scaling(attributes.to(torch.float64))
        return known if noise is None else known + noise

    def simulate(
        self,
        attributes: Tensor,
        forcing: Mapping[str, Any],
        times: Any,
        weather: Tensor | None = None,
        *,
        noise: Tensor | None = None,
        **settings: Any,
    ) -> Solution:
        """Solves the model of each place with the values the network gives; differentiable.

        Args:
            forcing: name -> `(places, intervals)`, or one for all `(intervals,)`.
            times: `(intervals + 1,)`. weather: one entry per interval. noise: see `forward`.
            settings: keywords of `solve`, `initial` among them.
        """
        return self.solve(self(attributes, weather, noise=noise), forcing, times, **settings)

    def solve(self, values: Mapping[str, Tensor], forcing: Mapping[str, Any], times: Any, **settings: Any) -> Solution:
        """Solves the model of each place with given values, as `forward` returns them; else like `simulate`."""
        values = dict(values)
        start = {k: values.pop(k) for k in self.initial}
        course = {k: values.pop(k) for k in self.varying}
        return solve(
            self.model, {**self.fixed, **values}, forcing={**forcing, **course}, times=times,
            initial={**settings.pop("initial", {}), **start}, **settings,
        )  # fmt: skip

    def _check(self, attributes: Tensor, weather: Tensor | None) -> None:
        for what, names, given in (("attributes", self.inputs, attributes), ("weather", self.weather, weather)):
            if given is None and what == "weather":
                continue
            if not isinstance(given, Tensor) or given.is_complex():
                raise DtypeError(f"{what} must be a tensor of numbers, got {type(given).__name__}")
            if given.ndim and given.shape[-1] == len(names) and torch.isinf(given).any():
                at = int(torch.isinf(given).reshape(-1, len(names)).any(0).nonzero()[0])
                raise BoundsError(f"{what}: {names[at]!r} must be finite, or NaN where unknown")
        if attributes.ndim != 2 or attributes.shape[1] != len(self.inputs):
            raise ShapeError(
                f"attributes must be (places, {len(self.inputs)}), for {list(self.inputs)}; got {tuple(attributes.shape)}"
            )
        if self.weather and weather is None:
            raise InputError(f"the network needs weather: {list(self.weather)}")
        if weather is not None and (weather.ndim != 3 or weather.shape[2] != len(self.weather)):
            raise ShapeError(f"weather must be (places, time, {len(self.weather)}), got {tuple(weather.shape)}")

    @property
    def _learnt(self) -> list[list[Any]]:
        """What the outputs of the last layer stand for: name, range, and whether on a logarithmic scale."""
        return [[item.name, item.low, item.high, item.log] for item in self.items]

    def save(self, path: str | Path) -> Path:
        """Writes settings, normalisation and weights as plain arrays and JSON; the file appears whole or not at all."""
        about = {
            "format": FORMAT,
            "pydiffgeo": __version__,
            "model": self.model.name,
            "learnt": self._learnt,
            **self.settings,
        }
        arrays = {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()}
        return write_archive(path, about, arrays)

    @classmethod
    def load(cls, path: str | Path, model: Model) -> ParameterNetwork:
        """Reads a network for the model it was made for; nothing in the file is run.

        Raises:
            DataError: the file is damaged, or belongs to another model.
        """
        try:
            about, arrays = read_archive(path)
            if about.pop("format") != FORMAT:
                raise ValueError("it has another format")
            about.pop("pydiffgeo")
            if (name := about.pop("model")) != model.name:
                raise ValueError(f"it was made for {name}")
            learnt = about.pop("learnt")
            network = cls(model, about.pop("inputs"), **about)
            if learnt != network._learnt:
                raise ValueError(
                    f"what it learnt, and within which ranges, was {learnt}; of this model it is {network._learnt}"
                )
            network.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        # A file that holds something else fails in many ways.
        except Exception as error:
            raise DataError(f"{path}: is no network for {model.name} ({error})") from error
        return network


def _items(
    model: Model,
    bounds: Mapping[str, Range],
    fixed: Mapping[str, float],
    initial: Mapping[str, Range],
    varying: Sequence[str],
) -> tuple[Bounded, ...]:
    """What is learnt, in order: parameters, then initial values."""
    parameters = {p.name: p for p in model.parameters}
    starts = [*(s.name for s in model.all_states), *model.initial_names]
    for what, given, known in (("bounds", bounds, parameters), ("fixed", fixed, parameters), ("initial", initial, starts),
                               ("varying", varying, parameters)):  # fmt: skip
        for name in given:
            if name not in known:
                raise UnknownNameError(f"{what}: {model.name} has no {name!r}; it has {[*known]}")
    for name, (low, high) in initial.items():
        state = {s.name: s for s in model.all_states}.get(name)
        if state is not None and (low < state.low or high > state.high):
            raise BoundsError(
                f"the range of initial {name!r} must lie in [{state.low:g}, {state.high:g}], got ({low}, {high})"
            )
    for name in (*bounds, *varying):
        if name in fixed:
            raise InputError(f"{name!r} is fixed and learnt")
    for name, value in fixed.items():
        if not parameters[name].inside(torch.tensor(float(value), dtype=torch.float64)):
            raise BoundsError(f"{name!r} must lie in {parameters[name].interval}, got {value}")
    learnt = [bounded(p, tuple(bounds[n]) if n in bounds else None) for n, p in parameters.items() if n not in fixed]  # type: ignore[arg-type]
    return (*learnt, *(Bounded(n, float(low), float(high)) for n, (low, high) in initial.items()))
