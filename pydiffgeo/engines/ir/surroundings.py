"""What a local function reads from around it, by the names that the user calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping

import torch

from ...errors import ModelError

# Files of PyTorch's modules; functions that put together the features of a network.
MODULES = "/torch/nn/modules/"
JOINING = {"stack", "cat", "concat", "concatenate", "hstack", "vstack", "column_stack", "unsqueeze", "reshape", "view"}


def closed_over(function: Callable[..., object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Names and values that a function reads from around it, attributes of what it is a method of included."""
    owner = getattr(function, "__self__", None)
    if owner is not None and not inspect.ismodule(owner):
        yield from _attributes(owner, f"{prefix}self")
    try:
        variables = inspect.getclosurevars(getattr(function, "__func__", function))
    except TypeError:  # no Python function
        yield from _attributes(function, prefix or type(function).__name__)
        return
    for name, value in {**variables.globals, **variables.nonlocals}.items():
        yield f"{prefix}{name}", value
        if not callable(value) or isinstance(value, torch.nn.Module):
            yield from _attributes(value, f"{prefix}{name}")


def _attributes(owner: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(owner, torch.nn.Module):
        yield from ((f"{name}.{k}", v) for k, v in (*owner.named_parameters(), *owner.named_buffers()))
    elif isinstance(owner, Mapping):
        yield from ((f"{name}[{k!r}]", v) for k, v in owner.items())
    elif isinstance(owner, list | tuple):
        yield from ((f"{name}[{k}]", v) for k, v in enumerate(owner))
    else:
        yield from ((f"{name}.{k}", v) for k, v in getattr(owner, "__dict__", {}).items())


def called_module(function: Callable[..., object], failed: str, error: ModelError) -> str | None:
    """What the user calls a module whose call led to the error; None where none did. `failed` is the operation that did."""
    known = [(name, m) for name, m in closed_over(function) if isinstance(m, torch.nn.Module)]
    step = error.__traceback__
    while step is not None:
        if MODULES in step.tb_frame.f_code.co_filename:
            module = step.tb_frame.f_locals.get("self")
            names = [name for name, m in known if any(module is part for part in m.modules())]
            return repr(names[0]) if names else f"a module {type(module).__name__}"
        step = step.tb_next
    learnt = [repr(name) for name, m in known if next(m.parameters(), None) is not None]
    return learnt[0] if learnt and failed in JOINING else None
