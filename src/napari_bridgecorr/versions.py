"""Versions of what computes the numbers, recorded beside every result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_RECORDED = ("napari-bridgecorr", "numpy", "scipy", "numba", "dask", "pyarrow")


def library_versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that its numbers come from."""
    found = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
