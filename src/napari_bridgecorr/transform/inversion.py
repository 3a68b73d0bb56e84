"""Numeric inversion of a map, point by point, by damped Newton iteration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TOLERANCE_UM = 1e-6
_MAX_ITERATIONS = 60
_MAX_HALVINGS = 12


def invert_points(
    forward: Callable[[FloatArray], FloatArray],
    jacobian: Callable[[FloatArray], FloatArray],
    targets_um: FloatArray,
    linear_guess: FloatArray | None,
) -> FloatArray:
    """Points whose image under `forward` is `targets_um`.

    Parameters
    ----------
    forward, jacobian : callable
        ``(n, 3) -> (n, 3)`` in um and ``(n, 3) -> (n, 3, 3)``.
    targets_um : (n, 3) float64
    linear_guess : (4, 4) float64 or None
        Affine near `forward`; the iteration starts at its inverse.

    Returns
    -------
    (n, 3) float64
        NaN where no point within 1e-6 um of the target was reached.

    Notes
    -----
    Newton with step halving whenever the residual grows (Nocedal & Wright, Numerical Optimization,
    ch. 11). A spline with a cone at each landmark is not smooth there: the halving carries the
    iteration across.
    """
    if linear_guess is None:
        points = targets_um.copy()
    else:
        back = np.linalg.inv(linear_guess)
        points = targets_um @ back[:3, :3].T + back[:3, 3]
    residual = forward(points) - targets_um
    error = np.linalg.norm(residual, axis=1)
    active = np.flatnonzero(error > TOLERANCE_UM)
    for _ in range(_MAX_ITERATIONS):
        if active.size == 0:
            break
        step = _newton_step(jacobian(points[active]), residual[active])
        active = _damped_move(forward, points, residual, error, targets_um, active, step)
    points[~(error <= TOLERANCE_UM)] = np.nan
    return points


def _newton_step(matrices: FloatArray, residual: FloatArray) -> FloatArray:
    """Newton step, regularised where the derivative is (nearly) singular."""
    finite = np.all(np.isfinite(matrices), axis=(1, 2))
    safe = np.where(finite[:, None, None], matrices, np.eye(3))
    flat = np.abs(np.linalg.det(safe)) < 1e-6
    safe = safe + np.where(flat[:, None, None], 1e-3 * np.eye(3), 0.0)
    return np.asarray(np.linalg.solve(safe, residual[:, :, None])[:, :, 0], dtype=np.float64)


def _damped_move(
    forward: Callable[[FloatArray], FloatArray],
    points: FloatArray,
    residual: FloatArray,
    error: FloatArray,
    targets_um: FloatArray,
    active: NDArray[np.intp],
    step: FloatArray,
) -> NDArray[np.intp]:
    """Move the active points in place along `step`, halving where it does not help.

    Returns the points that are still active: those that moved and are not there yet.
    """
    pending = np.arange(active.size)
    moved = np.zeros(active.size, dtype=bool)
    damping = 1.0
    for _ in range(_MAX_HALVINGS):
        which = active[pending]
        trial = points[which] - damping * step[pending]
        trial_residual = forward(trial) - targets_um[which]
        trial_error = np.linalg.norm(trial_residual, axis=1)
        better = trial_error < error[which]
        accepted = which[better]
        points[accepted] = trial[better]
        residual[accepted] = trial_residual[better]
        error[accepted] = trial_error[better]
        moved[pending[better]] = True
        pending = pending[~better]
        if pending.size == 0:
            break
        damping /= 2
    return active[moved & (error[active] > TOLERANCE_UM)]
