"""The only file that talks to torch: the map and the interpolation, on a graphics card.

Every landmark's kernel is added at every voxel: the places are exact, and there is no coarse grid.
They are float64, as on the processor; what is interpolated has the image's own type.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import GeometryError
from ..transform.lattice_map import Axes, LatticeMap
from .graphics import VARIABLE, FieldStep, Step

# Voxels mapped at once, and landmarks whose kernels are added at once: bounds of the card's memory
# (some 500 MB beside the part of the image and a field). Every tile has the same size, so that
# sums do not depend on how an image is cut into blocks.
_TILE = 2**16
_LANDMARKS = 128


def is_usable(device: str) -> bool:
    """Whether torch can work on a device, with float64."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError):
        return False
    return True


class TorchPull:
    """A map's steps on a device; serves several threads, one at a time.

    Parameters
    ----------
    steps : sequence of Step
        From :func:`.graphics.map_steps`.
    device : str
        Torch's name of it.
    """

    def __init__(self, steps: Sequence[Step], device: str) -> None:
        self.steps = tuple(steps)
        self.device = device
        self._on_device: list[Any] | None = None
        self._one_at_a_time = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # a worker loads them on its own card
        return type(self), (self.steps, self.device)

    def interpolate(
        self,
        axes: Axes,
        order: int,
        region: NDArray[Any],
        region_start: NDArray[np.int64],
        image_shape: NDArray[np.int64],
        out: NDArray[Any],
    ) -> int:
        """What :func:`.interpolation.interpolate_rows` does.

        Parameters
        ----------
        axes : three (n_a,) float64
            Fixed indices along z, y, x.
        order : {0, 1}
            Nearest, linear.
        region : (c, z, y, x) float32 or float64
            The part of the moving image that was read.
        region_start, image_shape : (3,) int64
            Where the region begins, and the size of the whole image.
        out : (c, z, y, x) of the region's type

        Returns
        -------
        int
            Number of positions that lie in the image but not in the region.

        Raises
        ------
        GeometryError
            If the device fails, or its memory is too small.
        """
        try:
            with self._one_at_a_time, torch.no_grad():
                return self._interpolate(axes, order, region, region_start, image_shape, out)
        except RuntimeError as error:  # so are the driver's faults and a full memory
            line = str(error).strip().partition("\n")[0]
            raise GeometryError(
                f"the graphics device {self.device} failed ({line}); set {VARIABLE}=off to do "
                "without it"
            ) from error

    def _interpolate(
        self,
        axes: Axes,
        order: int,
        region: NDArray[Any],
        region_start: NDArray[np.int64],
        image_shape: NDArray[np.int64],
        out: NDArray[Any],
    ) -> int:
        if self._on_device is None:
            self._on_device = [_loaded(step, self.device) for step in self.steps]
        z, y, x = (torch.as_tensor(axis, device=self.device) for axis in axes)
        voxels = torch.as_tensor(region, device=self.device)
        n = z.numel() * y.numel() * x.numel()
        flat = out.reshape(len(region), n)
        pull = _linear if order == 1 else _nearest
        missed = 0
        for first in range(0, n, _TILE):
            here = torch.arange(first, first + _TILE, device=self.device).clamp_(max=n - 1)
            line = here // x.numel()
            places = torch.stack([z[line // y.numel()], y[line % y.numel()], x[here % x.numel()]])
            for step in self._on_device:
                places = step(places)
            values, n_missed = pull(places, voxels, region_start.tolist(), image_shape.tolist())
            last = min(first + _TILE, n)
            flat[:, first:last] = values[:, : last - first].cpu().numpy()
            missed += n_missed
        return missed


def _loaded(step: Step, device: str) -> Any:
    return _Field(step, device) if isinstance(step, FieldStep) else _Kernels(step, device)


def _transformed(matrix: Any, p: Any) -> Any:
    return matrix[:, :3] @ p + matrix[:, 3:]


class _Kernels:
    """An affine map and a sum of kernels, of (3, n) places."""

    def __init__(self, step: LatticeMap, device: str) -> None:
        self._matrix, self._to_u, self._control, self._weights = (
            torch.tensor(a, device=device)
            for a in (step.matrix, step.to_u, step.control, step.weights)
        )
        self._kind = step.kind

    def __call__(self, p: Any) -> Any:
        found = _transformed(self._matrix, p)
        u = _transformed(self._to_u, p)
        for control, weights in zip(
            self._control.split(_LANDMARKS, dim=1),
            self._weights.split(_LANDMARKS, dim=1),
            strict=True,
        ):
            if control.shape[1] > 0:
                r2 = torch.zeros((control.shape[1], p.shape[1]), dtype=p.dtype, device=p.device)
                for a in range(1 if self._kind == 1 else 0, 3):
                    r2 += (u[a][None] - control[a][:, None]) ** 2
                found += weights @ _kernel(r2, self._kind)
        return found


def _kernel(r2: Any, kind: int) -> Any:
    """See :func:`napari_bridgecorr.transform.lattice_kernels.kernel_at`."""
    if kind == 0:
        return -r2.sqrt()
    if kind == 1:
        return 0.5 * torch.special.xlogy(r2, r2)
    s = r2.sqrt()
    fall = torch.exp(-s)
    if kind == 2:
        return fall
    if kind == 3:
        return (1.0 + s) * fall
    if kind == 4:
        return (1.0 + s + s * s / 3.0) * fall
    raise GeometryError(f"kernel {kind} has no formula for graphics cards")


class _Field:
    """A displacement field, of (3, n) places; NaN beyond its voxels."""

    def __init__(self, step: FieldStep, device: str) -> None:
        self._to_index = torch.tensor(step.to_index[:3], device=device)
        self._vectors = torch.tensor(step.displacement_um, device=device)

    def __call__(self, p: Any) -> Any:
        size = self._vectors.shape[1:]
        index = _transformed(self._to_index, p)
        known = _in_image(index, size)
        moved = torch.zeros_like(p)
        low, part = [], []
        for i, n in zip(index, size, strict=True):
            at = torch.where(known, i, torch.zeros_like(i)).clamp(0.0, n - 1.0)
            low.append(at.long().clamp(max=max(n - 2, 0)))
            part.append(at - low[-1])
        for corner in range(8):
            up = (corner >> 2 & 1, corner >> 1 & 1, corner & 1)
            weight = torch.ones_like(p[0])
            for f, u in zip(part, up, strict=True):
                weight = weight * (f if u else 1.0 - f)
            z, y, x = ((k + u).clamp(max=n - 1) for k, u, n in zip(low, up, size, strict=True))
            # a vector of no weight may be NaN
            moved += torch.where(weight != 0, weight * self._vectors[:, z, y, x], 0.0)
        return torch.where(known, p + moved, torch.nan)


def _in_image(p: Any, shape: Sequence[int]) -> Any:
    inside = torch.ones_like(p[0], dtype=torch.bool)
    for i, n in zip(p, shape, strict=True):
        inside &= (i >= -0.5) & (i <= n - 0.5)  # NaN is not
    return inside


def _nearest(p: Any, region: Any, start: Sequence[int], shape: Sequence[int]) -> tuple[Any, int]:
    inside = _in_image(p, shape)
    here = inside.clone()
    at = []
    for i, first, n, have in zip(p, start, shape, region.shape[1:], strict=True):
        known = torch.where(inside, i, torch.zeros_like(i))
        k = torch.floor(known + 0.5).long().clamp(0, n - 1) - first
        here &= (k >= 0) & (k < have)
        at.append(k.clamp(0, have - 1))
    values = region[:, at[0], at[1], at[2]]
    return torch.where(here, values, torch.nan), int((inside & ~here).sum())


def _linear(p: Any, region: Any, start: Sequence[int], shape: Sequence[int]) -> tuple[Any, int]:
    inside = _in_image(p, shape)
    here = inside.clone()
    low, high, part = [], [], []
    for i, first, n, have in zip(p, start, shape, region.shape[1:], strict=True):
        known = torch.where(inside, i, torch.zeros_like(i)).clamp(0.0, n - 1.0) - first
        here &= (known >= 0.0) & (known <= have - 1.0)
        known = known.clamp(0.0, have - 1.0)
        k = known.long()
        low.append(k)
        # a neighbour of no weight may be NaN or lie beyond the image: take the voxel itself
        high.append(torch.where(known > k, k + 1, k))
        part.append((known - k).to(region.dtype))
    fz, fy, fx = part
    gz, gy, gx = (1.0 - f for f in part)
    planes = []
    for z in (low[0], high[0]):
        first_line = region[:, z, low[1], low[2]] * gx + region[:, z, low[1], high[2]] * fx
        second_line = region[:, z, high[1], low[2]] * gx + region[:, z, high[1], high[2]] * fx
        planes.append(first_line * gy + second_line * fy)
    values = planes[0] * gz + planes[1] * fz
    return torch.where(here, values, torch.nan), int((inside & ~here).sum())
