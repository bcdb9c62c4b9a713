"""Covariates as partners of markers: what a marker does may turn with them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from genodl.config import DiscoverConfig
from genodl.pipeline.condition import orthonormal
from genodl.pipeline.study import Study
from genodl.rank.test import PRODUCT_CARRIERS, Fits

TOLD = 4.0  # |z| of a product of a lead and a covariate that casts a shadow on its neighbours


def partners(study: Study, config: DiscoverConfig) -> tuple[list[str], np.ndarray]:
    """Names and values, float32, (places, partners), of the covariates the user named.

    They are standardised. Of one that holds text the level that the others are compared with is a
    partner too. Components of the variants are none.
    """
    present = study.folded.present > 0
    names = list(study.covariate_names[: len(study.covariate_names) - config.pcs])
    values = study.covariates[:, 1 : 1 + len(names)]
    for name in dict.fromkeys(n.partition("=")[0] for n in names if "=" in n):
        rest = 1 - values[:, [n.startswith(f"{name}=") for n in names]].sum(1)
        column = study.cohort.samples.get(name)
        mode = "" if column is None else column.astype(str).mode()[0]
        names.append(f"{name}={mode}")
        values = np.column_stack([values, rest])
    spread = np.maximum(values[present].std(0), 1e-12)
    centred = np.where(present[:, None], values - values[present].mean(0), 0)
    return names, (centred / spread).astype(np.float32)


def carried(partners: np.ndarray) -> np.ndarray:
    """The partners, (places, partners), less levels of fewer samples than must carry a product."""
    carriers = (partners**2).sum(0) ** 2 / np.maximum((partners**4).sum(0), 1e-30)
    return partners[:, carriers >= PRODUCT_CARRIERS]


def modifiers(study: Study, partners: np.ndarray) -> dict[str, jax.Array]:
    """What the kernel needs to test products with some covariates; nothing where there are none."""
    if not partners.shape[1]:
        return {}
    nuisance = orthonormal(np.concatenate([study.basis, partners**2], axis=1))
    return {"partners": jnp.asarray(partners), "nuisance": jnp.asarray(nuisance)}


def told_products(leads: np.ndarray, fits: Fits) -> np.ndarray:
    """The products of leads and partners that are told from none, float32, (places, products)."""
    if fits.partners is None:
        return leads[:, :0]
    residual, nuisance = np.asarray(fits.residual)[:, None], np.asarray(fits.nuisance)
    products = (leads[:, :, None] * np.asarray(fits.partners)[:, None]).reshape(len(leads), -1)
    u = products - nuisance @ (nuisance.T @ products)
    error = np.sqrt(np.maximum((u**2 * residual**2).sum(0), 1e-30))
    return products[:, np.abs((u * residual).sum(0)) > TOLD * error]
