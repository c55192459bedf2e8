"""The configuration of a calibration: a TOML file, checked key by key. See `examples/calibrate_basin.toml`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ...calibration.objective import Prior, check_mean, check_priors
from ...calibration.strategy import Strategy
from ...calibration.strategy_table import A_PRIOR, as_prior, take_strategy
from ...errors import BoundsError, DataError, InputError, ModelError, UnknownNameError
from ...identify.findings import METHODS as METHODS_OF_UNCERTAINTY
from ...losses.measures import LOSSES
from ...model import Model, Parameter
from ...simulation.making import maker
from ...toml_table import (
    Days,
    Range,
    Table,
    as_count,
    as_date,
    as_days,
    as_number,
    as_one_of,
    as_plain,
    as_range,
    as_table,
    as_text,
    as_within,
    check_tables,
    read_toml,
    take_engine,
)
from ...transforms import Bounded, bounded
from ..data.data_source import DataSettings, take_data
from ..named_models import MODELS, basin_model, full_name


@dataclass(frozen=True)
class PeriodSettings:
    """First and last day of training, of the tuning period if there is one, and of evaluation.

    Training is preceded by `warmup` days; with `warmup_from="repeat"` those are not the ones before it but its
    own first days, run a first time. They are run `spinup` times.
    """

    train: Days
    tuning: Days | None
    evaluation: Days
    warmup: int
    warmup_from: str
    spinup: int


@dataclass(frozen=True)
class ModelSettings:
    """Which model, what is calibrated within which bounds and with what priors, what is fixed, and how the warm-up starts.

    An entry of `initial` is a number, or bounds between which the state is calibrated.
    """

    model: Model
    bounds: Mapping[str, Range]
    fixed: Mapping[str, float]
    initial: Mapping[str, float | Range]
    priors: Mapping[str, Prior]


@dataclass(frozen=True)
class SolveSettings:
    engine: str
    solver: str | None
    rtol: float
    atol: float


@dataclass(frozen=True)
class Settings:
    """A checked configuration; `text` is the file, `tables` what TOML makes of it.

    For `within` see `CalibrationResult.ensemble`, for `uncertainty` `identify.tell` ("none" leaves it out), for `even_years` `observe.even_years`.
    """

    path: Path
    data: DataSettings
    periods: PeriodSettings
    model: ModelSettings
    solve: SolveSettings
    strategy: Strategy
    loss: str
    even_years: float
    output: Path
    within: float
    uncertainty: str
    text: str
    tables: Mapping[str, object]


def read_settings(path: str | Path, overrides: Sequence[str] = (), *, code: bool = False) -> Settings:
    """Reads and checks a configuration; paths in it are relative to its folder. `overrides`: see `read_toml`, `code`: `take_model`.

    Raises:
        DataError: the file cannot be read, or a key is missing, unknown or wrong; names it.
    """
    path = Path(path)
    text, tables = read_toml(path, overrides)
    sections = ("data", "periods", "model", "solve", "optimiser", "output")
    check_tables(path, tables, sections, ("data", "periods", "output"))

    def table(name: str) -> Table:
        return Table(path, name, tables.get(name, {}))

    output = table("output")
    file = output.take("file", lambda v: path.parent / as_text(v), "the name of the result, a NetCDF file")
    within = output.take("within", lambda v: as_within(v, 0, 1e6), "a number that is not negative", 0.1)
    kinds = ("none", *METHODS_OF_UNCERTAINTY)
    expected = f"one of {', '.join(kinds)}"
    uncertainty = output.take("uncertainty", lambda v: as_one_of(v, kinds), expected, "none")
    output.finish()
    strategy, loss, even = _optimiser(table("optimiser"))
    model = take_model(table("model"), code=code)
    if model.priors:
        try:
            check_priors(loss, 1)
        except InputError as error:
            raise DataError(f"{path}: [model] priors cannot be used: {error}") from error
    of_data = table("data")
    data = take_data(of_data, path.parent)
    of_data.finish()
    periods, solve = _periods(table("periods")), take_solve(table("solve"))
    return Settings(path, data, periods, model, solve, strategy, loss, even, file, within, uncertainty, text, tables)


def _periods(t: Table) -> PeriodSettings:
    dates = "the first and the last day, such as [1980-10-01, 2000-09-30]"
    train = t.take("train", as_days, dates)
    evaluation = t.take("evaluation", as_days, dates)
    tuning = t.take("tuning", as_days, dates, None)
    ahead, ends = "training", train[1]
    if tuning is not None:
        if tuning[0] <= train[1]:
            raise t.fail("tuning", f"must begin after training ends on {train[1]}, got {tuning[0]}")
        ahead, ends = "the tuning period", tuning[1]
    if evaluation[0] <= ends:
        raise t.fail("evaluation", f"must begin after {ahead} ends on {ends}, got {evaluation[0]}")
    warmup = t.take("warmup", lambda v: _warmup(v, train[0]), f"a number of days, or a date before {train[0]}", 365)
    source = t.take("warmup_from", lambda v: as_one_of(v, ("record", "repeat")), '"record" or "repeat"', "record")
    if source == "repeat" and warmup > (train[1] - train[0]).days + 1:
        raise t.fail("warmup", f"repeats the first {warmup} days of training, which has fewer")
    spinup = t.take("spinup", lambda v: as_count(v, 1), "a whole number of at least 1", 1)
    t.finish()
    return PeriodSettings(train, tuning, evaluation, warmup, source, spinup)


def take_model(t: Table, *, code: bool = False) -> ModelSettings:
    """The model of the table `[model]`, and what of it is sought, given or known ahead.

    Args:
        code: whether `name = "my_package:MyModel"` may import that package, which runs code of its author.

    Raises:
        DataError: a key is wrong; names it.
    """
    model = _basin_model(t, code)
    name = model.name
    parameters = {p.name: p for p in model.parameters}
    states = {s.name: s for s in model.all_states}
    bounds = t.take("bounds", lambda v: as_table(v, as_range), "a table of [low, high]", {})
    fixed = t.take("fixed", lambda v: as_table(v, as_number), "a table of numbers", {})
    initial = t.take("initial", lambda v: as_table(v, _start), "a table of numbers or of [low, high]", {})
    priors = t.take("priors", lambda v: as_table(v, as_prior), f"a table of {A_PRIOR}", {})
    ranged = {k: v for k, v in initial.items() if isinstance(v, tuple)}
    calibrated = [k for k in (*parameters, *ranged) if k not in fixed]
    _check_names(t, "bounds", bounds, f"{name} has", parameters)
    _check_names(t, "priors", priors, "calibrated are", calibrated)
    _check_names(t, "fixed", fixed, f"{name} has", parameters)
    _check_names(t, "initial", initial, f"{name} has", states)
    for entry in sorted({*bounds} & {*fixed}):
        raise t.fail(f"fixed.{entry}", "has bounds as well; give one of the two")
    if len(fixed) == len(parameters) and not any(isinstance(v, tuple) for v in initial.values()):
        raise t.fail("fixed", "leaves nothing to calibrate")
    for entry, p in parameters.items():
        _check_parameter(t, p, bounds.get(entry), fixed.get(entry))
    for entry, start in initial.items():
        (low, high), state = start if isinstance(start, tuple) else (start, start), states[entry]
        if low < state.low or high > state.high:
            raise t.fail(f"initial.{entry}", f"must lie in [{state.low:g}, {state.high:g}], got {start}")
    for entry, prior in priors.items():
        item = Bounded(entry, *ranged[entry]) if entry in ranged else bounded(parameters[entry], bounds.get(entry))
        try:
            check_mean(prior, item, parameters.get(entry))
        except BoundsError as error:
            raise t.fail(f"priors.{entry}", f"cannot be used: {error}") from error
    t.finish()
    return ModelSettings(model, bounds, fixed, initial, priors)


def _basin_model(t: Table, code: bool) -> Model:
    name = t.take("name", _known_model, f"one of {', '.join(MODELS)}, or my_package:MyModel", "ExpHydro")
    options = t.take("options", lambda v: as_table(v, as_plain), "a table of numbers", {})
    try:
        if ":" not in name:
            return basin_model(name, **options)
        own = maker(name, code=code, where=f"{t.file}: [{t.name}] name", folder=t.file.parent)(**options)
    except (InputError, ModelError, TypeError) as error:
        raise t.fail("options", f"cannot be used: {error}") from error
    if not isinstance(own, Model) or "runoff" not in [f.name for f in own.fluxes] or own.time_unit != "d":
        raise t.fail("name", f"{name!r} makes no model in days with the flux 'runoff'")
    return own


def _known_model(value: object) -> str:
    if isinstance(value, str) and ":" in value:
        return value
    try:
        return full_name(value)
    except UnknownNameError:
        raise ValueError from None


def _check_names(t: Table, key: str, entries: Iterable[str], what: str, names: Collection[str]) -> None:
    for entry in entries:
        if entry not in names:
            raise t.fail(f"{key}.{entry}", f"is unknown; {what} {', '.join(names)}")


def _check_parameter(t: Table, p: Parameter, bounds: Range | None, fixed: float | None) -> None:
    if fixed is not None:
        if not p.inside(torch.tensor(fixed, dtype=torch.float64)):
            raise t.fail(f"fixed.{p.name}", f"must lie in {p.interval} {p.unit}, got {fixed:g}")
        return
    try:
        bounded(p, bounds)
    except BoundsError as error:
        raise t.fail(f"bounds.{p.name}", f"cannot be used: {error}") from error


def take_solve(t: Table) -> SolveSettings:
    """How the basins of a table `[solve]` are solved; raises `DataError` that names the key."""
    engine, solver = take_engine(t)
    rtol = t.take("rtol", lambda v: as_within(v, 1e-14, 1), "a positive number below 1", 1e-4)
    atol = t.take("atol", lambda v: as_within(v, 1e-14, 1), "a positive number below 1", 1e-4)
    t.finish()
    return SolveSettings(engine, solver, rtol, atol)


def _optimiser(t: Table) -> tuple[Strategy, str, float]:
    loss = t.take("loss", lambda v: as_one_of(v, LOSSES), f"one of {', '.join(LOSSES)}", "nse")
    strategy = take_strategy(t, loss, window=1826)
    even = t.take("even_years", lambda v: as_within(v, 0, 1), "a number from 0 to 1", 0.0)
    t.finish()
    if even and loss != "nse":
        raise t.fail("even_years", f"needs the loss nse, not {loss}")
    return strategy, loss, even


def _start(value: object) -> float | Range:
    return as_range(value) if isinstance(value, list) else as_number(value)


def _warmup(value: object, train: dt.date) -> int:
    days = as_count(value, 0) if isinstance(value, (int, float)) else as_count((train - as_date(value)).days, 0)
    if days >= train.toordinal():  # before the first day there is
        raise ValueError
    return days
