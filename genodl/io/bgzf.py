"""Bytes of a variant file, decompressed, in pieces of bounded size.

BGZF is gzip in blocks of at most 64 KB, ended by one empty block; htslib reads a file whose end is
missing with a mere warning, so the end is checked here. Each block says how long it is, so a file
is cut between blocks unread, and its parts are decompressed on every core, index or not. Each block
is inflated on its own, outside the interpreter's lock, which pysam's reader holds.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from genodl.errors import InputError
from genodl.io.ahead import in_order

inflater: Any = zlib
with suppress(ImportError):  # some processors have no build of it
    from isal import isal_zlib as inflater

END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
SMALLEST, LARGEST = 1 << 18, 1 << 21
LARGEST_BLOCK = 1 << 16
WINDOW = 1 << 18
_HEADER = re.compile(rb"\x1f\x8b\x08\x04.{6}\x06\x00BC\x02\x00(..)", re.DOTALL)
_U16, _U32 = struct.Struct("<H"), struct.Struct("<I")

GZIP = 31  # window bits of zlib that ask for a gzip header, and for the check of its sum

Compression = Literal["bgzf", "none"]


class _Span(NamedTuple):
    """A run of neighbouring blocks.

    Attributes
    ----------
    skip : decompressed bytes to leave out at its beginning
    begin : where it begins in the file
    blocks : where each block ends in the file, and its decompressed bytes
    """

    skip: int
    begin: int
    blocks: list[tuple[int, int]]


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
    if compression(path) == "none":
        return _plain(path)
    return in_order(partial(_inflated, path), ((span,) for span in _spans(path, offset)))


def _plain(path: Path) -> Iterator[bytes]:
    """The bytes of an uncompressed file."""
    size = SMALLEST
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece
            size = min(size * 2, LARGEST)


def _spans(path: Path, offset: int) -> Iterator[_Span]:
    """Runs of blocks from a virtual offset on."""
    begin, skip, wanted = offset >> 16, offset & (LARGEST_BLOCK - 1), SMALLEST
    size, blocks = -skip, []
    for block in _blocks(path, begin):
        blocks.append(block)
        size += block[1]
        if size >= wanted:
            yield _Span(skip, begin, blocks)
            begin, skip, wanted = block[0], 0, min(wanted * 2, LARGEST)
            size, blocks = 0, []
    if size < 0:
        raise _astray(path)
    if size:
        yield _Span(skip, begin, blocks)


def _blocks(path: Path, at: int) -> Iterator[tuple[int, int]]:
    """(where it ends in the file, decompressed bytes) of each block from `at` on."""
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        if at and at >= end:
            raise _astray(path)
        window, start, first = b"", at, at
        while at < end:
            if at + LARGEST_BLOCK > start + len(window):
                file.seek(at)
                window, start = file.read(WINDOW), at
            header = _HEADER.match(window, at - start)
            stop = at - start + 1 + _U16.unpack(header[1])[0] if header else len(window) + 1
            length = _U32.unpack_from(window, stop - 4)[0] if stop <= len(window) else -1
            if not 0 <= length <= LARGEST_BLOCK:
                raise _astray(path) if at == first > 0 else _broken(path)
            at = start + stop
            yield at, length


def _inflated(path: Path, span: _Span) -> bytes:
    """The decompressed bytes of a run of blocks, each with the length and the sum that it says."""
    end = span.blocks[-1][0]
    with open(path, "rb") as file:
        file.seek(span.begin)
        raw = memoryview(file.read(end - span.begin))
    parts, start = [], 0
    for stop, size in span.blocks:
        block, start = raw[start : stop - span.begin], stop - span.begin
        try:
            parts.append(inflater.decompress(block, GZIP, max(size, 1)))
        except (inflater.error, EOFError):
            raise _broken(path) from None
        if len(parts[-1]) != size:
            raise _broken(path)
    return b"".join(parts)[span.skip :] if span.skip else b"".join(parts)


def _broken(path: Path) -> InputError:
    """The error for a block that does not hold what it says."""
    return InputError(
        "a compressed block is broken", where=str(path), mend="fetch or write the file again"
    )


def _astray(path: Path) -> InputError:
    """The error for a place at which no block begins: the index's fault."""
    return InputError(
        "its index points outside it", where=str(path), mend="index again: bcftools index"
    )
