from __future__ import annotations

import pysam
import pysam.bcftools
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_vcf import META, vcf, written

from genodl.errors import InputError
from genodl.io import Filters, ingest, iter_variants, read_variants
from genodl.io.chunks import read_manifest

DECLARED = META + "".join(
    f'##INFO=<ID={key},Number={number},Type={kind},Description="{key}">\n'
    for key, number, kind in [
        ("CSQ", ".", "String"),
        ("DP", "1", "Integer"),
        ("AF", "A", "Float"),
        ("DB", "0", "Flag"),
    ]
)
DECLARED += '##FILTER=<ID=q10,Description="Low quality">\n'
# allele counts 1 of 6, 3 of 6, 1 and 1 of 4, 2 of 3 (haploid), 6 of 6
RECORDS = [
    "1 10 . A G . PASS CSQ=G|missense|TP53,G|intron|X;DP=7 GT 0/0 0/1 0/0",
    "1 20 . ACGT A . q10 DP=8;AF=0.5;DB GT 0/1 0/1 0/1",
    "1 30 . A G,<DEL> . PASS AF=0.25,1e-3 GT 1/2 0/0 ./.",
    "2 5 . A G . . . GT 1 0 1",
    "2 6 . a t . PASS CSQ=T|stop|Y GT 1/1 1/1 1/1",
]


@pytest.fixture(params=["vcf", "bcf"])
def path(tmp_path, request):
    """The same records as VCF and as BCF."""
    source = written(tmp_path, vcf(*RECORDS, meta=DECLARED.replace(",length=9", "")))
    if request.param == "vcf":
        return source
    out = tmp_path / "x.bcf"
    pysam.bcftools.view("-Ob", "-o", str(out), str(source), catch_stdout=False)
    return out


def test_alleles_and_calls_are_counted(path):
    var = read_variants(path).var
    assert list(var["ploidy"]) == [2, 2, 2, 2, 1, 2]
    assert list(var["allele_count"]) == [1, 3, 1, 1, 2, 6]
    assert_allclose(var["call_rate"], [1, 1, 2 / 3, 2 / 3, 1, 1], rtol=1e-6)


def test_the_counts_are_those_of_the_samples_read(path):
    var = read_variants(path, samples=["c", "b"]).var
    assert list(var["allele_count"]) == [1, 2, 0, 0, 1, 4]
    assert_allclose(var["call_rate"], [1, 1, 0.5, 0.5, 1, 1])


CASES = {
    "passed": ({"passed": True}, [0, 2, 3, 5], {"FILTER is not PASS": 2}),
    "snps": ({"snps": True}, [0, 2, 4, 5], {"not a SNP": 2}),
    "call rate": ({"call_rate": 0.7}, [0, 1, 4, 5], {"call rate below 0.7": 2}),
    # 1/6, 1/2, 1/4, 1/4, 1/3, 0
    "maf": ({"maf": 0.25}, [1, 2, 3, 4], {"minor allele frequency below 0.25": 2}),
    "the first reason counts": (
        {"passed": True, "snps": True, "maf": 0.2},
        [2],
        {"FILTER is not PASS": 2, "not a SNP": 1, "minor allele frequency below 0.2": 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_filter_leaves_out_and_says_what(path, caplog, name):
    settings, kept, losses = CASES[name]
    whole, found = read_variants(path), read_variants(path, filters=Filters(**settings))
    assert list(found.var_names) == list(whole.var_names[kept])
    assert_array_equal(found.X, whole.X[:, kept])
    assert found.uns["losses"] == losses
    assert f"{sum(losses.values())} alleles left out" in caplog.text


def test_blocks_and_a_store_hold_what_the_filters_leave(path, tmp_path, caplog):
    filters = Filters(snps=True, maf=0.2)
    whole = read_variants(path, filters=filters)
    blocks = [n for b in iter_variants(path, filters=filters, block=2) for n in b.var_names]
    assert blocks == list(whole.var_names)
    assert caplog.text.count("alleles left out: 2 not a SNP, 2 minor allele frequency") == 2
    store = ingest(path, tmp_path / "x.zarr", filters=filters, info=["CSQ"])
    assert list(read_variants(store, info=["CSQ"]).var["CSQ"]) == [".", "."]
    assert_array_equal(read_variants(store).X, whole.X)
    assert read_manifest(store)["losses"] == whole.uns["losses"]


def test_a_store_can_be_filtered_again(path, tmp_path):
    store = ingest(path, tmp_path / "x.zarr")
    filters = Filters(passed=True, snps=True, call_rate=0.6, maf=0.2)
    assert list(read_variants(store, filters=filters).var_names) == ["1:30:A:G"]


def test_nothing_left_is_an_empty_matrix(path):
    found = read_variants(path, filters=Filters(passed=True, maf=0.5))
    assert found.shape == (3, 0)
    assert sum(found.uns["losses"].values()) == 6


@pytest.mark.parametrize("settings", [{"maf": 0.6}, {"maf": -1}, {"call_rate": 1.5}])
def test_a_threshold_that_cannot_be_is_refused(settings):
    with pytest.raises(InputError, match="filters: "):
        Filters(**settings)


def test_consequences_are_kept_as_written(path, tmp_path):
    asked = ["CSQ", "DP", "AF", "DB"]
    var = read_variants(path, info=asked).var
    assert list(var["CSQ"]) == ["G|missense|TP53,G|intron|X", ".", ".", ".", ".", "T|stop|Y"]
    assert list(var["DP"]) == ["7", "8", ".", ".", ".", "."]
    assert [float(v) for v in var["AF"][2].split(",")] == [0.25, 0.001]
    assert list(var["DB"]) == [".", "", ".", ".", ".", "."]
    store = ingest(path, tmp_path / "x.zarr", info=["CSQ"])
    assert list(read_variants(store, info=["CSQ"]).var["CSQ"]) == list(var["CSQ"])
    with pytest.raises(InputError, match=r"does not hold INFO/DP; ingest .* --info DP"):
        read_variants(store, info=["DP"])


def test_an_unknown_info_key_is_refused(path):
    with pytest.raises(InputError, match="INFO/CQS is not declared; nearest names: 'CSQ'"):
        read_variants(path, info=["CQS"])
