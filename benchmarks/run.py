"""Run the benchmarks named on the command line, or all but `memory`, `workbench` and `reopen`."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

NAMES = ("spline", "fit", "warp", "resample", "table", "readers", "memory", "workbench", "reopen")
BY_NAME_ONLY = ("memory", "workbench", "reopen")
OWN_NAMES = ("fit", "readers", "resample", "workbench", "reopen")


def main(names: list[str]) -> None:
    """Run and print."""
    unknown = set(names) - set(NAMES)
    if unknown:
        sys.exit(f"no benchmark {sorted(unknown)}; there are {', '.join(NAMES)}")
    sys.path.insert(0, str(Path(__file__).parent))
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    for name in names or [n for n in NAMES if n not in BY_NAME_ONLY]:
        print(f"\n{name}")
        module = name if name in OWN_NAMES else f"bench_{name}"
        importlib.import_module(module).main()


if __name__ == "__main__":
    main(sys.argv[1:])
