"""A small cohort on disk, and commands run in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genodl import simulate
from genodl.cli import main

EARLIER = {"markers.tsv": "earlier markers\n", "run.json": "{}\n", "notes.txt": "mine\n"}


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """60 samples x 60 variants x 16 genes, never changed."""
    folder = tmp_path_factory.mktemp("source")
    simulate.write(simulate.cohort(seed=1, samples=60, variants=60, genes=16), folder)
    return folder


@pytest.fixture
def cohort(source, tmp_path) -> Path:
    """A copy of the small cohort, to be spoilt."""
    return Path(shutil.copytree(source, tmp_path / "cohort"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    """The user's cache folder is left alone, by fixtures of a module too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def succeed(capsys) -> Callable[..., str]:
    """Run a command that must end well; what it says on stdout."""

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        assert stop.value.code == 0, said.err
        return said.out

    return run


@pytest.fixture
def fail(capsys) -> Callable[..., str]:
    """Run a command that must end with exit code 2; its one line on stderr."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        assert stop.value.code == 2
        assert said.out == ""
        assert said.err.count("\n") == 1, said.err
        assert said.err.startswith("genodl: ")
        return said.err.strip()

    return run


@pytest.fixture
def refuse(fail, tmp_path) -> Callable[..., str]:
    """Run a discovery into a folder with an earlier result, which must stay as it is."""
    out = tmp_path / "out"
    out.mkdir()
    for name, text in EARLIER.items():
        (out / name).write_text(text)

    def run(*arguments: object) -> str:
        line = fail("discover", "--out", out, *arguments)
        assert {p.name: p.read_text() for p in out.iterdir()} == EARLIER
        return line

    return run
