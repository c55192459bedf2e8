"""Low-rank updates of the weights of a trained network, which stay frozen: adaptation with few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from .. import __version__
from ..arrays import Json
from ..checks import check_whole, is_number
from ..errors import DataError, InputError, UnknownNameError
from ..fingerprint import digest
from ..io import read_archive, write_archive
from .low_rank import Rank, Update, update_of

FORMAT = 1


class Adaptation:
    """What `adapt` added to a network: its numbers, and how they are kept, folded in and taken out.

    Attributes:
        network: the network that was adapted, in place.
        updates: name of a weight -> its update, in the order of the network.
        merged: whether the updates are folded into the weights.
    """

    def __init__(self, network: torch.nn.Module, updates: Mapping[str, Update], about: Mapping[str, Json]) -> None:
        self.network, self.updates, self.merged = network, dict(updates), False
        self._about = dict(about)
        self._base = {name: _original(network, name).detach().clone() for name in updates}

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained: the numbers of the updates."""
        return [p for update in self.updates.values() for p in update.parameters()]

    @property
    def count(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters())

    def merge(self) -> None:
        """Folds the updates into the weights: an ordinary network, as fast and as easily saved as before."""
        if self.merged:
            raise InputError("the updates have been merged; unmerge() takes them out again")
        for name in self.updates:
            parametrize.remove_parametrizations(*_owner(self.network, name), leave_parametrized=True)
        self.merged = True

    def unmerge(self) -> None:
        """Takes merged updates out again; the weights are those of before, to the last bit."""
        if not self.merged:
            raise InputError("the updates are not merged")
        with torch.no_grad():
            for name, update in self.updates.items():
                owner, attribute = _owner(self.network, name)
                weight = getattr(owner, attribute)
                weight.copy_(self._base[name])
                weight.requires_grad_(False)
                parametrize.register_parametrization(owner, attribute, update)
        self.merged = False

    def remove(self) -> None:
        """Takes the updates away: the network as it was, with all its weights trainable; those trained here stay here."""
        if not self.merged:
            self.merge()
        with torch.no_grad():
            for name in self.updates:
                getattr(*_owner(self.network, name)).copy_(self._base[name])
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)

    def save(self, path: str | Path) -> Path:
        """Writes the updates alone, as plain arrays and JSON, with a digest of the weights that they belong to."""
        arrays = {
            f"{name}/{key}": value.detach().cpu().numpy()
            for name, update in self.updates.items()
            for key, value in update.state_dict().items()
        }
        about: dict[str, Json] = {"format": FORMAT, "pydiffgeo": __version__, "base": self._digest, **self._about}
        return write_archive(path, about, arrays)

    def load(self, path: str | Path) -> None:
        """Reads updates of the same kind for the same weights.

        Raises:
            DataError: the file is damaged, its updates are of another kind or rank, or belong to other weights.
        """
        about, arrays = read_archive(path)
        wanted = {"format": FORMAT, "base": self._digest, **self._about}
        if wrong := [key for key, value in wanted.items() if about.get(key) != value]:
            raise DataError(f"{path} holds updates of another network, kind or rank: {', '.join(wrong)} differ")
        expected = {f"{n}/{k}": v for n, update in self.updates.items() for k, v in update.state_dict().items()}
        if {k: v.shape for k, v in arrays.items()} != {k: tuple(v.shape) for k, v in expected.items()}:
            raise DataError(f"{path} is damaged: its arrays are not those of the updates")
        with torch.no_grad():
            for key, value in expected.items():
                value.copy_(torch.from_numpy(arrays[key]))

    @property
    def _digest(self) -> str:
        return digest(self._base)


def adapt(
    network: torch.nn.Module,
    rank: Rank | Mapping[str, Rank] = 4,
    *,
    kind: str = "tucker",
    only: Sequence[str] | None = None,
    scale: float = 1.0,
    seed: int = 0,
) -> Adaptation:
    """Freezes a trained network and adds low-rank updates to its weights, in place; at first its outputs stay the same.

    adaptation = dg.nn.adapt(network, rank=4)
    dg.nn.train(network, few_sites)
    adaptation.save("region.npz")
    adaptation.merge()

    Weights are tensors `(out, in, *kernel)`: of linear layers, convolutions of one to three dimensions (grouped ones
    too, whose `in` is that of a group) and recurrent units. Biases and vectors stay as they are. Weight decay in
    training would pull the updates to zero. A larger `scale` acts like a larger learning rate.

    Args:
        rank: one for all channels, where kernels keep full ranks; or one for each dimension of the weights; or by name
            of a weight. For "matrix" one number.
        kind: "tucker" (FLoRA) or "matrix" (LoRA).
        only: names of the weights that are adapted, such as "layers.0.weight"; all with two dimensions or more if None.
        seed: of the first factors.

    Raises:
        InputError: a rank is zero or larger than a dimension, the network has no such weights or is adapted already.
        UnknownNameError: there is no weight of that name.
    """
    if kind not in ("tucker", "matrix"):
        raise InputError(f"kind must be tucker or matrix, got {kind!r}")
    if not is_number(scale) or scale <= 0:
        raise InputError(f"scale must be a positive number, got {scale!r}")
    check_whole(0, seed=seed)
    check_unadapted(network)
    known = {name: p for name, p in network.named_parameters() if p.dim() > 1}
    ranks = dict(rank) if isinstance(rank, Mapping) else dict.fromkeys(known if only is None else only, rank)
    names = [*ranks] if only is None else [*only]
    if missing := [name for name in {**dict.fromkeys(names), **ranks} if name not in known]:
        raise UnknownNameError(f"the network has no weight {missing[0]!r} of two dimensions or more; it has {[*known]}")
    if without := [name for name in names if name not in ranks]:
        raise InputError(f"no rank is given for {without[0]!r}")
    if not names:
        raise InputError("there is nothing to adapt: no weight has two dimensions or more")
    updates: dict[str, Update] = {}
    # Other random numbers of the program stay what they would have been.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in names:
            updates[name] = update_of(name, known[name].detach(), kind, ranks[name], float(scale))
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for name, update in updates.items():
        parametrize.register_parametrization(*_owner(network, name), update)
    return Adaptation(network, updates, {"kind": kind, "scale": float(scale)})


def check_unadapted(network: torch.nn.Module) -> None:
    """Raises `InputError` where weights of a network have updates that are not merged."""
    if adapted := [name for name, module in network.named_modules() if parametrize.is_parametrized(module)]:
        raise InputError(f"weights of {adapted[0] or 'the network'} are adapted: merge() or remove() the updates first")


def _owner(network: torch.nn.Module, name: str) -> tuple[torch.nn.Module, str]:
    """The module that has a weight, and what it calls it."""
    path, _, attribute = name.rpartition(".")
    return network.get_submodule(path), attribute


def _original(network: torch.nn.Module, name: str) -> Tensor:
    owner, attribute = _owner(network, name)
    original: Tensor = owner.get_submodule(f"parametrizations.{attribute}").original  # type: ignore[assignment]
    return original
