from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from genodl.errors import InputError
from genodl.io.variants import iter_variants, read_variants

FAM = "f1 a 0 0 1 -9\nf1 b 0 0 2 -9\nf2 c 0 0 0 -9\nf2 d 0 0 0 -9\nf3 e 0 0 0 -9\n"
BIM = "1 rs1 0 100 A G\n1\trs2\t0.5\t200\tT\tC\nX rs3 0 50 AT A\n"


@pytest.fixture
def bed(tmp_path):
    """Five samples x three variants; the calls of a .bed run from the lowest bits up."""
    (tmp_path / "x.fam").write_text(FAM)
    (tmp_path / "x.bim").write_text(BIM)
    path = tmp_path / "x.bed"
    # 00 A1/A1, 01 missing, 10 A1/A2, 11 A2/A2
    rows = [0b11_10_01_00, 0b00, 0b11_11_11_11, 0b11, 0b00_00_00_00, 0b10]
    path.write_bytes(bytes([0x6C, 0x1B, 0x01, *rows]))
    return path


def test_dosage_counts_the_first_allele_of_the_bim(bed):
    found = read_variants(bed)
    assert_array_equal(found.X.T, [[2, -1, 1, 0, 2], [0, 0, 0, 0, 0], [2, 2, 2, 2, 1]])
    assert found.X.dtype == np.int8
    assert list(found.obs_names) == list("abcde")


def test_the_first_allele_stands_as_alternate_and_the_second_as_reference(bed):
    found = read_variants(bed)
    assert list(found.var_names) == ["1:100:G:A", "1:200:C:T", "X:50:A:AT"]
    assert list(found.var["id"]) == ["rs1", "rs2", "rs3"]


def test_regions_and_samples_are_taken_in_the_order_asked(bed):
    found = read_variants(bed, region=["X", "1:150-200"], samples=["e", "a"])
    assert list(found.var["id"]) == ["rs2", "rs3"]
    assert_array_equal(found.X, [[0, 1], [0, 2]])


def test_any_file_of_the_set_names_it(bed):
    assert_array_equal(read_variants(bed.with_suffix(".bim")).X, read_variants(bed).X)


def test_repeated_ids_are_told_apart_by_the_family(bed):
    bed.with_suffix(".fam").write_text(FAM.replace("f2 c", "f2 a"))
    assert list(read_variants(bed).obs_names) == ["f1_a", "f1_b", "f2_a", "f2_d", "f3_e"]


@pytest.mark.parametrize(
    ("suffix", "content", "line"),
    [
        (".bed", b"\x6c\x1b\x00" + bytes(6), "starts with 6c1b00"),
        (".bed", b"\x6c\x1b\x01" + bytes(5), "8 bytes, where 5 samples x 3 variants need 9"),
        (".bim", b"1 rs1 0 1.5 A G\n" * 3, "position of variant 1 is '1.5'"),
        (".bim", b"1 rs1 0\n", "not a table of 6 columns"),
        (".bim", BIM.encode() + b"1 rs1 0\n", "row 4 has fewer than 6 columns"),
        (".bim", b"", "5 samples x 0 variants need 3"),
        (".fam", b"f a 0 0 0 0\nf a 0 0 0 0\n", "sample 'f_a' appears twice"),
    ],
)
def test_a_set_that_lies_is_refused(bed, suffix, content, line):
    bed.with_suffix(suffix).write_bytes(content)
    with pytest.raises(InputError, match=line):
        read_variants(bed)


@pytest.mark.parametrize("suffix", [".bed", ".bim", ".fam"])
def test_a_missing_file_of_the_set_is_named(bed, suffix):
    bed.with_suffix(suffix).unlink()
    with pytest.raises(InputError, match=rf"x\{suffix}: "):
        read_variants(bed)


def test_a_bed_holds_no_imputed_dosages(bed):
    with pytest.raises(InputError, match="no imputed dosages"):
        read_variants(bed, field="DS")


def test_an_unknown_contig_is_refused(bed):
    with pytest.raises(InputError, match="no contig named 'Y'"):
        read_variants(bed, region="Y")


@pytest.mark.real_data
@pytest.mark.parametrize("cohort", ["mice", "hapmap3"])
def test_a_real_bed_reads_as_bed_reader_reads_it(data, cohort):
    bed_reader = pytest.importorskip("bed_reader")
    path = data / cohort / "variants.bed"
    expected = bed_reader.open_bed(path, count_A1=True).read(dtype="int8")
    expected[expected == -127] = -1
    found = read_variants(path)
    assert_array_equal(found.X, expected)
    assert_array_equal(np.concatenate([b.X for b in iter_variants(path)], axis=1), expected)


@pytest.fixture
def pgen(tmp_path):
    """Three samples x three records, the second with two ALT alleles."""
    pgenlib = pytest.importorskip("pgenlib")
    path = tmp_path / "x.pgen"
    with pgenlib.PgenWriter(
        str(path).encode(), 3, variant_ct=3, nonref_flags=False, allele_ct_limit=3
    ) as writer:
        writer.append_alleles(np.array([0, 0, 0, 1, -9, -9], np.int32))
        writer.append_alleles(np.array([1, 2, 2, 2, 0, 1], np.int32))
        writer.append_alleles(np.array([1, 1, 0, 1, 0, 0], np.int32))
    path.with_suffix(".psam").write_text("#IID\tSEX\na\t1\nb\t2\nc\t0\n")
    path.with_suffix(".pvar").write_text(
        "##x=1\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\n"
        "1\t10\t.\tA\tG\t.\tPASS\n1\t11\trs2\tA\tC,T\t7\t.\n2\t5\t.\tC\tA\t.\t.\n"
    )
    return path


def test_a_pgen_gives_a_column_an_alternate_allele(pgen):
    found = read_variants(pgen)
    assert_array_equal(found.X.T, [[0, 1, -1], [1, 0, 1], [1, 2, 0], [2, 1, 0]])
    assert list(found.var_names) == ["1:10:A:G", "1:11:A:C", "1:11:A:T", "2:5:C:A"]
    assert list(found.var["filter"]) == ["PASS", ".", ".", "."]
    assert_array_equal(found.var["qual"], [np.nan, 7, 7, np.nan])


def test_a_pgen_region_and_its_samples_are_read(pgen):
    assert_array_equal(read_variants(pgen, region="2", samples=["b"]).X, [[1]])


def test_a_pgen_of_other_samples_is_refused(pgen):
    pgen.with_suffix(".psam").write_text("#IID\na\nb\n")
    with pytest.raises(InputError, match="pgenlib refuses it"):
        read_variants(pgen)
