from __future__ import annotations

import gzip

import numpy as np
import pysam
import pytest
import reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from genodl.errors import InputError
from genodl.io.variants import read_variants

META = """##fileformat=VCFv4.4
##contig=<ID=1>
##contig=<ID=2,length=9>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">
##FORMAT=<ID=GP,Number=G,Type=Float,Description="Probabilities">
"""
COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]


def vcf(*records: str, samples=("a", "b", "c"), meta=META, end="\n") -> str:
    """A VCF whose records are written with blanks for tabs."""
    header = [*meta.splitlines(), "\t".join([*COLUMNS, *samples])]
    return end.join([*header, *("\t".join(r.split(" ")) for r in records), ""])


def written(folder, text, name="x.vcf"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def read(tmp_path):
    """A function that writes records as a VCF and reads it."""
    return lambda *records, **settings: read_variants(written(tmp_path, vcf(*records)), **settings)


def test_dosage_counts_the_alternate_allele(read):
    found = read("1 10 rs1 A G 50 PASS . GT 0/0 0/1 1|1")
    assert_array_equal(found.X, [[0], [1], [2]])
    assert found.X.dtype == np.int8
    assert list(found.obs_names) == ["a", "b", "c"]
    assert list(found.var_names) == ["1:10:A:G"]
    assert found.var.iloc[0].to_dict() == {
        "contig": "1", "pos": 10, "ref": "A", "alt": "G", "id": "rs1", "qual": 50, "filter": "PASS",
        "ploidy": 2, "allele_count": 3, "call_rate": 1,
    }  # fmt: skip


def test_a_call_with_any_missing_allele_is_missing(read):
    assert_array_equal(read("1 10 . A G . . . GT ./. 1/. .").X.ravel(), [-1, -1, -1])


def test_each_alternate_allele_is_a_column(read):
    found = read("1 10 . A G,T . . . GT 1/2 2/2 0/1")
    assert_array_equal(found.X, [[1, 1], [0, 2], [1, 0]])
    assert list(found.var["alt"]) == ["G", "T"]


def test_a_record_without_alternate_allele_gives_no_column(read):
    assert read("1 10 . A . . . . GT 0/0 0/0 ./.", "1 11 . A G . . . GT 0 1 1").shape == (3, 1)


def test_a_record_without_genotypes_is_all_missing(read):
    assert_array_equal(read("1 10 . A G . . . DP 1 2 3").X.ravel(), [-1, -1, -1])


def test_haploid_and_polyploid_calls_count_up_to_the_ploidy(read):
    assert_array_equal(read("1 10 . A G . . . GT 1 0/1/1/1 1|1|1").X.ravel(), [1, 3, 3])


def test_more_than_nine_alternate_alleles_are_told_apart(read):
    alts = ",".join("A" + "C" * k for k in range(1, 12))
    found = read(f"1 10 . A {alts} . . . GT 10/11 1/11 0/10")
    assert_array_equal(found.X[:, [0, 9, 10]], [[0, 1, 1], [1, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize("alt", ["<DEL>", "*", "A[2:5[", "]2:5]A", "<CN0>", "g"])
def test_every_kind_of_alternate_allele_is_kept_as_written(read, alt):
    assert list(read(f"1 10 . A {alt} . . . GT 0/1 0/0 1/1").var["alt"]) == [alt]


def test_a_leading_phase_mark_is_read(read):
    assert_array_equal(read("1 10 . A G . . . GT |0|1 /1/1 |0").X.ravel(), [1, 2, 0])


def test_fields_after_the_genotype_are_passed_over(read):
    found = read("1 10 . A G . . . GT:DP:PL 0/1:3:1,2,3 1/1 ./.:.:.")
    assert_array_equal(found.X.ravel(), [1, 2, -1])


def test_windows_line_ends_and_a_last_line_without_end_are_read(tmp_path):
    text = vcf("1 10 . A G . . . GT 0/1 0/0 1/1", "1 11 . A G . . . GT 0/1 0/0 0", end="\r\n")
    found = read_variants(written(tmp_path, text.removesuffix("\r\n")))
    assert_array_equal(found.X, [[1, 1], [0, 0], [2, 0]])


def test_positions_zero_and_beyond_32_bits_are_kept(read):
    found = read("1 0 . N G . . . GT 0 0 0", f"1 {2**33} . N G . . . GT 0 0 0")
    assert list(found.var["pos"]) == [0, 2**33]


def test_repeated_alleles_get_a_suffix(read):
    record = "1 10 . A G . . . GT 0 0 1"
    assert list(read(record, record, record).var_names) == [
        "1:10:A:G", "1:10:A:G-1", "1:10:A:G-2",
    ]  # fmt: skip


def test_a_file_without_records_has_its_samples(read):
    assert read().shape == (3, 0)


def test_imputed_dosage_is_read(read):
    found = read("1 10 . A G,T . . . GT:DS 0/1:0.5,1e-1 0/0:.,. 0/0", field="DS")
    assert found.X.dtype == np.float32
    assert_allclose(found.X, [[0.5, 0.1], [np.nan, np.nan], [np.nan, np.nan]])


def test_dosage_comes_from_probabilities_where_there_is_no_dosage(read):
    found = read("1 10 . A G . . . GP 0.1,0.2,0.7 0.25,0.75 .", field="DS")
    assert_allclose(found.X.ravel(), [1.6, 0.75, np.nan], rtol=1e-6)


def test_probabilities_of_three_alleles_follow_the_order_of_the_specification(read):
    # order of genotypes: 00 01 11 02 12 22
    found = read("1 10 . A G,T . . . GP 0,.5,0,0,.5,0 0,0,0,0,0,1 1,0,0,0,0,0", field="DS")
    assert_allclose(found.X, [[1, 0.5], [0, 2], [0, 0]])


FAULTS = {
    "columns": ("1 10 . A G . . . GT 0/0 0/1", r"line 8 \(1:10\): 11 columns, the header names 12"),
    "more": ("1 10 . A G . . . GT 0/0 0/1 0/1 0/1", r"line 8 \(1:10\): 13 columns"),
    "few": ("1 10 . A G", "line 8: 5 columns"),
    "columns without genotypes": ("1 10 . A G . . . DP 1 2", r"line 8 \(1:10\): 11 columns"),
    "beyond": ("1 10 . A G . . . GT 0/0 0/2 0/0", r"\(1:10\), sample b: genotype '0/2' names"),
    "beyond none": ("1 10 . A . . . . GT 0/0 0/1 0/0", "sample b: genotype '0/1' names"),
    "malformed": ("1 10 . A G . . . GT 0/0 x 0/0", "sample b: 'x' is no genotype"),
    "empty": ("1 10 . A G . . . GT 0/0  0/0", "sample b: '' is no genotype"),
    "dangling": ("1 10 . A G . . . GT 0/ 0/0 0/0", "sample a: '0/' is no genotype"),
    "order": ("1 10 . A G . . . DP:GT 1:0/0 1:0/1 1:0/0", "GT must come first"),
    "position": ("1 1e3 . A G . . . GT 0/0 0/1 0/0", "line 8: POS is '1e3'"),
    "negative": ("1 -3 . A G . . . GT 0/0 0/1 0/0", "line 8: POS is '-3'"),
    "quality": ("1 3 . A G high . . GT 0/0 0/1 0/0", "line 8: QUAL is 'high'"),
    "other digits": ("1 \u0663 . A G . . . GT 0/0 0/1 0/0", "line 8: POS is"),
    "no allele": ("1 3 . A G, . . . GT 0/0 0/1 0/0", "line 8: ALT is 'G,', with an empty allele"),
    "reference": ("1 3 . A1 G . . . GT 0/0 0/1 0/0", "line 8: REF is 'A1'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_record_that_lies_is_refused_by_name(read, name):
    record, line = FAULTS[name]
    with pytest.raises(InputError, match=line) as caught:
        read(record)
    assert "\n" not in str(caught.value)


def test_dosages_that_do_not_fit_the_alleles_are_refused(read):
    with pytest.raises(InputError, match=r"sample b: '0\.5' does not hold the dosages"):
        read("1 10 . A G,T . . . DS 0.5,0 0.5 0,0", field="DS")


def test_genotypes_that_the_header_does_not_declare_are_refused(tmp_path):
    meta = "##fileformat=VCFv4.2\n"
    path = written(tmp_path, vcf("1 10 . A G . . . GT 0 0 1", meta=meta))
    with pytest.raises(InputError, match="does not declare FORMAT/GT"):
        read_variants(path)


def test_dosages_that_the_header_does_not_declare_are_refused(tmp_path):
    meta = "##fileformat=VCFv4.2\n"
    path = written(tmp_path, vcf("1 10 . A G . . . GT 0 0 1", meta=meta))
    with pytest.raises(InputError, match="neither FORMAT/DS nor FORMAT/GP is declared"):
        read_variants(path, field="DS")


def test_a_file_of_dosages_alone_is_not_read_as_missing_genotypes(tmp_path):
    meta = '##fileformat=VCFv4.2\n##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">\n'
    path = written(tmp_path, vcf("1 10 . A G . . . DS 0 0 1", meta=meta))
    with pytest.raises(InputError, match="holds imputed dosages and no genotypes; read field DS"):
        read_variants(path)


def test_a_file_of_local_alleles_is_not_read_as_missing_genotypes(tmp_path):
    meta = '##fileformat=VCFv4.5\n##FORMAT=<ID=LGT,Number=1,Type=String,Description="Local">\n'
    path = written(tmp_path, vcf("1 10 . A G . . . LGT 0/1 0/0 0/1", meta=meta))
    with pytest.raises(InputError, match=r"holds local alleles \(LGT, LAA\) and no GT"):
        read_variants(path)


def test_a_sample_named_twice_is_refused(tmp_path):
    path = written(tmp_path, vcf(samples=("a", "b", "a")))
    with pytest.raises(InputError, match="sample 'a' appears twice"):
        read_variants(path)


def test_a_file_without_samples_is_refused(tmp_path):
    path = written(tmp_path, vcf(samples=()))
    with pytest.raises(InputError, match="no samples"):
        read_variants(path)


def test_another_kind_of_file_is_refused(tmp_path):
    path = written(tmp_path, "sample\tage\na\t3\n")
    with pytest.raises(InputError, match="not a VCF"):
        read_variants(path)


def test_a_header_without_column_line_is_refused(tmp_path):
    with pytest.raises(InputError, match="no #CHROM line"):
        read_variants(written(tmp_path, META))


def test_plain_gzip_is_refused_with_its_cure(tmp_path):
    path = tmp_path / "x.vcf.gz"
    path.write_bytes(gzip.compress(vcf().encode()))
    with pytest.raises(InputError, match="recompress with bgzip"):
        read_variants(path)


@pytest.fixture
def compressed(tmp_path):
    """A bgzipped VCF of 400 records."""
    records = [f"1 {k} . A G . . . GT 0/{k % 2} 0/0 1/1" for k in range(1, 401)]
    path = written(tmp_path, vcf(*records))
    pysam.tabix_compress(str(path), str(path) + ".gz")
    return tmp_path / "x.vcf.gz"


def test_a_bgzipped_file_reads_as_its_text(compressed):
    assert_array_equal(read_variants(compressed).X, read_variants(compressed.with_suffix("")).X)


@pytest.mark.parametrize("cut", [1, 28, 40])
def test_a_truncated_file_is_refused(compressed, cut):
    compressed.write_bytes(compressed.read_bytes()[:-cut])
    with pytest.raises(InputError, match="truncated"):
        read_variants(compressed)


def test_a_flipped_byte_is_refused(compressed):
    raw = bytearray(compressed.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    compressed.write_bytes(raw)
    with pytest.raises(InputError, match="a compressed block is broken"):
        read_variants(compressed)


@st.composite
def records(draw):
    """Lines of a VCF that keeps the rules, in all the variety the rules allow."""
    samples = draw(st.integers(1, 5))
    lines = []
    for pos in range(1, draw(st.integers(0, 6)) + 1):
        alts = draw(st.integers(0, 12))
        keys = draw(st.sampled_from(["GT", "GT:DP", "GT:AD:DP", "DP", "AD:DP"]))
        allele = st.one_of(st.integers(0, alts).map(str), st.just("."))
        ploidy = draw(st.sampled_from([1, 2, 2, 2, 3, 6]))
        cells = []
        for _ in range(samples):
            called = [draw(allele) for _ in range(draw(st.sampled_from([1, ploidy, ploidy])))]
            marks = [draw(st.sampled_from("/|")) for _ in called[1:]]
            call = called[0] + "".join(m + a for m, a in zip(marks, called[1:], strict=True))
            rest = ["7"] * draw(st.integers(0, keys.count(":")))
            cells.append(":".join([call, *rest]) if "GT" in keys else "3")
        alt = ",".join("A" + "C" * (k + 1) for k in range(alts)) or "."
        lines.append(" ".join(["1", str(pos), ".", "A", alt, ".", ".", ".", keys, *cells]))
    return vcf(
        *lines, samples=[f"s{k}" for k in range(samples)], end=draw(st.sampled_from(["\n", "\r\n"]))
    )


@given(records())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_engine_agrees_with_the_plain_reader(tmp_path, text):
    samples, variants, dosages = reference.read(text)
    found = read_variants(written(tmp_path, text))
    assert list(found.obs_names) == samples
    assert (
        list(found.var[["contig", "pos", "ref", "alt", "id"]].itertuples(index=False, name=None))
        == variants
    )
    assert_array_equal(found.X.T, np.array(dosages).reshape(len(variants), len(samples)))


def bomb(path, unit, times):
    """A bgzipped file that holds far more than its size says."""
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(vcf().encode())
        for _ in range(times):
            file.write(unit)
    return path


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = bomb(tmp_path / "x.vcf.gz", b"1" * (1 << 22), 40)
    with pytest.raises(InputError, match="a line is longer than 128 MB"):
        read_variants(path)


def test_alleles_without_number_are_refused_before_they_fill_the_memory(tmp_path):
    samples = [f"s{k}" for k in range(3000)]
    alts = ",".join(["C"] * 200_000)
    cells = " ".join(["0"] * len(samples))
    path = written(tmp_path, vcf(f"1 5 . A {alts} . . . GT {cells}", samples=samples))
    with pytest.raises(InputError, match="200000 ALT alleles in 1 neighbouring records"):
        read_variants(path)


def test_a_header_line_without_end_is_refused(tmp_path):
    path = tmp_path / "x.vcf.gz"
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(b"##fileformat=VCFv4.2\n##note=")
        for _ in range(18):
            file.write(b"x" * (1 << 22))
    with pytest.raises(InputError, match="the header is longer than 64 MB"):
        read_variants(path)


def test_a_call_of_one_letter_more_or_less_is_told_from_plain_ones(read):
    # as many bytes as three plain calls have, and not three plain calls
    found = read("1 10 . A G . . . GT 0|1|1 1 0/1", "1 11 . A G . . . GT 0/1 1|1 ./1")
    assert_array_equal(found.X.T, [[2, 1, 1], [1, 2, -1]])
    assert list(found.var["ploidy"]) == [3, 2]


def test_blank_lines_without_number_are_passed_over(tmp_path):
    path = bomb(tmp_path / "x.vcf.gz", b"\n" * (1 << 20), 5)
    assert read_variants(path).shape == (3, 0)
