"""How wrong the registration may be at any point, from the landmarks alone.

An error model says where the truth lies as seen from the map: by how much on average (the bias:
where a stiff map passes a bend that the landmarks show), and with what covariance. Everything else
follows: the expected length of the error and the length that it stays below with a probability.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from ..blas_threads import threads_for
from ..errors import FitError
from ..geometry.convex_hull import ConvexHull
from ..landmarks import LandmarkPairs
from ..transform import Affine, InvertedTransform, Transform
from .checks import check_pairs
from .error_levels import LEVELS, ErrorLevels, Moments, with_landmark
from .error_radius import length_quantile
from .evidence import Evidence, drawn_candidates, weigh_priors
from .linear_models import tangents
from .noise import ISOTROPIC, NoiseShape
from .spline_system import SplineSystem

FloatArray = NDArray[np.float64]

_CHUNK = 20_000
_TINY = np.finfo(np.float64).tiny
# landmarks beyond what an affine map takes, from which a prior is told
_FEWEST_CONTRASTS = 2
_PRIORS = 6
# of so many landmarks one prior is all but certain, and each costs n^2 a point
_ONE_PRIOR = 300
# Tissue does not bend alike everywhere, as the process does: squared variation of its variance from
# place to place. In simulations this made the 68 % level true where it was 75 %.
_UNEVEN = 0.25
# a stiff map whose left-out errors are within this of the flexible one's is taken for the truth
_AS_GOOD = 1.03


class ErrorModel(ABC):
    """Predicts the registration error."""

    description: str

    @abstractmethod
    def moments(self, points_um: FloatArray) -> Moments:
        """(n, 3) mean and (n, 3, 3) covariance of the error in um at (n, 3) fixed points.

        Along z, y, x of the moving space; and (n,) degrees of freedom from which the size of the
        covariance is known, more than 4.
        """

    @abstractmethod
    def localisation(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(n, 3, 3) covariance in um^2 of the localisation error of a landmark of weight 1.

        In the moving space, of both its clicks, at (n, 3) fixed points; and (n,) degrees of freedom
        from which its size is known, more than 4. Zero where the moments hold it already.
        """

    def predict(self, points_um: FloatArray) -> FloatArray:
        """(n,) expected root-mean-square 3-D target error in um at (n, 3) fixed world points."""
        found = [_rms_length(self.moments(part)) for part in _chunks(points_um)]
        return np.concatenate([np.zeros(0), *found])

    def radius(self, points_um: FloatArray, level: float) -> FloatArray:
        """(n,) length in um that the target error stays below with probability `level`.

        The map's alone: a check landmark lies further off, by its own clicks'
        (:meth:`landmark_radius`).
        """
        radii = [length_quantile(*self.moments(part), level) for part in _chunks(points_um)]
        return np.concatenate([np.zeros(0), *radii])

    def landmark_radius(self, points_um: FloatArray, level: float) -> FloatArray:
        """(n,) length in um that the distance to one more landmark stays below, its clicks' error
        included: what left-out landmarks and check landmarks are to be compared with."""
        radii = [
            length_quantile(*with_landmark(self.moments(part), *self.localisation(part)), level)
            for part in _chunks(points_um)
        ]
        return np.concatenate([np.zeros(0), *radii])

    def levels(self, points_um: FloatArray) -> ErrorLevels:
        """Target and landmark errors at (n, 3) fixed world points, in half the time."""
        rows = [np.zeros((5, 0))]
        for part in _chunks(points_um):
            own = self.moments(part)
            seen = with_landmark(own, *self.localisation(part))
            found = [length_quantile(*each, p) for each in (own, seen) for p in LEVELS]
            rows.append(np.stack([_rms_length(own), *found]))
        return ErrorLevels(*np.concatenate(rows, axis=1))


class PosteriorErrorModel(ErrorModel):
    """Error of any map, from what the landmarks say of the true one.

    The true map is an affine trend and a Gaussian process (:mod:`.evidence`). Given the landmarks,
    it has at every point a mean (the kriging prediction) and a covariance, averaged over kernels,
    lengths and noise by their likelihood. The error of a map is its distance from that mean, and
    that covariance. It grows between the landmarks and outside their hull.
    """

    description = (
        "expected RMS 3-D registration error (um), given the landmarks, of a Gaussian-process "
        "model of the tissue's deformation that is fitted to them"
    )

    def __init__(
        self,
        pairs: LandmarkPairs,
        transform: Transform,
        dimensions: int = 3,
        noise: NoiseShape = ISOTROPIC,
        evidence: Evidence | None = None,
    ) -> None:
        fixed, moving = pairs.fixed_um, pairs.moving_um
        if evidence is None:
            with threads_for(len(pairs)):
                evidence = weigh_priors(fixed, moving, dimensions, pairs.weights, noise)
        n = len(pairs)
        chosen = (
            drawn_candidates(evidence.candidates, _PRIORS) if n <= _ONE_PRIOR else [evidence.chosen]
        )
        self._transform = transform
        self._moving_um = moving
        self._dimensions = dimensions
        self._noise = noise
        self._freedom = dimensions * (n - dimensions - 1)
        self._parts = []
        for candidate in chosen:
            system = SplineSystem(fixed, dimensions, pairs.weights, candidate.prior)
            variance = system.variance_um2(moving, candidate.smoothing, noise)
            self._parts.append((system, candidate.smoothing, variance))

    @property
    def leave_one_out_rms_um(self) -> float:
        """Root mean square leave-one-out error, weighted, of one of the kriging maps."""
        system, smoothing, _ = self._parts[len(self._parts) // 2]
        errors = system.leave_one_out(self._moving_um, smoothing, self._noise).errors_um
        return _rms(errors[:, 3 - self._dimensions :], system.weights)

    def moments(self, points_um: FloatArray) -> Moments:
        first, noise = 3 - self._dimensions, self._noise
        means, variances = [], np.zeros((len(points_um), 3))
        sizes = np.zeros((len(self._parts), len(points_um)))
        for part, (system, smoothing, variance) in enumerate(self._parts):
            means.append(system.predict(self._moving_um, points_um, smoothing, noise))
            for scale in np.unique(noise.scales[first:]):
                axes = [a for a in range(first, 3) if noise.scales[a] == scale]
                spread = system.prediction_variance(points_um, smoothing * float(scale))
                variances[:, axes] += (variance * spread / len(self._parts))[:, None]
                sizes[part] += variance * spread * len(axes)
        mean = np.mean(means, axis=0)
        covariance = np.einsum("ik,nk,jk->nij", noise.axes, variances, noise.axes)
        off = np.array(means) - mean
        covariance += np.einsum("mni,mnj->nij", off, off) / len(means)
        bias = self._transform.map(points_um) - mean
        if first:  # z is shifted only: nothing is said of it
            bias[:, 0] = 0.0
            covariance[:, 0, :] = covariance[:, :, 0] = 0.0
        # how differently large the priors make it, and how few landmarks say it for each of them
        disagreement = np.var(sizes, axis=0) / np.maximum(np.mean(sizes, axis=0), _TINY) ** 2
        return bias, covariance, 4 + 2 / (disagreement + 2 / self._freedom + _UNEVEN)

    def gain(self, points_um: FloatArray, region_um: FloatArray) -> FloatArray:
        """(n,) um^2 that one more landmark of weight 1, at each of (n, 3) points, would take.

        Of the mean square error over (m, 3) points of a region, its place in the moving image
        being unknown yet.
        """
        found = np.zeros(len(points_um))
        for system, smoothing, variance in self._parts:
            scales = self._noise.scales[3 - self._dimensions :]
            for scale, n_axes in zip(*np.unique(scales, return_counts=True), strict=True):
                noise = smoothing * float(scale)
                shared = system.prediction_covariance(points_um, region_um, noise)
                own = system.prediction_variance(points_um, noise) + noise
                taken = np.mean(shared**2, axis=1) / np.maximum(own, _TINY)
                found += variance * n_axes * taken
        return found / len(self._parts)

    def localisation(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        # The likeliest noise of few landmarks is too small, in simulations by about this
        n = self._parts[0][0].n
        likeliest = np.mean([smoothing * variance for _, smoothing, variance in self._parts])
        size = float(likeliest) * n / max(n - 3, 1)
        shape = self._noise.covariance(self._dimensions)
        return _everywhere(size * shape, 4.0 + self._freedom, points_um)


class LinearErrorModel(ErrorModel):
    """Error of a translation, rotation, similarity or affine map of tissue that does not bend.

    The landmarks' localisation error, estimated from the residuals, seen through the map's
    parameters: in the isotropic rigid case ``sigma^2 (1/N + 1/3 sum_k d_k^2 / f_k^2)``
    (Fitzpatrick, West & Maurer, IEEE TMI 17, 1998).
    """

    description = (
        "expected RMS 3-D registration error (um) from the landmarks' localisation error and their "
        "layout, if the tissue moves as the model says"
    )

    def __init__(
        self,
        pairs: LandmarkPairs,
        transform: Affine,
        model: str,
        dimensions: int = 3,
        noise: NoiseShape = ISOTROPIC,
    ) -> None:
        self._model, self._transform, self._dimensions = model, transform, dimensions
        self._centre = pairs.weights @ pairs.fixed_um / pairs.weights.sum()
        first = 3 - dimensions
        precision = noise.precision[first:, first:]
        d = tangents(model, transform, pairs.fixed_um - self._centre, dimensions)[:, first:]
        information = np.einsum("n,nip,ij,njq->pq", pairs.weights, d, precision, d)
        residual = (transform.map(pairs.fixed_um) - pairs.moving_um)[:, first:]
        square = np.einsum("n,ni,ij,nj->", pairs.weights, residual, precision, residual)
        free = dimensions * len(pairs) - d.shape[2]
        # the mean of what the size may be: known from few landmarks it may be much more
        variance = float(square) / (free - 2) if free > 2 else np.nan
        self._freedom = max(free, 4.5)
        self._covariance = variance * np.linalg.pinv(information)
        self._localisation = variance * noise.covariance(dimensions)

    def moments(self, points_um: FloatArray) -> Moments:
        d = tangents(self._model, self._transform, points_um - self._centre, self._dimensions)
        covariance = d @ self._covariance @ d.transpose(0, 2, 1)
        n = len(points_um)
        return np.zeros((n, 3)), covariance, np.full(n, float(self._freedom))

    def localisation(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _everywhere(self._localisation, float(self._freedom), points_um)


class InverseErrorModel(ErrorModel):
    """Error of the numeric inverse of a map that was fitted from moving to fixed.

    That map's error where the point goes, seen through the inverse's local stretch.
    """

    def __init__(self, backward: ErrorModel, transform: Transform) -> None:
        self._backward = backward
        self._transform = transform
        self.description = backward.description

    def moments(self, points_um: FloatArray) -> Moments:
        moved = self._transform.map(points_um)
        known = np.isfinite(moved).all(axis=1)
        bias = np.full((len(points_um), 3), np.nan)
        covariance = np.full((len(points_um), 3, 3), np.nan)
        freedom = np.full(len(points_um), np.nan)
        if known.any():
            stretch = self._transform.jacobian(points_um[known])
            back, spread, freedom[known] = self._backward.moments(moved[known])
            bias[known] = -np.einsum("nij,nj->ni", stretch, back)
            covariance[known] = stretch @ spread @ stretch.transpose(0, 2, 1)
        return bias, covariance, freedom

    def localisation(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        moved = self._transform.map(points_um)
        known = np.isfinite(moved).all(axis=1)
        covariance = np.full((len(points_um), 3, 3), np.nan)
        freedom = np.full(len(points_um), np.nan)
        if known.any():
            stretch = self._transform.jacobian(points_um[known])
            back, freedom[known] = self._backward.localisation(moved[known])
            covariance[known] = stretch @ back @ stretch.transpose(0, 2, 1)
        return covariance, freedom


class CheckErrorModel(ErrorModel):
    """Error of a transform that was not fitted to these landmarks: their RMS distance.

    Their own localisation error is part of it.
    """

    description = "RMS distance (um) of the check landmarks from where the transform puts them"

    def __init__(self, pairs: LandmarkPairs, transform: Transform) -> None:
        error = transform.map(pairs.fixed_um) - pairs.moving_um
        self._second = error.T @ error / len(pairs)
        self._freedom = 4.0 + 3 * len(pairs)

    def moments(self, points_um: FloatArray) -> Moments:
        n = len(points_um)
        covariance = np.broadcast_to(self._second, (n, 3, 3))
        return np.zeros((n, 3)), covariance, np.full(n, self._freedom)

    def localisation(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _everywhere(np.zeros((3, 3)), self._freedom, points_um)


class HeldOutErrorModel(ErrorModel):
    """Error of a map that images and landmarks made: that at landmarks it was made without.

    The same everywhere within the landmarks' hull. Nothing was checked beyond it: there it is what
    the landmarks alone say, where that is more.

    Parameters
    ----------
    pairs : LandmarkPairs
        All that took part.
    transform : Transform
    errors_um : (n, 3) float64
        Along z, y, x; the left-out landmarks' own localisation error is part of them.
    dimensions : {3, 2}
    """

    description = (
        "RMS 3-D error (um) of predicted landmarks that were left out of the refinement, their own "
        "localisation error included; outside the landmarks' hull, what the landmarks alone say "
        "where that is more"
    )

    def __init__(
        self,
        pairs: LandmarkPairs,
        transform: Transform,
        errors_um: FloatArray,
        dimensions: int = 3,
    ) -> None:
        self._second = errors_um.T @ errors_um / len(errors_um)
        self._freedom = 4.0 + dimensions * len(errors_um)
        self._beyond: tuple[ConvexHull, ErrorModel] | None = None
        try:
            check_pairs(pairs, "gp", dimensions)
        except FitError:
            return  # too few, or in one plane: they say nothing of what lies beyond
        alone = PosteriorErrorModel(pairs, transform, dimensions)
        self._beyond = ConvexHull(pairs.fixed_um, dimensions), alone

    def moments(self, points_um: FloatArray) -> Moments:
        n = len(points_um)
        bias, freedom = np.zeros((n, 3)), np.full(n, self._freedom)
        covariance = np.tile(self._second, (n, 1, 1))
        for there, moments in self._where_more(points_um):
            bias[there], covariance[there], freedom[there] = moments
        return bias, covariance, freedom

    def localisation(self, points_um: FloatArray) -> tuple[FloatArray, FloatArray]:
        covariance, freedom = _everywhere(np.zeros((3, 3)), self._freedom, points_um)
        if self._beyond is not None:
            for there, _ in self._where_more(points_um):
                found = self._beyond[1].localisation(points_um[there])
                covariance[there], freedom[there] = found
        return covariance, freedom

    def _where_more(self, points_um: FloatArray) -> list[tuple[NDArray[np.intp], Moments]]:
        """Places outside the hull where the landmarks alone say more, and what they say."""
        if self._beyond is None:
            return []
        hull, alone = self._beyond
        outside = np.flatnonzero(hull.distance_um(points_um) > 0)
        if not len(outside):
            return []
        bias, covariance, freedom = alone.moments(points_um[outside])
        more = _rms_length((bias, covariance, freedom)) ** 2 > np.trace(self._second)
        return [(outside[more], (bias[more], covariance[more], freedom[more]))]


def error_model(
    pairs: LandmarkPairs,
    transform: Transform,
    model: str,
    dimensions: int = 3,
    noise: NoiseShape = ISOTROPIC,
    evidence: Evidence | None = None,
) -> ErrorModel:
    """The error model that fits how `transform` came from `pairs`.

    Parameters
    ----------
    pairs : LandmarkPairs
    transform : Transform
    model : str
    dimensions : {3, 2}
    noise : NoiseShape
        As the fit has it.
    evidence : Evidence, optional
        As the fit has it; else it is gathered again.

    Notes
    -----
    A map of few parameters is taken for true, and its error is that of its landmarks' clicks, where
    a flexible map predicts left-out landmarks no better. Otherwise tissue bends where such a map
    does not, and that counts.
    """
    if isinstance(transform, InvertedTransform):
        backward = error_model(
            pairs.swapped(), transform.forward, model, dimensions, noise, evidence
        )
        return InverseErrorModel(backward, transform)
    enough = len(pairs) >= dimensions + 1 + _FEWEST_CONTRASTS
    if not isinstance(transform, Affine):
        if enough:
            return PosteriorErrorModel(pairs, transform, dimensions, noise, evidence)
        from .linear_models import fit_affine

        affine = fit_affine(pairs.fixed_um, pairs.moving_um, pairs.weights, dimensions)
        return LinearErrorModel(pairs, affine, "affine", dimensions, noise)
    stiff = LinearErrorModel(pairs, transform, model, dimensions, noise)
    if not enough or (model == "affine" and len(pairs) < 2 * (dimensions + 1)):
        return stiff
    flexible = PosteriorErrorModel(pairs, transform, dimensions, noise, evidence)
    if model == "affine":
        return flexible  # the affine map is one of its limits
    from .linear_models import leave_one_out_linear

    errors = leave_one_out_linear(
        transform, model, pairs.fixed_um, pairs.moving_um, pairs.weights, dimensions, noise
    )
    own = _rms(errors[:, 3 - dimensions :], pairs.weights)
    return stiff if own <= _AS_GOOD * flexible.leave_one_out_rms_um else flexible


def _rms(errors_um: FloatArray, weights: FloatArray) -> float:
    squares = np.sum(errors_um**2, axis=1)
    known = np.isfinite(squares)
    return (
        float(np.sqrt(np.average(squares[known], weights=weights[known]))) if known.any() else 0.0
    )


def _rms_length(moments: Moments) -> FloatArray:
    bias, covariance, _ = moments
    square = np.sum(bias**2, axis=1) + np.trace(covariance, axis1=1, axis2=2)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _everywhere(
    covariance_um2: FloatArray, freedom: float, points_um: FloatArray
) -> tuple[FloatArray, FloatArray]:
    n = len(points_um)
    return np.tile(covariance_um2, (n, 1, 1)), np.full(n, freedom)


def _chunks(points_um: FloatArray) -> list[FloatArray]:
    return [points_um[k : k + _CHUNK] for k in range(0, len(points_um), _CHUNK)]
