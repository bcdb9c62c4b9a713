from __future__ import annotations

import contextlib
import os

import numpy as np
import pysam
import pysam.bcftools
import pytest
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from test_vcf import META, vcf, written

import genodl.io
from genodl.errors import InputError
from genodl.io import ahead, bgzf
from genodl.io.variants import iter_variants, read_variants

RECORDS = [
    "1 10 . A G . . . GT 0/0 0/1 1/1",
    "1 20 . ACGT A . . . GT 0/1 0/1 1/1",
    "1 30 . A G,T . . . GT 1/2 0/1 ./.",
    "1 40000000 . A G . . . GT 1 0 1",
    "2 5 . A G . . . GT 0/1 0/0 0/1",
    "2 70 . A <DEL> . . END=90 GT 0/1 0/0 0/0",
]
END = '##INFO=<ID=END,Number=1,Type=Integer,Description="Last position">\n'


@pytest.fixture(params=["plain", "compressed", "tabix", "csi", "bcf", "bcf with index"])
def path(tmp_path, request):
    """The same records in every form VCF has, with and without an index."""
    source = written(tmp_path, vcf(*RECORDS, meta=META.replace(",length=9", "") + END))
    if request.param == "plain":
        return source
    if request.param.startswith("bcf"):
        out = tmp_path / "x.bcf"
        pysam.bcftools.view("-Ob", "-o", str(out), str(source), catch_stdout=False)
        if "index" in request.param:
            pysam.bcftools.index(str(out))
        return out
    out = tmp_path / "x.vcf.gz"
    pysam.tabix_compress(str(source), str(out))
    if request.param in ("tabix", "csi"):
        pysam.tabix_index(str(out), preset="vcf", csi=request.param == "csi")
    return out


def positions(path, **settings):
    return read_variants(path, **settings).var["pos"].tolist()


def test_a_region_holds_what_its_reference_allele_overlaps(path):
    assert positions(path, region="1:21-30") == [20, 30, 30]
    assert positions(path, region="1:23-23") == [20]
    assert positions(path, region="1:24-29") == []
    assert positions(path, region="1:10-10") == [10]
    assert positions(path, region="2") == [5, 70]
    assert positions(path, region="2:85-1,000") == [70]
    assert positions(path, region="1:31-") == [40000000]


def test_several_regions_are_read_once_and_in_file_order(path):
    regions = ["2:70-70", "1:22-23", "1:5-21", "1:20-20"]
    assert positions(path, region=regions) == [10, 20, 70]
    assert positions(path, region=["1:20-20", "1:22-22"]) == [20]


def test_an_unknown_contig_is_refused_with_the_nearest(path):
    with pytest.raises(InputError, match="no contig named 'chr1'; nearest names: '1'"):
        read_variants(path, region="chr1:1-3")


@pytest.mark.parametrize("region", ["1:5", "1:b-3", "1:9-3", "1:-3"])
def test_a_region_that_is_none_is_refused(path, region):
    with pytest.raises(InputError, match="region"):
        read_variants(path, region=region)


def test_an_empty_list_of_regions_is_refused(path):
    with pytest.raises(InputError, match="no region asked for"):
        read_variants(path, region=[])


def test_samples_come_in_the_order_asked(path):
    found = read_variants(path, samples=["c", "a"])
    assert list(found.obs_names) == ["c", "a"]
    assert_array_equal(found.X, read_variants(path).X[[2, 0]])


def test_samples_come_from_a_file(path, tmp_path):
    (tmp_path / "ids").write_text("b\n\na \n")
    assert list(read_variants(path, samples=tmp_path / "ids").obs_names) == ["b", "a"]


@pytest.mark.parametrize(
    ("samples", "line"),
    [
        (["a", "d"], "samples: sample 'd' is not in .*nearest names"),
        (["a", "a"], "sample 'a' is asked twice"),
        ([], "no sample asked for"),
        ("nowhere", "nowhere: cannot be read: no such file"),
    ],
)
def test_samples_that_cannot_be_given_are_refused(path, samples, line):
    with pytest.raises(InputError, match=line):
        read_variants(path, samples=samples)


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_blocks_together_are_the_whole(path, block):
    whole = read_variants(path)
    blocks = list(iter_variants(path, block=block))
    assert [b.n_vars for b in blocks[:-1]] == [block] * (len(blocks) - 1)
    assert_array_equal(np.concatenate([b.X for b in blocks], axis=1), whole.X)
    assert [n for b in blocks for n in b.var_names] == list(whole.var_names)


@pytest.mark.parametrize("kind", ["vcf", "bcf"])
@pytest.mark.parametrize("region", [None, ["1:2000-30000", "1:40001-"]])
def test_the_order_of_the_result_does_not_depend_on_the_cores(tmp_path, monkeypatch, kind, region):
    calls = np.random.default_rng(0).integers(0, 2, (5000, 6))
    records = [
        f"1 {10 * k + 1} . A G . . . GT {a}/{b} {c}/{d} {e}/{f}"
        for k, (a, b, c, d, e, f) in enumerate(calls)
    ]
    path = tmp_path / "x.vcf.gz"
    pysam.tabix_compress(
        str(written(tmp_path, vcf(*records, meta=META.replace(",length=9", "")))), str(path)
    )
    if kind == "bcf":
        source, path = path, tmp_path / "x.bcf"
        pysam.bcftools.view("-Ob", "-o", str(path), str(source), catch_stdout=False)
    pysam.bcftools.index(str(path))
    # blocks of 64 KB, so that several pieces are under way at once
    monkeypatch.setattr(bgzf, "SMALLEST", 1)
    monkeypatch.setattr(bgzf, "LARGEST", 1)
    monkeypatch.setattr(ahead, "CORES", 1)
    alone = read_variants(path, region=region)
    monkeypatch.setattr(ahead, "CORES", 4)
    together = read_variants(path, region=region)
    expected = calls.reshape(5000, 3, 2).sum(2).T
    rows = np.arange(5000) if region is None else np.r_[200:3000, 4000:5000]
    assert_array_equal(alone.X, expected[:, rows])
    assert_array_equal(together.X, alone.X)
    assert_frame_equal(together.var, alone.var)


def test_repeats_get_their_suffix_across_blocks(tmp_path):
    record = "1 10 . A G . . . GT 0 0 1"
    path = written(tmp_path, vcf(record, "1 11 . A G . . . GT 0 0 1", record))
    names = [n for b in iter_variants(path, block=1) for n in b.var_names]
    assert names == ["1:10:A:G", "1:11:A:G", "1:10:A:G-1"]


def test_a_block_of_no_alleles_is_refused(path):
    with pytest.raises(InputError, match="block is 0"):
        next(iter_variants(path, block=0))


def test_several_files_are_read_as_one(tmp_path):
    one = written(tmp_path, vcf(*RECORDS[:4]), "1.vcf")
    two = written(tmp_path, vcf(*RECORDS[4:]), "2.vcf")
    whole = written(tmp_path, vcf(*RECORDS))
    found = read_variants([one, two])
    assert_array_equal(found.X, read_variants(whole).X)
    assert_frame_equal(found.var, read_variants(whole).var)


def test_files_with_their_samples_in_another_order_are_aligned(tmp_path):
    one = written(tmp_path, vcf(RECORDS[0]), "1.vcf")
    two = written(tmp_path, vcf("2 5 . A G . . . GT 1/1 0/1 0/0", samples=("c", "b", "a")), "2.vcf")
    assert_array_equal(read_variants([one, two]).X, [[0, 0], [1, 1], [2, 2]])


def test_files_of_other_samples_are_refused(tmp_path):
    one = written(tmp_path, vcf(RECORDS[0]), "1.vcf")
    two = written(tmp_path, vcf(RECORDS[4], samples=("a", "b", "x")), "2.vcf")
    with pytest.raises(
        InputError, match=r"2\.vcf: its samples are not those of .*1\.vcf: 2 differ"
    ):
        read_variants([one, two])


def test_a_region_of_one_file_need_not_be_known_to_the_others(tmp_path):
    one = written(tmp_path, vcf(RECORDS[0], meta=META.replace("=2,", "=1,")), "1.vcf")
    two = written(tmp_path, vcf(RECORDS[4], meta=META.replace("=1>", "=2>")), "2.vcf")
    assert positions([one, two], region=["2:1-9"]) == [5]
    with pytest.raises(InputError, match="no contig named '3'"):
        read_variants([one, two], region="3")


@pytest.mark.parametrize(
    "name", ["x.vcf", "x.vcf.gz", "x.bcf", "x.bed", "x.pgen", "x.zarr", "x.h5ad"]
)
def test_a_missing_file_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="no such file"):
        read_variants(tmp_path / name)


@pytest.mark.parametrize("name", ["x.vcf", "x.vcf.gz", "x.bcf", "x.pgen", "x.h5ad", "x"])
def test_binary_garbage_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(InputError) as caught:
        read_variants(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "x.vcf").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        read_variants(tmp_path / "x.vcf")


def test_an_unknown_field_is_refused(path):
    with pytest.raises(InputError, match="no field 'GQ'; use GT or DS"):
        read_variants(path, field="GQ")


def test_an_unsorted_file_under_an_index_is_refused(tmp_path):
    records = [f"1 {k} . A G . . . GT 0 0 1" for k in range(1, 30)]
    source = written(tmp_path, vcf(*records), "a.vcf")
    pysam.tabix_compress(str(source), str(tmp_path / "a.vcf.gz"))
    pysam.tabix_index(str(tmp_path / "a.vcf.gz"), preset="vcf")
    index = (tmp_path / "a.vcf.gz.tbi").read_bytes()
    pysam.tabix_compress(
        str(written(tmp_path, vcf(*records[::-1]), "b.vcf")), str(tmp_path / "b.vcf.gz")
    )
    (tmp_path / "b.vcf.gz.tbi").write_bytes(index)
    with pytest.raises(InputError, match="not sorted: 1:28 comes after 1:29"):
        read_variants(tmp_path / "b.vcf.gz", region="1:3-9")


def test_an_index_older_than_its_file_is_not_used(tmp_path, caplog):
    source = written(tmp_path, vcf(*RECORDS))
    path = tmp_path / "x.vcf.gz"
    pysam.tabix_compress(str(source), str(path))
    pysam.tabix_index(str(path), preset="vcf")
    pysam.tabix_compress(str(written(tmp_path, vcf(RECORDS[4]))), str(path), force=True)
    os.utime(tmp_path / "x.vcf.gz.tbi", (1, 1))
    assert positions(path, region="2") == [5]
    assert "x.vcf.gz.tbi is older than its file" in caplog.text


@pytest.mark.parametrize("times", [30, pytest.param(150, marks=pytest.mark.long)])
def test_an_index_of_garbage_ends_in_values_or_an_input_error(tmp_path, times):
    source = written(tmp_path, vcf(*[f"1 {k} . A G . . . GT 0 0 1" for k in range(1, 99)]))
    path = tmp_path / "x.vcf.gz"
    pysam.tabix_compress(str(source), str(path))
    expected = positions(path, region="1:30-40")
    for csi in (False, True):
        pysam.tabix_index(str(path), preset="vcf", csi=csi, force=True)
        index = path.with_name(path.name + (".csi" if csi else ".tbi"))
        with pysam.BGZFile(str(index), "rb") as stream:
            content = stream.read()
        random = np.random.default_rng(1)
        for _ in range(times):
            changed = bytearray(content)
            changed[random.integers(len(content))] = random.integers(256)
            index.write_bytes(changed)
            # an index may lie about where a region begins, which then holds fewer records
            with contextlib.suppress(InputError):
                assert set(positions(path, region="1:30-40")) <= set(expected)
        index.unlink()


def test_the_public_names_of_the_layer_load_when_used():
    assert genodl.io.read_variants is read_variants
    assert set(genodl.io.__all__) <= set(dir(genodl.io))
    with pytest.raises(AttributeError, match="no attribute 'read_everything'"):
        genodl.io.read_everything  # noqa: B018


REAL = ["yeast/variants.vcf.gz", "kg_eur/EUR_test.vcf.gz", "kg_eur/LCT_1kg.vcf.gz"]


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_a_real_file_reads_as_cyvcf2_reads_it(data, name):
    cyvcf2 = pytest.importorskip("cyvcf2")
    file = cyvcf2.VCF(str(data / name))
    expected = []
    for record in file:
        # one column an allele, -1 missing, -2 past the end of a haploid call, then the phase
        called = record.genotype.array()[:, :-1]
        for allele in range(1, len(record.ALT) + 1):
            expected.append(np.where((called == -1).any(1), -1, (called == allele).sum(1)))
    found = read_variants(data / name)
    assert_array_equal(found.X.T, expected)
    assert list(found.obs_names) == file.samples


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_regions_of_a_real_file_tile_it(data, name):
    whole = read_variants(data / name)
    parts = []
    for contig, rows in whole.var.groupby("contig", sort=False):
        middle = int(rows["pos"].median())
        parts += [f"{contig}:0-{middle}", f"{contig}:{middle + 1}-"]
    found = [read_variants(data / name, region=p) for p in parts]
    assert_array_equal(np.concatenate([f.X for f in found], axis=1), whole.X)
    assert [n for f in found for n in f.var_names] == list(whole.var_names)
