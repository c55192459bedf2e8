"""The file of an assimilation that a stopped run goes on from: each cycle adds what it found, and nothing is written twice."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..engines.interrupts import held_interrupts
from ..errors import DataError

FORMAT = 2
# Kept: what each cycle found, and why it failed if it did. Latest: one row, what the next one begins with.
TABLES = (
    "create table head (format integer, identity text)",
    "create table kept (cycle integer primary key, arrays blob, failure text)",
    "create table latest (one integer primary key, arrays blob, solves integer)",
)


@dataclass(frozen=True)
class Stored:
    """What a file holds: what the next cycle begins with, the solves so far, what each cycle found, and which failed."""

    latest: dict[str, Tensor]
    solves: int
    kept: list[dict[str, Tensor]]
    failures: dict[int, str]


class CycleFile:
    """An SQLite file, so that a cycle is in it whole or not at all, and takes as long to write however many there are.

    Args:
        path: made where it is not there. identity: what must be the same for it to be of use.

    Raises:
        DataError: it cannot be written or read, or belongs to another assimilation.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        with self._open() as base:
            if not base.execute("select count(*) from sqlite_master").fetchone()[0]:
                for table in TABLES:
                    base.execute(table)
                base.execute("insert into head values (?, ?)", (FORMAT, identity))
            elif base.execute("select format, identity from head").fetchone() != (FORMAT, identity):
                raise DataError(f"{path} belongs to another assimilation: remove it, or name another file")

    def add(
        self, cycle: int, kept: Mapping[str, Tensor], failure: str | None, latest: Mapping[str, Tensor], solves: int
    ) -> None:
        """Adds what a cycle found, and replaces what the next one begins with."""
        with held_interrupts(), self._open() as base:
            base.execute("insert into kept values (?, ?, ?)", (cycle, _packed(kept), failure))
            base.execute("replace into latest values (1, ?, ?)", (_packed(latest), solves))

    def read(self) -> Stored | None:
        """All of it; None before the first cycle."""
        with self._open() as base:
            latest = base.execute("select arrays, solves from latest").fetchone()
            rows = base.execute("select cycle, arrays, failure from kept order by cycle").fetchall()
            if latest is None:
                return None
            failures = {cycle: why for cycle, _, why in rows if why is not None}
            return Stored(_unpacked(latest[0]), latest[1], [_unpacked(arrays) for _, arrays, _ in rows], failures)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A transaction."""
        try:
            with closing(sqlite3.connect(self.path)) as base, base:
                yield base
        except sqlite3.Error as error:
            raise DataError(f"{self.path} cannot be read or written: {error}") from error


def _packed(arrays: Mapping[str, Tensor]) -> bytes:
    # Whatever the arrays are called: none of them is the argument `allow_pickle`.
    file, save = io.BytesIO(), np.savez
    pack: Callable[..., None] = save
    pack(file, **{name: value.numpy() for name, value in arrays.items()})
    return file.getvalue()


def _unpacked(data: bytes) -> dict[str, Tensor]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}
