"""Compile loops to machine code, for this room: additions stay in the order and the precision that the source says."""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
OPTIONS: Any = {"nogil": True, "error_model": "numpy"}


def compiled(function: Function) -> Function:
    """Return the function compiled on first use, free of Python's lock, kept beside the source or in NUMBA_CACHE_DIR."""
    try:
        return cast(Function, numba.njit(function, cache=True, **OPTIONS))
    except RuntimeError:  # numba's word for no folder that it may write to
        warnings.warn("compiled code cannot be kept here, every process compiles anew; set NUMBA_CACHE_DIR", stacklevel=1)
        return cast(Function, numba.njit(function, **OPTIONS))
