"""``bridgecorr chain``: its arguments and what it does."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import new_command
from .console import warn

if TYPE_CHECKING:
    from ..transform import LoopClosure, TransformGraph
    from ..workflow.chains import ComposedTransform
    from .arguments import Commands

DESCRIPTION = """\
Registrations one after the other, as one transform.

  chain T1.json T2.json^-1 -o T.json    T1 first, then T2 backwards
  chain GRAPH.json FROM TO -o T.json    the best way between two spaces of a graph
  chain GRAPH.json                      what the graph holds, and its loops

GRAPH.json lists registrations between named spaces, their files beside it:
  {"format": "bridgecorr-graph", "version": 1, "registrations": [
    {"fixed": "in vivo MRI", "moving": "ex vivo MRI", "transform": "t1.json", "error_um": 60},
    {"fixed": "ex vivo MRI", "moving": "two-photon", "transform": "t2.tfm"}]}
"""


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "chain", "compose registrations, through a graph or not", run)
    parser.description = DESCRIPTION
    parser.add_argument(
        "items",
        metavar="T|GRAPH",
        nargs="+",
        help="transforms, the first applied first, ^-1 behind a name for its inverse; or a graph "
        "and the names of two of its spaces",
    )
    parser.add_argument(
        "-o", "--out", metavar="OUT", type=Path, help=".json, or another format that can hold it"
    )
    parser.add_argument(
        "--by",
        choices=["auto", "steps", "error"],
        default="auto",
        help="of several ways the one with the fewest registrations, or the least expected error "
        "(auto: by error where every registration has one)",
    )
    parser.add_argument(
        "--check",
        metavar="POINTS",
        type=Path,
        help="points (of FROM; of T1's fixed image): how far from home they end that go round "
        "each loop of registrations, or through a chain that leads back to its start",
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(wrong_use=parser.error)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..io.graph_file import is_graph_file
    from ..workflow import chains

    if not is_graph_file(Path(options.items[0])):
        if options.out is None and options.check is None:
            options.wrong_use("give -o OUT, or --check POINTS")
        composed = chains.compose_files(options.items)
        closures = []
        if options.check is not None:
            closures = [chains.chain_closure(composed, chains.points_to_check(options.check))]
        return _finish(options, composed, closures)
    graph = chains.load_graph(Path(options.items[0]))
    if len(options.items) == 1:
        if options.out is not None or options.check is not None:
            options.wrong_use("name the two spaces behind the graph: GRAPH FROM TO")
        return _list(graph, options.json)
    if len(options.items) != 3:
        options.wrong_use("name two spaces behind the graph: GRAPH FROM TO")
    if options.out is None and options.check is None:
        options.wrong_use("give -o OUT, or --check POINTS")
    _, start, goal = options.items
    composed = chains.compose_route(graph, start, goal, options.by)
    closures = []
    if options.check is not None:
        points = chains.points_to_check(options.check)
        closures = list(graph.closures(start, points))
        if not closures:
            warn("no loop of registrations can be reached from there: nothing can be checked")
    return _finish(options, composed, closures)


def _finish(options: Namespace, composed: ComposedTransform, closures: list[LoopClosure]) -> int:
    from ..workflow.chains import write_composed

    for warning in composed.warnings:
        warn(warning)
    if options.out is not None:
        write_composed(composed, options.out)
    error = composed.route.error_um
    if options.json:
        print(
            json.dumps(
                {
                    "route": composed.route.words,
                    "steps": composed.n_steps,
                    "exact": composed.transform.is_exact,
                    "expected_error_um": error,
                    "loops": [_closure_json(closure) for closure in closures],
                },
                indent=1,
                allow_nan=False,
            )
        )
        return 0
    if composed.route.spaces[0] != "0":
        print(composed.route.words)
    if error is not None:
        print(f"expected error of the whole: {error:.3g} um (root of the sum of squares)")
    for closure in closures:
        print(_closure_text(closure, len(composed.route.edges)))
    if options.out is not None:
        steps = "1 step" if composed.n_steps == 1 else f"{composed.n_steps} steps"
        print(f"wrote {options.out} ({len(composed.route.edges)} registrations, {steps})")
    return 0


def _closure_json(closure: LoopClosure) -> dict[str, Any]:
    known = closure.n_undefined < len(closure.displacement_um)
    return {
        "route": closure.route.words,
        "points": len(closure.displacement_um),
        "undefined": closure.n_undefined,
        "rms_um": closure.rms_um if known else None,
        "largest_um": closure.largest_um if known else None,
        "expected_um": closure.route.error_um,
    }


def _closure_text(closure: LoopClosure, n: int) -> str:
    named = not closure.route.spaces[0].isdecimal()
    what = f"loop {closure.route.words}" if named else f"the {n} transforms, taken as a loop"
    lost = f"; {closure.n_undefined} points are not defined on it" if closure.n_undefined else ""
    if closure.n_undefined == len(closure.displacement_um):
        return f"{what}: no point comes back"
    expected = closure.route.error_um
    beside = (
        "" if expected is None else f" (expected from the registrations' errors {expected:.3g})"
    )
    return (
        f"{what}: points come back RMS {closure.rms_um:.3g} um from home{beside}, "
        f"largest {closure.largest_um:.3g} um{lost}"
    )


def _list(graph: TransformGraph, as_json: bool) -> int:
    loops = graph.loops()
    if as_json:
        edges = [
            {"fixed": e.fixed, "moving": e.moving, "transform": e.name, "error_um": e.error_um}
            for e in graph.edges
        ]
        listed = {"spaces": list(graph.spaces), "registrations": edges}
        print(json.dumps({**listed, "loops": [loop.words for loop in loops]}, indent=1))
        return 0
    print(f"spaces: {', '.join(graph.spaces)}")
    for edge in graph.edges:
        error = (
            "error not known" if edge.error_um is None else f"expected error {edge.error_um:.3g} um"
        )
        print(f"{edge.fixed} -> {edge.moving}: {edge.name} ({error})")
    for loop in loops:
        print(f"loop: {loop.words}")
    return 0
