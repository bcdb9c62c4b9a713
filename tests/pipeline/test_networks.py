"""Networks beyond the sparse path: gated, complete in what they attribute, blind to held-out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.testing import assert_allclose, assert_array_equal

from genodl.config import DiscoverConfig
from genodl.pipeline import networks
from genodl.pipeline.candidates import Candidates, screen
from genodl.pipeline.fits import fits_of
from genodl.pipeline.learn import Deep, Linear, Part
from genodl.pipeline.networks import _explain, _inputs, _laid_out, deepen
from genodl.pipeline.study import Study, prepare
from genodl.values import Cohort

SAMPLES, FOLDS = 300, 4
CONFIG = DiscoverConfig(folds=FOLDS, checks=0, members=3, candidates=10, network_inputs=8)
RNG = np.random.default_rng(0)
LEVEL = RNG.standard_normal((SAMPLES, 30)).astype(np.float32)
OTHER = RNG.standard_normal((SAMPLES, 20)).astype(np.float32)
NOISE = RNG.standard_normal(SAMPLES)


def study_of(y: np.ndarray) -> Study:
    samples = pd.DataFrame({"response": y}, index=[f"S{i}" for i in range(SAMPLES)])
    modalities = {
        name: AnnData(
            values,
            obs=samples[[]].copy(),
            var=pd.DataFrame(index=[f"{name}{i}" for i in range(values.shape[1])]),
        )
        for name, values in {"expression": LEVEL, "protein": OTHER}.items()
    }
    return prepare(Cohort(modalities, samples), ["response"], [], CONFIG)


def candidates_of(study: Study) -> list[Candidates]:
    return [
        screen(study, m, CONFIG, lambda items, label, total: items) for m in study.cohort.modalities
    ]


def deepened(study: Study, config: DiscoverConfig = CONFIG) -> Deep:
    """Networks on all of the residual: neither path nor products took anything."""
    places = len(study.folded.fold)
    nothing = np.zeros((places, FOLDS), np.float32)
    linear = Linear(np.zeros(0, int), np.zeros((FOLDS, 0)), nothing, nothing)
    products = Part(nothing[:, 0], nothing, {})
    return deepen(study, candidates_of(study), linear, products, 0, config)


@pytest.fixture(scope="module")
def study() -> Study:
    # the sign, saturated, of one gene and one protein
    return study_of(np.tanh(3 * LEVEL[:, 4]) + np.tanh(3 * OTHER[:, 9]) + 0.5 * NOISE)


@pytest.fixture(scope="module")
def deep(study: Study) -> Deep:
    return deepened(study)


def test_a_signal_opens_the_gate_and_is_predicted_out_of_fold(study, deep):
    assert (deep.gate > 0.5).all()
    assert (deep.gate <= 1).all()
    known = study.targets[0].known
    r = np.corrcoef(deep.network.prediction[known], study.targets[0].values[known])[0, 1]
    assert r > 0.7


def test_networks_are_trained_as_the_settings_say(study, monkeypatch):
    asked = []

    def noted(*arguments, config, **settings):
        asked.append(config)
        raise StopIteration

    monkeypatch.setattr(networks, "fit_ensemble", noted)
    with pytest.raises(StopIteration):
        deepened(study, replace(CONFIG, rates=(0.4, 1.0), masked=0.1, mixup=0.2))
    assert asked[0].tried == ((0.4, 1.0), (1.0, 1.0))
    assert (asked[0].masked, asked[0].mixup) == (0.1, 0.2)


def test_attributions_sum_to_the_prediction(study, deep):
    known = study.targets[0].known
    total = sum(part.values.sum(1) for part in deep.network.attribution.values())
    assert_allclose(total[known], deep.network.prediction[known], atol=0.02)


def test_networks_without_a_say_are_left_unexplained(deep):
    tasks, inputs = deep.ensemble.params["x_centre"].shape
    rng = np.random.default_rng(6)
    held = rng.standard_normal((tasks, 6, inputs)).astype(np.float32)
    rest = rng.standard_normal((tasks, 6)).astype(np.float32)
    open_ = np.arange(tasks) % 3 == 0
    explained = (_explain(deep.ensemble, held, rest, o) for o in (np.ones(tasks, bool), open_))
    for whole, part in zip(*explained, strict=True):
        assert whole[~open_].any()
        assert_array_equal(part[open_], whole[open_])
        assert not part[~open_].any()


def test_each_modality_is_attributed_its_own_markers(study, deep):
    assert list(deep.network.attribution) == ["expression", "protein"]
    for (_, part), planted in zip(
        deep.network.attribution.items(), (LEVEL[:, 4], OTHER[:, 9]), strict=True
    ):
        strongest = np.abs(part.values).mean(0).argmax()
        proxy = study.folded.gather(part.proxies[:, strongest], SAMPLES)
        assert abs(np.corrcoef(proxy, planted)[0, 1]) > 0.999


def test_the_test_reads_the_markers_that_something_is_attributed_to_alone(study, deep):
    part = deep.network.attribution["expression"]
    silent = part.values.copy()
    silent[:, 1::2] = 0
    network = deep.network._replace(attribution={"expression": part._replace(values=silent)})
    width = len(study.folded.fold)
    nothing = np.zeros((width, FOLDS), np.float32)
    linear = Linear(np.zeros(0, int), np.zeros((FOLDS, 0)), nothing, nothing)
    told = deep._replace(network=network)
    fits = fits_of(study, candidates_of(study)[:1], linear, 0, "expression", told)
    kept = np.flatnonzero(silent.any(0))
    assert 0 < len(kept) < silent.shape[1]
    attributed, inputs = np.asarray(fits.attributed), np.asarray(fits.inputs)
    assert_array_equal(attributed[:, : len(kept)], silent[:, kept])
    assert_array_equal(inputs[:, : len(kept)], part.proxies[:, kept])
    assert not attributed[:, len(kept) :].any()
    assert not inputs[:, len(kept) :].any()


def test_its_networks_vote_for_what_is_planted_and_both_halves_see_it(deep):
    for modality, planted in (("expression", 4), ("protein", 9)):
        part = deep.network.attribution[modality]
        assert part.votes.shape[::2] == (FOLDS, len(part.columns))
        at = list(part.columns).index(planted)
        assert part.votes[:, :, at].mean() > 0.9
        assert np.delete(part.votes, at, axis=2).mean() < 0.2
        assert (part.halves.argmax(1) == at).all()


def test_the_halves_of_the_networks_add_up_to_what_all_explain(study, deep):
    target, fold = study.targets[0], study.folded.fold
    residual = target.residual[np.arange(len(fold)), fold] * target.known
    # as many networks in one half as in the other, each of the weight of the mean
    for part in deep.network.attribution.values():
        total = residual @ (part.values / np.maximum(deep.gate[fold], 1e-9)[:, None])
        networks = part.votes.shape[1]
        assert_allclose(part.halves.sum(0), networks * total, rtol=1e-3, atol=1e-2)


SLOW = [pytest.param(m, marks=pytest.mark.slow) for m in ("fusion", "lstm", "gru", "attention")]


@pytest.mark.parametrize("model", [pytest.param("cnn", marks=pytest.mark.long), *SLOW])
def test_every_model_finds_and_attributes_what_is_planted(study, model):
    deep = deepened(study, replace(CONFIG, model=model))
    known = study.targets[0].known
    assert (deep.gate > 0.3).all()
    total = sum(part.values.sum(1) for part in deep.network.attribution.values())
    assert_allclose(total[known], deep.network.prediction[known], atol=0.05)
    for modality, planted in (("expression", 4), ("protein", 9)):
        part = deep.network.attribution[modality]
        assert part.columns[np.abs(part.values).mean(0).argmax()] == planted


def test_windows_slide_along_contigs_and_branches_hold_modalities():
    var = pd.DataFrame({"contig": ["1", "1", "1", "2", "2"]}, index=list("abcde"))
    obs = pd.DataFrame(index=[f"S{i}" for i in range(SAMPLES)])
    dosage = RNG.binomial(2, 0.3, (SAMPLES, 5)).astype(np.int8)
    modalities = {
        "variants": AnnData(dosage, obs=obs, var=var.assign(pos=range(1, 6), ref="A", alt="C")),
        "expression": AnnData(LEVEL[:, :3], obs=obs),
    }
    samples = obs.assign(response=NOISE)
    study = prepare(Cohort(modalities, samples), ["response"], [], CONFIG)
    found = candidates_of(study)
    # columns 0 to 4 are variants, 5 to 7 genes
    inputs = np.array([[0, 1, 2, 3, 6], [1, 3, 4, 5, 7]])
    laid, settings = _laid_out(study, found, inputs, "cnn")
    assert settings == {"contigs": (3, 2, 2)}
    assert_array_equal(laid, [[0, 1, 2, 3, -1, 6, -1], [1, -1, -1, 3, 4, 5, 7]])
    laid, settings = _laid_out(study, found, inputs, "fusion")
    assert settings == {"modalities": (4, 2)}
    assert_array_equal(laid, [[0, 1, 2, 3, 6, -1], [1, 3, 4, -1, 5, 7]])
    assert _laid_out(study, found, inputs, "attention") == (inputs, {})


def test_noise_opens_no_gate():
    deep = deepened(study_of(NOISE))
    assert_array_equal(deep.gate, 0)
    assert not deep.network.attribution
    assert_array_equal(deep.network.prediction, 0)
    assert deep.ensemble is not None


@pytest.mark.parametrize("change", [{"members": 0}, {"model": "linear"}])
def test_no_network_is_trained_where_none_is_asked_for(study, change):
    deep = deepened(study, replace(CONFIG, **change))
    assert deep.ensemble is None
    assert_array_equal(deep.gate, 0)


def test_the_phenotypes_held_out_do_not_touch_what_is_said_of_them(study, deep):
    rows = study.folded.rows[1]
    y = study.folded.gather(study.targets[0].values, SAMPLES)
    held = rows[rows >= 0]
    y[held] = np.random.default_rng(1).permutation(y[held])  # the mean stays
    other = deepened(study_of(y))
    here = study.folded.fold == 1
    assert other.gate[1] == pytest.approx(deep.gate[1], abs=1e-3)
    assert_allclose(other.network.prediction[here], deep.network.prediction[here], atol=1e-2)
    assert np.abs(other.network.prediction - deep.network.prediction).max() > 0.05


def test_each_task_sees_the_strongest_markers_of_its_own_screen(study):
    found = candidates_of(study)
    inputs = _inputs(found, 0, 8)
    groups = study.folded.inner.max() + 1
    assert inputs.shape == (FOLDS * groups, 8)
    assert all(len(set(row)) == 8 for row in inputs)
    width = len(found[0].markers)
    for row in inputs:
        assert np.searchsorted(found[0].markers, 4) in row
        assert width + np.searchsorted(found[1].markers, 9) in row
    # fold 2 and group 1: the best by the view that left that group out
    strength = np.concatenate([c.strength[:, 2, 2, 0] for c in found])
    column = np.concatenate(
        [
            c.features[:, 2, 2, 0] % len(c.markers) + o
            for c, o in zip(found, (0, width), strict=True)
        ]
    )
    expected: list[int] = []
    for place in np.argsort(-strength, kind="stable"):
        if column[place] not in expected:
            expected.append(int(column[place]))
    assert_array_equal(inputs[2 * groups + 1], sorted(expected[:8]))
