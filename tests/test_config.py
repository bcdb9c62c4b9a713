"""Settings: defaults, TOML, options over the file, and faults by their place."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields

import pytest

from genodl import config
from genodl.config import DiscoverConfig, as_dict, read
from genodl.errors import InputError

EDGES = {
    "folds": (2, 1),
    "members": (0, -1),
    "fdr": (0.001, 0.0),
    "seed": (0, -1),
    "pcs": (0, -1),
    "call_rate": (1.0, 1.01),
    "maf": (0.0, 0.5),
    "candidates": (1, 0),
    "network_inputs": (1, 0),
    "locus_r2": (1.0, 0.0),
    "locus_window": (0, -1),
    "checks": (0, -1),
    "gene_window": (0, -1),
    "rates": ((0.1,), (1.0, 0.0)),
    "masked": (0.0, 1.0),
    "mixup": (0.0, -0.1),
}


def write(tmp_path, text: str):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_nothing_given_is_the_contract():
    chosen = read(None)
    assert chosen == DiscoverConfig()
    assert (chosen.folds, chosen.members, chosen.fdr, chosen.seed) == (10, 8, 0.1, 0)
    assert (chosen.kind, chosen.model, chosen.pcs, chosen.group) == ("auto", "auto", 0, None)


def test_options_win_over_the_file_and_the_file_over_the_defaults(tmp_path):
    path = write(tmp_path, 'folds = 7\nfdr = 0.2\ngroup = "family"\n')
    chosen = read(path, folds=5, seed=3, group=None)
    assert (chosen.folds, chosen.fdr, chosen.group, chosen.seed) == (5, 0.2, "family", 3)
    assert chosen.members == DiscoverConfig().members


def test_settings_survive_a_round_trip():
    chosen = read(None, folds=4, group="site", fdr=0.05)
    assert set(as_dict(chosen)) == {f.name for f in fields(DiscoverConfig)}
    assert read(None, **as_dict(chosen)) == chosen


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        DiscoverConfig().folds = 3


@pytest.mark.parametrize("name", EDGES)
def test_a_number_is_taken_up_to_its_edge_and_refused_beyond(name):
    within, beyond = EDGES[name]
    assert getattr(read(None, **{name: within}), name) == within
    found = re.escape(str(beyond))
    place = f"^option {name.replace('_', '-')}: is {found}, expected .*; change it$"
    for make in (DiscoverConfig, lambda **given: read(None, **given)):
        with pytest.raises(InputError, match=place):
            make(**{name: beyond})


@pytest.mark.parametrize("model", config.MODELS)
def test_a_model_that_discovery_trains_is_taken(model):
    assert read(None, model=model).model == model


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("folds = 1", "run.toml: option folds: is 1, expected at least 2; change it"),
        ("fold = 5", "run.toml: unknown key 'fold'; the nearest are 'folds'"),
        ('folds = "many"', "run.toml: folds is 'many', input should be a valid integer.*; correct"),
        ("fdr = [0.1]", r"run.toml: fdr is \[0.1\], input should be a valid number; correct fdr"),
        ('kind = "ordinal"', "run.toml: kind is 'ordinal', input should be 'auto', .*; correct"),
        ("folds 5", "run.toml: is not TOML .*line 1"),
        ("[discover]\nfolds = 5", "run.toml: unknown key 'discover'"),
    ],
)
def test_a_fault_in_the_file_is_named_with_the_file(tmp_path, text, fault):
    with pytest.raises(InputError, match=fault):
        read(write(tmp_path, text), folds=3)


def test_a_fault_of_an_option_is_not_blamed_on_the_file(tmp_path):
    with pytest.raises(InputError, match=r"^option folds: is 1"):
        read(write(tmp_path, "members = 2"), folds=1)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"absent.toml: cannot be read .no such file"):
        read(tmp_path / "absent.toml")
    with pytest.raises(InputError, match=r"cannot be read .is a directory"):
        read(tmp_path)
    path = tmp_path / "latin.toml"
    path.write_bytes(b"group = 'caf\xe9'")
    with pytest.raises(InputError, match=r"latin.toml: is not UTF-8 text"):
        read(path)


def test_a_word_for_a_number_from_a_script_is_named():
    with pytest.raises(InputError, match=r"^options: folds is 'many'"):
        read(None, folds="many")
