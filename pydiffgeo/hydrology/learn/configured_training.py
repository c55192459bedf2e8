"""The configuration of a training: a TOML file, checked key by key. See `pydiffgeo init --train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from ...checks import is_number, is_whole
from ...errors import DataError, InputError
from ...nn.network import SCALINGS
from ...nn.training import Training
from ...toml_table import (
    Days,
    Range,
    Table,
    as_count,
    as_date,
    as_days,
    as_number,
    as_one_of,
    as_table,
    as_text,
    check_tables,
    read_toml,
)
from ..calibrate.settings import ModelSettings, SolveSettings, take_model, take_solve
from ..data.data_source import DataSettings, as_labels, take_data

TABLES = ("data", "periods", "model", "network", "training", "solve", "output")
# Of `Training`, what other tables say, or nothing may.
ELSEWHERE = ("warmup", "tuning", "settings", "seed")


@dataclass(frozen=True)
class NetworkSettings:
    """What `nn.ParameterNetwork` is made with, besides the model and what is fixed or sought; one network for each of `seeds`."""

    inputs: tuple[str, ...]
    varying: tuple[str, ...] = ()
    weather: tuple[str, ...] = ()
    reference: Days | None = None
    hidden: tuple[int, ...] = (32,)
    memory: int = 16
    scaling: str = "standard"
    start: Mapping[str, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class LearningSettings:
    """A checked configuration of a training, of the shape of its file.

    Attributes:
        data: where the basins are. attributes: a table of attributes besides, with the basins in its first column.
        held_out: basins that are predicted and not trained on; or how many, drawn at random by `held_out_seed`.
        train, tuning, evaluation: first and last day of each period; `tuning` follows on `train`, or is None.
        warmup: days solved ahead of what is compared.
        model, network, training, solve: what is learnt, by what, and how. `initial` of the model with bounds is learnt too.
        output: the result, NetCDF. text: the file, kept with the result.
    """

    path: Path
    data: DataSettings
    attributes: Path | None
    held_out: tuple[str, ...] | int
    held_out_seed: int
    train: Days
    tuning: Days | None
    evaluation: Days
    warmup: int
    model: ModelSettings
    network: NetworkSettings
    training: Training
    solve: SolveSettings
    output: Path
    text: str = ""


def read_learning(path: str | Path, *, overrides: Sequence[str] = (), code: bool = False) -> LearningSettings:
    """Reads and checks the configuration of a training; paths in it are relative to its folder.

    Args:
        overrides: `key=value` each, which come before what the file says, such as `training.steps=10`.
        code: whether `[model] name = "my_package:MyModel"` may import that package, which runs code of its author.

    Raises:
        DataError: the file cannot be read, or a key is missing, unknown or wrong; names file, table and key.
    """
    path = Path(path)
    text, tables = read_toml(path, overrides)
    check_tables(path, tables, TABLES, ("data", "periods", "network", "output"))

    def table(name: str) -> Table:
        return Table(path, name, tables.get(name, {}))

    output = table("output")
    file = output.take("file", lambda v: path.parent / as_text(v), "the name of the result, a NetCDF file")
    output.finish()
    of_model = table("model")
    model = take_model(of_model, code=code)
    if model.priors:
        raise of_model.fail("priors", "do not apply to what a network gives")
    data, attributes, held_out, seed = _data(table("data"))
    train, tuning, evaluation, warmup = _periods(table("periods"))
    network, solve = _network(table("network")), take_solve(table("solve"))
    training = _training(table("training"), model, solve, warmup, tuning)
    return LearningSettings(
        path,
        data,
        attributes,
        held_out,
        seed,
        train,
        tuning,
        evaluation,
        warmup,
        model,
        network,
        training,
        solve,
        file,
        text,
    )


def _data(t: Table) -> tuple[DataSettings, Path | None, tuple[str, ...] | int, int]:
    data = take_data(t, t.file.parent, optional=True)
    attributes = t.take("attributes", lambda v: t.file.parent / as_text(v), "the path of a CSV file", None)
    expected = "a list of basin identifiers, or how many are drawn"
    held_out = t.take("held_out", lambda v: as_labels(v) if isinstance(v, list) else as_count(v, 0), expected, 0)
    seed = t.take("held_out_seed", lambda v: as_count(v, 0), "a whole number of at least 0", 0)
    t.finish()
    return data, attributes, held_out, seed


def _periods(t: Table) -> tuple[Days, Days | None, Days, int]:
    dates = "the first and the last day, such as [1980-10-01, 2000-09-30]"
    train = t.take("train", as_days, dates)
    evaluation = t.take("evaluation", as_days, dates)
    tuning = t.take("tuning", as_days, dates, None)
    warmup = t.take("warmup", lambda v: as_count(v, 0), "a number of days", 365)
    t.finish()
    if tuning is not None and (tuning[0] - train[1]).days != 1:
        raise t.fail("tuning", f"must begin on the day after training ends on {train[1]}, got {tuning[0]}")
    ends = (tuning or train)[1]
    if evaluation[0] <= ends:
        raise t.fail("evaluation", f"must begin after {ends}, got {evaluation[0]}")
    return train, tuning, evaluation, warmup


def _network(t: Table) -> NetworkSettings:
    names = "a list of names, each once"
    inputs = t.take("inputs", as_labels, f"{names}: attributes of the basins")
    varying = t.take("varying", as_labels, f"{names}: parameters", ())
    weather = t.take("weather", as_labels, f"{names}: forcings", ())
    reference = t.take("reference", _reference, "the first and the last day of a period", None)
    hidden = t.take("hidden", lambda v: _counts(v, 1), "a list of widths, such as [32]", (32,))
    memory = t.take("memory", lambda v: as_count(v, 1), "a whole number of at least 1", 16)
    scaling = t.take("scaling", lambda v: as_one_of(v, SCALINGS), f"one of {', '.join(SCALINGS)}", "standard")
    start = t.take("start", lambda v: as_table(v, as_number), "a table of numbers", {})
    seeds = t.take("seeds", lambda v: _counts(v, 0), "a list of whole numbers, one for each network", (0,))
    t.finish()
    if len({*seeds}) < len(seeds) or not seeds:
        raise t.fail("seeds", f"must be a list of different numbers, got {list(seeds)}")
    return NetworkSettings(inputs, varying, weather, reference, hidden, memory, scaling, start, seeds)


def _reference(value: object) -> Days:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError
    return as_date(value[0]), as_date(value[1])


def _counts(value: object, least: int) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(as_count(v, least) for v in value)


def _training(t: Table, model: ModelSettings, solve: SolveSettings, warmup: int, tuning: Days | None) -> Training:
    """The keys are those of `nn.Training` but for what `[periods]`, `[solve]` and the seeds of `[network]` say."""
    given: dict[str, object] = {}
    for f in fields(Training):
        if f.name in ELSEWHERE:
            continue
        kind = type(f.default)
        expected = {int: "a whole number", float: "a number", str: "text"}[kind]
        given[f.name] = t.take(f.name, lambda v, kind=kind: _plain(v, kind), expected, f.default)
    t.finish()
    days = 0 if tuning is None else (tuning[1] - tuning[0]).days + 1
    starts = {k: v for k, v in model.initial.items() if not isinstance(v, tuple)}
    settings = {
        "engine": solve.engine,
        "solver": solve.solver,
        "rtol": solve.rtol,
        "atol": solve.atol,
        "initial": starts,
    }
    try:
        return Training(warmup=warmup, tuning=days, settings=settings, **given)  # type: ignore[arg-type]
    except InputError as error:
        raise DataError(f"{t.file}: [{t.name}] {error}") from error


def _plain(value: object, kind: type) -> object:
    good = is_whole(value) if kind is int else is_number(value) if kind is float else isinstance(value, str)
    if not good or isinstance(value, bool):
        raise ValueError
    return value


def learnt_bounds(model: ModelSettings) -> dict[str, Range]:
    """Initial values that are learnt, with their bounds."""
    return {k: v for k, v in model.initial.items() if isinstance(v, tuple)}
