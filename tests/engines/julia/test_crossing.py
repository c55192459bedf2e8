"""What Python hands over to Julia, and what it makes of the answers; no Julia is needed for either."""

from __future__ import annotations

import ctypes
import gc
import struct
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from pydiffgeo.engines.julia.crossing import (
    FAILURE,
    HELD,
    LENT,
    NOTHING,
    NUMBER,
    NUMBERS,
    TEXT,
    TRUTH,
    WHOLE,
    WHOLES,
    Held,
    Package,
    evaluated,
)
from pydiffgeo.errors import EngineError


class Julia:
    """A function of C that hears calls, with the texts and vectors that they point at, and gives the answers it was told to."""

    def __init__(self, *answers: Sequence[int]) -> None:
        self.heard: list[list[object]] = []
        self.addresses: list[int] = []
        self.answers = list(answers)
        self._function = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self._call)
        self.asked = 0
        self.package = Package(ctypes.cast(self._function, ctypes.c_void_p).value or 0, self._module)

    def _module(self) -> Julia:
        self.asked += 1
        return self

    def _call(self, where: int, count: int) -> None:
        words = (ctypes.c_int64 * max(3 * count, 11)).from_address(where)
        self.heard.append([self._value(*words[i : i + 3]) for i in range(0, 3 * count, 3)])
        answer = self.answers.pop(0)
        words[: len(answer)] = answer

    def _value(self, kind: int, a: int, b: int) -> object:
        self.addresses.append(a)
        if kind == TEXT:
            return ctypes.string_at(a, b).decode()
        if kind in (WHOLES, NUMBERS, LENT):
            number = ctypes.c_int64 if kind == WHOLES else ctypes.c_double
            return list((number * b).from_address(a)) if b else []
        if kind == HELD:
            return f"held {a}"
        return {WHOLE: a, TRUTH: a != 0, NUMBER: struct.unpack("d", struct.pack("q", a))[0]}[kind]


def test_values_of_python_cross() -> None:
    julia = Julia([NOTHING])
    quoted = 'a"$(exit())\\ä'
    numbers = (True, np.int64(3), -2, 1e-5, float("-inf"), np.float64(0.1))
    vectors = (np.array([1.5, 2.5])[::-1], np.array([2, 3], np.int32), np.empty(0))
    assert julia.package.solve(*numbers, quoted, *vectors) is None
    ((name, truth, *rest),) = julia.heard
    assert name == "solve"
    assert truth is True
    assert rest == [3, -2, 1e-5, float("-inf"), 0.1, quoted, [2.5, 1.5], [2, 3], []]


def test_what_is_lent_is_not_copied() -> None:
    julia = Julia([NOTHING])
    values = np.array([1.5, 2.5])
    julia.package.solve(julia.package.lent(values))
    assert julia.heard == [["solve", [1.5, 2.5]]]
    assert julia.addresses[-1] == values.ctypes.data


def test_answers_are_values_of_python() -> None:
    kept, whole, text = np.array([1.5, 2.5, 3.5, 4.5, 5.5, 6.5]), np.array([7, 8]), "Zäh".encode()
    at = np.frombuffer(text, np.uint8).ctypes.data
    infinity = struct.unpack("q", struct.pack("d", float("inf")))[0]
    simple = [(TRUTH, 1), (WHOLE, -3), (NUMBER, infinity), (TEXT, at, len(text)), (NOTHING,)]
    arrays = [(NUMBERS, kept.ctypes.data, 2, 2, 3), (WHOLES, whole.ctypes.data, 1, 2), (NUMBERS, 0, 3, 0, 5, 1)]
    package = Julia(*simple, *arrays).package
    assert [package.ask() for _ in simple] == [True, -3, float("inf"), "Zäh", None]
    # Two rows and three columns there, column by column.
    numbers = package.ask()
    np.testing.assert_array_equal(numbers, [[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]])
    kept[:] = 0
    assert numbers[0, 0] == 1.5
    integers = package.ask()
    assert integers.dtype == np.int64
    assert integers.tolist() == [7, 8]
    assert package.ask().shape == (1, 5, 0)


def test_what_stays_in_julia_is_let_go_of_with_the_next_call() -> None:
    julia = Julia((HELD, 7), (WHOLE, 2), (NOTHING,), (NOTHING,), (NOTHING,))
    package = julia.package
    result = package.solve()
    assert isinstance(result, Held)
    assert result.steps == 2
    package.backward(result)
    assert julia.heard[1:] == [["part", "held 7", "steps"], ["backward", "held 7"]]
    del result
    gc.collect()
    assert package.dropped == [7]
    assert len(julia.heard) == 3
    package.sweep()
    assert julia.heard[-1] == ["let_go", [7]]
    package.sweep()
    assert len(julia.heard) == 4


def test_errors_of_julia_are_errors_of_the_engine() -> None:
    text = np.frombuffer(b"BoundsError: attempt", np.uint8)
    julia = Julia((FAILURE, text.ctypes.data, text.size))
    with pytest.raises(EngineError, match=r"^Julia failed: BoundsError: attempt$"):
        julia.package.solve()
    with pytest.raises(EngineError, match="no integer as large as 9223372036854775808"):
        julia.package.solve(1 << 63)
    assert len(julia.heard) == 1


def test_calls_with_what_is_juliacalls_are_made_by_juliacall() -> None:
    julia = Julia((HELD, 7))
    julia.door = lambda *arguments: arguments  # type: ignore[attr-defined]
    julia.held = lambda number: f"settings {number}"  # type: ignore[attr-defined]
    julia.numbers_at = lambda address, size: list((ctypes.c_double * size).from_address(address))  # type: ignore[attr-defined]
    problem, settings = object(), julia.package.Settings()
    assert julia.asked == 0
    found = julia.package.bridge_forward(problem, np.array([1.0, 2.0]), settings, "forward")
    assert found == ("bridge_forward", problem, [1.0, 2.0], "settings 7", "forward")


def test_code_is_evaluated_to_a_text() -> None:
    heard: list[str] = []

    def says(text: str) -> Callable[[str], str]:
        return lambda code: heard.append(code) or text  # type: ignore[func-returns-value]

    assert evaluated("1 + 1", says("2")) == "2"
    assert heard == ["try 1 + 1 catch failure; string(Char(1), sprint(showerror, failure)) end"]
    with pytest.raises(EngineError, match=r"^no such package$"):
        evaluated("import Nothing", says("\x01no such package"))
