from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from test_vcf import vcf, written

from genodl.errors import InputError
from genodl.io import store as ingesting
from genodl.io.store import check_store, ingest
from genodl.io.variants import iter_variants, read_variants

RECORDS = [
    f"{contig} {pos} rs{pos} A G,<DEL> {pos}.5 PASS . GT 0/1 {pos % 3}/2 ./1"
    for contig in (1, 2)
    for pos in range(1, 31)
]


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A VCF of 120 alleles; stores hold 16 a chunk."""
    monkeypatch.setattr(ingesting, "MOST_ALLELES", 16)
    return written(tmp_path, vcf(*RECORDS))


def assert_same(one, other):
    assert_array_equal(one.X, other.X)
    assert_frame_equal(one.var, other.var)
    assert list(one.obs_names) == list(other.obs_names)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path within it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_store_reads_as_its_source(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr", verify=True)
    assert_same(read_variants(store), read_variants(source))
    blocks = list(iter_variants(store, block=7))
    assert_array_equal(np.concatenate([b.X for b in blocks], axis=1), read_variants(source).X)


def test_anyone_reads_a_store_with_anndata(source, tmp_path):
    found = anndata.read_zarr(ingest(source, tmp_path / "x.zarr"))
    expected = read_variants(source)
    assert_array_equal(found.X, expected.X)
    assert found.X.dtype == np.int8
    assert_frame_equal(found.var.astype(expected.var.dtypes), expected.var)
    assert list(found.obs_names) == ["a", "b", "c"]


def test_a_store_gives_regions_and_samples(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr")
    asked = {"region": ["2:3-9", "1:30-"], "samples": ["c", "a"]}
    assert_same(read_variants(store, **asked), read_variants(source, **asked))
    with pytest.raises(InputError, match="no contig named '3'"):
        read_variants(store, region="3")


def test_what_is_asked_of_the_source_is_what_the_store_holds(source, tmp_path):
    asked = {"region": "2:3-9", "samples": ["c", "a"]}
    store = ingest(source, tmp_path / "x.zarr", **asked)
    assert_same(read_variants(store), read_variants(source, **asked))


def test_imputed_dosages_are_stored_as_floats(tmp_path):
    source = written(tmp_path, vcf("1 5 . A G . . . DS 0.25 . 2"))
    store = ingest(source, tmp_path / "x.zarr", field="DS")
    assert_same(read_variants(store, field="DS"), read_variants(source, field="DS"))
    assert_array_equal(anndata.read_zarr(store).X, [[0.25], [np.nan], [2]])
    with pytest.raises(InputError, match="holds DS, GT was asked for"):
        read_variants(store)


def test_an_empty_file_makes_an_empty_store(tmp_path):
    store = ingest(written(tmp_path, vcf()), tmp_path / "x.zarr")
    assert read_variants(store).shape == (3, 0)
    assert anndata.read_zarr(store).shape == (3, 0)


def test_a_matrix_written_by_anndata_reads_back(source, tmp_path):
    whole = read_variants(source)
    whole.write_h5ad(tmp_path / "x.h5ad")
    assert_array_equal(read_variants(tmp_path / "x.h5ad").X, whole.X)
    found = read_variants(tmp_path / "x.h5ad", region="2:3-9", samples=["c"])
    assert_array_equal(found.X, read_variants(source, region="2:3-9", samples=["c"]).X)


def test_a_matrix_of_something_else_is_refused(tmp_path):
    anndata.AnnData(np.ones((2, 2), np.float32)).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(InputError, match="no variants: var has no column contig, pos, ref, alt"):
        read_variants(tmp_path / "x.h5ad")


def test_a_second_run_of_the_same_request_changes_nothing(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr")
    before = (store / ".zattrs").stat().st_mtime_ns
    assert (ingest(source, store) / ".zattrs").stat().st_mtime_ns == before


def test_another_request_replaces_the_store_when_it_is_whole(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr")
    ingest(source, store, samples=["b"])
    assert read_variants(store).n_obs == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.vcf", "x.zarr"]


def test_a_fault_in_the_source_leaves_the_former_store(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr")
    before = content(store)
    written(tmp_path, vcf(*RECORDS, "3 1 . A G . . . GT 0/9 0 0"))
    with pytest.raises(InputError, match="beyond the 1 in ALT"):
        ingest(source, store)
    assert content(store) == before


@pytest.mark.parametrize("stop", range(9))
def test_a_run_stopped_between_any_two_chunks_resumes_to_the_same_bytes(
    source, tmp_path, monkeypatch, stop
):
    whole = content(ingest(source, tmp_path / "whole.zarr"))
    real, calls = ingesting._add, []

    def failing(*arguments):
        calls.append(arguments[3])
        if len(calls) == stop + 1:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(ingesting, "_add", failing)
    target = tmp_path / "x.zarr"
    if stop < 8:
        with pytest.raises(KeyboardInterrupt):
            ingest(source, target)
        assert not target.exists()
        with pytest.raises(InputError, match="a half-written store"):
            read_variants(tmp_path / "x.zarr.partial")
    calls.clear()
    monkeypatch.setattr(ingesting, "_add", lambda *a: (calls.append(a[3]), real(*a)))
    ingest(source, target)
    assert calls == list(range(stop if stop < 8 else 0, 8))
    assert content(target) == whole


@pytest.mark.parametrize("harm", ["torn line", "changed chunk", "lost chunk", "garbage"])
def test_what_a_stopped_run_left_is_trusted_only_where_it_holds(
    source, tmp_path, monkeypatch, harm
):
    whole = content(ingest(source, tmp_path / "whole.zarr"))
    real = ingesting._finish
    monkeypatch.setattr(ingesting, "_finish", lambda *_: 1 / 0)
    target, partial = tmp_path / "x.zarr", tmp_path / "x.zarr.partial"
    with pytest.raises(ZeroDivisionError):
        ingest(source, target)
    monkeypatch.setattr(ingesting, "_finish", real)
    if harm == "torn line":
        with open(partial / "journal.jsonl", "r+") as file:
            file.truncate(len(file.read()) - 30)
    elif harm == "changed chunk":
        (partial / "X" / "0.3").write_bytes(b"x")
    elif harm == "lost chunk":
        (partial / "var" / "ref" / "5").unlink()
    else:
        (partial / "journal.jsonl").write_bytes(b"\x00\xff{\n")
    ingest(source, target)
    assert content(target) == whole


def test_what_another_request_left_is_not_used(source, tmp_path, monkeypatch):
    whole = content(ingest(source, tmp_path / "whole.zarr", region="1:1-5"))
    real = ingesting._finish
    monkeypatch.setattr(ingesting, "_finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ingest(source, tmp_path / "x.zarr")
    monkeypatch.setattr(ingesting, "_finish", real)
    assert content(ingest(source, tmp_path / "x.zarr", region="1:1-5")) == whole


@pytest.mark.parametrize("name", ["X/0.2", "var/pos/0", "var/alt/7", "obs/_index/0"])
def test_a_changed_chunk_is_refused_by_reading_and_by_verifying(source, tmp_path, name):
    store = ingest(source, tmp_path / "x.zarr")
    assert check_store(store) == 1 + 8 * 12
    raw = bytearray((store / name).read_bytes())
    raw[-1] ^= 1
    (store / name).write_bytes(raw)
    for reads in (check_store, read_variants, lambda s: ingest(source, s, verify=True)):
        with pytest.raises(InputError, match=f"chunk {name} is missing or changed"):
            reads(store)


def test_a_place_taken_by_something_else_is_refused(source, tmp_path):
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(InputError, match="exists and is no genodl store"):
        ingest(source, tmp_path / "x.zarr")
    with pytest.raises(InputError, match=r"a store is named \.zarr"):
        ingest(source, tmp_path / "x")
    with pytest.raises(InputError, match="its folder does not exist"):
        ingest(source, tmp_path / "no" / "x.zarr")


def test_a_full_disk_is_one_line(source, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ingesting, "_save", full)
    with pytest.raises(InputError, match="no space left on device; make room and run"):
        ingest(source, tmp_path / "x.zarr")


def test_two_runs_do_not_write_one_store(source, tmp_path):
    import fcntl

    partial = tmp_path / "x.zarr.partial"
    partial.mkdir()
    with open(partial / "journal.jsonl", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing it"):
            ingest(source, tmp_path / "x.zarr")


def test_a_store_of_another_version_is_refused(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr")
    attributes = json.loads((store / ".zattrs").read_text())
    attributes["genodl"]["version"] = 99
    (store / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match="a store of another version"):
        read_variants(store)


def test_a_changed_manifest_is_refused(source, tmp_path):
    store = ingest(source, tmp_path / "x.zarr")
    attributes = json.loads((store / ".zattrs").read_text())
    attributes["genodl"]["alleles"] -= 1
    (store / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(InputError, match="its manifest is damaged; remove it"):
        read_variants(store)


KILLED = """
import sys
from genodl.io import store as ingesting
ingesting.MOST_ALLELES = 16
print("ready", flush=True)
for k in range(1000):
    ingesting.ingest(sys.argv[1], sys.argv[2], samples=[["a", "b"], ["b", "a"]][k % 2])
"""


@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_moment_leaves_a_whole_store_or_none(source, tmp_path, times):
    target = tmp_path / "x.zarr"
    whole = {
        name: content(ingest(source, tmp_path / f"{name}.zarr", samples=list(name)))
        for name in ("ab", "ba")
    }
    moments = np.random.default_rng(0)
    for _ in range(times):
        run = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(source), str(target)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(ingesting.__file__).parents[2])},
        )
        run.stdout.readline()
        time.sleep(moments.uniform(0.05, 0.6))
        assert run.poll() is None
        run.kill()
        run.communicate()
        if target.exists():
            assert content(target) in whole.values()
        assert content(ingest(source, target, samples=["a", "b"])) == whole["ab"]


@pytest.mark.real_data
def test_a_real_store_is_smaller_than_its_bed(data, tmp_path):
    bed = data / "hapmap3" / "variants.bed"
    store = ingest(bed, tmp_path / "x.zarr")
    assert_same(read_variants(store), read_variants(bed))
    assert sum(map(len, content(store / "X").values())) < bed.stat().st_size
