"""What the arguments of several commands name, opened."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from ..geometry.placement import Placement, parse_orientation
from ..image import SpatialImage
from ..io.registry import open_image
from .console import warn

if TYPE_CHECKING:
    from ..geometry import Grid
    from ..io.landmark_files import LandmarkFileOptions
    from ..io.transform_files import TransformFile


def open_one(name: str, placement: Placement | None = None) -> SpatialImage:
    """An image by its name, its warnings told."""
    image = open_image(name)
    if placement is not None:
        image = image.placed(placement)
    for warning in image.warnings:
        warn(f"{image.source.path.name}: {warning}")
    return image


def grid_of(name: str | None, placement: Placement | None = None) -> Grid | None:
    """The grid of an image, if one is named."""
    return None if name is None else open_one(name, placement).grid


def placement_of(options: Namespace, side: str = "") -> Placement:
    """The user's word on an image's place."""
    orientation = getattr(options, f"{side}orientation")
    return Placement(
        getattr(options, f"{side}spacing"),
        None if orientation is None else parse_orientation(orientation),
    )


def landmark_reading(options: Namespace) -> LandmarkFileOptions:
    """What the user said of a landmark file."""
    from ..io.landmark_files import LandmarkFileOptions

    return LandmarkFileOptions(
        options.unit,
        options.moving_unit,
        options.moving,
        options.columns or {},
        options.__dict__.get("side") or "fixed",
        grid_of(options.fixed_image, placement_of(options, "fixed_")),
        grid_of(options.moving_image, placement_of(options, "moving_")),
    )


def registered(options: Namespace) -> tuple[SpatialImage, SpatialImage, TransformFile]:
    """Fixed image, moving image and transform, their warnings told."""
    from ..io.transform_files import read_transform

    source = read_transform(options.transform)  # first: it is quick to find out that it is wrong
    for warning in source.warnings:
        warn(f"{options.transform.name}: {warning}")
    fixed = open_one(options.fixed, placement_of(options, "fixed_"))
    moving = open_one(options.moving, placement_of(options, "moving_"))
    return fixed, moving, source
