"""Where the fields of BCF records stand, found without a compiler where records are plain.

Format: VCF specification, section 6.
"""

from __future__ import annotations

import struct

import numpy as np

_COLUMNS = (
    "contig", "pos", "length", "samples", "alleles", "formats",
    "id", "id_end", "filter", "format", "end",
)  # fmt: skip
LAYOUT = np.dtype([*((name, np.int64) for name in _COLUMNS), ("qual", np.float32)])
_LENGTHS = struct.Struct("<II")
_FIXED = np.dtype(
    [("shared", "<u4"), ("calls", "<u4"), ("contig", "<i4"), ("pos", "<i4"), ("length", "<i4"),
     ("qual", "<f4"), ("info", "<u2"), ("alleles", "<u2"), ("samples", "<u4")]
)  # fmt: skip
CHARACTER, ONE_INT8, TWO_INT8 = 7, 0x11, 0x21
SHORT = 15


def records(text: bytes) -> tuple[np.ndarray, int, int]:
    """Where each whole record begins, where the last ends, and the bytes the next one needs."""
    start, p, needed = [], 0, _LENGTHS.size
    while p + _LENGTHS.size <= len(text):
        needed = _LENGTHS.size + sum(_LENGTHS.unpack_from(text, p))
        if p + needed > len(text):
            break
        start.append(p)
        p += needed
        needed = _LENGTHS.size
    return np.array(start, np.int64), p, needed


def plain_layout(text: bytes, start: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """One LAYOUT row a record and the spans of all alleles; None where a record is not plain.

    Plain is a record of one ALT, whose id and alleles have fewer than 15 letters.
    """
    raw = np.frombuffer(text, np.uint8)
    found = np.zeros(len(start), LAYOUT)
    if not len(start) or start[-1] + _FIXED.itemsize > len(raw):
        return None
    fixed = raw[start[:, None] + np.arange(_FIXED.itemsize)].view(_FIXED)[:, 0]
    shared_end = start + _LENGTHS.size + fixed["shared"]
    if (fixed["alleles"] != 2).any() or (fixed["shared"] < _FIXED.itemsize).any():
        return None
    for name in ("contig", "pos", "length", "alleles", "qual"):
        found[name] = fixed[name]
    found["samples"], found["formats"] = fixed["samples"] & 0xFFFFFF, fixed["samples"] >> 24
    p = start + _FIXED.itemsize
    spans = np.empty((3, len(start), 2), np.int64)
    for word in range(3):
        kind = raw[p.clip(max=len(raw) - 1)]
        length = (kind >> 4).astype(np.int64)
        text_or_none = (kind & 15 == CHARACTER) | (length == 0)
        if not text_or_none.all() or (length == SHORT).any():
            return None
        spans[word, :, 0], spans[word, :, 1] = p + 1, p + 1 + length
        p = p + 1 + length
    if (p >= shared_end).any() or not np.isin(raw[p], (0, ONE_INT8)).all():
        return None
    found["id"], found["id_end"] = spans[0].T
    found["filter"], found["format"] = p, shared_end
    found["end"] = shared_end + fixed["calls"]
    return found, np.ascontiguousarray(spans[1:].swapaxes(0, 1)).reshape(-1, 2)


def two_bytes(text: bytes, layout: np.ndarray, key: int, samples: int) -> np.ndarray:
    """bool, (records,), whether GT is the first key and has two bytes a sample."""
    raw = np.frombuffer(text, np.uint8)
    begin = layout["format"]
    whole = (layout["formats"] > 0) & (begin + 3 + 2 * samples <= layout["end"])
    found = raw[begin[:, None].clip(max=len(raw) - 3) + np.arange(3)]
    return whole & (found == (ONE_INT8, key, TWO_INT8)).all(axis=1)
