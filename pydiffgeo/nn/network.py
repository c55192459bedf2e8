"""A network that gives the parameters of a model from what is known of a place."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import Unpack

from .. import __version__
from ..arrays import Json, Numbers
from ..checks import check_names, check_switch, check_whole
from ..engines.ir.structure import fingerprint
from ..errors import DataError, InputError, UnknownNameError
from ..io import read_archive, write_archive
from ..model import Model, TimeSeries
from ..solve import Settings, Solution, solve
from .adapt import check_unadapted
from .learnt import Range, check_mappings, check_tensor, check_widths, learnt_items, period
from .scaling import NormalScores, Standardise
from .sites import SiteData
from .varying import time_varying

FORMAT = 4
SCALINGS: dict[str, type[Standardise] | type[NormalScores]] = {"standard": Standardise, "normal_scores": NormalScores}


class ParameterNetwork(torch.nn.Module):
    """Attributes of places, and weather if asked for, to parameters of a model within bounds.

    Attributes pass through layers of `tanh`; weather through a gated recurrent unit, whose outputs join the
    attributes: for parameters that vary in time those of each time; for all other values their average over a
    reference period, which is one and the same in training, in prediction and for each window.

    Args:
        model: whose parameters are given.
        inputs: names of the attributes, in their order.
        bounds: parameter -> range, where its usual one is not to be used.
        fixed: parameter -> value, of those that are not learnt.
        initial: initial value -> range; these are learnt too.
        varying: parameters that vary in time; needs weather. See `time_varying`.
        weather: names of the weather inputs, in their order.
        reference: first and last day of the period whose weather, as a whole, stands for the climate of a place; the
            days of the training where not given. It is saved with the network. Whole years, as many as matter, are
            best: all of them are passed through the recurrent unit in each step.
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
        reference: tuple[object, object] | None = None,
        hidden: Sequence[int] = (32,),
        memory: int = 16,
        scaling: str = "standard",
        start: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        inputs, weather = check_names("inputs", inputs, least=1), check_names("weather", weather)
        varying = check_names("varying", varying)
        check_mappings({"bounds": bounds, "initial": initial}, {"fixed": fixed, "start": start})
        check_widths(hidden)
        check_whole(1, memory=memory)
        check_whole(0, seed=seed)
        days = None if reference is None else period(reference)
        self.settings: dict[str, Json] = {"inputs": list(inputs), "varying": list(varying), "weather": list(weather)}
        self.settings |= {"reference": days, "hidden": list(hidden), "memory": memory, "scaling": scaling}
        self.settings["fixed"] = dict(fixed or {})
        for key, ranges in (("bounds", bounds), ("initial", initial)):
            self.settings[key] = {name: list(ends) for name, ends in (ranges or {}).items()}
        if not isinstance(scaling, str) or scaling not in SCALINGS:
            raise InputError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}")
        if reference is not None and not weather:
            raise InputError("a reference period is one of weather, and the network has none")
        if varying and not weather:
            raise InputError(f"{list(varying)} can only vary in time with weather")
        self.inputs, self.weather, self.varying = tuple(inputs), tuple(weather), tuple(varying)
        self.fixed, self.initial = dict(fixed or {}), tuple(initial or {})
        self.model = time_varying(model, varying) if varying else model
        self.items = learnt_items(model, bounds or {}, self.fixed, initial or {}, self.varying)
        # Other random numbers of the program stay what they would have been.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.scaling: Standardise | NormalScores = SCALINGS[scaling](len(inputs))
            self.scaling_weather = Standardise(len(weather)) if weather else None
            self.recurrent = torch.nn.GRU(len(weather), memory, batch_first=True) if weather else None
            widths = [len(inputs) + (memory if weather else 0), *hidden]
            hops = ((torch.nn.Linear(a, b), torch.nn.Tanh()) for a, b in itertools.pairwise(widths))
            self.layers = torch.nn.Sequential(*itertools.chain.from_iterable(hops))
            self.head = torch.nn.Linear(widths[-1], len(self.items))
        self.double()
        with torch.no_grad():
            # At first all places are alike, or nearly so.
            self.head.weight *= 0.1
            self.head.bias.zero_()
            names = [item.name for item in self.items]
            for name, value in (start or {}).items():
                if name not in names:
                    raise UnknownNameError(f"start is given for {name!r}; learnt are {names}")
                # A start on a bound would never leave it.
                x = self.items[names.index(name)].inverse(torch.tensor(float(value), dtype=torch.float64))
                self.head.bias[names.index(name)] = x.clamp(-4.0, 4.0)

    @property
    def reference(self) -> tuple[str, str] | None:
        """First and last day of the period whose weather stands for the climate of a place; None while not known."""
        days = self.settings["reference"]
        return (str(days[0]), str(days[1])) if isinstance(days, list) else None

    def normalise(
        self, attributes: Tensor, weather: Tensor | None = None, *, reference: tuple[object, object] | None = None
    ) -> ParameterNetwork:
        """Learns mean and spread of the inputs from the places for training, saved with the network; returns it.

        Args:
            attributes: `(places, inputs)`. weather: `(places, time, weather inputs)`.
            reference: first and last day of the reference period, see `ParameterNetwork`; kept as it is where not given.
        """
        self._check(attributes, weather)
        if self.weather and weather is None:
            raise InputError(f"the network needs weather: {list(self.weather)}")
        self.scaling.fit(attributes)
        if self.scaling_weather is not None and weather is not None:
            self.scaling_weather.fit(weather)
        if reference is not None:
            self.settings["reference"] = period(reference)
        return self

    def prepare(self, data: SiteData) -> None:
        """What a training begins with: takes from its sites and days the scales and the period not yet known."""
        if not self.scaling.fitted:
            self.scaling.fit(data.attributes)
        if self.scaling_weather is not None and not self.scaling_weather.fitted:
            self.scaling_weather.fit(data.weather(self.weather))
        if self.weather and self.reference is None:
            self.settings["reference"] = period((data.dates[0], data.dates[-1]))

    def climate(self, data: SiteData, apart: SiteData | None = None) -> Tensor | None:
        """The weather of the reference period at each site, `(sites, days, weather inputs)`; None where none is needed.

        Args:
            apart: the same sites over the reference period, where `data` do not hold it.

        Raises:
            InputError: the network has no reference period yet, or `apart` has other sites.
            DataError: the reference period is not in the data.
        """
        if not (self.weather and self._static):
            return None
        if self.reference is None:
            raise InputError(
                f"{self._static} follow from the weather of a reference period, which this network has not been given: "
                "train it, or call normalise(..., reference=(first day, last day))"
            )
        if apart is not None and apart.names != data.names:
            raise InputError(f"climate must hold the sites of the data in their order, {list(data.names)[:3]} first")
        try:
            return (apart or data).between(*self.reference).weather(self.weather)
        except DataError as error:
            raise DataError(
                f"{self._static} follow from the weather of {self.reference[0]} to {self.reference[1]}, the reference "
                f"period of the network: {error}; give data of these days as climate="
            ) from error

    def forward(
        self,
        attributes: Tensor,
        weather: Tensor | None = None,
        *,
        climate: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Learnt values: name -> `(places, 1)`, or `(places, time)` of those that vary.

        Args:
            attributes: `(places, inputs)`; NaN where unknown, which counts as the mean.
            weather: `(places, time, weather inputs)`, of the times to be simulated, where parameters vary.
            climate: the weather of the reference period, `(places, days, weather inputs)`, where the network has
                weather and values that do not vary; see `climate`.
            noise: added to the scaled attributes, `(places, inputs)`.

        Raises:
            ShapeError: the shapes do not fit. InputError: weather is missing.
        """
        self._check(attributes, weather)
        learnt: dict[str, Tensor] = {}
        if self._static:
            every = self.values(self.variables(attributes, climate=climate, noise=noise))
            learnt = {name: every[name] for name in self._static}
        if self.varying:
            if weather is None:
                raise InputError(f"the network needs weather: {list(self.weather)}")
            course = self._course(weather)
            along = self._scaled(attributes, noise).unsqueeze(1).expand(-1, course.shape[1], -1)
            each = self.head(self.layers(torch.cat([along, course], dim=2)))
            for i, item in enumerate(self.items):
                if item.name in self.varying:
                    learnt[item.name] = item.forward(each[:, :, i])
        return learnt

    def variables(self, attributes: Tensor, *, climate: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """What the values that do not vary follow from by transforms to their bounds, `(places, values)`.

        Args:
            attributes, climate, noise: as for `forward`.

        Raises:
            ShapeError: the shapes do not fit. InputError: the climate is missing.
        """
        self._check(attributes, climate)
        place = self._scaled(attributes, noise)
        if self.weather:
            if climate is None:
                raise InputError(
                    f"the network needs the weather of its reference period, climate=: {self._static} follow from it, "
                    "not from the days at hand; network.climate(data) cuts it out of the data"
                )
            place = torch.cat([place, self._course(climate).mean(1)], dim=1)
        variables: Tensor = self.head(self.layers(place))
        return variables

    @property
    def _static(self) -> list[str]:
        """Names of the values that do not vary in time."""
        return [item.name for item in self.items if item.name not in self.varying]

    def _course(self, weather: Tensor) -> Tensor:
        """What is remembered of the weather at each time, `(places, time, memory)`."""
        assert self.recurrent is not None
        assert self.scaling_weather is not None
        course: Tensor = self.recurrent(self.scaling_weather(weather.to(torch.float64)))[0]
        return course

    def values(self, variables: Tensor) -> dict[str, Tensor]:
        """Values within their bounds, name -> `(places, 1)`, of variables `(places, values)`."""
        return {item.name: item.forward(variables[:, i : i + 1]) for i, item in enumerate(self.items)}

    def _scaled(self, attributes: Tensor, noise: Tensor | None) -> Tensor:
        scaled: Tensor = self.scaling(attributes.to(torch.float64))
        return scaled if noise is None else scaled + noise

    def simulate(
        self,
        attributes: Tensor,
        forcing: Mapping[str, Numbers | TimeSeries],
        times: Numbers,
        weather: Tensor | None = None,
        *,
        climate: Tensor | None = None,
        noise: Tensor | None = None,
        initial: Mapping[str, Numbers] | None = None,
        **settings: Unpack[Settings],
    ) -> Solution:
        """Solves the model of each place with the values the network gives; differentiable.

        Args:
            forcing: name -> `(places, intervals)`, or one for all `(intervals,)`; names that the model lacks are left out.
            times: `(intervals + 1,)`. weather: one entry per interval. climate, noise: see `forward`.
            initial: initial values that the network does not give. settings: keywords of `solve`.
        """
        values = self(attributes, weather, climate=climate, noise=noise)
        return self.solve(values, forcing, times, initial=initial, **settings)

    def solve(
        self,
        values: Mapping[str, Tensor],
        forcing: Mapping[str, Numbers | TimeSeries],
        times: Numbers,
        *,
        initial: Mapping[str, Numbers] | None = None,
        **settings: Unpack[Settings],
    ) -> Solution:
        """Solves the model of each place with given values, as `forward` returns them; else like `simulate`."""
        start, course = ({k: values[k] for k in names} for names in (self.initial, self.varying))
        constant: dict[str, Numbers] = {k: v for k, v in values.items() if k not in start and k not in course}
        driven = {f.name: forcing[f.name] for f in self.model.forcings if f.name in forcing} | course
        constant, begin = {**self.fixed, **constant}, {**(initial or {}), **start}
        return solve(self.model, constant, forcing=driven, times=times, initial=begin, **settings)

    def _check(self, attributes: Tensor, weather: Tensor | None) -> None:
        check_tensor("attributes", self.inputs, attributes, ("places",))
        if weather is not None:
            check_tensor("weather", self.weather, weather, ("places", "time"))

    @property
    def _learnt(self) -> list[list[str | float]]:
        """What the outputs of the last layer stand for: name, range, and whether on a logarithmic scale."""
        return [[item.name, item.low, item.high, item.log] for item in self.items]

    def save(self, path: str | Path) -> Path:
        """Writes settings, normalisation and weights as plain arrays and JSON; the file appears whole or not at all."""
        check_unadapted(self)
        about: dict[str, Json] = {"format": FORMAT, "pydiffgeo": __version__, "model": self.model.name}
        about |= {"question": fingerprint(self.model), "learnt": self._learnt, **self.settings}
        arrays = {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()}
        return write_archive(path, about, arrays)

    @classmethod
    def load(cls, path: str | Path, model: Model, *, same_model: bool = True) -> ParameterNetwork:
        """Reads a network for the model it was made for; nothing in the file is run.

        Args:
            same_model: refuse a model of another structure: other equations, geometry, units or bounds. Unset, one
                is accepted whose values have the same names and ranges, such as the same model with more cells.

        Raises:
            DataError: the file is damaged, or belongs to another model.
        """
        check_switch(same_model=same_model)
        try:
            about, arrays = read_archive(path)
            if about.pop("format") != FORMAT:
                raise ValueError("it has another format")
            about.pop("pydiffgeo")
            name, question, learnt = about.pop("model"), about.pop("question"), about.pop("learnt")
            network = cls(model, about.pop("inputs"), **about)
            if same_model and question != fingerprint(network.model):
                raise ValueError(
                    f"it was made for {name if name != network.model.name else 'another model of that name'}, with other "
                    "equations, geometry, units or bounds; same_model=False accepts this one"
                )
            if learnt != network._learnt:
                raise ValueError(
                    f"what it learnt, and within which ranges, was {learnt}; of this model it is {network._learnt}"
                )
            network.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        # A file that holds something else fails in many ways.
        except Exception as error:
            raise DataError(f"{path}: is no network for {model.name} ({error})") from error
        return network
