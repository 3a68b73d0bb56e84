"""Refinements that a session records, so that ``bridgecorr run`` repeats them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..errors import SessionError
from ..fitting import Fit, FitOptions
from ..image import SpatialImage
from ..landmarks import Landmark, LandmarkPairs, LandmarkSet
from ..progress import Progress
from ..session import ImageRef, Output, Session, fingerprint
from .refine import RefineOptions, RefineStart, refine_to_file, start_of_fit
from .replay import new_session


def refine_output(
    registration: str,
    path: str,
    options: RefineOptions | None = None,
    *,
    fixed_mask: str = "",
    moving_mask: str = "",
) -> Output:
    """What a session records of a refinement.

    Parameters
    ----------
    registration : str
        Id of the registration whose fit is refined.
    path : str
        Where the refined transform's JSON goes, relative to the session's folder.
    options : RefineOptions, optional
    fixed_mask, moving_mask : str
        Ids of images of the session; all counts where empty.
    """
    stated = {
        **asdict(options or RefineOptions()),
        "fixed_mask": fixed_mask,
        "moving_mask": moving_mask,
    }
    usual = {**asdict(RefineOptions()), "fixed_mask": "", "moving_mask": ""}
    changed = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in stated.items()
        if value != usual[key]
    }
    return Output("refine", path, registration, changed)


def refine_session(
    fixed: ImageRef,
    moving: ImageRef,
    start: RefineStart,
    path: str,
    options: RefineOptions | None = None,
    *,
    fixed_mask: ImageRef | None = None,
    moving_mask: ImageRef | None = None,
) -> Session:
    """A session of one registration and its refinement.

    Parameters
    ----------
    fixed, moving : ImageRef
    start : RefineStart
        Fitted to landmarks.
    path : str
        Of the refined transform, relative to the session's folder.
    options : RefineOptions, optional
    fixed_mask, moving_mask : ImageRef, optional

    Raises
    ------
    SessionError
        If the start was not fitted to landmarks, or an image's file is not there.
    """
    pairs = check_repeatable(start)
    masks = tuple(
        replace(ref, fingerprint=fingerprint(Path(ref.path)))
        for ref in (fixed_mask, moving_mask)
        if ref is not None
    )
    output = refine_output(
        "registration",
        path,
        options,
        fixed_mask="" if fixed_mask is None else fixed_mask.id,
        moving_mask="" if moving_mask is None else moving_mask.id,
    )
    session = new_session(fixed, moving, _set_of(pairs), start.options, outputs=(output,))
    return replace(session, images=(*session.images, *masks))


def check_repeatable(start: RefineStart) -> LandmarkPairs:
    """The landmarks that a session fits again; SessionError if the start is no fit."""
    if start.pairs is None or start.options is None:
        raise SessionError(
            "a session repeats fits, and this refinement does not start from one: begin at "
            "--landmarks, or at a transform of `bridgecorr fit`"
        )
    return start.pairs


def write_refined(
    output: Output,
    found: Fit,
    asked: FitOptions,
    images: tuple[SpatialImage, SpatialImage],
    image_of: Callable[[str], SpatialImage],
    target: Path,
    progress: Progress | None = None,
) -> str:
    """Write the refined transform that :func:`refine_output` recorded.

    Parameters
    ----------
    output : Output
    found : Fit
        Of the registration.
    asked : FitOptions
        With which folds are fitted again.
    images : (SpatialImage, SpatialImage)
        Fixed and moving.
    image_of : callable
        From an image's id, for masks.
    target : Path
    progress : Progress, optional

    Returns
    -------
    str
        The verdict where the map was kept as it was, else nothing.

    Raises
    ------
    RefineError, GeometryError, WriteError
    TypeError
        If an option is not understood.
    """
    values: dict[str, Any] = dict(output.options)
    masks = [
        image_of(name) if (name := str(values.pop(key, ""))) else None
        for key in ("fixed_mask", "moving_mask")
    ]
    values["moving_channels"] = tuple(values.get("moving_channels", ()))
    result = refine_to_file(
        *images,
        start_of_fit(found, asked),
        target,
        RefineOptions(**values),
        fixed_mask=masks[0],
        moving_mask=masks[1],
        progress=progress,
    )
    return "" if result.accepted else result.verdict


def _set_of(pairs: LandmarkPairs) -> LandmarkSet:
    rows = zip(
        pairs.ids,
        pairs.fixed_um.tolist(),
        pairs.moving_um.tolist(),
        pairs.weights.tolist(),
        strict=True,
    )
    return LandmarkSet(
        tuple(
            Landmark(name, name, True, tuple(fixed), tuple(moving), weight)
            for name, fixed, moving, weight in rows
        )
    )
