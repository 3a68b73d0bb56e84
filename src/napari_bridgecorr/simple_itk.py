"""The only file that imports SimpleITK: images, transforms and, later, refinement go through it.

SimpleITK is imported when it is first asked for (it takes a third of a second). Its world is LPS in
mm; :mod:`~napari_bridgecorr.geometry.anatomical` converts.
"""

from __future__ import annotations

from typing import Any


def library() -> Any:
    """The module SimpleITK, its warnings switched off."""
    import SimpleITK

    module: Any = SimpleITK  # it states no types
    module.ProcessObject.SetGlobalWarningDisplay(False)
    return module


def fault_of(error: RuntimeError) -> str:
    """What a SimpleITK error says, without the lines that name its C++ source."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception thrown", "sitk::"))]
    return said[-1] if said else "SimpleITK gave no reason"
