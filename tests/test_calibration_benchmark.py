"""The calibration benchmark makes the nulls it names and counts rightly."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    """A benchmark as a module."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


def test_shares_are_pooled_over_phenotypes_and_their_error_is_not_that_of_markers():
    below = np.array([[10, 2, 0, 0], [0, 0, 0, 0]])
    ratio, error = script("calibration").ratios(np.array([100, 100]), below)
    assert ratio == pytest.approx([10 / 200 / 0.05, 2 / 200 / 0.01, 0, 0])
    # of two phenotypes one, both or neither is drawn: the ratio is 0, 1 or 2
    assert error[0] == pytest.approx(np.sqrt(0.5), rel=0.1)
    # none of 200 below 0.001 says little: 0.2 were to be expected
    assert error[2] == pytest.approx(np.sqrt(0.001 / 200) / 0.001)


def test_a_share_above_its_bound_fails_only_beyond_its_error():
    found = {"setting": "x", "ratio": [1.3, 1.3, 0.6, 9.0], "standard_error": [0.01, 0.1, 0.1, 1]}
    met = [each["met"] for each in script("calibration").judged(found).values()]
    assert met == [False, True, True, False]


def test_markers_of_odd_contigs_do_not_count_where_signals_are():
    calibration, nulls = script("calibration"), script("_nulls")
    markers = pd.DataFrame({"contig": ["1", "2", "2", "3"], "p_value": [1e-9, 0.03, 0.2, 1e-9]})
    loci = pd.DataFrame({"contig": ["1", "2"], "q_value": [1e-6, 0.4]})
    made = nulls.Case(None, (), {}, odd_are_signals=True)
    found = calibration.counted((markers, loci), made)
    assert found == {"n": 2, "below": [1, 0, 0, 0], "least_q": None}
    whole = calibration.counted((markers, loci), nulls.Case(None, (), {}))
    assert (whole["n"], whole["least_q"]) == (4, 1e-6)


def test_the_model_of_best_metric_is_read():
    runs = {
        name: SimpleNamespace(performance={"a": {"deep": {"value": value}}})
        for name, value in (("linear", 0.1), ("mlp", 0.2))
    }
    assert script("calibration").chosen(runs) == {"a": "mlp"}


def test_sibs_share_half_and_their_trait_runs_in_families():
    nulls = script("_nulls")
    made = nulls.relatives(900, nulls.Size(400, 800, 40), h2=0.5, grouped=True)
    x = nulls.standard(made.cohort.modalities["variants"].X.astype(float))
    y = nulls.standard(made.cohort.samples[list(made.phenotypes)].to_numpy())
    for values, expected in ((x, 0.5), (y, 0.25)):
        sibs = values.reshape(100, 4, -1)
        shared = (sibs[:, 0] * sibs[:, 1]).mean()
        assert shared == pytest.approx(expected, abs=0.06)
    assert made.settings["group"] == "family"


def test_six_in_ten_are_censored():
    nulls = script("_nulls")
    made = nulls.survival(900, nulls.Size(2000, 80, 3), censored=0.6)
    events = made.cohort.samples[[event for _, event in made.settings["survival"]]]
    assert events.to_numpy().mean() == pytest.approx(0.4, abs=0.04)


def test_signals_stand_on_odd_contigs():
    nulls = script("_nulls")
    markers = nulls.variants(900, 300, 400)
    y = nulls.signals(np.random.default_rng(1), markers, causal=1, h2=0.7)
    r2 = (nulls.standard(nulls.called(markers.X)).T @ nulls.standard(y[:, None]) / 300) ** 2
    assert r2.max() == pytest.approx(0.7, abs=0.1)
    assert int(markers.var["contig"].iloc[int(r2.argmax())]) % 2 == 1


def test_every_setting_makes_what_it_says():
    settings = script("calibration").SETTINGS
    assert len(settings) >= 20
    for name in ("binary 5 %", "rare variants", "heavy tails t3", "outliers"):
        made = settings[name].make(900, script("_nulls").Size(400, 80, 2))
        assert len(made.phenotypes) == 2
        assert made.cohort.modalities["variants"].shape == (400, 80)
