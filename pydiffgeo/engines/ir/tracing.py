"""Local functions in plain PyTorch, traced into straight-line programs.

A local function is called once on `Symbol`s, which stand for the values of one cell, face or boundary cell. What it does
to them is written down by a `Builder` as it happens. All else that it meets, numbers and tensors, are constants of the program.

The function may close over something that changes, so engines ask for the program anew at every solve
(`structure.py`). A tensor that asks for a gradient is refused: as a constant, it would not get one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from ...errors import ModelError, UnsupportedOperationError
from ...model.networks import Architecture
from .operations import CONDITIONS, REFUSED, RULES
from .places import expression, users_frame, users_step
from .program import LOGICAL, Builder, Call, Program, Ref
from .reductions import Reduction
from .stacks import Stack, Traced
from .surroundings import called_module, closed_over

# Namespaces through which networks are called.
CALLING = ("cell", "left", "right", "face")


class Symbol(Traced):
    """Stands for one value while a local function is traced; what is done to it becomes a node."""

    __slots__ = ("ref", "tracer")

    def __init__(self, tracer: Tracer, ref: Ref) -> None:
        self.tracer, self.ref = tracer, ref

    @classmethod
    def _called(cls, name: str, args: tuple[object, ...], named: dict[str, object]) -> Symbol | Stack[Symbol]:
        tracer = next(a.tracer for a in _flat((*args, *named.values())) if isinstance(a, Symbol))
        if name == "stack" and isinstance(values := named.get("tensors", args[0] if args else None), tuple | list):
            return Stack(tracer, [tracer.symbol(v) for v in values])
        return tracer.apply(name, *args, **named)

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in RULES:
            self.tracer.unknown(name)
        return lambda *args, **kwargs: self.tracer.apply(name, self, *args, **kwargs)

    def __bool__(self) -> NoReturn:
        self.tracer.refuse("branches on a value that is only known while solving; use torch.where")

    def __float__(self) -> NoReturn:
        self.tracer.refuse(
            "makes a plain number of a value that is only known while solving (local functions take torch "
            "operations only: torch.exp, not math.exp or numpy.exp)"
        )

    __int__ = __index__ = __complex__ = __len__ = __iter__ = __float__

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self.__float__()

    def __array_ufunc__(self, function: Callable[..., object], method: str, *args: object, **named: object) -> Symbol:
        """Operators between NumPy's numbers and symbols are those of symbols; other functions are refused."""
        name = function.__name__
        if method == "__call__" and name in UFUNCS and not named:
            return self.tracer.apply(UFUNCS[name], *args)
        return self.__array_function__(function)

    def __array_function__(self, function: Callable[..., object], *_: object) -> NoReturn:
        name = function.__name__
        instead = f"use torch.{name}" if name in RULES else "use torch operations"
        self.tracer.refuse(f"calls the function {name} of NumPy or SciPy, which torch cannot differentiate; {instead}")


# Operators of NumPy, by what they are called here.
UFUNCS = {
    **{"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow"},
    **{"less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne"},
}


def _operator(name: str) -> Callable[..., Symbol]:
    return lambda self, *other: self.tracer.apply(name, self, *other)


for _name in (
    *(
        "add",
        "radd",
        "sub",
        "rsub",
        "mul",
        "rmul",
        "truediv",
        "rtruediv",
        "pow",
        "rpow",
        "lt",
        "le",
        "gt",
        "ge",
        "eq",
        "ne",
    ),
    *("floordiv", "rfloordiv", "mod", "rmod", "round", "floor", "ceil", "trunc"),
    *("neg", "pos", "abs", "invert", "and", "or"),
):
    setattr(Symbol, f"__{_name}__", _operator(_name))


class Tracer:
    """Writes down what one local function does, and says where in it something cannot be translated."""

    def __init__(
        self, name: str, function: Callable[..., object], networks: Mapping[str, Architecture] | None = None
    ) -> None:
        self.name, self.function, self.builder = name, function, Builder(name)
        self.networks: Mapping[str, Architecture] = networks or {}
        self.calls: dict[tuple[str, tuple[Ref, ...]], Call] = {}
        self.done = False
        self.failed = ""  # the operation that could not be translated

    def apply(self, name: str, *args: object, **kwargs: object) -> Symbol:
        """Writes down the function of PyTorch, or operator, called `name`."""
        target = name.strip("_") if name.startswith("__") else name
        rule = RULES.get(target)
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor) and _moves(value):
                self.number(value)  # the more telling message
        if rule is None:
            self.failed = target
            self.unknown(name)
        values = [self._ref(a) for a in args], {k: self._ref(v) for k, v in kwargs.items()}
        if target in ("min", "max") and not (len(args) == 2 and isinstance(args[1], Symbol | Tensor)):
            self.fail(f"torch.{target} takes two values here, or a stack of some; for a number use torch.clamp")
        try:
            return Symbol(self, rule(self.builder, *self._kinds(target, values[0]), **values[1]))
        except (TypeError, ValueError, IndexError, ArithmeticError) as error:
            what = str(error).replace("rule()", target).replace("<lambda>()", target)
            self.fail(f"operation {name!r} is called in a way that has no translation rule: {what}")

    def unknown(self, name: str) -> NoReturn:
        """Raises `UnsupportedOperationError` for an operation without a rule."""
        why = REFUSED.get(name.strip("_"), f"has no translation rule; known are {', '.join(sorted(RULES))}")
        self.fail(f"operation {name!r} {why}")

    def symbol(self, value: object) -> Symbol:
        """A value, or a constant, as a symbol."""
        return value if isinstance(value, Symbol) else Symbol(self, self.builder.constant(self.number(value)))

    def reduce(self, reduction: Reduction, symbols: Sequence[Symbol]) -> Symbol:
        """Writes down the sum, or the like, of several values."""
        refs = self._kinds("stack", [s.ref for s in symbols])
        return Symbol(self, reduction(self.builder, [r for r in refs if r is not None]))

    def call(self, network: str, *features: object) -> Symbol | tuple[Symbol, ...]:
        """Writes down a call of a declared network: one value, or as many as it has outputs."""
        wanted = self.networks[network]
        if len(features) != wanted.features:
            self.refuse(f"calls the network {network!r} with {len(features)} features; it takes {wanted.features}")
        refs = self._kinds("", [self._ref(x) for x in features])
        if None in refs:
            self.refuse(f"calls the network {network!r} with None")
        given = tuple(ref for ref in refs if ref is not None)
        if (network, given) not in self.calls:
            program = self.builder.finish({str(i): ref for i, ref in enumerate(given)})
            self.calls[network, given] = Call(network, replace(program, name=f"{self.name}.{network}"))
        k = [*self.calls].index((network, given))
        results = tuple(Symbol(self, self.builder.input(f"net.{k}.{j}")) for j in range(wanted.outputs))
        return results[0] if len(results) == 1 else results

    def _kinds(self, target: str, refs: Sequence[Ref | None]) -> list[Ref | None]:
        """The arguments as the rule takes them: conditions where it wants conditions, else numbers."""
        wanted = CONDITIONS.get(target, 0)
        taken: list[Ref | None] = []
        for i, ref in enumerate(refs):
            logical = ref is not None and self.builder.nodes[ref].op in LOGICAL
            if i < wanted and not logical and ref is not None and self.builder.value(ref) is None:
                self.fail(f"{target!r} wants a comparison, such as x > 0, and got a number")
            if i >= wanted and logical and ref is not None:  # as in torch, a truth value counts as one or zero
                ref = self.builder.apply("where", ref, self.builder.constant(1.0), self.builder.constant(0.0))
            taken.append(ref)
        return taken

    def _ref(self, value: object) -> Ref | None:
        if isinstance(value, Symbol):
            return value.ref
        return None if value is None else self.builder.constant(self.number(value))

    def number(self, value: object) -> float:
        """A constant of the program; anything else that a local function meets is refused."""
        if isinstance(value, Tensor):
            if _moves(value):
                self.refuse(
                    f"uses {self._called(value)}, which asks for a gradient, as a constant; declare it as a Parameter "
                    "of the model and give it to `solve`, or use it detached"
                )
            if value.numel() == 1:
                return float(value.detach().item())
        elif isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
            return float(value)
        elif isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
            return float(value.item())
        if isinstance(value, Tensor | np.ndarray):
            self.fail(
                f"uses {self._called(value)} of shape {tuple(value.shape)}, but sees one cell at a time; declare it as "
                "a Parameter, which may vary over cells, or as geometry of the graph"
            )
        self.fail(f"uses {value!r}, which is neither a number nor a torch operation on numbers")

    def _called(self, value: object) -> str:
        """What the user calls a tensor that the function closes over."""
        variables = [*closed_over(self.function)]
        for name, other in variables:
            if other is value:
                return repr(name)
        sources = [repr(name) for name, other in variables if isinstance(other, Tensor) and _moves(other)]
        return f"a tensor made of {' or '.join(sources)}" if sources else "a tensor"

    def refuse(self, why: str) -> NoReturn:
        """Raises `ModelError`: this can have no meaning in a local function."""
        raise ModelError(f"{self.name}: {self._place()}{self._text()} {why}")

    def fail(self, why: str) -> NoReturn:
        """Raises `UnsupportedOperationError`: this cannot be translated."""
        raise UnsupportedOperationError(f"{self.name}: {self._place()}:{self._text()} {why}")

    def _place(self) -> str:
        """Where in the user's code we are; after its end, where the function begins."""
        frame = users_frame(sys._getframe(2))
        if frame is not None and not self.done:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        code = getattr(getattr(self.function, "__func__", self.function), "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(self.function)

    def _text(self) -> str:
        """What stands there."""
        frame = users_frame(sys._getframe(2))
        if frame is None or self.done:
            return ""
        text = expression(frame.f_code, frame.f_lasti, frame.f_lineno)
        return f" `{text}`" if text else ""


def _flat(values: Iterable[object]) -> Iterator[object]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield value


def _moves(tensor: Tensor) -> bool:
    """Could a derivative be asked for, backward or forward, by autograd or by torch.func?"""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return tensor.requires_grad or wrapped or forward_ad.unpack_dual(tensor).tangent is not None


def trace(
    name: str,
    function: Callable[..., Mapping[str, object]],
    spaces: Sequence[tuple[str, Sequence[str]]],
    networks: Mapping[str, Architecture] | None = None,
    called: Mapping[str, Mapping[str, str]] | None = None,
) -> Program:
    """Traces a local function.

    Args:
        name: what to call it in errors and generated source.
        function: takes one namespace per entry of `spaces` and returns a dictionary.
        spaces: (prefix, names) per namespace; the program's inputs are called `prefix.name`.
        networks: those that the function may call, as `cell.name(x, ...)`, and so from both sides of a face.
        called: name in each namespace -> network, where they are not called by their own names in all.

    Raises:
        UnsupportedOperationError: an operation without a rule, or a value that is no scalar; the message names
            it and its line.
        ModelError: the function branches on a value, reads an undeclared name, uses a tensor that asks for a
            gradient without declaring it, calls a network that is not declared or gives it another number of features
            than it takes, or returns no dictionary of values.
    """
    tracer = Tracer(name, function, networks)
    called = {prefix: {n: n for n in tracer.networks} for prefix in CALLING} if called is None else called
    arguments = [
        SimpleNamespace(
            **{n: partial(tracer.call, network) for n, network in called.get(prefix, {}).items()}
            | {n: Symbol(tracer, tracer.builder.input(f"{prefix}.{n}")) for n in names}
        )
        for prefix, names in spaces
    ]
    try:
        # Whatever mode the caller is in, a tensor made of one that asks for a gradient must be known as such.
        with torch.inference_mode(False), torch.enable_grad():
            result = function(*arguments)
    except ModelError as error:
        if (module := called_module(function, tracer.failed, error)) is not None:
            raise ModelError(
                f"{name}: {_last_line(error)} calls the module {module} itself; declare it in `networks` of the model, as "
                f"{{'name': module}}, and call it as cell.name(x1, x2, ...) ({error})"
            ) from error
        raise
    except AttributeError as error:
        raise ModelError(f"{name}: {_last_line(error)} reads a name the model does not declare: {error}") from error
    except (TypeError, RuntimeError, ValueError, ArithmeticError) as error:
        raise ModelError(
            f"{name}: {_last_line(error)}: {error} (local functions take torch operations only)"
        ) from error
    if not isinstance(result, Mapping):
        raise ModelError(f"{name} must return a dictionary, got {type(result).__name__}")
    tracer.done = True
    outputs = {}
    for key, value in result.items():
        try:
            ref = tracer._ref(value)
        except ModelError as error:
            raise type(error)(f"{error}; it is what the function returns as {key!r}") from error
        if ref is None or tracer.builder.nodes[ref].op in LOGICAL:
            raise ModelError(f"{name} returns {'nothing' if ref is None else 'a truth value'} as {key!r}")
        outputs[key] = ref
    program = tracer.builder.finish(outputs)
    return replace(program, calls=tuple(tracer.calls.values()))


def _last_line(error: BaseException) -> str:
    """Where in the user's code the error arose, and what stands there."""
    step = users_step(error.__traceback__)
    if step is None:
        return "unknown place"
    code = step.tb_frame.f_code
    return f"{code.co_filename}:{step.tb_lineno}: `{expression(code, step.tb_lasti, step.tb_lineno)}`"
