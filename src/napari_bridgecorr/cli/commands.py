"""One function per sub-command: open, call the use case, say what was done.

Each loads its use case itself, so that `info` does not wait for what only `report` needs.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ReadError
from ..geometry.placement import Placement, parse_orientation
from ..image import SpatialImage
from ..io.registry import open_image, open_images, parse_image_path
from .console import ConsoleProgress, warn

if TYPE_CHECKING:
    from ..fitting import Fit, HeldOutErrors
    from ..geometry import Grid
    from ..io.landmark_files import LandmarkFileOptions
    from ..io.transform_files import TransformFile
    from ..landmarks import LandmarkSet

_FOLDS = 10
# a fit of more takes seconds, and there would be as many as folds
_MOST_IN_FOLDS = 1000


def info(options: Namespace) -> int:
    """``bridgecorr info``."""
    from ..workflow.kinds import kind_of

    kind = kind_of(options.path)
    if kind != "image":
        return _info_of_other(options, kind)
    from ..io.describe import describe_file, format_description

    path, number = parse_image_path(options.path)
    images = open_images(path) if number is None else (open_image(options.path),)
    placement = _placement(options)
    images = tuple(image.placed(placement) for image in images)
    description = describe_file(path, images)
    if options.checksum:
        from ..io.checksum import pixel_sha256

        progress = ConsoleProgress()
        for image, said in zip(images, description["images"], strict=True):
            said["sha256"] = pixel_sha256(image, progress)
        progress.close()
    print(json.dumps(description, indent=1) if options.json else format_description(description))
    return 0


def _info_of_other(options: Namespace, kind: str) -> int:
    """``bridgecorr info`` of landmarks or a transform."""
    from ..workflow import descriptions as say

    path = Path(options.path)
    if kind == "landmarks":
        described = say.describe_landmarks(path)
        text = say.format_landmarks(described)
    else:
        described = say.describe_transform(path)
        text = say.format_transform(described)
    print(json.dumps(described, indent=1) if options.json else text)
    return 0


def convert(options: Namespace) -> int:
    """``bridgecorr convert``."""
    from ..workflow.kinds import kind_of

    kind = kind_of(options.path)
    if kind == "landmarks":
        return _convert_landmarks(options)
    if kind == "transform":
        return _convert_transform(options)
    from ..workflow.images import convert, convert_all

    placement = _placement(options)
    if options.all:
        images = tuple(image.placed(placement) for image in open_images(options.path))
        convert_all(images, options.out, ConsoleProgress())
    else:
        name = options.path if options.image is None else f"{options.path}#{options.image}"
        convert(_open(name, placement), options.out, ConsoleProgress())
    print(f"wrote {options.out}")
    return 0


def _convert_transform(options: Namespace) -> int:
    from ..workflow.transforms import convert_transform

    like = None if options.like is None else _open(options.like).grid
    done = convert_transform(
        Path(options.path),
        options.out,
        like=like,
        spacing_um=options.spacing,
        tolerance_um=options.tolerance,
        inverse=options.inverse,
        frame=options.frame,
        progress=ConsoleProgress(),
    )
    for warning in (*done.source.warnings, *done.warnings):
        warn(warning)
    print(f"wrote {options.out}")
    for line in done.report():
        print(line)
    return 0


def fit(options: Namespace) -> int:
    """``bridgecorr fit``."""
    from ..fitting import FitOptions, parse_smoothing
    from ..workflow.landmarks import fit_landmarks

    chosen = FitOptions(options.model, parse_smoothing(options.smoothing), options.dimensions)
    result = fit_landmarks(options.landmarks, options.out, chosen, _landmark_reading(options))
    for warning in result.warnings:
        warn(warning)
    left_out = _held_out(result, options)
    if options.json:
        print(json.dumps(_fit_json(result, left_out), indent=1))
        return 0
    print(_fit_text(result))
    if left_out is not None:
        print(_held_out_text(left_out))
    return 0


def map(options: Namespace) -> int:
    """``bridgecorr map``."""
    from ..workflow.landmarks import map_points

    result = map_points(
        options.transform,
        options.points,
        options.out,
        inverse=options.inverse,
        reading=_points_reading(options),
    )
    for warning in result.warnings:
        warn(warning)
    if result.n_lost:
        warn(f"{result.n_lost} points could not be mapped and have no coordinates in {options.out}")
    print(f"wrote {options.out}")
    return 0


def evaluate(options: Namespace) -> int:
    """``bridgecorr evaluate``."""
    from .evaluation import check_use, run_check, run_comparison, run_map

    check_use(options)
    if options.map:
        return run_map(options, _open(options.image).grid, _landmark_reading(options))
    if options.other:
        return run_comparison(options, _open(options.image).grid)
    return run_check(options, _landmark_reading(options))


def warp(options: Namespace) -> int:
    """``bridgecorr warp``."""
    from ..workflow.images import warp

    fixed, moving, source = _registered(options)
    result = warp(
        fixed,
        moving,
        source.transform,
        options.out,
        channel=options.channel,
        time=options.time,
        spacing_um=options.spacing,
        interpolation=options.interpolation,
        progress=ConsoleProgress(),
    )
    shape = " x ".join(str(n) for n in result.grid.shape)
    print(f"wrote {options.out} ({shape} voxels, {result.metadata['interpolation']})")
    return 0


def table(options: Namespace) -> int:
    """``bridgecorr table``."""
    from ..voxels import TableOptions
    from ..workflow.tables import tabulate, transform_error

    fixed, moving, source = _registered(options)
    landmarks = _check_landmarks(options, fixed, moving) if options.landmarks else None
    error = transform_error(source, landmarks)
    if error is None:
        warn(
            "the transform does not say how wrong it is, so registration_error_um is empty; "
            "give --landmarks"
        )
    quantities = {}
    if options.add:
        from ..workflow.evaluate import table_quantities

        quantities = table_quantities(options.add, source, landmarks)
    written = tabulate(
        fixed,
        moving,
        source.transform,
        options.out,
        error=error,
        masks=_masks(options.mask),
        options=TableOptions(spacing_um=options.spacing),
        quantities=quantities,
        metadata={"transform": str(options.transform)},
        progress=ConsoleProgress(),
    )
    print(f"wrote {options.out} ({written.n_rows} rows)")
    return 0


def report(options: Namespace) -> int:
    """``bridgecorr report``."""
    from ..workflow.landmarks import fit_of
    from ..workflow.reports import report

    fixed, moving, source = _registered(options)
    report(
        fixed,
        moving,
        source.transform,
        options.out,
        fit=fit_of(source),
        table=options.table,
        facts={"transform": options.transform.name},
        progress=ConsoleProgress(),
    )
    print(f"wrote {options.out}")
    return 0


def run(options: Namespace) -> int:
    """``bridgecorr run``."""
    from ..workflow.replay import run_session

    result = run_session(options.session, ConsoleProgress())
    for warning in result.warnings:
        warn(warning)
    for fitted in result.fits.values():
        print(_fit_text(fitted))
    for path in result.written:
        print(f"wrote {path}")
    return 0


def demo(options: Namespace) -> int:
    """``bridgecorr demo``."""
    from ..workflow.demo import run_demo

    progress = ConsoleProgress()
    result = run_demo(options.out, seed=options.seed, progress=progress)
    progress.close()
    for warning in result.warnings:
        warn(warning)
    print(_fit_text(result.fit))
    print(
        f"target registration error against the truth ({len(result.error.distances_um)} points): "
        f"median {result.error.median_um:.1f} um, RMS {result.error.rms_um:.1f} um, "
        f"95 % within {result.error.percentile_95_um:.1f} um"
    )
    print(f"table: {result.table} ({result.n_rows} rows)")
    print(f"report: {result.report}   <- open this in a browser")
    print(f"again: bridgecorr run {result.session}")
    return 0


def phantom(options: Namespace) -> int:
    """``bridgecorr phantom``."""
    from ..workflow.demo import phantom_options, write_phantom

    made = write_phantom(
        options.out, phantom_options(options.size, options.seed), ConsoleProgress()
    )
    for path in made.paths:
        print(f"wrote {path}")
    return 0


def reslice(options: Namespace) -> int:
    """``bridgecorr reslice``."""
    from .reslicing import run

    return run(options, _open(options.image, _placement(options, "image_")))


def _convert_landmarks(options: Namespace) -> int:
    from ..io.landmark_files import LandmarkOutput, as_output_format
    from ..workflow.landmarks import convert_landmarks

    reading = _landmark_reading(options)
    output = LandmarkOutput(
        as_output_format(options.to),
        options.out_unit or options.unit,
        options.out_moving_unit or (None if options.out_unit else options.moving_unit),
        options.side,
        options.out_dimensions,
        reading.fixed_grid,
        reading.moving_grid,
    )
    result = convert_landmarks(Path(options.path), options.out, reading, output)
    for warning in result.warnings:
        warn(warning)
    for path in result.paths:
        print(f"wrote {path} ({result.n_landmarks} landmarks)")
    return 0


def _landmark_reading(options: Namespace) -> LandmarkFileOptions:
    from ..io.landmark_files import LandmarkFileOptions

    return LandmarkFileOptions(
        options.unit,
        options.moving_unit,
        options.moving,
        options.columns or {},
        options.__dict__.get("side") or "fixed",
        _grid(options.fixed_image, _placement(options, "fixed_")),
        _grid(options.moving_image, _placement(options, "moving_")),
    )


def _points_reading(options: Namespace) -> LandmarkFileOptions:
    from ..io.landmark_files import LandmarkFileOptions

    grid = _grid(options.image)
    return LandmarkFileOptions(
        options.unit, columns=options.columns or {}, fixed_grid=grid, moving_grid=grid
    )


def _check_landmarks(options: Namespace, fixed: SpatialImage, moving: SpatialImage) -> LandmarkSet:
    from ..io.landmark_files import LandmarkFileOptions
    from ..workflow.landmarks import read_pairs

    reading = LandmarkFileOptions(
        options.landmarks_unit,
        moving=options.landmarks_moving,
        columns=options.landmarks_columns or {},
        fixed_grid=fixed.grid,
        moving_grid=moving.grid,
    )
    file = read_pairs(options.landmarks, reading, "--landmarks-moving")
    for warning in file.warnings:
        warn(f"{options.landmarks.name}: {warning}")
    return file.landmarks


def _grid(name: str | None, placement: Placement | None = None) -> Grid | None:
    return None if name is None else _open(name, placement).grid


def _placement(options: Namespace, side: str = "") -> Placement:
    """The user's word on an image's place."""
    orientation = getattr(options, f"{side}orientation")
    return Placement(
        getattr(options, f"{side}spacing"),
        None if orientation is None else parse_orientation(orientation),
    )


def _open(name: str, placement: Placement | None = None) -> SpatialImage:
    image = open_image(name)
    if placement is not None:
        image = image.placed(placement)
    for warning in image.warnings:
        warn(f"{image.source.path.name}: {warning}")
    return image


def _registered(options: Namespace) -> tuple[SpatialImage, SpatialImage, TransformFile]:
    from ..io.transform_files import read_transform

    source = read_transform(options.transform)  # first: it is quick to find out that it is wrong
    for warning in source.warnings:
        warn(f"{options.transform.name}: {warning}")
    fixed = _open(options.fixed, _placement(options, "fixed_"))
    moving = _open(options.moving, _placement(options, "moving_"))
    return fixed, moving, source


def _masks(arguments: list[str]) -> dict[str, SpatialImage]:
    """Masks from ``NAME=FILE`` or ``FILE`` (named after the file)."""
    found: dict[str, SpatialImage] = {}
    for text in arguments:
        name, equals, file = text.partition("=")
        if not equals or Path(text).exists():
            name, file = Path(text).name.split(".")[0], text
        if name in found:
            raise ReadError(file, f"two masks are named {name!r}", "write --mask NAME=FILE")
        found[name] = _open(file)
    return found


def _held_out(result: Fit, options: Namespace) -> HeldOutErrors | None:
    from ..fitting import k_fold

    folds = options.folds
    if folds is None:
        folds = _FOLDS if options.json and 2 <= len(result.pairs) <= _MOST_IN_FOLDS else 0
    return k_fold(result.pairs, result.options, folds) if folds else None


def _held_out_text(found: HeldOutErrors) -> str:
    parts = [
        f"{name} RMS {s.rms_um:.1f} um, median {s.median_um:.1f} um ({s.n})"
        for name, s in (("interior", found.interior), ("on the hull", found.hull))
        if s.n
    ]
    said = "; ".join(parts) or "none could be predicted"
    return f"landmarks left out in {found.n_folds} folds, predicted by the others: {said}"


def _fit_json(result: Fit, left_out: HeldOutErrors | None) -> dict[str, object]:
    from ..fitting import leave_one_out

    diagnostics = result.diagnostics.to_dict()
    return {
        "model": result.options.model,
        "n": diagnostics.pop("n"),
        "smoothing": result.smoothing_um,
        **diagnostics,
        "leave_one_out": leave_one_out(result).to_dict(),
        "kfold": None if left_out is None else left_out.to_dict(),
        "warnings": list(result.warnings),
    }


def _fit_text(result: Fit) -> str:
    d = result.diagnostics
    unit = "um" if result.options.dimensions == 3 else "um^2"
    smoothing = "" if result.smoothing_um is None else f", lambda {result.smoothing_um:.4g} {unit}"
    return (
        f"{result.options.model}{smoothing}: {len(d.ids)} landmarks, leave-one-out error "
        f"RMS {d.loo_rms_um:.1f} um, median {d.loo_median_um:.1f} um "
        f"(residual RMS {d.residual_rms_um:.1f} um, which is not the accuracy elsewhere)"
    )
