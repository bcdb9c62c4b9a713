"""Training that is stopped goes on, and ends where it would have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from genodl.errors import InputError
from genodl.train import Resume, TrainConfig, fit_ensemble, predict
from genodl.train.resume import STOPPED

CONFIG = TrainConfig(rounds=12, steps=2, warmup=12, batch=32)
PROGRAM = """
import sys
import numpy as np
from pathlib import Path
from genodl.train import Resume, TrainConfig, fit_ensemble
rng = np.random.default_rng(0)
x = rng.standard_normal((2, 120, 6)).astype("f4")
config = TrainConfig(rounds=12, steps=2, warmup=12, batch=32)
found = fit_ensemble("mlp", {"dropout": 0.2}, x, x[:, :, 0], np.ones((2, 120)), members=3, seed=1,
                     config=config, resume=Resume(Path(sys.argv[1]), every=1))
np.savez(sys.argv[2], oob=found.out_of_bag, **found.params["members"])
"""


def drawn():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 120, 6)).astype("f4")
    return x, x[:, :, 0], np.ones((2, 120))


def fitted(resume=None, *, seed=1, config=CONFIG, **changes):
    x, y, weight = drawn()
    settings = {"dropout": 0.2} | changes
    return fit_ensemble(
        "mlp", settings, x, y, weight, members=3, seed=seed, config=config, resume=resume
    )


def test_stretches_give_what_one_run_gives(tmp_path):
    whole, cut = fitted(), fitted(Resume(tmp_path, every=5))
    again = fitted(Resume(tmp_path, every=5))  # all is there already
    for other in (cut, again):
        assert_array_equal(other.out_of_bag, whole.out_of_bag)
        assert_array_equal(predict(other, drawn()[0]), predict(whole, drawn()[0]))
    assert [path.name for path in tmp_path.iterdir()] == ["tasks-0-2"]


def test_a_state_of_something_else_is_refused(tmp_path):
    fitted(Resume(tmp_path))
    for change in ({"seed": 2}, {"hidden": (4,)}, {"config": TrainConfig(rounds=13)}):
        with pytest.raises(InputError, match="of other data or another configuration; go on with"):
            fitted(Resume(tmp_path), **change)


def test_a_damaged_state_is_refused(tmp_path):
    fitted(Resume(tmp_path))
    largest = max((p for p in tmp_path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        fitted(Resume(tmp_path))


def begun(tmp_path: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "states"), str(tmp_path / "out.npz")]
    return subprocess.Popen(command, env={**os.environ, "JAX_PLATFORMS": "cpu"})


def state_of(tmp_path: Path) -> float:
    """When the state was last written, 0 where there is none."""
    kept = tmp_path / "states" / "tasks-0-2" / "ensemble.json"
    return kept.stat().st_mtime if kept.exists() else 0.0


def checked(tmp_path: Path) -> None:
    """What the program wrote is what one run gives."""
    whole = fitted()
    with np.load(tmp_path / "out.npz") as found:
        assert_array_equal(found["oob"], whole.out_of_bag)
        for name, array in whole.params["members"].items():
            assert_array_equal(found[name], array)


def test_a_signal_to_stop_keeps_the_state_and_ends_with_its_own_status(tmp_path, monkeypatch):
    save = Resume.save

    def interrupted(self, name, key, state, *, tasks):
        if int(state.rounds) == 4:
            signal.raise_signal(signal.SIGTERM)
        save(self, name, key, state, tasks=tasks)

    monkeypatch.setattr(Resume, "save", interrupted)
    with pytest.raises(SystemExit) as caught:
        fitted(Resume(tmp_path, every=2))
    assert caught.value.code == STOPPED == 75
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    seen = []
    monkeypatch.setattr(Resume, "save", lambda self, name, key, state, tasks: seen.append(state))
    cut = fitted(Resume(tmp_path, every=2))
    assert [int(state.rounds) for state in seen] == [6, 8, 10, 12]
    assert_array_equal(cut.out_of_bag, fitted().out_of_bag)


@pytest.mark.slow
def test_a_process_that_is_asked_to_stop_goes_on(tmp_path):
    process = begun(tmp_path)
    while not state_of(tmp_path) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == STOPPED
    assert not (tmp_path / "out.npz").exists()
    assert begun(tmp_path).wait() == 0
    checked(tmp_path)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(5)
    for _ in range(20):
        process, seen = begun(tmp_path), state_of(tmp_path)
        while state_of(tmp_path) == seen and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        if process.wait() == 0:
            break
    else:
        assert begun(tmp_path).wait() == 0
    checked(tmp_path)
    assert [p.name for p in (tmp_path / "states").iterdir()] == ["tasks-0-2"]


@pytest.mark.slow
def test_the_example_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    section = text.split("### Train networks of your own")[1]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 200, 500)).astype("f4")
    y = np.stack([rng.exponential(np.exp(-x[:, :, 0])), np.ones((2, 200))], axis=2)
    known = {"x": x, "y": y, "weight": np.ones((2, 200))}
    exec(section.split("```python\n")[1].split("```")[0], known)
    assert known["predict"](known["ensemble"], x).shape == (2, 200)
    # how many tasks are trained at once depends on what the model keeps for its gradient
    kept = [map(int, p.name.split("-")[1:]) for p in (tmp_path / "states").iterdir()]
    assert sorted(task for start, stop in kept for task in range(start, stop)) == [0, 1]
