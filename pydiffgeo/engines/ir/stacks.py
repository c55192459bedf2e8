"""Several values of a local function side by side, as `torch.stack` gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar

from .reductions import REDUCTIONS, Reduction

S = TypeVar("S")  # the kind of the values

# What is asked of the axis of a stack, which has one.
AXIS = (None, 0, -1, (0,), (-1,), [0], [-1])


class Writer(Protocol[S]):
    """What writes down operations on the values of a stack."""

    def reduce(self, reduction: Reduction, symbols: Sequence[S]) -> S: ...

    def fail(self, why: str) -> NoReturn: ...


class Traced:
    """What functions of PyTorch are called with while a local function is traced."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., object],
        types: tuple[type, ...],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return cls._called(getattr(function, "__name__", str(function)), args, dict(kwargs or {}))

    @classmethod
    def _called(cls, name: str, args: tuple[object, ...], named: dict[str, object]) -> object:
        raise NotImplementedError


class Stack(Traced, Generic[S]):
    """Values of a local function in a row; sums, products and the like of them become nodes."""

    __slots__ = ("symbols", "tracer")
    __array_ufunc__ = None

    def __init__(self, tracer: Writer[S], symbols: Sequence[S]) -> None:
        self.tracer, self.symbols = tracer, tuple(symbols)

    @classmethod
    def _called(cls, name: str, args: tuple[object, ...], named: dict[str, object]) -> S:
        every = (*args, *named.values())
        stack, *others = args or (named.pop("input", None), None)
        if not isinstance(stack, Stack):
            tracer = next(a.tracer for a in every if isinstance(a, Stack))
            tracer.fail(f"torch.{name} does not take a stack of values here; take them one by one")
        return stack._reduce(name, *others, **named)

    def __getattr__(self, name: str) -> Callable[..., S]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._reduce(name, *args, **kwargs)

    def __len__(self) -> int:
        return len(self.symbols)

    def __iter__(self) -> Iterator[S]:
        return iter(self.symbols)

    def __getitem__(self, index: int) -> S:
        if not isinstance(index, int) or not -len(self) <= index < len(self):
            self.tracer.fail(f"takes [{index!r}] of a stack of {len(self)} values")
        return self.symbols[index]

    def _reduce(self, name: str, *args: object, **named: object) -> S:
        if name not in REDUCTIONS:
            known = ", ".join(sorted(REDUCTIONS))
            self.tracer.fail(f"operation {name!r} has no translation rule for a stack of values; known are {known}")
        keys = ("ord" if "linalg" in name else "p", "dim") if "norm" in name else ("dim",)
        asked = dict(zip(keys, args, strict=False)) | {"dim" if k == "axis" else k: v for k, v in named.items()}
        order, axis, other = asked.pop(keys[0], None) if len(keys) > 1 else None, asked.pop("dim", None), asked
        if axis not in AXIS or order not in (None, 2, "fro") or any(other.values()) or len(args) > len(keys):
            self.tracer.fail(f"{name!r} of a stack takes all of its values, along its one axis, and no other argument")
        if axis is not None and name in ("min", "max"):
            self.tracer.fail(f"torch.{name} along an axis gives places too; take torch.a{name}")
        return self.tracer.reduce(REDUCTIONS[name], self.symbols)
