"""``bridgecorr convert``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_landmark_reading, add_placement, new_command
from .console import ConsoleProgress, warn
from .long_runs import add_long_run, long_run

if TYPE_CHECKING:
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(
        commands, "convert", "write an image as OME-Zarr, landmarks or a transform for others", run
    )
    parser.add_argument("path", metavar="PATH", help="image, landmarks or transform, by content")
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        help=".ome.zarr for an image; .csv, .fcsv or .mrk.json for landmarks (the last two hold "
        "one image's points: OUT_fixed and OUT_moving are written); .json, .h5, .tfm, .mat, .txt, "
        ".nii.gz, .nrrd or .ome.zarr for a transform (TransformParameters.txt is elastix's)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--image", type=int, metavar="N", help="number of the image in the file")
    which.add_argument("--all", action="store_true", help="every image, to one .ome.zarr")
    add_placement(parser)
    add_long_run(parser)
    add_landmark_reading(parser)
    _add_landmark_writing(parser)
    _add_transform_writing(parser)


def _add_landmark_writing(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("landmarks to other programs")
    group.add_argument(
        "--to",
        choices=["bridgecorr", "bigwarp", "napari"],
        help="which CSV (default: bridgecorr); moving points come first in BigWarp's, one file a "
        "side is written for napari, in um",
    )
    group.add_argument(
        "--out-unit",
        metavar="UNIT",
        help="calibrated unit of BigWarp's images: um, mm, ... or px (default: --unit)",
    )
    group.add_argument(
        "--out-moving-unit", metavar="UNIT", help="the same for the moving image, if it differs"
    )
    group.add_argument(
        "--side",
        choices=["fixed", "moving"],
        help="one image's points only: take LANDMARKS for this one's, write this one's",
    )
    group.add_argument(
        "--out-dimensions",
        type=int,
        choices=[2, 3],
        default=3,
        help="2 leaves z out of BigWarp's file, for flat images",
    )


def _add_transform_writing(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("transforms", "one that a format cannot hold is sampled")
    group.add_argument(
        "--like",
        metavar="IMAGE",
        help="sample over the box of this image (default: about the landmarks); "
        "with --spacing every Z,Y,X um",
    )
    group.add_argument(
        "--tolerance",
        type=float,
        metavar="UM",
        help="how far the sampled field may be from the transform (default: 1)",
    )
    group.add_argument("--inverse", action="store_true", help="write the map moving to fixed")
    group.add_argument(
        "--frame",
        choices=["LPS", "RAS"],
        default="LPS",
        help="what x, y, z mean in files of ITK, ANTs and elastix; RAS keeps the axes' signs, "
        "as for images that have no anatomical directions (TIFF)",
    )


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow.kinds import kind_of

    kind = kind_of(options.path)
    if kind == "landmarks":
        return _convert_landmarks(options)
    if kind == "transform":
        return _convert_transform(options)
    from ..io.registry import open_images
    from ..workflow.images import convert, convert_all
    from .opening import open_one, placement_of

    placement = placement_of(options)
    progress = ConsoleProgress()
    how = long_run(options, progress)
    if options.all:
        images = tuple(image.placed(placement) for image in open_images(options.path))
        convert_all(images, options.out, progress, how)
    else:
        name = options.path if options.image is None else f"{options.path}#{options.image}"
        convert(open_one(name, placement), options.out, progress, how)
    print(f"wrote {options.out}")
    return 0


def _convert_landmarks(options: Namespace) -> int:
    from ..io.landmark_files import LandmarkOutput, as_output_format
    from ..workflow.landmarks import convert_landmarks
    from .opening import landmark_reading

    reading = landmark_reading(options)
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


def _convert_transform(options: Namespace) -> int:
    from ..workflow.transforms import convert_transform
    from .opening import open_one

    like = None if options.like is None else open_one(options.like).grid
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
