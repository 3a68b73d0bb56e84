"""B applied without being formed, against B formed."""

import numpy as np
import pytest

from napari_bridgecorr.fitting.bending import (
    Bending,
    BendingByInverse,
    BendingByModes,
    Reflections,
)

N, K = 60, 4


def both(kernel: np.ndarray, columns: np.ndarray, smoothing: float) -> list[Bending]:
    reflections = Reflections(columns)
    reduced = reflections.reduced(kernel)
    values, vectors = np.linalg.eigh(reduced)
    modes = reflections.padded(vectors)
    return [
        BendingByModes(values, modes, modes**2, smoothing),
        BendingByInverse(reduced, reflections, smoothing),
    ]


def system(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A kernel matrix that is positive definite on what is orthogonal to the columns."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(N, K - 1))
    root = rng.uniform(0.5, 2.0, N)
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    return -distance * root[:, None] * root, np.column_stack([points, np.ones(N)]) * root[:, None]


@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1e4])
def test_equals_the_formed_matrix(smoothing: float) -> None:
    kernel, columns = system()
    # the upper left block of the inverse of the bordered system
    bordered = np.block([[kernel + smoothing * np.eye(N), columns], [columns.T, np.zeros((K, K))]])
    expected = np.linalg.inv(bordered)[:N, :N]
    right = np.random.default_rng(1).normal(size=(N, 3))
    size = np.abs(expected).max()
    for b in both(kernel, columns, smoothing):
        np.testing.assert_allclose(b.times(right), expected @ right, atol=1e-10 * size)
        np.testing.assert_allclose(b.diagonal, np.diag(expected), rtol=1e-9)
        np.testing.assert_allclose(b.squared_rows, np.sum(expected**2, axis=1), rtol=1e-9)


def test_reflections_are_orthogonal_and_span_the_columns() -> None:
    _, columns = system(1)
    found = Reflections(columns)
    q = found.forward(np.eye(N))
    np.testing.assert_allclose(q.T @ q, np.eye(N), atol=1e-13)
    np.testing.assert_allclose(q[:, :K] @ found.triangle, columns, atol=1e-12)
    np.testing.assert_allclose(found.back(columns)[K:], 0, atol=1e-13)


def test_a_singular_kernel_is_told() -> None:
    kernel, columns = system()
    kernel[:, 7], columns[7] = kernel[:, 8], columns[8]
    kernel[7] = kernel[8]
    kernel[7, 7] = kernel[7, 8] = kernel[8, 8]  # one landmark twice
    reflections = Reflections(columns)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        BendingByInverse(reflections.reduced(kernel), reflections, -1e-9)
