"""ITK's HDF5 transform files (``.h5``), read by h5py in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import ReadError, TransformError, one_line
from ...helper_process import HelperFault, HelperProcess
from .itk_records import ItkRecord, split_type

_LEAST_S = 8.0
# numbers are decompressed and handed over at 100 MB a second and more
_BYTES_PER_S = 1e7

# no filter is loaded from the computer's folders because a file asks for it
_HELPER = HelperProcess(
    "import os; os.environ['HDF5_PLUGIN_PRELOAD'] = '::'; "
    "from napari_bridgecorr.hdf5 import serve_itk_transforms as s; s()"
)


def read_itk_hdf5(path: Path) -> list[ItkRecord]:
    """Every transform of a file, in the order of the file.

    Raises
    ------
    ReadError
    """
    try:
        kinds, arrays = _HELPER.ask(path, _LEAST_S + path.stat().st_size / _BYTES_PER_S)
        return [
            ItkRecord(*split_type(kind), parameters, fixed.astype(np.float64))
            for kind, parameters, fixed in zip(kinds, arrays[::2], arrays[1::2], strict=True)
        ]
    except (HelperFault, TransformError) as error:
        raise ReadError(
            path, f"it is damaged ({one_line(error)})", "export the transform again"
        ) from error
    except OSError as error:
        raise ReadError(path, f"it cannot be opened ({one_line(error)})", "check it") from error
