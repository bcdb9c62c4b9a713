"""Scorers on disk: one folder, atomic, refused when damaged."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

from genodl.cohort.design import Column
from genodl.models.network import model_name, network, settings_of
from genodl.score.scorer import Networks, Output, Products, Scorer
from genodl.screen.directions import Directions
from genodl.screen.features import Cuts, Features, Lines, Squares
from genodl.train.folder import read, write

Arrays = dict[str, np.ndarray]


def save(scorer: Scorer, folder: str | os.PathLike[str]) -> None:
    """Write a scorer to a folder, which is replaced only when complete."""
    features = scorer.features
    arrays = {"loadings": scorer.loadings, "partners": scorer.partners, "adjust": features.adjust}
    arrays |= {"mean": scorer.markers["mean"].to_numpy(float)}
    for part in (features.lines, features.squares, features.cuts):
        arrays |= _under(type(part).__name__, part._asdict())
    if scorer.directions is not None:
        arrays |= _under("Directions", scorer.directions._asdict())
    for number, output in enumerate(scorer.outputs):
        arrays |= _under(str(number), _arrays(output))
    content = {
        "markers": scorer.markers.drop(columns="mean").to_dict("list"),
        "columns": [column._asdict() for column in scorer.columns],
        "outputs": [_described(output) for output in scorer.outputs],
    }
    # an array without an entry has no file
    write(folder, {name: each for name, each in arrays.items() if each.size}, content)


def restore(folder: str | os.PathLike[str]) -> Scorer:
    """The scorer that `save` wrote.

    Raises
    ------
    InputError : the folder holds none, or one that is damaged or of another version
    """
    content, arrays = read(folder)
    markers = pd.DataFrame(content["markers"], dtype=object)
    count, width = len(markers), 1 + len(content["columns"])
    markers["mean"] = arrays.get("mean", np.zeros(0))
    loadings = arrays.get("loadings", np.zeros((count, 0), np.float32))
    width += loadings.shape[1]
    outputs = [
        _output(described, _below(arrays, f"{number}/"))
        for number, described in enumerate(content["outputs"])
    ]
    columns = [Column(**{**each, "levels": tuple(each["levels"])}) for each in content["columns"]]
    nothing = np.zeros((width, 0), np.float32)
    directions = _below(arrays, "Directions/")
    return Scorer(
        markers,
        tuple(columns),
        loadings,
        Features(
            Lines(**_fields(Lines, arrays)),
            Squares(**_fields(Squares, arrays)),
            Cuts(**_fields(Cuts, arrays)),
            arrays.get("adjust", nothing),
        ),
        arrays.get("partners", nothing),
        tuple(outputs),
        Directions(**directions) if directions else None,
    )


def _fields(kind: type[Any], arrays: Arrays) -> Arrays:
    """The arrays of one kind of features, empty where there are none."""
    empty = {name: np.zeros(0, np.float32) for name in kind._fields}
    return empty | {"marker": np.zeros(0, np.int32)} | _below(arrays, f"{kind.__name__}/")


def _under(prefix: str, arrays: Arrays) -> Arrays:
    """The same arrays below a prefix."""
    return {f"{prefix}/{name}": np.asarray(each) for name, each in arrays.items()}


def _below(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays below a prefix, by the rest of their names."""
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}


def _arrays(output: Output) -> Arrays:
    """Every array of an output by a flat name."""
    found: Arrays = {"base": output.base, "weight": output.weight}
    if output.products is not None:
        found |= _under("products", output.products._asdict())
    if output.networks is not None:
        mine = output.networks
        found |= _under("networks", {n: getattr(mine, n) for n in ("columns", "weight", "centre")})
        found |= _under("params", {k: v for k, v in mine.params.items() if k != "members"})
        found |= _under("members", mine.params["members"])
        settings = settings_of(mine.network).items()
        found |= _under("settings", {k: v for k, v in settings if isinstance(v, np.ndarray)})
    return found


def _described(output: Output) -> dict[str, Any]:
    """What is needed beside the arrays."""
    found: dict[str, Any] = {
        name: getattr(output, name)
        for name in ("phenotype", "label", "kind", "component", "constant")
    }
    if output.networks is not None:
        net = output.networks.network
        plain = {k: v for k, v in settings_of(net).items() if not isinstance(v, np.ndarray)}
        found["network"] = {"model": model_name(net.name), "settings": plain}
        found["network"] |= {"inputs": net.inputs, "outputs": net.outputs}
    return found


def _output(described: dict[str, Any], arrays: Arrays) -> Output:
    """The output of a description and its arrays."""

    plain = {k: v for k, v in described.items() if k != "network"}
    products, networks = _below(arrays, "products/"), None
    if "network" in described:
        net = described["network"]
        networks = Networks(
            network(
                net["model"],
                net["settings"] | _below(arrays, "settings/"),
                net["inputs"],
                net["outputs"],
            ),
            {"members": _below(arrays, "members/"), **_below(arrays, "params/")},
            **_below(arrays, "networks/"),
        )
    return Output(
        **plain,
        base=arrays["base"],
        weight=arrays.get("weight", np.zeros(0, np.float32)),
        products=Products(**products) if products else None,
        networks=networks,
    )
