"""Small ParaVision folders, written as ParaVision 5 to 360 write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

_WORDS = {
    "uint8": "_8BIT_UNSGN_INT",
    "int16": "_16BIT_SGN_INT",
    "int32": "_32BIT_SGN_INT",
    "float32": "_32BIT_FLOAT",
}


class Raw(str):
    """A value that is written as it is."""


def record(name: str, value: object) -> str:
    """One record; long arrays are wrapped as ParaVision wraps them."""
    if isinstance(value, Raw):
        return f"##${name}={value}\n"
    if isinstance(value, str | int | float):
        return f"##${name}={value}\n"
    array = np.asarray(value)
    size = ", ".join(map(str, array.shape))
    words = [f"{v:.15g}" if array.dtype.kind == "f" else str(v) for v in array.ravel()]
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 70:
            lines.append("")
        lines[-1] += word + " "
    return f"##${name}=( {size} )\n" + "\n".join(lines) + "\n"


def axes(angle: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """Directions of the image's axes as rows."""
    c, s = np.cos(angle), np.sin(angle)
    d, t = np.cos(tilt), np.sin(tilt)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, d, t], [0, -t, d]]
    )


def write_scan(
    folder: Path,
    frames: np.ndarray,
    *,
    extent: Sequence[float],
    orientation: np.ndarray,
    position: np.ndarray,
    groups: str = "",
    big_endian: bool = False,
    slope: Sequence[float] = (1.0,),
    offset: Sequence[float] = (0.0,),
    more: Mapping[str, object] | None = None,
) -> Path:
    """Write ``2dseq`` and ``visu_pars``; `frames` is (frames, [z,] y, x). Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    size = frames.shape[:0:-1]
    records = {
        "VisuVersion": 3,
        "VisuCreatorVersion": Raw("( 65 )\n<6.0.1>"),
        "VisuCoreFrameCount": len(frames),
        "VisuCoreDim": len(size),
        "VisuCoreSize": list(size),
        "VisuCoreDimDesc": Raw(f"( {len(size)} )\n" + "spatial " * len(size)),
        "VisuCoreExtent": list(extent),
        "VisuCoreFrameThickness": [0.5],
        "VisuCoreUnits": Raw(f"( {len(size)}, 65 )\n" + "<mm> " * len(size)),
        "VisuCoreOrientation": np.reshape(orientation, (-1, 9)),
        "VisuCorePosition": np.reshape(position, (-1, 3)),
        "VisuCoreDataSlope": list(slope),
        "VisuCoreDataOffs": list(offset),
        "VisuCoreFrameType": Raw("MAGNITUDE_IMAGE"),
        "VisuCoreWordType": _WORDS[str(frames.dtype)],
        "VisuCoreByteOrder": "bigEndian" if big_endian else "littleEndian",
        "VisuCoreDiskSliceOrder": "disk_normal_slice_order",
        "VisuSubjectType": "Quadruped",
        "VisuSubjectPosition": "Head_Prone",
        "VisuAcquisitionProtocol": Raw("( 64 )\n<T2_TurboRARE>"),
    }
    if groups:
        n_groups = groups.count("(")
        records |= {
            "VisuFGOrderDescDim": n_groups,
            "VisuFGOrderDesc": Raw(f"( {n_groups} )\n{groups}"),
        }
        records |= {
            "VisuGroupDepVals": Raw("( 2 )\n(<VisuCoreOrientation>, 0) (<VisuCorePosition>, 0)")
        }
    records |= dict(more or {})
    text = "##TITLE=Parameter List, ParaVision 6.0.1\n##JCAMPDX=4.24\n##DATATYPE=Parameter Values\n"
    text += (
        "##ORIGIN=Bruker BioSpin MRI GmbH\n##OWNER=nmr\n$$ 2021-03-05 10:00:00.000 +0100  nmr@x\n"
    )
    text += "$$ /opt/PV6.0.1/data/nmr/study/5/pdata/1/visu_pars\n"
    text += "".join(record(name, value) for name, value in records.items() if value is not None)
    text += "$$ @vis= VisuVersion VisuUid\n##END=\n"
    (folder / "visu_pars").write_text(text, encoding="utf-8")
    stored = frames.astype(frames.dtype.newbyteorder(">" if big_endian else "<"))
    (folder / "2dseq").write_bytes(stored.tobytes())
    return folder


def counts(shape: tuple[int, ...], dtype: str = "int16", seed: int = 0) -> np.ndarray:
    """Numbers without a zero."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


def slices_at(first: Sequence[float], step: Sequence[float], n: int) -> np.ndarray:
    """Positions of evenly spaced slices."""
    return np.asarray(first, float) + np.arange(n)[:, None] * np.asarray(step, float)
