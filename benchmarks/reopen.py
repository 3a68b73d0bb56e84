"""Open the panel, place pairs, close it, fifty times: does anything stay behind?

    python benchmarks/reopen.py               # 50 rounds, some minutes
    python benchmarks/reopen.py --rounds 10

A script opens the Register panel with both views, places a pair by mouse events, closes the panel
and removes the points. Printed are, after the first round, the tenth and the last, the callbacks on
the viewer and its layers, keys, jobs, timers, threads, living panels and resident memory, and what
was written on the console.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# what the first rounds load (fonts, shaders, caches) does not come again
MOST_MB_A_ROUND = 0.25


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args([] if arguments is None else arguments)
    root, script = HERE.parent, HERE / "reopen_in_window.py"
    command = [root / "tools" / "with_display", sys.executable, script, str(options.rounds)]
    with tempfile.TemporaryDirectory() as state:  # not among the user's sessions
        (Path(state) / "tour_seen").touch()
        path = os.pathsep.join(
            filter(None, (str(root / "tests/gui"), os.environ.get("PYTHONPATH")))
        )
        known = {**os.environ, "BRIDGECORR_STATE": state, "PYTHONPATH": path}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=known)
    if done.returncode:
        raise SystemExit(f"the window ended with status {done.returncode}")
    _print(json.loads(done.stdout.splitlines()[-1]))


def _print(seen: dict) -> None:
    rounds = seen["rounds"]
    shown = sorted({1, min(10, len(rounds)), len(rounds)})
    print(f"{'after round':26s}{'none':>10s}" + "".join(f"{n:10d}" for n in shown))
    for name, before in seen["before"].items():
        values = [rounds[n - 1][name] for n in shown]
        if name == "memory MB":
            verdict = _memory_verdict([r[name] for r in rounds])
        else:
            # the threads that jobs run in are kept for the next ones
            first = values[0] if name == "threads" else before
            verdict = "met" if values[-1] <= first else "NOT MET"
        cells = "".join(f"{v:10.0f}" for v in (before, *values))
        print(f"{name:26s}{cells}  {verdict}")
    placed = f"{seen['pairs']} of {len(rounds)}"
    print(f"pairs placed by mouse: {placed}  {_met(seen['pairs'] == len(rounds))}")
    print(f"lines on the console: {len(seen['console'])}  {_met(not seen['console'])}")
    for line in seen["console"][:10]:
        print(f"    {line}")
    print(f"{seen['seconds']:.0f} s")


def _memory_verdict(memory: list[float]) -> str:
    late = memory[len(memory) // 5 :]
    if len(late) < 2:
        return ""
    slope = (late[-1] - late[0]) / (len(late) - 1)
    return f"{slope:+.2f} a round after the first fifth  {_met(slope <= MOST_MB_A_ROUND)}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "NOT MET"


if __name__ == "__main__":
    main(sys.argv[1:])
