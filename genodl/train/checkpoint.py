"""Trained ensembles on disk: atomic, by orbax, refused when damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from genodl.errors import InputError
from genodl.models import MODELS, Factory
from genodl.models.network import model_name, network, settings_of
from genodl.train.ensemble import Ensemble
from genodl.train.folder import read, read_manifest, write

FIELDS = ("out_of_bag", "gate", "losses", "restarts", "dropped")


def save(
    ensemble: Ensemble, folder: str | os.PathLike[str], *, extra: dict[str, Any] | None = None
) -> None:
    """Write an ensemble to a folder, which appears, or is replaced, only when complete.

    `extra` is kept beside it: values of JSON, such as the resolved configuration.
    """
    write(folder, _arrays(ensemble), {**_description(ensemble), "extra": extra or {}})


def restore(folder: str | os.PathLike[str], *, model: Factory | None = None) -> Ensemble:
    """The ensemble that `save` wrote.

    Parameters
    ----------
    model : the factory that it was trained with, where it was not one of `genodl.models.MODELS`

    Raises
    ------
    InputError : the folder holds no checkpoint, or one that is damaged or of another version, or
        the factory is not the one it was trained with
    """
    manifest, arrays = read(folder)
    named = _named_model(folder, manifest["model"], model)
    return _ensemble(manifest, named, arrays)


def extra(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What `save` was given to keep beside the ensemble."""
    found: dict[str, Any] = read_manifest(Path(folder).absolute())["extra"]
    return found


def _arrays(ensemble: Ensemble) -> dict[str, np.ndarray]:
    """Every array of an ensemble by a flat name."""
    fields = {name: np.asarray(getattr(ensemble, name)) for name in FIELDS}
    scales = {f"params/{k}": np.asarray(v) for k, v in ensemble.params.items() if k != "members"}
    members = {f"members/{k}": np.asarray(v) for k, v in ensemble.params["members"].items()}
    settings = {
        f"settings/{k}": np.asarray(v)
        for k, v in settings_of(ensemble.network).items()
        if isinstance(v, np.ndarray)
    }
    return fields | scales | members | settings


def _description(ensemble: Ensemble) -> dict[str, Any]:
    """What is needed beside the arrays to rebuild the ensemble."""
    net = ensemble.network
    return {
        "model": model_name(net.name),
        "inputs": net.inputs,
        "outputs": net.outputs,
        "settings": {k: v for k, v in settings_of(net).items() if not isinstance(v, np.ndarray)},
        "flat": ensemble.flat,
    }


def _named_model(folder: str | os.PathLike[str], name: str, given: Factory | None) -> str | Factory:
    """The model of a checkpoint, which for one of the user's own has to be given."""
    if given is None and name in MODELS:
        return name
    if given is None or model_name(given) != name:
        found = "none was given" if given is None else f"{model_name(given)} was given"
        raise InputError(
            f"the model is {name}, {found}",
            where=str(folder),
            mend="pass as model what it was trained with",
        )
    return given


def _ensemble(
    manifest: dict[str, Any], model: str | Factory, arrays: dict[str, np.ndarray]
) -> Ensemble:
    """The ensemble of a manifest and its arrays."""

    def under(prefix: str) -> dict[str, np.ndarray]:
        return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}

    settings = manifest["settings"] | under("settings/")
    return Ensemble(
        network=network(model, settings, manifest["inputs"], manifest["outputs"]),
        params={"members": under("members/"), **under("params/")},
        flat=manifest["flat"],
        **{name: arrays[name] for name in FIELDS},
    )
