"""Functions are traced anew wherever anything they can see may have changed, and only there."""

from __future__ import annotations

import functools
import random
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from cases import CASES
from one_state import one_state

import pydiffgeo as dg
from pydiffgeo.engines.ir import traced_model
from pydiffgeo.engines.ir.captured import captured
from pydiffgeo.engines.ir.structure import fingerprint
from pydiffgeo.engines.ir.traced_model import trace_model

settings = sys.modules["settings_of_this_test"] = types.ModuleType("settings_of_this_test")
TABLE = {"rate": 1.0}
CALLS = [0.0]


def rate(cell: Any) -> Any:
    return cell.y


@dataclass(frozen=True)
class Law:
    slope: float
    parts: tuple[Any, ...] = ()
    shared: ClassVar[list[float]] = [1.0]

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", [1.0])

    def of(self, y: Any) -> Any:
        return self.steep() * y

    def steep(self) -> float:
        return self.slope + sum(part[0] for part in self.parts)

    @property
    def double(self) -> float:
        return 2 * self.slope

    def all_of_it(self) -> float:
        return self.slope * self.shared[0] * self.hidden[0]  # type: ignore[attr-defined]

    def __call__(self, y: Any) -> Any:
        return self.slope * y


class Pair(NamedTuple):
    first: float

    def of(self, y: Any) -> Any:
        return TABLE["rate"] * self.first * y


class Share(float):
    def of(self, y: Any) -> Any:
        return TABLE["rate"] * self * y


def model(source: Callable[..., Any]) -> dg.Model:
    return one_state(source)


def scaled(cell: Any, forcing: Any, *, by: float) -> dict[str, Any]:
    return {"y": by * cell.y}


def with_default(cell: Any, forcing: Any, by: float = 1.0) -> dict[str, Any]:
    return {"y": by * cell.y}


def ways() -> dict[str, tuple[Callable[..., Any], Callable[[], Any]]]:
    """What is seen -> a local function that sees it, and what changes it without a word to the model."""
    number, law, inner, box = 1.0, Law(1.0), Law(1.0, ([1.0],)), [1.0]
    pair, share = Pair(1.0), Share(1.0)
    part = functools.partial(scaled, by=1.0)
    settings.rate, settings.sub = 1.0, types.ModuleType("sub")
    settings.sub.rate = 1.0
    TABLE["rate"] = 1.0

    def helper(y: Any) -> Any:
        return number * y

    def set_number() -> None:
        nonlocal number
        number = 2.0

    def counts(c: Any, f: Any) -> dict[str, Any]:
        CALLS[0] += 1
        return {"y": CALLS[0] * c.y}

    def imports(c: Any, f: Any) -> dict[str, Any]:
        import settings_of_this_test

        return {"y": settings_of_this_test.rate * c.y}

    return {
        "a number of an enclosing function, through a helper": (lambda c, f: {"y": helper(c.y)}, set_number),
        "a global function": (lambda c, f: {"y": rate(c)}, lambda: globals().update(rate=lambda c: 2 * c.y)),
        "the code of a helper": (
            lambda c, f: {"y": helper(c.y)},
            lambda: setattr(helper, "__code__", (lambda y: number + y).__code__),
        ),
        "a default": (with_default, lambda: setattr(with_default, "__defaults__", (2.0,))),
        "an attribute of a module": (lambda c, f: {"y": settings.rate * c.y}, lambda: setattr(settings, "rate", 2.0)),
        "one of a module of a module": (
            lambda c, f: {"y": settings.sub.rate * c.y},
            lambda: setattr(settings.sub, "rate", 2.0),
        ),
        "an entry": (lambda c, f: {"y": TABLE["rate"] * c.y}, lambda: TABLE.update(rate=2.0)),
        "entries": (lambda c, f: {"y": sum(TABLE.values()) * c.y}, lambda: TABLE.update(more=2.0)),
        "a field of what is frozen": (lambda c, f: {"y": law.of(c.y)}, lambda: object.__setattr__(law, "slope", 2.0)),
        "one behind a property": (lambda c, f: {"y": law.double * c.y}, lambda: object.__setattr__(law, "slope", 2.0)),
        "one behind a call": (lambda c, f: {"y": law(c.y)}, lambda: object.__setattr__(law, "slope", 2.0)),
        "a list of its class": (lambda c, f: {"y": law.all_of_it() * c.y}, lambda: Law.shared.__setitem__(0, 2.0)),
        "an attribute that is no field": (
            lambda c, f: {"y": law.all_of_it() * c.y},
            lambda: law.hidden.__setitem__(0, 2.0),  # type: ignore[attr-defined]
        ),
        "a method of a named tuple": (lambda c, f: {"y": pair.of(c.y)}, lambda: TABLE.update(rate=2.0)),
        "a method of a number": (lambda c, f: {"y": share.of(c.y)}, lambda: TABLE.update(rate=2.0)),
        "chance in torch": (lambda c, f: {"y": torch.rand(()) * c.y}, lambda: None),
        "a method": (lambda c, f: {"y": law.of(c.y)}, lambda: setattr(Law, "steep", lambda self: 5.0)),
        "a list within what is frozen": (lambda c, f: {"y": inner.of(c.y)}, lambda: inner.parts[0].__setitem__(0, 2.0)),
        "a list of an enclosing function": (lambda c, f: {"y": box[0] * c.y}, lambda: box.__setitem__(0, 2.0)),
        "a keyword": (part, lambda: part.keywords.update(by=2.0)),
        "a name of Python's own": (lambda c, f: {"y": abs(-2.0) * c.y}, lambda: globals().update(abs=lambda x: x)),
        "what a dictionary of globals holds": (
            lambda c, f: {"y": globals()["TABLE"]["rate"] * c.y},
            lambda: TABLE.update(rate=2.0),
        ),
        "what it imports": (imports, lambda: setattr(settings, "rate", 2.0)),
        "how often it was called": (counts, lambda: None),
        "the time": (lambda c, f: {"y": time.perf_counter() * c.y}, lambda: None),
        "chance": (lambda c, f: {"y": random.random() * c.y}, lambda: None),
    }


@pytest.fixture(autouse=True)
def restored() -> Any:
    kept, steep = dict(globals()), Law.steep
    yield
    for name in {*globals()} - {*kept}:
        del globals()[name]
    globals().update(kept)
    Law.steep, with_default.__defaults__ = steep, (1.0,)
    TABLE.pop("more", None)
    Law.shared[0] = 1.0


@pytest.mark.parametrize("what", ways())
def test_a_change_of_whatever_a_function_sees_is_seen(what: str) -> None:
    source, change = ways()[what]
    made = model(source)
    before = trace_model(made).key, fingerprint(made)
    change()
    assert trace_model(made).key != before[0]
    assert fingerprint(made) != before[1]


@pytest.mark.parametrize("what", ways())
@pytest.mark.parametrize("where", ["link", "region"])
def test_a_change_of_what_a_coupled_model_sees_is_seen(what: str, where: str) -> None:
    source, change = ways()[what]
    still = lambda c, f: {"y": -c.y}  # noqa: E731
    in_link, in_region = (source, still) if where == "link" else (still, source)
    link = dg.Link("q", "a", "b", [(0, 0)], lambda left, right, face: {"y->y": in_link(left, None)["y"]})
    made = dg.couple("Both", {"a": model(in_region), "b": model(still)}, [link])
    before = trace_model(made).key, fingerprint(made)
    change()
    assert trace_model(made).key != before[0]
    assert fingerprint(made) != before[1]


def test_links_are_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    link = dg.Link("q", "a", "b", [(0, 0)], lambda left, right, face: {"y->y": left.y - right.y})
    still = model(lambda c, f: {"y": -c.y})
    made = dg.couple("Both", {"a": still, "b": still}, [link])
    first = trace_model(made)
    monkeypatch.setattr(traced_model, "trace", lambda *arguments: pytest.fail("traced anew"))
    assert trace_model(made) is first


@pytest.mark.parametrize("name", [*CASES])
def test_ready_models_are_traced_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CASES[name].model()
    first = trace_model(made)
    monkeypatch.setattr(traced_model, "_trace_all", lambda model: pytest.fail("traced anew"))
    assert trace_model(made) is first


def test_a_function_that_finds_a_root_is_traced_once() -> None:
    limit = 2.0

    def closure(cell: Any) -> dict[str, Any]:
        return {"c": dg.implicit(lambda c: c**3 + limit * c - cell.x, cell.x)}

    seen = captured([closure])
    assert seen is not None
    assert seen.unchanged()
    limit = 3.0
    assert not seen.unchanged()
