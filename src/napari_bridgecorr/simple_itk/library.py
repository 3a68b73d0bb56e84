"""The only file that imports SimpleITK, when it is first asked for (a third of a second)."""

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
