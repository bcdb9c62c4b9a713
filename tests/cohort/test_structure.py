"""Linkage disequilibrium, kinship and principal components."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genodl.cohort import kinship, ld_neighbours, principal_components, prune, structure
from genodl.errors import InputError


def haplotypes(random, samples, variants, *, switch=0.1, low=0.1, high=0.9):
    """int8, (samples, variants), dosages of diploids whose neighbouring variants are in LD."""
    alleles = np.empty((2 * samples, variants), dtype=np.int8)
    current = random.random(2 * samples) < 0.5
    for variant in range(variants):
        fresh = random.random(2 * samples) < random.uniform(low, high)
        current = np.where(random.random(2 * samples) < switch, fresh, current)
        alleles[:, variant] = current
    return alleles[:samples] + alleles[samples:]


def slow_r2(dosage, contig, pos, *, r2, window):
    """The pairs one by one."""
    known = np.where(dosage < 0, np.nan, dosage).astype(float)
    filled = np.where(np.isnan(known), np.nanmean(known, axis=0), known)
    found = np.zeros((dosage.shape[1],) * 2)
    for i in range(len(found)):
        for j in range(len(found)):
            near = contig[i] == contig[j] and abs(pos[i] - pos[j]) <= window
            if i != j and near and filled[:, i].std() > 0 and filled[:, j].std() > 0:
                squared = np.corrcoef(filled[:, i], filled[:, j])[0, 1] ** 2
                found[i, j] = squared if squared >= r2 else 0
    return found


@pytest.mark.parametrize("block", [7, 16, 1024])
def test_ld_agrees_with_pairwise_correlations_in_any_order(monkeypatch, block):
    monkeypatch.setattr(structure, "BLOCK", block)
    random = np.random.default_rng(0)
    dosage = haplotypes(random, 150, 60)
    dosage[random.random(dosage.shape) < 0.05] = -1
    dosage[:, 11] = 1
    contig = np.repeat(["2", "10", "X"], [30, 20, 10])
    pos = np.concatenate([np.sort(random.integers(1, 400, n)) for n in (30, 20, 10)])
    shuffled = random.permutation(60)
    given = dosage[:, shuffled], contig[shuffled], pos[shuffled]
    found = ld_neighbours(*given, r2=0.1, window=100).toarray()
    np.testing.assert_allclose(found, slow_r2(*given, r2=0.1, window=100), atol=1e-5)
    assert (found > 0).sum() > 100


def test_the_window_is_closed_and_copies_have_r2_of_one():
    dosage = np.tile(np.array([0, 1, 2, 1, 0, 2], dtype=np.int8)[:, None], 3)
    dosage[:, 2] = 2 - dosage[:, 2]
    found = ld_neighbours(dosage, np.array(["1"] * 3), np.array([10, 20, 31]), window=11)
    np.testing.assert_allclose(found.toarray(), [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-6)


def test_no_variants_have_no_neighbours():
    empty = np.zeros((5, 0), dtype=np.int8)
    assert ld_neighbours(empty, np.array([]), np.array([])).shape == (0, 0)
    assert len(prune(empty, np.array([]), np.array([]))) == 0


def test_pruned_variants_are_unlinked_and_every_other_has_a_neighbour_among_them():
    random = np.random.default_rng(1)
    dosage = haplotypes(random, 200, 300)
    dosage[:, 5] = 2
    contig, pos = np.repeat(["1", "2"], 150), np.tile(np.arange(1, 151) * 100, 2)
    kept = prune(dosage, contig, pos, r2=0.3, window=5_000)
    linked = ld_neighbours(dosage, contig, pos, r2=0.3, window=5_000)
    assert linked[kept][:, kept].nnz == 0
    left_out = np.setdiff1d(np.arange(300), [*kept, 5])
    assert (linked[left_out][:, kept].getnnz(axis=1) > 0).all()
    assert 5 not in kept
    assert 10 < len(kept) < 200


def test_the_variant_of_higher_priority_stays():
    dosage = np.tile(np.array([0, 1, 2, 1, 0, 2], dtype=np.int8)[:, None], 3)
    place = np.array(["1"] * 3), np.array([1, 2, 3])
    assert prune(dosage, *place, priority=np.array([1.0, 3.0, 2.0])).tolist() == [1]


def test_kinship_is_the_mean_product_of_standardised_dosages():
    random = np.random.default_rng(2)
    dosage = haplotypes(random, 40, 90)
    dosage[3, 4] = -1
    known = np.where(dosage < 0, np.nan, dosage)
    z = np.nan_to_num(known - np.nanmean(known, axis=0))
    z = z / z.std(axis=0)
    np.testing.assert_allclose(kinship(dosage), z @ z.T / 90, atol=1e-5)
    blocks = iter([dosage[:, :50], dosage[:, 50:]])
    np.testing.assert_allclose(kinship(blocks), kinship(dosage), atol=1e-6)


def test_relatives_share_what_they_inherit():
    random = np.random.default_rng(3)
    parents = haplotypes(random, 60, 4000, switch=1.0)
    twin = np.vstack([parents, parents[:1]])
    found = kinship(twin)
    assert found[0, 60] > 0.9
    assert abs(found[1, 60]) < 0.15


def test_components_are_the_eigenvectors_of_the_kinship():
    random = np.random.default_rng(4)
    dosage = haplotypes(random, 50, 200)
    found = principal_components(dosage, 5, seed=0)
    _, vectors = np.linalg.eigh(kinship(dosage))
    overlap = np.abs(found.T @ vectors[:, ::-1][:, :5]) / np.sqrt(50)
    np.testing.assert_allclose(overlap, np.eye(5), atol=1e-4)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-5)
    assert (found[np.abs(found).argmax(axis=0), range(5)] > 0).all()


def test_loadings_give_the_same_samples_their_components_again():
    random = np.random.default_rng(12)
    dosage = random.binomial(2, random.uniform(0.1, 0.9, 60), (80, 60)).astype(np.int8)
    dosage[random.random(dosage.shape) < 0.05] = -1
    dosage[:, 7] = 1  # does not vary
    components = principal_components(dosage, 3)
    known = np.where(dosage < 0, np.nan, dosage)
    away = np.nan_to_num(known - np.nanmean(known, axis=0))
    found = away @ structure.loadings(dosage, components)
    assert np.abs(found - components).max() < 1e-4  # single precision
    assert not structure.loadings(dosage, components)[7].any()


def test_iteration_finds_the_same_components(monkeypatch):
    dosage = haplotypes(np.random.default_rng(5), 80, 400)
    exact = principal_components(dosage, 3, seed=0)
    monkeypatch.setattr(structure, "ITERATE_ABOVE", 10)
    np.testing.assert_allclose(principal_components(dosage, 3, seed=7), exact, atol=1e-5)


def test_two_populations_are_told_apart_by_the_first_component():
    random = np.random.default_rng(6)
    frequency = random.uniform(0.2, 0.8, size=500)
    shift = np.clip(frequency + random.normal(0, 0.2, size=500), 0.05, 0.95)
    dosage = np.vstack(
        [random.binomial(2, frequency, (60, 500)), random.binomial(2, shift, (40, 500))]
    ).astype(np.int8)
    first = principal_components(dosage, 2, seed=0)[:, 0]
    side = first > 0
    assert len(set(side[:60])) == 1
    assert set(side[60:]) == {not side[0]}


def test_thinning_keeps_a_long_haplotype_out_of_the_components():
    random = np.random.default_rng(7)
    side = random.random(200) < 0.5
    ancestry = random.binomial(2, np.where(side, 0.35, 0.65)[:, None], (200, 150))
    haplotype = np.repeat(random.binomial(2, 0.5, (200, 1)), 600, axis=1)
    dosage = np.hstack([ancestry, haplotype]).astype(np.int8)
    contig = np.repeat(["1", "2"], [150, 600])
    pos = np.r_[np.arange(150) * 2_000_000, np.arange(600) * 100]
    thinned = principal_components(dosage, 1, seed=0, contig=contig, pos=pos)
    raw = principal_components(dosage, 1, seed=0)
    assert abs(np.corrcoef(thinned[:, 0], side)[0, 1]) > 0.9
    assert abs(np.corrcoef(raw[:, 0], side)[0, 1]) < 0.5


@pytest.mark.parametrize("missing", [-1, np.nan])
def test_absent_samples_are_at_the_centre_and_move_no_other(missing):
    dosage = haplotypes(np.random.default_rng(9), 50, 300)
    rows = np.random.default_rng(9).permutation(70)[:50]
    padded = np.full((70, 300), missing, dtype=np.int8 if missing == -1 else np.float32)
    padded[rows] = dosage
    absent = np.setdiff1d(np.arange(70), rows)
    related = kinship(padded)
    np.testing.assert_allclose(related[np.ix_(rows, rows)], kinship(dosage), atol=1e-6)
    assert not related[absent].any()
    assert np.trace(related) / 50 == pytest.approx(1)
    found = principal_components(padded, 4)
    np.testing.assert_allclose(found[absent], 0, atol=1e-6)
    np.testing.assert_allclose(
        found[rows] / np.sqrt(70 / 50), principal_components(dosage, 4), atol=1e-5
    )
    place = np.repeat(["1"], 300), np.arange(300)
    pairs = [ld_neighbours(d, *place).toarray() for d in (padded, dosage)]
    np.testing.assert_allclose(*pairs, atol=1e-5)
    with pytest.raises(InputError, match="50 components of 50 samples; ask for 0 to 49"):
        principal_components(padded, 50)


def test_components_that_cannot_be_are_refused():
    dosage = haplotypes(np.random.default_rng(8), 6, 20)
    assert principal_components(dosage, 0).shape == (6, 0)
    with pytest.raises(InputError, match="6 components of 6 samples; ask for 0 to 5"):
        principal_components(dosage, 6)
    with pytest.raises(InputError, match="no variant varies"):
        kinship(np.ones((6, 3), dtype=np.int8))


@pytest.mark.real_data
def test_components_of_real_people_follow_their_population(data):
    from genodl.io.variants import read_variants

    people = read_variants(data / "hapmap3" / "variants.bed")
    samples = pd.read_csv(data / "hapmap3" / "samples.tsv", sep="\t", index_col=0)
    population = samples.loc[people.obs_names, "population"].to_numpy()
    found = principal_components(np.asarray(people.X), 4, seed=0)
    codes = pd.factorize(population)[0]
    means = np.array([found[codes == c].mean(axis=0) for c in range(codes.max() + 1)])
    explained = means[codes].var(axis=0)
    assert (explained[:2] > 0.95).all()
