"""What the registration engine is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import RefineError

StepKind = Literal["translation", "rigid", "similarity", "affine", "bspline", "displacement"]
Metric = Literal["mi", "correlation"]

STEP_KINDS: tuple[StepKind, ...] = (
    "translation", "rigid", "similarity", "affine", "bspline", "displacement",
)  # fmt: skip
METRICS: tuple[Metric, ...] = ("mi", "correlation")


@dataclass(frozen=True)
class EngineOptions:
    """How images are registered. Lengths are in um.

    Parameters
    ----------
    kind : {"translation", "rigid", "similarity", "affine", "bspline", "displacement"}
    metric : {"mi", "correlation"}
        Mattes mutual information, or the squared correlation coefficient (contrasts that are alike
        or each other's negative); of a displacement field its mean over windows of 5 voxels.
    bins : int
        Of the joint histogram.
    sampling : float
        Share (0-1] of the voxels that the metric looks at, drawn by `seed`; 1 is all.
    seed : int
        Same seed, same result.
    shrink : tuple of int
        Factors of the image pyramid, coarse to fine.
    smoothing_um : tuple of float
        Gaussian sigma of each level of the pyramid.
    iterations : int
        Most per level.
    step_um : float or None
        Longest first step (of a displacement field: any step, before it is smoothed); by default
        half the working voxel, of a displacement field a quarter. Not of B-splines.
    mesh_um : float
        Distance of a B-spline's control points.
    field_sigma_voxels : float
        Gaussian by which each update of a displacement field is smoothed, in voxels of its level.
    threads : int
        With more than one the last digits depend on which is first.

    Raises
    ------
    RefineError
        If a choice is impossible.
    """

    kind: StepKind = "rigid"
    metric: Metric = "mi"
    bins: int = 32
    sampling: float = 1.0
    seed: int = 0
    shrink: tuple[int, ...] = (4, 2, 1)
    smoothing_um: tuple[float, ...] = (0.0, 0.0, 0.0)
    iterations: int = 100
    step_um: float | None = None
    mesh_um: float = 500.0
    field_sigma_voxels: float = 2.0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.kind not in STEP_KINDS:
            raise RefineError(f"the model is one of {', '.join(STEP_KINDS)}, not {self.kind!r}")
        if self.metric not in METRICS:
            raise RefineError(f"the metric is one of {', '.join(METRICS)}, not {self.metric!r}")
        if not 0 < self.sampling <= 1:
            raise RefineError(f"the share of voxels lies in (0, 1], not {self.sampling}")
        if not self.shrink or len(self.shrink) != len(self.smoothing_um):
            raise RefineError("the pyramid needs one smoothing for each of its levels")
        if min(self.shrink) < 1 or min(self.smoothing_um) < 0:
            raise RefineError("the pyramid's factors are 1 or more, its smoothing 0 um or more")
        if not self.field_sigma_voxels > 0:
            raise RefineError("the smoothing of a displacement field is above 0 voxels")
        if self.iterations < 1 or self.threads < 1 or self.bins < 5 or self.mesh_um <= 0:
            raise RefineError(
                "iterations and threads are 1 or more, bins 5 or more, and the distance of "
                "control points is positive"
            )
