"""The Julia package as Python calls it: a call and its answer are integers, which one function of C reads and leaves.

juliacall would convert each value, and compile for the first of each type: two seconds of a first result. Vectors and texts
cross as their address and size, and what stays in Julia as its number (`julia/src/crossing.jl`).
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...errors import EngineError

# What belongs to Julia: juliacall knows no types of it.
JuliaValue = Any
# Kinds of values, as Julia has them.
WHOLE, TRUTH, TEXT, WHOLES, NUMBERS, NUMBER, LENT, HELD, NOTHING, FAILURE = range(10)
# Integers that an answer may take: those of an array of five axes.
ANSWER = 8


def directly(library: ctypes.PyDLL) -> Callable[[str], str]:
    """Julia's own evaluation of code that gives a text, for the thread that started Julia, before it rests.

    That of juliacall does as much for any thread and value, and takes a second to compile.
    """
    evaluate, text = library.jl_eval_string, library.jl_string_ptr
    evaluate.argtypes, evaluate.restype = [ctypes.c_char_p], ctypes.c_void_p
    text.argtypes, text.restype = [ctypes.c_void_p], ctypes.c_char_p
    return lambda code: text(evaluate(code.encode())).decode()


def evaluated(code: str, evaluate: Callable[[str], JuliaValue]) -> str:
    """The text that `code` gives.

    Raises:
        EngineError: with the words of the error that Julia raised.
    """
    said = str(evaluate(f"try {code} catch failure; string(Char(1), sprint(showerror, failure)) end"))
    if said.startswith("\x01"):
        raise EngineError(said[1:])
    return said


def rest(evaluate: Callable[[str], JuliaValue]) -> None:
    """Tells Julia that this thread, its first, runs none of its code between calls: others may collect garbage then."""
    addresses = "UInt(cglobal(:jl_gc_safe_enter)), UInt(ccall(:jl_get_ptls_states, Ptr{Cvoid}, ()))"
    enter, thread = evaluated(f'join(({addresses}), " ")', evaluate).split()
    # Called from here and not from Julia, which would set the state back on its way out.
    ctypes.PYFUNCTYPE(ctypes.c_int8, ctypes.c_void_p)(int(enter))(int(thread))


class Held:
    """An object that stays in Julia, by its number; its parts are asked for one by one. Any thread may drop it."""

    def __init__(self, package: Package, number: int) -> None:
        self._package, self.number = package, number

    def __getattr__(self, name: str) -> JuliaValue:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._package.called("part", self, name)

    def __del__(self) -> None:
        # Julia hears of it with the next call.
        self._package.dropped.append(self.number)


class Lent:
    """A contiguous vector that Julia is to have in the same memory."""

    def __init__(self, values: Array) -> None:
        self.values = values


class Package:
    """`package.function(...)` calls a function of the Julia package. One thread at a time.

    Args:
        entry: address of the function of C that does the calls.
        module: gives the package as juliacall has it.
    """

    def __init__(self, entry: int, module: Callable[[], JuliaValue]) -> None:
        # Python's lock is held meanwhile: Julia lets go of it between steps.
        self._enter = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(entry)
        self._module = module
        # An answer is read before the next call, where Julia started Python and any of its threads may come.
        self._alone = threading.RLock()
        self.dropped: list[int] = []

    @property
    def module(self) -> JuliaValue:
        """The package as juliacall has it."""
        return self._module()

    def __getattr__(self, name: str) -> Callable[..., JuliaValue]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: object) -> JuliaValue:
            return self.called(name, *arguments)

        return call

    def called(self, name: str, *arguments: object) -> JuliaValue:
        """What a function of the package returns: a number, a text, None, an array with its axes reversed, or `Held`.

        Where an argument is juliacall's, as a problem of the user's own, juliacall makes the call, and has the result.

        Raises:
            EngineError: Julia raised an error.
        """
        self.sweep()
        # What is pointed at lives until the call is over.
        alive: list[object] = []
        taken = [_taken(value, alive) for value in (name, *arguments)]
        if any(value is None for value in taken):
            return self.module.door(name, *map(self.own, arguments))
        return self._answer([word for value in taken if value for word in value])

    def lent(self, values: Array) -> Lent:
        """A contiguous vector for a call that keeps nothing of it, without a copy."""
        return Lent(values)

    def own(self, value: object) -> JuliaValue:
        """An argument as juliacall takes it: what Julia has, and a copy of a vector, as itself."""
        if isinstance(value, Held):
            return self.module.held(value.number)
        if isinstance(value, np.ndarray) and value.ndim == 1:
            numbers = np.ascontiguousarray(value, np.float64)
            return self.module.numbers_at(numbers.ctypes.data, numbers.size)
        return value

    def sweep(self) -> None:
        """Lets Julia know what was dropped."""
        if self.dropped:
            alive: list[object] = []
            # Others may drop more meanwhile.
            numbers = np.array([self.dropped.pop() for _ in range(len(self.dropped))], np.int64)
            self._answer([*_text("let_go", alive), WHOLES, _address(numbers, alive), numbers.size])

    def _answer(self, call: list[int]) -> JuliaValue:
        words = np.array(call + [0] * ANSWER, np.int64)
        with self._alone:
            self._enter(words.ctypes.data, len(call) // 3)
            return self._given(*map(int, words[: ANSWER + 3]))

    def _given(self, kind: int, a: int, b: int, *sizes: int) -> JuliaValue:
        if kind in (WHOLES, NUMBERS):
            return _array(a, sizes[:b], np.int64 if kind == WHOLES else np.float64)
        if kind == FAILURE:
            raise EngineError(f"Julia failed: {ctypes.string_at(a, b).decode(errors='replace')}")
        if kind == TEXT:
            return ctypes.string_at(a, b).decode()
        if kind == NUMBER:
            return struct.unpack("d", struct.pack("q", a))[0]
        if kind == HELD:
            return Held(self, a)
        return {WHOLE: a, TRUTH: a != 0, NOTHING: None}[kind]


def _taken(value: object, alive: list[object]) -> tuple[int, int, int] | None:
    """A value as three integers; None where it is none of ours."""
    if isinstance(value, str):
        return _text(value, alive)
    if isinstance(value, bool | np.bool_):
        return TRUTH, int(value), 0
    if isinstance(value, int | np.integer):
        if not -(1 << 63) <= value < 1 << 63:
            raise EngineError(f"Julia has no integer as large as {value}")
        return WHOLE, int(value), 0
    if isinstance(value, float | np.floating):
        return NUMBER, struct.unpack("q", struct.pack("d", value))[0], 0
    if isinstance(value, Held):
        alive.append(value)
        return HELD, value.number, 0
    if isinstance(value, Lent):
        return LENT, _address(value.values, alive), value.values.size
    if isinstance(value, np.ndarray) and value.ndim == 1:
        whole = value.dtype.kind in "iu"
        data = np.ascontiguousarray(value, np.int64 if whole else np.float64)
        return WHOLES if whole else NUMBERS, _address(data, alive), data.size
    return None


def _text(value: str, alive: list[object]) -> tuple[int, int, int]:
    data = np.frombuffer(value.encode(), np.uint8)
    return TEXT, _address(data, alive), data.size


def _address(data: NDArray[np.generic], alive: list[object]) -> int:
    alive.append(data)
    return int(data.ctypes.data)


def _array(address: int, sizes: tuple[int, ...], kind: type[np.generic]) -> NDArray[np.generic]:
    """A copy of an array of Julia, the first of whose axes is the fastest."""
    found = np.empty(sizes[::-1], kind)
    if found.size:
        ctypes.memmove(found.ctypes.data, address, found.nbytes)
    return found
