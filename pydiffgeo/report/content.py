"""Finds by name what a result holds. All of it is optional, and any of it may be of someone else's making."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, SupportsFloat

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..arrays import Array
from ..engines.base import Status
from ..errors import DataError
from ..losses.measures import MEASURES

DataArray = xr.DataArray
SITES = ("basin", "site", "gauge", "gauge_id", "station", "member")
PLACES = (("longitude", "latitude"), ("gauge_lon", "gauge_lat"), ("lon", "lat"))
RAIN = ("precipitation", "rain", "rainfall", "prcp")
# What the long name of a parameter ends in that was found from data.
FOUND = ("(calibrated)", "(learnt)")
# Ahead of a measure, where it is that of the mean of an ensemble.
ENSEMBLE = "ensemble_"
FINE = ("ok", Status.SUCCESS.value)
# Measures as tables and figures call them.
SHORT = {name: name.upper() for name in ("nse", "kge", "rmse", "mse", "mae", "fhv", "fms", "flv")}
SHORT |= {"log_nse": "log-NSE", "kge_2012": "KGE 2012", "percent_bias": "bias"}


class Pair(NamedTuple):
    """A series that was observed and simulated.

    `prior` is the simulation before calibration, `ensemble` the mean of those that are nearly as good as the best.
    """

    name: str
    observed: xr.DataArray
    simulated: xr.DataArray
    prior: xr.DataArray | None
    ensemble: xr.DataArray | None


class Profile(NamedTuple):
    """A state over time and depth, and where it was measured, if it was."""

    name: str
    values: xr.DataArray
    depth: xr.DataArray
    probes: xr.DataArray | None


class Fitted(NamedTuple):
    """A parameter of each site: values `(site,)`, those before calibration, bounds of the search, and standard errors."""

    values: Array
    prior: Array | None
    bounds: tuple[float, float] | None
    unit: str
    text: str
    errors: Array | None


def text_of(value: object) -> str:
    """A label or an attribute as text."""
    value = value.item() if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0 else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def unit_of(array: xr.DataArray) -> str:
    """What the attribute says; "1" where it is absent."""
    return text_of(array.attrs.get("units", "1"))


def title_of(array: xr.DataArray) -> str:
    """The long name, else the name."""
    return text_of(array.attrs.get("long_name", str(array.name).replace("_", " ")))


def short_name(measure: str) -> str:
    """A measure as tables and figures call it."""
    if measure.startswith(ENSEMBLE):
        return f"{short_name(measure.removeprefix(ENSEMBLE))} of the ensemble"
    return SHORT.get(measure, measure.replace("_", " "))


def _number(array: xr.DataArray) -> bool:
    return array.dtype.kind in "fiu"


@dataclass(frozen=True, eq=False)
class Content:
    """What is in a result.

    Attributes:
        file: where it came from, for messages.
        data: the dataset, decoded.
    """

    file: str
    data: xr.Dataset

    def ordered(self, array: xr.DataArray, *dims: str) -> NDArray[np.generic]:
        """Values with these dimensions; one that the array lacks has length 1."""
        missing = [d for d in dims if d not in array.dims]
        return np.asarray(array.expand_dims(missing).transpose(*dims).values)

    def _numbers(self) -> Iterator[tuple[str, xr.DataArray]]:
        """The variables that hold numbers."""
        return ((str(k), v) for k, v in self.data.data_vars.items() if _number(v))

    @cached_property
    def site(self) -> str:
        """The dimension of the sites; "site" where there is a single one."""
        sizes = self.data.sizes
        usual = [d for d in SITES if d in sizes]
        other = [str(d) for p in self.pairs for d in p.observed.dims if d != "time"]
        return (usual or other or ["site"])[0]

    @cached_property
    def sites(self) -> list[str]:
        """The labels of the sites."""
        if self.site in self.data.coords and self.data[self.site].dims == (self.site,):
            return [text_of(v) for v in self.data[self.site].values]
        count = self.data.sizes.get(self.site)
        return [str(i) for i in range(count)] if count is not None else [self._only]

    @property
    def _only(self) -> str:
        """What the one site is called."""
        return text_of(self.data.attrs.get("basin", self.data.attrs.get("site", "site")))

    @cached_property
    def pairs(self) -> list[Pair]:
        """Series in time that were observed and simulated; of several seeds, the median is shown."""
        pairs = []
        for key in map(str, self.data.data_vars):
            name, observed = key.removesuffix("_observed"), self.data[key]
            if name == key or f"{name}_simulated" not in self.data or "time" not in observed.dims:
                continue
            simulated = self.data[f"{name}_simulated"]
            if "seed" in simulated.dims:
                simulated = simulated.median("seed", keep_attrs=True)
            fits = {*simulated.dims} == {*observed.dims} and len(observed.dims) <= 2
            if fits and _number(observed) and _number(simulated):
                prior, ensemble = (self._like(observed, f"{name}_{kind}") for kind in ("prior", "ensemble"))
                pairs.append(Pair(name, observed, simulated, prior, ensemble))
        return pairs

    def _like(self, observed: xr.DataArray, key: str) -> xr.DataArray | None:
        """The series of that name, if it has the dimensions of what was observed."""
        array = self.data.get(key)
        return array if array is not None and {*array.dims} == {*observed.dims} and _number(array) else None

    def times(self, dimension: str = "time") -> tuple[NDArray[np.generic], str | None]:
        """Dates, or numbers and their unit."""
        count = self.data.sizes[dimension]
        if dimension not in self.data.coords:
            return np.arange(count), "step"
        axis = self.data[dimension]
        if axis.dtype.kind in "Mfiu":
            return np.asarray(axis.values), None if axis.dtype.kind == "M" else unit_of(axis)
        return np.arange(count), "step"

    @cached_property
    def periods(self) -> dict[str, tuple[np.datetime64, np.datetime64] | None]:
        """Name -> first and last day, or None where they are not said."""
        if "period" not in self.data.sizes:
            return {}
        count = self.data.sizes["period"]
        labels = self.data["period"].values if "period" in self.data.coords else range(count)
        ends: list[list[np.datetime64 | None]] = []
        for key in ("period_start", "period_end"):
            stated = key in self.data and self.data[key].dims == ("period",)
            ends.append([_date(v) for v in self.data[key].values] if stated else [None] * count)
        named = zip(map(text_of, labels), *ends, strict=True)
        return {k: (a, b) if a is not None and b is not None else None for k, a, b in named}

    def period(self, kind: str) -> int | None:
        """Place of the "train" or "evaluation" period; the last of several is an evaluation by any name."""
        starts = {"train": ("train", "calib"), "evaluation": ("valid", "test", "eval")}[kind]
        last = len(self.periods) - 1 if kind == "evaluation" and self.periods else None
        return next((i for i, name in enumerate(self.periods) if name.lower().startswith(starts)), last)

    @cached_property
    def scores(self) -> dict[str, xr.DataArray]:
        """Measure -> array whose dimensions are among seed, site and period."""
        scores = {}
        for key, array in self._numbers():
            if "period" in array.dims and {*array.dims} <= {"seed", self.site, "period"}:
                scores[key] = array
        order = {name: i for i, name in enumerate(MEASURES)}

        def place(name: str) -> tuple[int, str, bool]:
            # What an ensemble scores stands beside what the best of it does.
            measure = name.removeprefix(ENSEMBLE)
            return order.get(measure, len(order)) if measure in scores else len(order), measure, name != measure

        return {k: scores[k] for k in sorted((k for k in scores if not k.startswith("baseline_")), key=place)}

    def score(self, measure: str) -> Array:
        """`(seed, site, period)`, with one seed where the file has none."""
        return self.ordered(self.scores[measure], "seed", self.site, "period").astype(float)

    @cached_property
    def baselines(self) -> dict[str, dict[str, Array]]:
        """Measure -> name of a baseline -> `(site, period)`."""
        baselines: dict[str, dict[str, Array]] = {}
        for measure in self.scores:
            array = self.data.get(f"baseline_{measure}")
            if array is None or not {"baseline", "period"} <= {*array.dims} <= {"baseline", self.site, "period"}:
                continue
            labels = self.data["baseline"].values if "baseline" in self.data.coords else range(array.sizes["baseline"])
            values = self.ordered(array, "baseline", self.site, "period").astype(float)
            baselines[measure] = {text_of(k): v for k, v in zip(labels, values, strict=True)}
        return baselines

    @cached_property
    def failed(self) -> dict[str, str]:
        """Site -> why it has no result."""
        if "status" not in self.data or not {*self.data["status"].dims} <= {self.site}:
            return {}
        status = [text_of(v) for v in self.ordered(self.data["status"], self.site)]
        return {k: v for k, v in zip(self.sites, status, strict=True) if v.strip() not in (*FINE, "")}

    @cached_property
    def parameters(self) -> dict[str, Fitted]:
        """Name -> parameter of each site, fixed ones among them."""
        parameters = {}
        for key, array in self._numbers():
            text = title_of(array)
            if not text.endswith((*FOUND, "(fixed)")) or not {*array.dims} <= {"seed", self.site}:
                continue
            before = self.data.get(f"{key}_prior")
            fits = before is not None and {*before.dims} <= {"seed", self.site} and _number(before)
            low, high = (_float(array.attrs.get(k, "")) for k in ("valid_min", "valid_max"))
            bounds = (low, high) if low is not None and high is not None and low < high else None
            prior = self._per_site(before) if fits and before is not None else None
            spread = self.data.get(f"{key}_standard_error")
            errors = None if spread is None or not {*spread.dims} <= {self.site} else self._per_site(spread)
            parameters[key] = Fitted(self._per_site(array), prior, bounds, unit_of(array), text, errors)
        return parameters

    def _per_site(self, array: xr.DataArray) -> Array:
        """`(site,)`: the median over the seeds, where there are several."""
        values = self.ordered(array, "seed", self.site).astype(float)
        somewhere = np.isfinite(values).any(0)
        return np.where(somewhere, np.nanmedian(np.where(somewhere, values, 0.0), 0), np.nan)

    @cached_property
    def losses(self) -> dict[str, xr.DataArray]:
        """Kind -> `(curve, step)`."""
        losses = {}
        for key, array in self._numbers():
            if key.endswith("loss") and "step" in array.dims and len(array.dims) <= 2:
                losses["training loss" if key == "loss" else key.replace("_", " ")] = array.transpose(..., "step")
        return losses

    @cached_property
    def places(self) -> tuple[Array, Array] | None:
        """Longitude and latitude of the sites."""
        for names in PLACES:
            if all(n in self.data and self.data[n].dims == (self.site,) and _number(self.data[n]) for n in names):
                east, north = (np.asarray(self.data[n].values, float) for n in names)
                return (east, north) if (np.isfinite(east) & np.isfinite(north)).any() else None
        return None

    @cached_property
    def profiles(self) -> list[Profile]:
        """States over time and depth; that of water first."""
        if "depth" not in self.data or self.data["depth"].ndim != 1 or not _number(self.data["depth"]):
            return []
        depth = self.data["depth"]
        profiles = []
        for key, array in self._numbers():
            if {"time", *depth.dims} <= {*array.dims} <= {"time", *depth.dims, self.site}:
                profiles.append(Profile(key, array, depth, self._probes(key)))
        return sorted(profiles, key=lambda p: (p.name != "theta", p.probes is None))

    def _probes(self, name: str) -> xr.DataArray | None:
        """Measurements `(when, probe)` of a state, at `probe_depth`."""
        if "probe_depth" not in self.data or self.data["probe_depth"].ndim != 1:
            return None
        probe = self.data["probe_depth"].dims[0]
        for key in (f"{name}_observed", f"observed_{name}"):
            array = self.data.get(key)
            if array is not None and array.ndim == 2 and probe in array.dims and _number(array):
                return array.transpose(..., probe)
        return None

    @cached_property
    def fluxes(self) -> dict[str, xr.DataArray]:
        """Daily series in mm d-1 of each site, and amounts over intervals."""
        fluxes = {}
        for key, array in self._numbers():
            rate = {*array.dims} <= {"time", self.site} and "time" in array.dims and unit_of(array) == "mm d-1"
            amount = "interval" in array.dims and "sum" in text_of(array.attrs.get("cell_methods", ""))
            if rate or (amount and {*array.dims} <= {"interval", self.site}):
                fluxes[key] = array
        return fluxes

    @cached_property
    def closure(self) -> Array | None:
        """Largest closure error of each site, `(site,)`."""
        array = self.data.get("balance_error")
        fits = array is not None and {*array.dims} <= {self.site} and _number(array)
        return self.ordered(array, self.site).astype(float) if fits and array is not None else None

    def series(self, array: xr.DataArray, site: int) -> Array:
        """One site, or what all sites have in common, `(time,)`."""
        return self.ordered(array, self.site, "time")[site if self.site in array.dims else 0].astype(float)

    def rain(self, pair: Pair) -> xr.DataArray | None:
        """Rain with the dimensions of what was observed."""
        candidates: Iterator[xr.DataArray] = (self.data[k] for k in RAIN if k in self.data)
        return next((a for a in candidates if {*a.dims} == {*pair.observed.dims} and _number(a)), None)

    def place(self, site: str) -> int:
        """Number of a site by its label.

        Raises:
            DataError: there is none of that name.
        """
        if site not in self.sites:
            shown = ", ".join(self.sites[:10]) + (", ..." if len(self.sites) > 10 else "")
            raise DataError(f"{self.file}: there is no site {site!r}; it has {shown}")
        return self.sites.index(site)


def _date(value: object) -> np.datetime64 | None:
    """A date or its text as a day; None where it is none."""
    try:
        text = value if isinstance(value, np.datetime64) else text_of(value)
        date: np.datetime64 = np.asarray([text]).astype("datetime64[D]")[0]
    except ValueError:
        return None
    return None if np.isnat(date) else date


def _float(value: SupportsFloat | str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
