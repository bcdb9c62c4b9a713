"""Bytes of a variant file, decompressed, in pieces of bounded size.

BGZF is gzip in blocks of 64 KB, ended by one empty block; htslib reads a file whose end is
missing with a mere warning, so the end is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pysam

from genodl.errors import InputError

END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
SMALLEST, LARGEST = 1 << 18, 1 << 21

Compression = Literal["bgzf", "none"]


def compression(path: Path) -> Compression:
    """How the file is compressed; plain gzip and a cut file are refused."""
    start, end = _both_ends(path)
    if not start:
        raise InputError("the file is empty", where=str(path), mend="give a VCF, BCF or PLINK file")
    if not start.startswith(b"\x1f\x8b"):
        return "none"
    if start[12:14] != b"BC" or not start[3] & 4:
        raise InputError(
            "compressed by plain gzip, where BGZF is needed",
            where=str(path),
            mend="recompress with bgzip: gunzip FILE.gz && bgzip FILE",
        )
    if end != END_BLOCK:
        raise InputError(
            "truncated: the BGZF end-of-file block is missing",
            where=str(path),
            mend="fetch or write the file again",
        )
    return "bgzf"


def _both_ends(path: Path) -> tuple[bytes, bytes]:
    """The first 18 and the last 28 bytes."""
    try:
        with open(path, "rb") as file:
            start = file.read(18)
            size = file.seek(0, 2)
            file.seek(max(0, size - len(END_BLOCK)))
            return start, file.read()
    except OSError as fault:
        raise cannot_open(path, fault) from None


def cannot_open(path: Path, fault: OSError) -> InputError:
    """The error for a file that the system does not open."""
    reason = (fault.strerror or str(fault)).lower()
    return InputError(f"cannot be read: {reason}", where=str(path), mend="check the path")


def pieces(path: Path, *, offset: int = 0) -> Iterator[bytes]:
    """The decompressed bytes from a virtual offset on; pieces grow from 256 KB to 2 MB."""
    size = SMALLEST
    file = _open(path)
    try:
        if offset:
            _seek(file, offset, path)
        while piece := _read(file, size, path):
            yield piece
            size = min(size * 2, LARGEST)
    finally:
        # htslib says again at closing what it said at reading
        with suppress(OSError):
            file.close()


def _open(path: Path):
    """The file as a decompressed stream."""
    return pysam.BGZFile(str(path), "rb", None) if compression(path) == "bgzf" else open(path, "rb")


def _seek(file, offset: int, path: Path) -> None:
    """Go to a virtual offset; one that leads nowhere is the index's fault."""
    loudness = pysam.set_verbosity(0)
    try:
        file.seek(offset)
    except (OSError, OverflowError):
        raise InputError(
            "its index points outside it", where=str(path), mend="index again: bcftools index"
        ) from None
    finally:
        pysam.set_verbosity(loudness)


def _read(file, size: int, path: Path) -> bytes:
    """Up to `size` bytes; a broken block is the user's to mend."""
    # htslib's own lines on stderr would stand beside our one
    loudness = pysam.set_verbosity(0)
    try:
        return file.read(size)
    except OSError:
        raise InputError(
            "a compressed block is broken", where=str(path), mend="fetch or write the file again"
        ) from None
    finally:
        pysam.set_verbosity(loudness)
