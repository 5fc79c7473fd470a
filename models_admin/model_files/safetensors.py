"""Reads the header of a safetensors file, which says where in the file each tensor is, and judges it.

The format: 8 bytes with the header's length (little endian), the header as a JSON object
`{NAME: {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {…}}`, and the data, without gaps. The rules are
those of TabbyAPI's loader (exllamav3) and of the format's own library, which both refuse a file that breaks them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from models_admin.model_files.folder import Entry, Folder
from models_admin.model_files.report import Unjudged, gigabytes, named

LONGEST_HEADER = 100 * 1024**2  # which the loader takes
MOST_READ = 32 * 1024**2  # of a header; those of the largest models have some megabytes
MOST_TENSORS = 400_000
LFS = b"version https://git-lfs"
WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


class Damaged(Exception):
    """The file is no whole safetensors file; str() says why, as the end of a clause that begins with its name."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in a file; `size` is in bytes."""

    dtype: str
    shape: tuple[int, ...]
    size: int


def tensors(folder: Folder, entry: Entry) -> dict[str, Tensor]:
    """Return the tensors of a file by name. Raises Damaged, and Unjudged where it cannot be read."""
    start = folder.read(entry, 64)
    if entry.size == 0:
        raise Damaged("is empty")
    if start.startswith(LFS):
        raise Damaged("is only a pointer of Git LFS, not the weights")
    length = int.from_bytes(start[:8], "little")
    if len(start) < 8 or not 2 <= length <= LONGEST_HEADER or not start[8:9].startswith(b"{"):
        if not any(start):
            raise Damaged("begins with zeros: its download has not come so far")
        raise Damaged("is no safetensors file: it does not begin with a header")
    if 8 + length > entry.size:
        raise Damaged(f"is cut off within its header: it has {entry.size:,} bytes")
    if length > MOST_READ:
        raise Unjudged(f"{named(entry.name)} has a header of {length:,} bytes, which was not read")
    data = folder.read(entry, length, 8)
    try:
        header = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Damaged("has a damaged header: it is not JSON") from None
    if not isinstance(header, dict):
        raise Damaged("has a damaged header: it is no object")
    return _read(header, entry.size - 8 - length, folder)


def length(folder: Folder, entry: Entry) -> int | None:
    """Return how long a file will be that is still growing, by its header; None until that has come."""
    size = int.from_bytes(folder.read(entry, 8), "little")
    if not 2 <= size <= MOST_READ or entry.size < 8 + size:
        return None
    try:
        header = orjson.loads(folder.read(entry, size, 8))
        ends = [facts["data_offsets"][1] for name, facts in header.items() if name != "__metadata__"]
        return 8 + size + max(ends, default=0)
    except (orjson.JSONDecodeError, AttributeError, KeyError, IndexError, TypeError):
        return None


def _read(header: dict[str, Any], room: int, folder: Folder) -> dict[str, Tensor]:
    """Return the tensors that a header describes, of a file with `room` bytes of data."""
    about = header.pop("__metadata__", None)
    if about is not None and not (
        isinstance(about, dict) and all(isinstance(v, str) for v in about.values())
    ):
        raise Damaged("has a damaged header: its __metadata__ is not texts by name")
    if len(header) > MOST_TENSORS:
        raise Unjudged(f"A file holds {len(header):,} tensors, which were not looked at")
    found: dict[str, Tensor] = {}
    spans: list[tuple[int, int, str]] = []
    for number, (name, facts) in enumerate(header.items()):
        if number % 10_000 == 0:
            folder.check_time()
        tensor, begin = _tensor(name, facts)
        found[name] = tensor
        spans.append((begin, begin + tensor.size, name))
    _check_places(spans, room)
    return found


def _tensor(name: str, facts: Any) -> tuple[Tensor, int]:
    """Return a tensor and where its data begin."""
    shown = named(name)
    if not isinstance(facts, dict) or not isinstance(dtype := facts.get("dtype"), str):
        raise Damaged(f"has a damaged header: {shown} is not described")
    shape, offsets = facts.get("shape"), facts.get("data_offsets")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Damaged(f"has a damaged header: the shape or the place of {shown} is none")
    begin, end = offsets
    if (width := WIDTHS.get(dtype)) is not None and math.prod(shape) * width != end - begin:
        raise Damaged(
            f"has a damaged header: {shown} has {end - begin:,} bytes, which does not fit its shape"
        )
    return Tensor(dtype, tuple(shape), end - begin), begin


def _counts(value: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= 32
        and all(type(each) is int and each >= 0 for each in value)
    )


def _check_places(spans: list[tuple[int, int, str]], room: int) -> None:
    """Raise Damaged unless the tensors fill the data, one behind the other."""
    at = 0
    for begin, end, name in sorted(spans):
        if begin < at:
            raise Damaged(f"has a damaged header: {named(name)} lies where another tensor is")
        if begin > at:
            raise Damaged(f"has a damaged header: nothing is said of the bytes before {named(name)}")
        at = end
    if at > room:
        raise Damaged(f"is cut off: {gigabytes(at - room)} of {gigabytes(at)} are missing")
    if at < room:
        raise Damaged(f"is longer than its header says, by {room - at:,} bytes")
