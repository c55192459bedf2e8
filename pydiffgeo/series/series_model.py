"""A network of series: climatology + spread x what two recurrent units make of all that was seen.

The design is that of Prithvi WxC (Schmude et al. 2024, arXiv 2409.13598, sections 2 and 3) at the size of daily series:
anomalies are predicted, not values; reconstruction is a forecast of lead zero; the climatology of the target time, what is
known of the place, spacing and lead time go in as well. In place of a transformer over tokens of a map, one recurrent unit
reads the past and one what comes after; forecasts see the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..arrays import Json
from ..checks import check_names, check_whole
from ..errors import DataError, InputError
from ..io import read_archive, write_archive
from ..nn import SiteData, Standardise
from ..nn.learnt import period as days_of
from .normals import Normals, Usual, normals_of, values_of

FORMAT = 1
# Of each variable: its anomaly, that squeezed, whether it was seen, the last that was, and how long ago.
FEATURES = 5


class SeriesModel(torch.nn.Module):
    """Daily series of sites to what is missing in them, and to what comes next; see `pretrain`.

    The output is `climatology + spread * network`. At first, and whenever the last layer is zero, it is exactly the
    climatology of the site. The last layer gives an anomaly, and shares of the last value seen and of the next.

    Args:
        variables: names of the series, in their order: forcings of the data, and the flux that was observed.
        inputs: names of the attributes of sites, in their order.
        width: of the recurrent units and layers.
        seed: of the first weights.

    Raises:
        InputError: names or numbers that do not fit; names them.
    """

    def __init__(self, variables: Sequence[str], inputs: Sequence[str], *, width: int = 48, seed: int = 0) -> None:
        super().__init__()
        self.variables, self.inputs = check_names("variables", variables, least=1), check_names("inputs", inputs)
        check_whole(4, width=width)
        check_whole(0, seed=seed)
        if width % 4:
            raise InputError(f"width must be a multiple of four, got {width}")
        self.width = width
        # First and last day that normals are taken from; known from the training on.
        self.period: tuple[str, str] | None = None
        count = len(self.variables)
        # Other random numbers of the program stay what they would have been.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.scaling = Standardise(len(self.inputs))
            self.register_buffer("usual_climatology", torch.zeros(366, count, dtype=torch.float64))
            self.register_buffer("usual_spread", torch.ones(count, dtype=torch.float64))
            single = torch.float32
            self.token = torch.nn.Linear(FEATURES * count + 2, width, dtype=single)
            self.place = torch.nn.Linear(len(self.inputs) + 2 * count, width, dtype=single)
            self.spacing_map = torch.nn.Linear(1, width // 4, dtype=single)
            self.lead_map = torch.nn.Linear(1, width // 4, dtype=single)
            self.past = torch.nn.GRU(width, width, batch_first=True, dtype=single)
            self.future = torch.nn.GRU(width, width, batch_first=True, dtype=single)
            self.mixing = torch.nn.Linear(2 * width + count, width, dtype=single)
            self.between = torch.nn.Linear(width, width, dtype=single)
            self.head = torch.nn.Linear(width, 3 * count, dtype=single)
        with torch.no_grad():
            # Training begins at the climatology.
            self.head.weight.zero_()
            self.head.bias.zero_()

    def normals(self, data: SiteData, climate: SiteData | None = None) -> Normals:
        """Normals of sites, from the days of the model's period alone: no other day of the data is looked at.

        Args:
            climate: the same sites over the period, where `data` do not hold it.

        Raises:
            InputError: the model has not been trained, or `climate` has other sites.
        """
        if self.period is None:
            raise InputError("the model has no period yet that normals are taken from: train it by pretrain")
        source = data if climate is None else climate
        if source.names != data.names:
            raise InputError(f"climate must hold the sites of the data in their order, {list(data.names)[:3]} first")
        first, last = (np.datetime64(d, "D") for d in self.period)
        inside = (source.dates >= first) & (source.dates <= last)
        values = values_of(source, self.variables)[:, torch.from_numpy(inside)]
        return normals_of(values, source.dates[inside], self.usual)

    @property
    def usual(self) -> Usual:
        """What is taken for normal where a site has no normals of its own."""
        return Usual(self.usual_climatology, self.usual_spread)

    def settle(self, usual: Usual, attributes: Tensor, period: tuple[object, object]) -> None:
        """Takes what a training begins with: its period, what is normal in it, and the scales of the attributes."""
        first, last = days_of(period)
        self.period = (first, last)
        self.usual_climatology: Tensor = usual.climatology
        self.usual_spread: Tensor = usual.spread
        self.scaling.fit(attributes)

    def known_of(self, attributes: Tensor, normals: Normals) -> Tensor:
        """What is known of places: attributes `(sites, inputs)` and the spread of their variables, `(sites, known)`."""
        spread = torch.where(normals.own, torch.log(normals.spread / self.usual_spread), 0.0)
        parts = [self.scaling(attributes.to(torch.float64)), spread, normals.own.to(torch.float64)]
        return torch.cat(parts, dim=1).to(torch.float32)

    def states(self, anomalies: Tensor, known: Tensor, season: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
        """What the recurrent units remember of past and future at each time, twice `(sites, times, width)`.

        Args:
            anomalies: `(sites, times, variables)`, NaN where not seen. known: see `known_of`.
            season: part of the year that has passed, `(sites, times)`. spacing: days between times.
        """
        place = (self.place(known) + _waves(self.spacing_map, spacing)).unsqueeze(1)
        angle = 2 * torch.pi * season.unsqueeze(2)
        season = torch.cat([angle.cos(), angle.sin()], dim=2).to(torch.float32)
        ahead = self.past(torch.tanh(self.token(torch.cat([_features(anomalies), season], 2)) + place))[0]
        turned = torch.cat([_features(anomalies.flip(1)), season.flip(1)], 2)
        behind = self.future(torch.tanh(self.token(turned) + place))[0].flip(1)
        return ahead, behind

    def anomaly(
        self, states: tuple[Tensor, Tensor], anomalies: Tensor, normal: Tensor, known: Tensor, lead: float
    ) -> Tensor:
        """Anomalies `lead` days after each time, `(sites, times, variables)`; with a lead they follow from the past alone.

        Args:
            states: as `states` gives them, of the same `anomalies`.
            normal: climatology of the target times in units of the spread, `(sites, times, variables)`.
        """
        past, future = states
        if lead > 0:
            future = torch.zeros_like(future)
        mixed = self.mixing(torch.cat([past, future, normal.to(torch.float32)], dim=2))
        mixed = torch.nn.functional.silu(mixed + (self.place(known) + _waves(self.lead_map, lead)).unsqueeze(1))
        mixed = torch.nn.functional.silu(self.between(mixed)) + mixed
        own, before, after = self.head(mixed).chunk(3, dim=2)
        out: Tensor = own + before * _last(anomalies)[0]
        return out if lead > 0 else out + after * _last(anomalies.flip(1))[0].flip(1)

    def save(self, path: str | Path) -> Path:
        """Writes settings, normals and weights as plain arrays and JSON; the file appears whole or not at all."""
        about: dict[str, Json] = {"format": FORMAT, "pydiffgeo": __version__, "variables": list(self.variables)}
        about |= {"inputs": list(self.inputs), "width": self.width}
        about["period"] = None if self.period is None else list(self.period)
        return write_archive(path, about, {k: v.detach().cpu().numpy() for k, v in self.state_dict().items()})

    @classmethod
    def load(cls, path: str | Path) -> SeriesModel:
        """Reads what `save` wrote; nothing in the file is run.

        Raises:
            DataError: the file is damaged, or no model of series.
        """
        try:
            about, arrays = read_archive(path)
            if about["format"] != FORMAT:
                raise ValueError("it has another format")
            model = cls(about["variables"], about["inputs"], width=about["width"])
            if about["period"] is not None:
                first, last = days_of(about["period"])
                model.period = (first, last)
            model.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
        # A file that holds something else fails in many ways.
        except Exception as error:
            raise DataError(f"{path}: is no model of series ({error})") from error
        return model


def _waves(layer: torch.nn.Linear, days: float) -> Tensor:
    """A number of days as cosines and sines of learnt multiples, and of a tenth of these, `(width,)`."""
    phase = layer(torch.full((1,), days, dtype=layer.weight.dtype))
    return torch.cat([phase.cos(), phase.sin(), (0.1 * phase).cos(), (0.1 * phase).sin()])


def _last(anomalies: Tensor) -> tuple[Tensor, Tensor]:
    """The last anomaly seen up to each time, 0 before the first, and the times since; `(sites, times, variables)` both."""
    seen = ~torch.isnan(anomalies)
    times = torch.arange(anomalies.shape[1]).view(1, -1, 1)
    at = torch.where(seen, times, -1).cummax(1).values
    last = torch.where(at >= 0, torch.nan_to_num(anomalies).gather(1, at.clamp(min=0)), 0.0)
    return last.to(torch.float32), torch.where(at >= 0, times - at, anomalies.shape[1]).to(torch.float32)


def _features(anomalies: Tensor) -> Tensor:
    """What the recurrent units see of each variable, `(sites, times, 5 x variables)`, from the present and the past."""
    last, since = _last(anomalies)
    present = torch.nan_to_num(anomalies).to(torch.float32)
    squeezed = torch.asinh(4 * present)
    seen = (~torch.isnan(anomalies)).to(torch.float32)
    return torch.cat([present, squeezed, seen, torch.asinh(4 * last), torch.exp(-since / 10)], dim=2)
