"""Blocks inflated one by one, by either library, from any place in the file."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pysam
import pytest

from genodl.errors import InputError
from genodl.io import bgzf

isal = pytest.importorskip("isal.isal_zlib", reason="no build of isal for this processor")


@pytest.fixture(params=[zlib, isal], ids=["zlib", "isal"], autouse=True)
def _inflater(request, monkeypatch):
    monkeypatch.setattr(bgzf, "inflater", request.param)


@pytest.fixture
def file(tmp_path):
    """Four megabytes that hardly compress, as blocks."""
    text = np.random.default_rng(0).integers(0, 64, 1 << 22, dtype=np.uint8).tobytes()
    with pysam.BGZFile(str(tmp_path / "x.gz"), "wb") as out:
        out.write(text)
    return tmp_path / "x.gz", text


def test_the_bytes_are_those_that_pysam_reads(file):
    path, text = file
    assert b"".join(bgzf.pieces(path)) == text
    with pysam.BGZFile(str(path), "rb") as stream:
        stream.read(1_234_567)
        offset = stream.tell()
        assert offset & 0xFFFF  # within a block
        assert b"".join(bgzf.pieces(path, offset=offset)) == stream.read(len(text))


def changed(path, at, value):
    """The file with some bytes replaced."""
    raw = bytearray(path.read_bytes())
    raw[at : at + len(value)] = value
    path.write_bytes(raw)


def first_block(path) -> int:
    """Where the first block ends."""
    return struct.unpack("<H", path.read_bytes()[16:18])[0] + 1


@pytest.mark.parametrize("place", ["data", "sum", "length"])
def test_a_block_that_does_not_hold_what_it_says_is_refused(file, place):
    path, _ = file
    end = first_block(path)
    at = {"data": end // 2, "sum": end - 8, "length": end - 4}[place]
    flipped = path.read_bytes()[at] ^ 0x10
    changed(path, at, bytes([flipped]))
    with pytest.raises(InputError, match="a compressed block is broken"):
        list(bgzf.pieces(path))
