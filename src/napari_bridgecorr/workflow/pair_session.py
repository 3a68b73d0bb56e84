"""Work on two images that needs no fit, as a session records it and ``bridgecorr run`` repeats it:
`align` and `refine-landmarks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..image import SpatialImage
from ..io.landmark_files import write_landmarks
from ..landmarks import LandmarkSet
from ..progress import Progress
from ..refine import LandmarkRefinementOptions
from ..session import ImageRef, LandmarkSetRecord, Output, Session, fingerprint
from ..transform import Transform, transform_from_dict
from .align import AlignModel, align
from .refine_landmarks import refined

ImageOf = Callable[[str], SpatialImage]

# the numbers of processor threads change nothing
_NOT_KEPT = ("threads",)


def align_session(
    fixed: ImageRef,
    moving: ImageRef,
    path: str,
    *,
    model: AlignModel = "elastic",
    mirror: bool = False,
    channels: tuple[str | int | None, str | int | None] = (None, None),
    masks: tuple[ImageRef | None, ImageRef | None] = (None, None),
) -> Session:
    """A session that repeats :func:`~napari_bridgecorr.workflow.align.align`.

    Parameters
    ----------
    fixed, moving : ImageRef
    path : str
        Of the transform, relative to the session's folder.
    model, mirror, channels
        As they were given to `align`.
    masks : (ImageRef or None, ImageRef or None)

    Raises
    ------
    SessionError
        If an image's file is not there.
    """
    options = {
        "fixed": fixed.id,
        "moving": moving.id,
        "model": model,
        "mirror": mirror,
        "channels": list(channels),
        "masks": [None if m is None else m.id for m in masks],
    }
    return Session(
        images=_known(fixed, moving, *(m for m in masks if m is not None)),
        outputs=(Output("align", path, options=options),),
    )


def refine_landmarks_session(
    fixed: ImageRef,
    moving: ImageRef,
    landmarks: LandmarkSet,
    path: str,
    *,
    transform: Transform | None = None,
    options: LandmarkRefinementOptions | None = None,
    fixed_channel: str | int = 0,
    moving_channel: str | int = 0,
    time: int = 0,
    only: Sequence[str] | None = None,
) -> Session:
    """A session that repeats a refinement of landmarks, which it holds as they were before.

    Parameters
    ----------
    fixed, moving : ImageRef
    landmarks : LandmarkSet
        Before.
    path : str
        Of the landmarks CSV, relative to the session's folder.
    transform, options, fixed_channel, moving_channel, time, only
        As they were given to
        :func:`~napari_bridgecorr.workflow.refine_landmarks.refine_landmark_file`.

    Raises
    ------
    SessionError
        If an image's file is not there.
    """
    chosen = asdict(options or LandmarkRefinementOptions())
    recorded = {
        "fixed": fixed.id,
        "moving": moving.id,
        "landmark_set": "landmarks",
        **{key: value for key, value in chosen.items() if key not in _NOT_KEPT},
        "transform": None if transform is None else transform.to_dict(),
        "fixed_channel": fixed_channel,
        "moving_channel": moving_channel,
        "time": time,
        "only": None if only is None else list(only),
    }
    return Session(
        images=_known(fixed, moving),
        landmark_sets=(LandmarkSetRecord("landmarks", tuple(landmarks)),),
        outputs=(Output("refine_landmarks", path, options=recorded),),
    )


def named_images(output: Output) -> list[str]:
    """Ids of the images that one of these outputs needs."""
    ids = [output.options.get("fixed", ""), output.options.get("moving", "")]
    masks = output.options.get("masks")
    return [str(i) for i in (*ids, *(masks if isinstance(masks, list) else ())) if i is not None]


def write_aligned(
    output: Output, image_of: ImageOf, target: Path, progress: Progress | None = None
) -> str:
    """Write the transform that :func:`align_session` recorded.

    Returns
    -------
    str
        What the user should know of it, if anything.

    Raises
    ------
    RefineError, WriteError, Cancelled
    TypeError, ValueError, KeyError
        If an option is not understood.
    """
    values: dict[str, Any] = dict(output.options)
    images = image_of(str(values.pop("fixed"))), image_of(str(values.pop("moving")))
    channels = _two(values.pop("channels", (None, None)))
    masks = _two(values.pop("masks", (None, None)))
    found = align(
        *images,
        target,
        channels=channels,
        masks=(
            None if masks[0] is None else image_of(masks[0]),
            None if masks[1] is None else image_of(masks[1]),
        ),
        progress=progress,
        **values,
    )
    return "; ".join(found.warnings)


def write_refined_landmarks(
    output: Output,
    session: Session,
    image_of: ImageOf,
    target: Path,
    progress: Progress | None = None,
) -> None:
    """Write the landmarks that :func:`refine_landmarks_session` recorded, refined again.

    Raises
    ------
    ReadError, RefineError, WriteError, Cancelled
    TypeError, ValueError, KeyError
        If an option is not understood.
    """
    values: dict[str, Any] = dict(output.options)
    images = image_of(str(values.pop("fixed"))), image_of(str(values.pop("moving")))
    landmarks = session.landmark_set(str(values.pop("landmark_set"))).to_set()
    transform = values.pop("transform", None)
    here = {
        key: values.pop(key)
        for key in ("fixed_channel", "moving_channel", "time", "only")
        if key in values
    }
    result = refined(
        landmarks,
        *images,
        transform=None if transform is None else transform_from_dict(transform),
        options=LandmarkRefinementOptions(**values),
        progress=progress,
        **here,
    )
    write_landmarks(result.after, target)


def _known(*images: ImageRef) -> tuple[ImageRef, ...]:
    return tuple(replace(i, fingerprint=fingerprint(Path(i.path))) for i in images)


def _two(values: Any) -> tuple[Any, Any]:
    first, second = values
    return first, second
