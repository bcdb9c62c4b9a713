"""Filters of markers and samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from anndata import AnnData

from genodl.cohort import drop_markers, filter_markers, take_samples
from genodl.errors import InputError
from genodl.values import Cohort, Loss


def cohort_of(**modalities):
    """A cohort of markers m0, m1, ... in samples s0, s1, ..."""
    whole = {}
    for name, values in modalities.items():
        values = values if scipy.sparse.issparse(values) else np.asarray(values)
        samples = [f"s{n}" for n in range(values.shape[0])]
        var = pd.DataFrame({"contig": "1"}, index=[f"m{n}" for n in range(values.shape[1])])
        whole[name] = AnnData(values, obs=pd.DataFrame(index=samples), var=var)
    return Cohort(whole, pd.DataFrame({"row": range(len(samples))}, index=samples))


def noise(samples, markers):
    """Values of a modality whose values do not matter."""
    return np.random.default_rng(0).normal(size=(samples, markers))


def column(*counts, samples=100):
    """int8 dosages with the given counts of 0, 1, 2, ..., the rest missing."""
    filled = np.repeat(np.arange(len(counts)), counts)
    return np.r_[filled, np.full(samples - len(filled), -1)].astype(np.int8)


def test_variants_go_by_call_rate_then_variation_then_frequency():
    dosage = np.column_stack(
        [
            column(50, 30, 20),  # stays
            column(40, 30, 19),  # 89 called
            column(45, 30, 15),  # 90 called, stays
            column(100),
            column(0, 100),  # all heterozygous: no contrast
            column(99, 1),  # MAF 0.005
            column(98, 2),  # MAF 0.01, stays
            column(0, 1, 99),  # MAF 0.005 of the other allele
            column(),
        ]
    )
    found = filter_markers(cohort_of(variants=dosage))
    assert list(found.modalities["variants"].var_names) == ["m0", "m2", "m6"]
    assert found.losses == (
        Loss("markers", 2, "call rate below 0.9", "variants"),
        Loss("markers", 2, "the same in every sample", "variants"),
        Loss("markers", 2, "minor allele frequency below 0.01", "variants"),
    )


def test_haploid_alleles_are_counted_once_a_sample():
    # 7 carriers of 100: MAF .07 haploid and .035 diploid
    dosage = np.column_stack([column(40, 60), column(93, 7), column(50, 50), column(96, 4)])
    haploid = filter_markers(cohort_of(variants=dosage), maf=0.05)
    assert list(haploid.modalities["variants"].var_names) == ["m0", "m1", "m2"]
    diploid = np.column_stack([column(30, 40, 30), column(93, 7), column(50, 50), column(96, 4)])
    kept = filter_markers(cohort_of(variants=diploid), maf=0.05).modalities["variants"]
    assert list(kept.var_names) == ["m0", "m2"]


def test_each_contig_has_a_ploidy_of_its_own():
    dosage = np.column_stack([column(30, 40, 30), column(93, 7), column(40, 60), column(93, 7)])
    cohort = cohort_of(variants=dosage)
    cohort.modalities["variants"].var["contig"] = ["1", "1", "Y", "Y"]
    kept = filter_markers(cohort, maf=0.05).modalities["variants"]
    assert list(kept.var_names) == ["m0", "m2", "m3"]


def test_imputed_dosages_have_nan_for_missing():
    dosage = np.column_stack([column(50, 30, 20), column(40, 30, 19), column(99, 1)]).astype(float)
    dosage[dosage == -1] = np.nan
    found = filter_markers(cohort_of(variants=dosage.astype(np.float32)))
    assert list(found.modalities["variants"].var_names) == ["m0"]


def test_other_modalities_go_by_missing_then_constant_then_carriers():
    random = np.random.default_rng(0)
    expression = random.normal(size=(100, 9)).astype(np.float32)
    expression[:10, 1] = np.nan  # 10 %: stays
    expression[:11, 2] = np.nan
    expression[:, 3] = np.where(np.arange(100) < 5, np.nan, 2.5)
    mutation = np.zeros((100, 5), dtype=np.float32)
    for marker, carriers in enumerate((3, 2, 97, 98, 0)):
        mutation[:carriers, marker] = 1
    found = filter_markers(cohort_of(rna=expression, dna=scipy.sparse.csr_matrix(mutation)))
    assert list(found.modalities["rna"].var_names) == ["m0", "m1", *(f"m{n}" for n in range(4, 9))]
    assert list(found.modalities["dna"].var_names) == ["m0", "m2"]
    assert found.losses == (
        Loss("markers", 1, "more than 10% missing", "rna"),
        Loss("markers", 1, "the same in every sample", "rna"),
        Loss("markers", 1, "the same in every sample", "dna"),
        Loss("markers", 2, "fewer than 3 samples on the rarer side", "dna"),
    )


def test_samples_that_a_modality_hardly_knows_go_first():
    dosage = np.tile(column(50, 30, 20)[:, None], 10)
    dosage[0, :6] = -1
    dosage[1, :5] = -1
    found = filter_markers(cohort_of(variants=dosage, rna=noise(100, 3)))
    assert "s0" not in found.samples.index
    assert "s1" in found.samples.index
    assert found.losses == (Loss("samples", 1, "fewer than 50% of the values known", "variants"),)


def test_a_sample_absent_from_a_modality_stays_and_judges_none_of_its_markers():
    absent = [-1] * 40
    dosage = np.column_stack(
        [
            np.r_[absent, column(30, 20, 4, samples=60)],  # 54 of 60 called: stays
            np.r_[absent, column(30, 20, 3, samples=60)],  # 53 of 60
            np.r_[absent, column(59, 1, samples=60)],  # MAF 1 / 120: .0083
            np.r_[absent, column(58, 2, samples=60)],  # .0167
        ]
    ).astype(np.int8)
    mutation = np.full((100, 4), np.nan, dtype=np.float32)
    mutation[50:] = 0
    mutation[50:53, 0] = mutation[50:52, 1] = mutation[50:98, 2] = 1  # 3, 2 and 48 of 50
    mutation[94:, 3] = np.nan  # 6 of 50 missing
    cohort = cohort_of(variants=dosage, dna=mutation, rna=noise(100, 2))
    found = filter_markers(cohort)
    assert len(found.samples) == 100
    assert list(found.modalities["variants"].var_names) == ["m0", "m3"]
    assert list(found.modalities["dna"].var_names) == ["m0"]
    assert found.losses == (
        Loss("markers", 1, "call rate below 0.9", "variants"),
        Loss("markers", 1, "minor allele frequency below 0.01", "variants"),
        Loss("markers", 1, "more than 10% missing", "dna"),
        Loss("markers", 2, "fewer than 3 samples on the rarer side", "dna"),
    )


def test_absent_samples_leave_the_verdict_on_every_marker_as_it_was():
    random = np.random.default_rng(1)
    dosage = random.binomial(2, random.beta(0.3, 2, 200), (80, 200)).astype(np.int8)
    dosage[random.random(dosage.shape) < random.uniform(0, 0.2, 200)] = -1
    alone = filter_markers(cohort_of(variants=dosage))
    padded = np.vstack([dosage, np.full((70, 200), -1, np.int8)])
    joined = filter_markers(cohort_of(variants=padded, rna=noise(150, 2)))
    assert joined.losses == alone.losses
    kept = [found.modalities["variants"].var_names for found in (alone, joined)]
    assert list(kept[0]) == list(kept[1])
    assert 20 < len(kept[0]) < 180


def test_a_sample_known_in_no_modality_goes():
    dosage, expression = np.tile(column(50, 30, 20)[:, None], 10), noise(100, 4)
    dosage[:2], expression[1:3] = -1, np.nan
    found = filter_markers(cohort_of(variants=dosage, rna=expression))
    assert list(found.samples.index) == ["s0", *(f"s{n}" for n in range(2, 100))]
    assert found.losses == (Loss("samples", 1, "no value known in any modality"),)


def test_a_modality_whose_only_samples_go_for_another_is_refused():
    expression, dosage = noise(100, 4), np.tile(column(50, 30, 20)[:, None], 10)
    expression[1:] = np.nan
    dosage[0, 1:] = -1
    with pytest.raises(InputError, match="rna: no sample known here is known well enough"):
        filter_markers(cohort_of(variants=dosage, rna=expression))


def test_a_modality_without_any_marker_left_is_refused_with_the_reasons():
    with pytest.raises(InputError, match=r"variants: none of 2 .*the same in every sample: 2"):
        filter_markers(cohort_of(variants=np.ones((50, 2), dtype=np.int8)))
    with pytest.raises(InputError, match="variants: no sample has 50%"):
        filter_markers(cohort_of(variants=np.full((50, 2), -1, dtype=np.int8)))


def test_named_markers_are_dropped_from_every_modality_that_has_them():
    cohort = cohort_of(rna=noise(9, 3), dna=noise(9, 2))
    found = drop_markers(cohort, ["m2", "m0"])
    assert {n: list(m.var_names) for n, m in found.modalities.items()} == {
        "rna": ["m1"],
        "dna": ["m1"],
    }
    assert [(loss.modality, loss.count) for loss in found.losses] == [("rna", 2), ("dna", 1)]


def test_an_unknown_marker_to_drop_is_refused_with_the_nearest():
    cohort = cohort_of(rna=noise(9, 3))
    with pytest.raises(InputError, match="no marker named 'm9'; the nearest of 3 are 'm"):
        drop_markers(cohort, ["m9"])
    with pytest.raises(InputError, match="rna: none of 3 markers is left"):
        drop_markers(cohort, ["m0", "m1", "m2"])


def test_samples_are_taken_in_every_modality_by_number_or_by_mask():
    cohort = cohort_of(rna=np.arange(12.0).reshape(4, 3), dna=np.arange(4.0)[:, None])
    found = take_samples(cohort, np.array([3, 1]), reason="no phenotype")
    assert list(found.samples.index) == ["s3", "s1"]
    assert found.modalities["rna"].X.tolist() == [[9, 10, 11], [3, 4, 5]]
    assert found.losses == (Loss("samples", 2, "no phenotype"),)
    masked = take_samples(cohort, np.array([False, True, False, True]))
    assert masked.modalities["dna"].X.ravel().tolist() == [1, 3]
    assert masked.losses == ()
