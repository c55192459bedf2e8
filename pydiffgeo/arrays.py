"""Names of types that many modules share; docstrings give shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

# Arrays of NumPy by what they hold.
Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Dates = NDArray[np.datetime64]
AnyArray = NDArray[np.generic]

# What users give where numbers are wanted: of Python, NumPy, xarray or pandas, or tensors of PyTorch.
Numbers = ArrayLike | Tensor

# What JSON can hold.
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
