"""Maps that the images give, as plain functions of values: they run in a job's thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..fitting import ErrorModel, Fit, FitOptions, fit
from ..image import SpatialImage
from ..io.transform_files import TransformFile, file_of_document
from ..landmarks import Landmark, LandmarkSet
from ..progress import Progress
from ..transform import Transform
from ..workflow.align import Alignment, AlignModel, align_document, find_alignment
from ..workflow.refine import (
    RefineOptions,
    RefineStart,
    refine,
    refine_document,
    start_from,
    start_of_fit,
)
from ..workflow.tables import transform_error
from .frames import same_place

Kind = Literal["aligned", "placed", "refined"]
ChannelChoice = str | int | None

# a point that went through a layer comes back rounded
_SAME_PLACE_UM = 1e-6


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a map was made from, to tell whether it still holds.

    Parameters
    ----------
    fixed, moving : SpatialImage
    landmarks : tuple of Landmark or None
        The pairs that took part; None where landmarks played no role.
    options : FitOptions or None
        Of the fit that it started from, if it did.
    """

    fixed: SpatialImage
    moving: SpatialImage
    landmarks: tuple[Landmark, ...] | None = None
    options: FitOptions | None = None

    def still_hold(
        self,
        fixed: SpatialImage | None,
        moving: SpatialImage | None,
        landmarks: LandmarkSet,
        options: FitOptions,
    ) -> bool:
        """Whether images, landmarks and options are as they were."""
        return (
            _is_same(fixed, self.fixed)
            and _is_same(moving, self.moving)
            and (self.landmarks is None or _are_same(used_pairs(landmarks), self.landmarks))
            and (self.options is None or options == self.options)
        )


@dataclass(frozen=True)
class AlignOptions:
    """How to look for a map without landmarks.

    Parameters
    ----------
    model : {"elastic", "affine", "rigid"}
    mirror : bool
    channels : (str or int or None, str or int or None)
    """

    model: AlignModel = "elastic"
    mirror: bool = False
    channels: tuple[ChannelChoice, ChannelChoice] = (None, None)


@dataclass(frozen=True, eq=False)
class ImageMap:
    """A map from the fixed world to the moving one that does not come from landmarks alone.

    Parameters
    ----------
    kind : {"aligned", "placed", "refined"}
    transform : Transform
    document : dict
        Its transform file.
    inputs : Inputs
    verdict : str
        How good it is, in words.
    repeat : RefineOptions or AlignOptions or None
        With which a session makes the same map from the same files; None where it cannot.
    """

    kind: Kind
    transform: Transform
    document: Mapping[str, Any]
    inputs: Inputs
    verdict: str
    repeat: RefineOptions | AlignOptions | None = None

    def error(self, landmarks: LandmarkSet) -> ErrorModel | None:
        """How wrong it may be where; None if nothing tells.

        Raises
        ------
        ReadError
            If the document is damaged.
        """
        took_part = self.inputs.landmarks is not None
        return transform_error(
            file_of_document(dict(self.document)), None if took_part else landmarks
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of looking for a map.

    Parameters
    ----------
    found : ImageMap or None
        None where the map is better kept as it is.
    headline : str
    is_good : bool
        Whether the user can rely on it as far as is known.
    figures : tuple of (str, str, str)
        What was measured, before and after.
    details : tuple of str
    next_step : str
    """

    found: ImageMap | None
    headline: str
    is_good: bool
    figures: tuple[tuple[str, str, str], ...] = ()
    details: tuple[str, ...] = ()
    next_step: str = ""


def used_pairs(landmarks: LandmarkSet) -> tuple[Landmark, ...]:
    """The complete pairs that are ticked."""
    return tuple(m for m in landmarks if m.enabled and m.is_pair)


def at_time(image: SpatialImage, time: int) -> SpatialImage:
    """One time point of an image."""
    return image if image.n_times == 1 else image.part(None, (time, time + 1))


@dataclass(frozen=True, eq=False)
class RefineQuestion:
    """What is to be refined.

    Parameters
    ----------
    inputs : Inputs
    fixed, moving : SpatialImage
        At one time point.
    landmarks : LandmarkSet
    fit : Fit or None
        Of these landmarks, where it is known already.
    start : ImageMap or None
        Where to start, instead of at the fit.
    options : RefineOptions
    masks : (SpatialImage or None, SpatialImage or None)
    """

    inputs: Inputs
    fixed: SpatialImage
    moving: SpatialImage
    landmarks: LandmarkSet
    fit: Fit | None
    start: ImageMap | None
    options: RefineOptions
    masks: tuple[SpatialImage | None, SpatialImage | None] = (None, None)

    @property
    def is_repeatable(self) -> bool:
        """Whether a session can say all of it: masks and times it cannot."""
        return self.start is None and _all_is_in_files(self.inputs, self.masks)


def find_refined(question: RefineQuestion, progress: Progress) -> Outcome:
    """Refine a map by the images.

    Raises
    ------
    RefineError, FitError, GeometryError, Cancelled
    """
    start = _start(question)
    result = refine(
        question.fixed,
        question.moving,
        start,
        question.options,
        fixed_mask=question.masks[0],
        moving_mask=question.masks[1],
        progress=progress,
    )
    before, after, check = result.before, result.after, result.check
    figures = []
    if len(check.before_um):
        figures.append(
            (
                f"left-out landmarks ({len(check.before_um)}), median",
                _length(before.held_out_median_um),
                _length(after.held_out_median_um),
            )
        )
        figures.append(("the same, RMS", _length(check.before_rms_um), _length(check.after_rms_um)))
    if result.step_um:
        figures.append(
            ("images explain each other", _share(before.explained), _share(after.explained))
        )
        figures.append(("folded", _share(before.folded), _share(after.folded)))
    details = []
    if result.step_um:
        details.append(
            f"Moved by {_length(result.step_um['median'])} (median), "
            f"{_length(result.step_um['largest'])} at most."
        )
    if result.cancelled:
        details.append("Stopped early: this is the best map until then.")
    if not len(check.before_um):
        details.append("Not checked on landmarks, as there are none: place a few to know.")
    if not result.accepted:
        return Outcome(None, result.verdict, False, tuple(figures), tuple(details))
    found = ImageMap(
        "refined",
        result.transform,
        refine_document(result, start),
        question.inputs,
        result.verdict,
        question.options if question.is_repeatable and not result.cancelled else None,
    )
    return Outcome(
        found,
        result.verdict,
        True,
        tuple(figures),
        tuple(details),
        "The results use the refined map now: warp, or go back to the map before in step 5.",
    )


def _start(question: RefineQuestion) -> RefineStart:
    if question.start is None:
        found = question.fit or fit(question.landmarks.pairs(), question.inputs.options)
        return start_of_fit(found, question.inputs.options or found.options)
    document = dict(question.start.document)
    source = TransformFile(question.start.transform, document=document)
    pairs = question.landmarks.pairs()
    return start_from(source, pairs if len(pairs) else None)


@dataclass(frozen=True, eq=False)
class AlignQuestion:
    """Two images to bring together without landmarks.

    Parameters
    ----------
    inputs : Inputs
    fixed, moving : SpatialImage
        At one time point.
    options : AlignOptions
    masks : (SpatialImage or None, SpatialImage or None)
    """

    inputs: Inputs
    fixed: SpatialImage
    moving: SpatialImage
    options: AlignOptions
    masks: tuple[SpatialImage | None, SpatialImage | None] = (None, None)


def find_aligned(question: AlignQuestion, progress: Progress) -> Outcome:
    """Find a map without landmarks.

    Raises
    ------
    RefineError, GeometryError, Cancelled
    """
    result = find_alignment(
        question.fixed,
        question.moving,
        model=question.options.model,
        mirror=question.options.mirror,
        channels=question.options.channels,
        masks=question.masks,
        progress=progress,
    )
    start = result.start
    is_repeatable = result.is_complete and _all_is_in_files(question.inputs, question.masks)
    found = ImageMap(
        "aligned",
        result.transform,
        align_document(result),
        question.inputs,
        start.verdict,
        question.options if is_repeatable else None,
    )
    look = "Warp (step 5) and compare in the overlay"
    return Outcome(
        found,
        start.verdict,
        start.is_clear,
        (),
        (
            f"Confidence {start.confidence:.2f} (0.5 and more is clear).",
            *_of_alignment(result),
            *(w for w in result.warnings if w != start.verdict),
        ),
        f"{look}; then refine it, or place landmarks: each click leads to where this map expects "
        "its partner."
        if start.is_clear
        else f"{look}. If it is wrong, two or three landmarks settle it.",
    )


def _of_alignment(result: Alignment) -> list[str]:
    said = []
    if result.start.candidates[0].is_mirrored:
        said.append("The moving image is turned over.")
    if result.elastic is not None:
        said.append(result.elastic.verdict[:1].upper() + result.elastic.verdict[1:] + ".")
    return said


def _all_is_in_files(
    inputs: Inputs, masks: tuple[SpatialImage | None, SpatialImage | None]
) -> bool:
    one_time = inputs.fixed.n_times == inputs.moving.n_times == 1
    return one_time and all(mask is None for mask in masks)


def _is_same(now: SpatialImage | None, then: SpatialImage) -> bool:
    return (
        now is not None
        and now.name == then.name
        and now.source == then.source
        and now.grid.shape == then.grid.shape
        and same_place(now.grid.index_to_world, then.grid.index_to_world)
        and len(now.channels) == len(then.channels)
    )


def _are_same(now: tuple[Landmark, ...], then: tuple[Landmark, ...]) -> bool:
    """Whether pairs are where they were; shown upright they come back rounded."""
    return len(now) == len(then) and all(
        a.id == b.id
        and a.weight == b.weight
        and np.allclose(_ends(a), _ends(b), rtol=0, atol=_SAME_PLACE_UM)
        for a, b in zip(now, then, strict=True)
    )


def _ends(landmark: Landmark) -> tuple[float, ...]:
    return (*(landmark.fixed_um or ()), *(landmark.moving_um or ()))


def _length(um: float) -> str:
    return f"{um:.3g} µm" if np.isfinite(um) else "–"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if np.isfinite(value) else "–"
