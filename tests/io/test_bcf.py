from __future__ import annotations

from contextlib import suppress

import pysam
import pysam.bcftools
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal
from test_vcf import META, records, vcf, written

from genodl.errors import InputError
from genodl.io.variants import read_variants


def as_bcf(folder, text):
    """The same records as VCF and as BCF, written by bcftools."""
    source, out = written(folder, text), folder / "x.bcf"
    pysam.bcftools.view("-Ob", "-o", str(out), str(source), catch_stdout=False)
    return source, out


def assert_same(one, other):
    assert_array_equal(one.X, other.X)
    assert_frame_equal(one.var, other.var)
    assert list(one.obs_names) == list(other.obs_names)


def test_a_bcf_reads_as_the_vcf_it_was_written_from(tmp_path):
    text = vcf(
        "1 10 rs1 A G 50.5 PASS . GT 0/0 0/1 1|1",
        "1 11 . A G,TTTTTTTTTTTTTTTTTTTTTTTT . . . GT:DP 1/2:3 ./1:4 .",
        "2 5 . A <DEL> 1 . . GT 0 1 1/1/1",
        "2 6 . A . . . . GT 0 0 0/0",
        "2 7 . A * . . . DP 1 2 3",
        meta=META + '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">\n',
    )
    assert_same(*map(read_variants, as_bcf(tmp_path, text)))


def test_alleles_beyond_the_sixty_third_are_told_apart(tmp_path):
    alts = ",".join("A" + "C" * k for k in range(1, 80))
    source, out = as_bcf(tmp_path, vcf(f"1 10 . A {alts} . . . GT 79/78 0/79 ./64"))
    assert_same(read_variants(source), read_variants(out))
    assert read_variants(out).X[0, 78] == 1


def test_imputed_dosages_read_as_from_the_vcf(tmp_path):
    text = vcf(
        "1 10 . A G,T . . . GT:DS 0/1:0.5,0.25 0/0:. 0/0",
        "1 11 . A G . . . GP 0.125,0.125,0.75 0.25,0.75 .",
        "1 12 . A G . . . GT 0 1 1",
    )
    source, out = as_bcf(tmp_path, text)
    assert_same(read_variants(source, field="DS"), read_variants(out, field="DS"))


@given(records())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_legal_file_reads_as_its_vcf(tmp_path, text):
    declared = "".join(
        f'##FORMAT=<ID={k},Number=.,Type=Integer,Description="{k}">\n' for k in ("DP", "AD")
    )
    source, out = as_bcf(
        tmp_path, text.replace("#CHROM", declared + "#CHROM").replace("\r\n", "\n")
    )
    assert_same(read_variants(source), read_variants(out))


@pytest.fixture
def raw(tmp_path):
    """A BCF of 50 records, and its decompressed bytes."""
    lines = [f"1 {k} . A G . PASS . GT 0/{k % 2} 0/0 1/1" for k in range(1, 51)]
    _, out = as_bcf(tmp_path, vcf(*lines))
    with pysam.BGZFile(str(out), "rb") as stream:
        return out, bytearray(stream.read())


def rewritten(path, content):
    with pysam.BGZFile(str(path), "wb") as stream:
        stream.write(bytes(content))
    return path


def test_a_genotype_beyond_the_alternate_alleles_is_refused(raw):
    path, content = raw
    # the last call, 1/1, is the bytes 4 4; allele 5 is (5 + 1) << 1
    content[-1] = 12
    with pytest.raises(InputError, match=r"record 50 \(1:50\), sample c: .* beyond the 1 in ALT"):
        read_variants(rewritten(path, content))


def test_records_cut_short_are_refused(raw):
    path, content = raw
    with pytest.raises(InputError, match="record 50: the BCF is damaged"):
        read_variants(rewritten(path, content[:-3]))


def test_a_header_cut_short_is_refused(raw):
    path, content = raw
    with pytest.raises(InputError, match="header: the BCF is damaged"):
        read_variants(rewritten(path, content[:60]))


def test_a_truncated_file_is_refused(raw):
    path, _ = raw
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(InputError, match="truncated"):
        read_variants(path)


def test_an_uncompressed_bcf_is_read(raw):
    path, content = raw
    plain = path.with_name("plain.bcf")
    plain.write_bytes(content)
    assert_same(read_variants(path), read_variants(plain))


def test_no_flipped_byte_ends_in_anything_but_values_or_an_input_error(raw):
    path, content = raw
    start = 9 + int.from_bytes(content[5:9], "little")
    plain = path.with_name("plain.bcf")
    for position in range(start, start + 120):
        for value in (0x00, 0x7F, 0xFF, content[position] ^ 0x10):
            changed = bytearray(content)
            changed[position] = value
            plain.write_bytes(changed)
            with suppress(InputError):
                assert read_variants(plain).n_obs == 3


def test_records_too_short_to_be_any_are_refused(raw):
    path, content = raw
    start = 9 + int.from_bytes(content[5:9], "little")
    with pytest.raises(InputError, match="record 1: the BCF is damaged"):
        read_variants(rewritten(path, content[:start] + bytes(400)))


def test_a_header_that_numbers_two_keys_alike_is_refused(raw):
    path, content = raw
    changed = bytes(content).replace(b'"Dosage",IDX=2', b'"Dosage",IDX=1')
    assert changed != content
    with pytest.raises(InputError, match="header: one number for two names: the BCF is damaged"):
        read_variants(rewritten(path, changed))
