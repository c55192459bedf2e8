"""The exceptions that pydiffgeo raises on purpose. All derive from `PydiffgeoError`."""

from __future__ import annotations

from typing import Any


class PydiffgeoError(Exception):
    """Base of every error raised by pydiffgeo itself."""


class InputError(PydiffgeoError, ValueError):
    """An input is not usable; the message names it, shows its value and what is allowed."""


class UnknownNameError(InputError):
    """A name that the model does not declare."""


class MissingNameError(InputError):
    """A name that the model needs was not given and has no default."""


class ShapeError(InputError):
    """A tensor has a shape that does not fit the model or the batch."""


class BoundsError(InputError):
    """A value lies outside its physical bounds, or is not finite."""


class DtypeError(InputError, TypeError):
    """A tensor is not of a floating-point type."""


class TimeError(InputError):
    """Times are unsorted or repeated, or a forcing does not cover them."""


class ModelError(PydiffgeoError):
    """A model is declared inconsistently, or a local function cannot be translated."""


class UnsupportedOperationError(ModelError):
    """A local function uses an operation that has no translation rule."""


class EngineError(PydiffgeoError):
    """An engine failed in a way that is not the fault of one member of the batch."""


class EngineNotAvailableError(EngineError):
    """The requested engine is not installed or does not start; the message says what to do."""


class SolverError(PydiffgeoError):
    """At least one member of the batch could not be solved.

    Attributes:
        solution: the `Solution` with everything that was computed; failed members hold NaN.
    """

    # Of solutions nothing is known here: their module builds on this one.
    def __init__(self, message: str, solution: Any = None) -> None:
        super().__init__(message)
        self.solution = solution


class AdjointError(PydiffgeoError):
    """The adjoint solve of at least one member failed, so there is no gradient to return."""


class TangentError(PydiffgeoError):
    """Derivatives of at least one member along a direction failed, so there are none to return."""


class SchedulerError(PydiffgeoError):
    """A Dask scheduler cannot be reached or was lost, or a worker died, or failed in a way that nobody foresaw."""


class DataError(PydiffgeoError, ValueError):
    """A data file or configuration cannot be used as it is."""


class UnknownSiteError(DataError):
    """A basin or another place that the data do not have."""


class UnitError(DataError):
    """A unit is missing, unknown, or of another kind than the quantity.

    Attributes:
        file, variable: where it stands. unit: its text; None where there is none.
    """

    def __init__(self, message: str, *, file: str = "", variable: str = "", unit: str | None = None) -> None:
        super().__init__(message)
        self.file, self.variable, self.unit = file, variable, unit


class TimeAxisError(DataError):
    """Times of a file are missing, repeated, unsorted, irregular, or of a calendar that cannot be used.

    Attributes:
        file: the file. calendar: the calendar, where that is what is wrong.
    """

    def __init__(self, message: str, *, file: str = "", calendar: str | None = None) -> None:
        super().__init__(message)
        self.file, self.calendar = file, calendar


class MissingPackageError(DataError, ImportError):
    """An optional package is not installed; the message says how to install it."""
