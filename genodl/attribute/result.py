"""What an attribution returns: the values, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genodl.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Attribution:
    """The share of each input in each sample's prediction.

    Attributes
    ----------
    values : pytree of float arrays, (samples, inputs...), or (samples, inputs..., outputs) when all
        outputs are explained, in the unit of the prediction
    baseline : what the samples are compared with, as given
    method : name of the method, a key of `METHODS`
    prediction, baseline_prediction : float, (samples,) or (samples, outputs); a background set has
        the mean over its members
    completeness_error : the same shape, |sum of values - (prediction - baseline_prediction)|
    incomplete : bool, the same shape, where that error exceeds `tolerance` times
        |prediction| + |baseline_prediction| and the rounding of the values, or is nan
    tolerance : relative, as given
    standard_error : as values, of the Monte Carlo mean; None where nothing is sampled
    settings : what the method ran with
    """

    values: Any
    baseline: Any
    method: str
    prediction: np.ndarray
    baseline_prediction: np.ndarray
    completeness_error: np.ndarray
    incomplete: np.ndarray
    tolerance: float
    standard_error: Any = None
    settings: tuple[tuple[str, Any], ...] = ()

    def to_frame(self, names: Any = None, samples: Sequence[str] | None = None) -> pd.DataFrame:
        """The values as a table, one row a sample and one column an input.

        Parameters
        ----------
        names : names of the inputs in row-major order, pytree as the values; numbered by default
        samples : ids of the samples; numbered by default

        Raises
        ------
        InputError : as many names as inputs, or ids as samples, are not given
        """
        columns, matrix = self._flat(names)
        rows = self._samples(samples, len(matrix))
        return pd.DataFrame(matrix, index=rows, columns=pd.Index(columns, name="input"))

    def to_anndata(self, like: AnnData | None = None, *, layer: str = "attribution") -> AnnData:
        """The values in a layer of an AnnData: a copy of `like`, or a new one.

        All outputs give one layer each, `attribution_0` onwards. `.obs` receives the prediction and
        the completeness error.

        Raises
        ------
        InputError : the values are not one matrix of the shape of `like`
        """
        from anndata import AnnData

        layers = self._layers(layer)
        first = next(iter(layers.values()))
        if like is not None and first.shape != like.shape:
            raise InputError(
                f"values are {first.shape}, the AnnData is {like.shape}",
                where="Attribution.to_anndata",
                mend="pass the AnnData whose samples and markers were attributed",
            )
        whole = AnnData(np.zeros_like(first)) if like is None else like.copy()
        for name, values in layers.items():
            whole.layers[name] = values
        for name, column in (
            ("prediction", self.prediction),
            ("completeness_error", self.completeness_error),
        ):
            for suffix, values in _by_output(column):
                whole.obs[f"{layer}_{name}{suffix}"] = values
        whole.uns[layer] = {"method": self.method, "tolerance": self.tolerance}
        return whole

    def plot(self, kind: str = "bars", **settings: Any) -> Figure:
        """A figure of the values: `bars`, `beeswarm` or `track` (see `genodl.attribute.plot`)."""
        from genodl.attribute import plot

        return plot.draw(self, kind, **settings)

    @property
    def all_outputs(self) -> bool:
        """Whether the last axis of the values is the outputs."""
        return self.prediction.ndim == 2

    def _flat(self, names: Any) -> tuple[list[str], np.ndarray]:
        """Column names and the (samples, columns) matrix of all leaves and outputs."""
        columns: list[str] = []
        parts = []
        for path, leaf in _leaves(self.values):
            width = self.prediction.shape[1] if self.all_outputs else 1
            inputs = int(np.prod(leaf.shape[1:])) // width
            known = _names_at(names, path, inputs)
            stem = f"{path}:" if path and names is None else ""
            outputs = [f"@{k}" for k in range(width)] if self.all_outputs else [""]
            columns += [f"{stem}{n}{o}" for n in known for o in outputs]
            parts.append(leaf.reshape(len(leaf), -1))
        return columns, np.concatenate(parts, axis=1)

    def _samples(self, samples: Sequence[str] | None, count: int) -> list[Any]:
        """Ids of the samples."""
        if samples is None:
            return list(range(count))
        if len(samples) != count:
            raise InputError(
                f"{len(samples)} sample ids for {count} samples",
                where="Attribution.to_frame",
                mend="give one id a sample",
            )
        return list(samples)

    def _layers(self, name: str) -> dict[str, np.ndarray]:
        """Layer name -> (samples, inputs) matrix."""
        leaves = _leaves(self.values)
        expected = 3 if self.all_outputs else 2
        if len(leaves) != 1 or leaves[0][1].ndim != expected:
            raise InputError(
                f"values are {[v.shape for _, v in leaves]}, not one samples x markers matrix",
                where="Attribution.to_anndata",
                mend="use .values or .to_frame() for other shapes",
            )
        values = leaves[0][1]
        if not self.all_outputs:
            return {name: values}
        return {f"{name}_{k}": values[..., k] for k in range(values.shape[-1])}


def _by_output(column: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """A suffix and a (samples,) array for each output."""
    if column.ndim == 1:
        return [("", column)]
    return [(f"_{k}", column[:, k]) for k in range(column.shape[1])]


def _leaves(values: Any) -> list[tuple[str, np.ndarray]]:
    """Dotted path and array of each leaf of a pytree."""
    import jax

    return [
        (".".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in path), np.asarray(leaf))
        for path, leaf in jax.tree_util.tree_flatten_with_path(values)[0]
    ]


def _names_at(names: Any, path: str, count: int) -> list[str]:
    """The names of one leaf's inputs."""
    if names is None:
        return [str(i) for i in range(count)]
    found: Any = names
    for step in path.split(".") if path else ():
        found = found[step] if isinstance(found, dict) else found[int(step)]
    if len(found) != count:
        raise InputError(
            f"{len(found)} names for {count} inputs",
            where=f"Attribution.to_frame{' ' + path if path else ''}",
            mend="name every input, in row-major order",
        )
    return [str(n) for n in found]
