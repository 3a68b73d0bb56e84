"""Small matrices on one thread, and the threads back afterwards."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (loads SciPy's own BLAS, as a fit does)
import threadpoolctl
from fitting_samples import clicked

from napari_bridgecorr.blas_threads import LARGE, threads_for
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.fitting import solution as solution_module


def blas_threads() -> set[int]:
    return {
        library["num_threads"]
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    }


def set_blas_threads(number: int) -> None:
    """For good, as the environment does, and not as somebody who goes on holding it."""
    for library in threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers:
        library.set_num_threads(number)
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread()


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = max(blas_threads())
    set_blas_threads(2)
    yield
    set_blas_threads(before)


def test_a_small_fit_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    inner = solution_module.fit_affine

    def spy(*args: object) -> object:
        seen.append(blas_threads())
        return inner(*args)

    monkeypatch.setattr(solution_module, "fit_affine", spy)
    fit(clicked(0, 20, 10.0, 40.0)[0], FitOptions("tps"))
    assert seen == [{1}]
    assert blas_threads() == {2}


def test_large_ones_keep_them() -> None:
    with threads_for(LARGE):
        assert blas_threads() == {2}


def test_threads_come_back_from_any_thread_and_after_errors() -> None:
    seen = []

    def other() -> None:
        with threads_for(10), threads_for(20):
            seen.append(blas_threads())

    with threads_for(10):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()  # it waits for its turn
    thread.join()
    assert seen == [{1}]
    assert blas_threads() == {2}
    with pytest.raises(np.linalg.LinAlgError), threads_for(10):
        np.linalg.inv(np.zeros((3, 3)))
    assert blas_threads() == {2}
