"""Networks that begin with what others have learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from genodl.errors import InputError
from genodl.train import (
    Ensemble,
    TrainConfig,
    described,
    fit_ensemble,
    predict,
    pretrain,
    transfer,
)
from genodl.train.checkpoint import save
from genodl.train.reuse import Transferred
from genodl.values import MISSING, Cohort

MARKERS = 12
SHORT = TrainConfig(rounds=8, steps=3, batch=64, warmup=4)
SETTINGS = {"hidden": (6,)}


def cohort_of(dosage: np.ndarray, order: np.ndarray, prefix: str = "") -> Cohort:
    """A cohort whose variants stand in some order."""
    var = pd.DataFrame(
        {"contig": f"{prefix}1", "pos": np.arange(MARKERS) * 100 + 1, "ref": "A", "alt": "G"},
        index=[f"v{i}" for i in range(MARKERS)],
    )
    samples = pd.DataFrame(index=[f"s{i}" for i in range(len(dosage))])
    kept = AnnData(dosage[:, order], obs=samples.copy(), var=var.iloc[order])
    return Cohort({"variants": kept}, samples)


def fitted(found: Transferred, y: np.ndarray) -> Ensemble:
    """Two networks that go on from where they stand."""
    weight = np.ones_like(y)
    given = (found.model, found.settings, found.x[None], y, weight)
    more = {"config": found.config, "start": found.start}
    return fit_ensemble(*given, members=2, seed=3, **more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two tasks of three networks on twelve variants, saved with their markers."""
    rng = np.random.default_rng(2)
    dosage = rng.binomial(2, 0.4, (300, MARKERS)).astype(np.int8)
    x = np.stack([dosage, dosage]).astype(np.float32)
    y = (x[:, :, 0] - x[:, :, 3] + rng.standard_normal((2, 300))).astype(np.float32)
    ensemble = fit_ensemble("mlp", SETTINGS, x, y, np.ones_like(y), members=3, seed=1, config=SHORT)
    folder = tmp_path_factory.mktemp("old") / "checkpoint"
    cohort = cohort_of(dosage, np.arange(MARKERS))
    save(ensemble, folder, extra=described(cohort, "variants", range(MARKERS)))
    return ensemble, folder, dosage


def test_markers_are_found_by_what_they_are_and_weights_stay(trained):
    ensemble, folder, dosage = trained
    order = np.random.default_rng(0).permutation(MARKERS)[:-1]  # one is absent
    found = transfer(folder, cohort_of(dosage, order, "chr"), members=4)
    (absent,) = set(range(MARKERS)) - set(order)
    assert list(found.matches["marker"]) == [f"v{i}" for i in range(MARKERS)]
    assert list(np.flatnonzero(found.matches["status"] == "absent")) == [absent]
    assert (found.x[:, absent] == 0).all()
    np.testing.assert_array_equal(np.delete(found.x, absent, 1), np.delete(dosage, absent, 1))
    old = ensemble.params["members"]["dense0.kernel"]
    np.testing.assert_array_equal(found.start["dense0.kernel"][:3], old[0])
    np.testing.assert_array_equal(found.start["dense0.kernel"][3], old[1, 0])
    assert found.fresh == ()


def test_swapped_alleles_are_counted_as_the_network_counts_them(trained):
    _, folder, dosage = trained
    cohort = cohort_of(2 - dosage, np.arange(MARKERS))
    cohort.modalities["variants"].var[["ref", "alt"]] = ["G", "A"]
    np.testing.assert_array_equal(transfer(folder, cohort).x, dosage)


def test_the_other_allele_of_a_haploid_is_counted_once(trained):
    _, folder, dosage = trained
    single = (dosage > 0).astype(np.int8)
    cohort = cohort_of(1 - single, np.arange(MARKERS))
    cohort.modalities["variants"].var[["ref", "alt"]] = ["G", "A"]
    cohort.modalities["variants"].var["ploidy"] = 1
    np.testing.assert_array_equal(transfer(folder, cohort).x, single)


def test_missing_genotypes_stand_at_the_mean(trained):
    _, folder, dosage = trained
    spoilt = dosage.copy()
    spoilt[5, 2] = MISSING
    found = transfer(folder, cohort_of(spoilt, np.arange(MARKERS)))
    assert found.x[5, 2] == pytest.approx(np.delete(dosage[:, 2], 5).mean())


def test_frozen_layers_stay_and_others_move(trained):
    _, folder, dosage = trained
    found = transfer(
        folder, cohort_of(dosage, np.arange(MARKERS)), members=2, freeze=["dense0"], config=SHORT
    )
    y = dosage[:, 1].astype(np.float32)[None] * 2
    ensemble = fitted(found, y)
    after = ensemble.params["members"]
    for name in ("dense0.kernel", "dense0.bias"):
        np.testing.assert_array_equal(after[name][0], found.start[name])
    assert np.abs(after["out.kernel"][0] - found.start["out.kernel"]).max() > 1e-3


@pytest.mark.long
def test_what_was_learnt_is_there_before_any_training(trained):
    ensemble, folder, dosage = trained
    found = transfer(folder, cohort_of(dosage, np.arange(MARKERS)), members=3)
    still = TrainConfig(rounds=1, steps=1, batch=64, learning_rate=1e-9)
    y = (dosage[:, 0] - dosage[:, 3]).astype(np.float32)[None]
    made = {"seed": 0, "members": 3, "config": still}
    given = (found.model, found.settings, found.x[None], y, np.ones_like(y))
    begun = predict(fit_ensemble(*given, **made, start=found.start), found.x[None])
    blank = predict(fit_ensemble(*given, **made), found.x[None])
    before = predict(ensemble, np.stack([found.x, found.x]))[0]
    assert np.corrcoef(begun[0], before)[0, 1] > 0.9999
    assert blank.std() < 1e-3 * before.std()  # the last layer begins at nought


@pytest.mark.long
def test_hidden_genotypes_are_told_from_those_in_ld():
    rng = np.random.default_rng(7)
    block = rng.binomial(2, 0.5, (400, 3)).astype(np.float32)
    x = np.repeat(block, 4, axis=1)  # four copies of each of three variants
    ensemble = pretrain("mlp", {"hidden": (8,)}, x, members=2, seed=0)
    seen = (x - x.mean(0)) / x.std(0)
    hidden = seen.copy()
    hidden[:, 0] = 0
    told = predict(ensemble, hidden[None])[0][:, 0]
    assert np.corrcoef(told, seen[:, 0])[0, 1] > 0.9


def test_a_last_layer_of_other_outputs_begins_at_random(tmp_path):
    rng = np.random.default_rng(4)
    dosage = rng.binomial(2, 0.5, (200, MARKERS)).astype(np.int8)
    ensemble = pretrain("mlp", SETTINGS, dosage.astype("f4"), members=2, seed=0, config=SHORT)
    cohort = cohort_of(dosage, np.arange(MARKERS))
    save(ensemble, tmp_path / "c", extra=described(cohort, "variants", range(MARKERS)))
    found = transfer(tmp_path / "c", cohort, members=2, config=SHORT)
    assert set(found.fresh) == {"out.kernel", "out.bias"}
    y = dosage[:, :1].T.astype("f4")
    told = predict(fitted(found, y), found.x[None])
    assert np.corrcoef(told[0], y[0])[0, 1] > 0.3


def test_faults_are_one_line(trained, tmp_path):
    ensemble, folder, dosage = trained
    here = cohort_of(dosage, np.arange(MARKERS))
    save(ensemble, tmp_path / "bare")
    with pytest.raises(InputError, match="does not say which markers"):
        transfer(tmp_path / "bare", here)
    save(ensemble, tmp_path / "few", extra=described(here, "variants", range(5)))
    with pytest.raises(InputError, match="names 5 markers, the network has 12 inputs"):
        transfer(tmp_path / "few", here)
    with pytest.raises(InputError, match="no parameter begins with 'dense9'"):
        transfer(folder, here, freeze=["dense9"])
    with pytest.raises(InputError, match="none of its 12 markers"):
        transfer(folder, cohort_of(dosage, np.arange(MARKERS), "other"))
    y, x = np.zeros((1, 300), "f4"), dosage[None].astype("f4")
    wrong = {"out.kernel": np.zeros((8, 2, 2), "f4")}
    with pytest.raises(InputError, match=r"out\.kernel is"):
        fit_ensemble("mlp", SETTINGS, x, y, y + 1, seed=0, start=wrong)


@pytest.mark.long
def test_the_example_of_the_readme_runs(trained, tmp_path, monkeypatch):
    ensemble, _, dosage = trained
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    section = text.split("### Train networks of your own")[1].split("\n## ")[0]
    code = section.split("```python\n")[2].split("```")[0].replace("members=8", "members=2")
    cohort = cohort_of(dosage, np.arange(MARKERS))
    other = cohort_of(dosage[:90], np.arange(MARKERS)[::-1])
    y = dosage[:90, :1].T.astype("f4")
    known = {"fit_ensemble": fit_ensemble, "ensemble": ensemble, "cohort": cohort}
    known |= {"columns": range(MARKERS), "other_cohort": other, "y": y, "weight": np.ones_like(y)}
    exec(code, known)
    assert (known["moved"].matches["status"] == "same").all()
