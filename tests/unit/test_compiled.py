"""Compiled loops may be called from any thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import prange

from napari_bridgecorr.compiled import inlined, parallel


@inlined
def _square(x: float) -> float:
    return x * x


@parallel
def _squares(values: np.ndarray) -> np.ndarray:
    """Documented."""
    out = np.empty_like(values)
    for i in prange(values.size):
        out[i] = _square(values[i])
    return out


def test_many_threads_at_once() -> None:
    # without the lock Numba's workqueue layer aborts the interpreter
    inputs = [np.arange(20_000.0) + k for k in range(64)]
    with ThreadPoolExecutor(8) as pool:
        for values, result in zip(inputs, pool.map(_squares, inputs), strict=True):
            np.testing.assert_array_equal(result, values**2)


def test_nan_and_infinity_keep_their_meaning() -> None:
    np.testing.assert_array_equal(
        _squares(np.array([np.nan, -np.inf, -0.0])), [np.nan, np.inf, 0.0]
    )


def test_the_function_keeps_its_name() -> None:
    assert _squares.__name__ == "_squares"
    assert _squares.__doc__ == "Documented."
