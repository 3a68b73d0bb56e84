"""``bridgecorr info``."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_placement, new_command
from .console import ConsoleProgress

if TYPE_CHECKING:
    from .arguments import Commands


def add(commands: Commands) -> None:
    """Its parser."""
    parser = new_command(commands, "info", "say what is in a file", run)
    parser.add_argument("path", metavar="PATH", help="image, landmarks or transform")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument(
        "--checksum", action="store_true", help="read every pixel and print its SHA-256"
    )
    add_placement(parser)


def run(options: Namespace) -> int:
    """Do what the arguments ask."""
    from ..workflow.kinds import kind_of

    kind = kind_of(options.path)
    if kind != "image":
        return _info_of_other(options, kind)
    from ..io.describe import describe_file, format_description
    from ..io.registry import open_image, open_images, parse_image_path
    from .opening import placement_of

    path, number = parse_image_path(options.path)
    images = open_images(path) if number is None else (open_image(options.path),)
    placement = placement_of(options)
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
