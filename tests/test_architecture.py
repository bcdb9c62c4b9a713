"""Imports run one way, each dependency has its door, and importing genodl is cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "genodl"

_VALUES = {"errors", "values"}
_METHOD = {"io", "cohort", "screen", "models", "train", "score", "attribute", "rank", "report"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "values": {"errors"},
    "provenance": _VALUES,
    "io": _VALUES | {"provenance"},
    "cohort": _VALUES,
    "screen": _VALUES | {"cohort"},
    "models": _VALUES,
    "train": _VALUES | {"cohort", "models"},
    "score": _VALUES | {"cohort", "screen", "models", "train"},
    "attribute": _VALUES,
    "rank": _VALUES | {"cohort", "screen", "attribute"},
    "report": _VALUES,
    "config": _VALUES | _METHOD,
    "simulate": _VALUES,
    "pipeline": _VALUES | _METHOD | {"provenance", "config"},
    "bench": _VALUES | _METHOD | {"provenance", "config", "simulate", "pipeline"},
    "cli": _VALUES | _METHOD | {"provenance", "config", "simulate", "pipeline", "bench"},
    "__main__": {"cli"},
}
DOORS: dict[str, tuple[str, ...]] = {
    "pysam": ("io/", "simulate/files.py"),
    "scanpy": ("io/expression.py",),
    "flax": ("models/", "train/fit.py", "train/checkpoint.py"),
    "optax": ("train/",),
    "orbax": ("train/folder.py",),
    "matplotlib": ("report/", "attribute/plot.py"),
    "pickle": (),
    "cPickle": (),
    "dill": (),
    "cloudpickle": (),
    "joblib": (),
    "shelve": (),
}
HEAVY = ("anndata", "flax", "jax", "matplotlib", "optax", "pandas", "pysam", "scanpy", "sklearn")
MOST_PUBLIC_NAMES = 12
MODULE_NAME = re.compile(r"genodl(\.\w+)+")


def layer_of(path: Path, package: Path) -> str:
    return path.relative_to(package).with_suffix("").parts[0]


def resolve(node: ast.ImportFrom, path: Path, package: Path) -> str:
    """The absolute module an import names."""
    if not node.level:
        return node.module or ""
    inside = ("genodl", *path.relative_to(package).parts[:-1])
    parent = inside[: len(inside) - node.level + 1]
    return ".".join([*parent, *([node.module] if node.module else [])])


def imported(path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all a module imports, by statement or by a name in a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve(node, path, package)
            if module == "genodl":
                yield from ((node.lineno, f"genodl.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module
        elif isinstance(node, ast.Constant) and MODULE_NAME.fullmatch(str(node.value)):
            yield node.lineno, str(node.value)


def typing_only(path: Path) -> set[int]:
    """Lines under `if TYPE_CHECKING:`, which never run."""
    return {
        line
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    }


def modules(package: Path) -> list[Path]:
    return sorted(p for p in package.rglob("*.py") if p != package / "__init__.py")


def bad_arrows(package: Path) -> list[str]:
    """Imports between layers that ALLOWED does not hold."""
    faults = []
    for path in modules(package):
        layer = layer_of(path, package)
        for line, name in imported(path, package):
            target = name.split(".")[1] if name.startswith("genodl.") else None
            if target in (None, layer, "__version__"):
                continue
            if target not in ALLOWED.get(layer, set()):
                faults.append(f"{path.relative_to(package)}:{line} {layer} -> {target}")
    return faults


def bad_doors(package: Path) -> list[str]:
    """Third-party imports outside the modules that may make them."""
    faults = []
    for path in [*modules(package), package / "__init__.py"]:
        own, idle = path.relative_to(package).as_posix(), typing_only(path)
        for line, name in imported(path, package):
            library = name.split(".")[0]
            doors = DOORS.get(library, ("",))
            if line not in idle and not own.startswith(doors):
                faults.append(f"{own}:{line} {library}")
    return faults


def public_names(init: Path) -> int:
    """How many names `__all__` holds, counting the keys of a dict it unpacks."""
    assigned = {
        ast.unparse(target): node.value
        for node in ast.parse(init.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    }

    def count(value: ast.AST | None) -> int:
        if isinstance(value, (ast.List, ast.Tuple)):
            return sum(count(e) if isinstance(e, ast.Starred) else 1 for e in value.elts)
        if isinstance(value, ast.Starred):
            return count(value.value)
        if isinstance(value, ast.Dict):
            return len(value.keys)
        if isinstance(value, ast.Name):
            return count(assigned[value.id])
        if isinstance(value, ast.Call):  # list(_LAZY), sorted(_LAZY)
            return count(value.args[0])
        raise TypeError(f"{init}: __all__ is not a plain list of names")

    return count(assigned["__all__"]) if "__all__" in assigned else 0


def crowded(package: Path) -> list[str]:
    """Subpackages with more public names than a reader can hold."""
    found = {init.parent.name: public_names(init) for init in package.glob("*/__init__.py")}
    return [f"{name}: {n}" for name, n in sorted(found.items()) if n > MOST_PUBLIC_NAMES]


def shadowed(package: Path) -> list[str]:
    """Public names that a submodule of the same name replaces once it is imported."""
    return [
        f"{init.parent.name}.{node.value}"
        for init in sorted(package.glob("*/__init__.py"))
        for lazy in ast.parse(init.read_text()).body
        if isinstance(lazy, ast.Assign) and isinstance(lazy.value, ast.Dict)
        for node in lazy.value.keys
        if isinstance(node, ast.Constant) and (init.parent / f"{node.value}.py").exists()
    ]


def loaded_after(statement: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def fake(folder: Path, **files: str) -> Path:
    """A package with the given text in layer__module.py style file names."""
    package = folder / "genodl"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name.replace('___', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_a_layer_imports_only_from_its_left():
    assert len(modules(PACKAGE)) > 20
    assert bad_arrows(PACKAGE) == []


def test_every_layer_has_its_arrows_stated():
    assert {layer_of(path, PACKAGE) for path in modules(PACKAGE)} <= set(ALLOWED)


def test_the_arrows_have_no_cycle():
    order: list[str] = []
    while len(order) < len(ALLOWED):
        ready = sorted(layer for layer in set(ALLOWED) - set(order) if ALLOWED[layer] <= set(order))
        assert ready, f"cycle among {sorted(set(ALLOWED) - set(order))}"
        order += ready


def test_each_dependency_has_its_door():
    assert bad_doors(PACKAGE) == []


def test_no_subpackage_is_crowded():
    assert crowded(PACKAGE) == []


def test_no_public_name_is_shadowed_by_a_module():
    assert shadowed(PACKAGE) == []


@pytest.mark.parametrize("module", ["genodl", "genodl.cli"])
def test_importing_genodl_or_asking_for_help_loads_nothing_heavy(module):
    assert loaded_after(f"import {module}").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("module", "text", "arrow"),
    [
        ("cohort___join", "from genodl.io import tables", "cohort -> io"),
        ("cohort___join", "from genodl import io", "cohort -> io"),
        ("cohort___join", "from ..io import tables", "cohort -> io"),
        ("cohort___join", "from .. import io", "cohort -> io"),
        ("attribute___gradients", "import genodl.models.tabular", "attribute -> models"),
        ("attribute___gradients", "def f():\n    from genodl import train", "attribute -> train"),
        ("report___html", "_LAZY = {'x': 'genodl.rank.test'}", "report -> rank"),
        ("values", "from genodl import pipeline", "values -> pipeline"),
        ("surprise", "from genodl import values", "surprise -> values"),
    ],
)
def test_a_bad_arrow_is_found(tmp_path, module, text, arrow):
    (fault,) = bad_arrows(fake(tmp_path, **{module: text}))
    assert fault.endswith(arrow)


@pytest.mark.parametrize(
    ("module", "text", "found"),
    [
        ("rank___loci", "import pysam", "rank/loci.py:1 pysam"),
        ("io___tables", "def f():\n    import scanpy as sc", "io/tables.py:2 scanpy"),
        ("attribute___gradients", "from flax import nnx", "attribute/gradients.py:1 flax"),
        ("train___loss", "import joblib", "train/loss.py:1 joblib"),
        ("io___store", "from pickle import load", "io/store.py:1 pickle"),
    ],
)
def test_a_dependency_outside_its_door_is_found(tmp_path, module, text, found):
    assert bad_doors(fake(tmp_path, **{module: text})) == [found]


def test_allowed_imports_are_left_alone(tmp_path):
    package = fake(
        tmp_path,
        io___vcf="import pysam\nfrom genodl.io import bgzf\nfrom genodl.values import MISSING",
        models___tabular="if TYPE_CHECKING:\n    from matplotlib.axes import Axes",
        cli="def f():\n    from genodl import __version__, pipeline",
    )
    assert bad_arrows(package) == []
    assert bad_doors(package) == []


def test_a_crowded_subpackage_is_found(tmp_path):
    lazy = {f"name{i}": "genodl.rank.fdr" for i in range(12)}
    text = f"_LAZY = {lazy}\n__all__ = [*_LAZY, 'one_more']"
    assert crowded(fake(tmp_path, rank_____init__=text)) == ["rank: 13"]


def test_a_shadowed_name_is_found(tmp_path):
    text = "_LAZY = {'ingest': 'genodl.io.ingest', 'read': 'genodl.io.tables'}"
    assert shadowed(fake(tmp_path, io_____init__=text, io___ingest="")) == ["io.ingest"]


def test_a_heavy_import_is_found():
    assert "pandas" in loaded_after("import genodl.values")
