"""Fingerprints of files and folders, versions and the device."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import numpy
import pytest

from genodl import provenance

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B


def test_a_file_is_known_by_its_sha256_and_size(tmp_path):
    path = tmp_path / "abc.txt"
    path.write_bytes(b"abc")
    assert provenance.fingerprint(path) == {"path": str(path), "sha256": ABC, "bytes": 3}
    assert provenance.fingerprint(str(path))["sha256"] == ABC


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_file_longer_than_a_piece_is_read_whole(tmp_path, extra):
    whole = bytes(range(256)) * (provenance.PIECE // 128)
    whole = whole[: len(whole) + extra] + b"x" * max(extra, 0)
    path = tmp_path / "long"
    path.write_bytes(whole)
    found = provenance.fingerprint(path)
    assert found["sha256"] == hashlib.sha256(whole).hexdigest()
    assert found["bytes"] == len(whole)


def test_a_folder_is_known_by_what_its_files_hold_and_are_named(tmp_path):
    def store(name, files):
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return provenance.fingerprint(tmp_path / name)

    one = store("a.zarr", {"X/0": "abc", "obs/names": "s1"})
    assert one["bytes"] == 5
    assert store("b.zarr", {"obs/names": "s1", "X/0": "abc"})["sha256"] == one["sha256"]
    assert store("c.zarr", {"X/0": "abd", "obs/names": "s1"})["sha256"] != one["sha256"]
    assert store("d.zarr", {"X/1": "abc", "obs/names": "s1"})["sha256"] != one["sha256"]


def test_versions_are_those_installed():
    found = provenance.versions(["numpy", "no-such-package"])
    assert found["numpy"] == numpy.__version__
    assert found["no-such-package"] == "absent"
    assert "absent" not in provenance.versions().values()


def test_the_device_is_the_one_jax_uses():
    import jax

    assert f"({jax.default_backend()})" in provenance.device()
    assert f"x {jax.device_count()} " in provenance.device()


def test_the_time_is_in_utc_to_the_second():
    then = datetime.fromisoformat(provenance.now())
    assert then.utcoffset() == timedelta(0)
    assert then.microsecond == 0
    assert abs(datetime.now(then.tzinfo) - then) < timedelta(minutes=1)
