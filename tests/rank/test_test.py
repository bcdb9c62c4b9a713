"""The attribution test: the t statistic where nothing is selected, proxies, laws and its null."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats

from genodl.rank import test as attribution
from genodl.rank.combine import PARTNERS_WEIGHT, WEIGHTS, deviate, log_p_value
from genodl.rank.fdr import cauchy_combination
from genodl.rank.test import OWN_R2, PROXY_R2, Fits, attributed_covariance
from genodl.screen.channels import WINSOR, Channels, covariate_projection, encode

LONG = pytest.mark.long


def channels_of(markers: np.ndarray, covariates: np.ndarray | None = None) -> Channels:
    design = np.ones((len(markers), 1)) if covariates is None else covariates
    present = np.ones(len(markers), np.float32)
    return encode(markers.astype(np.float32), present, covariate_projection(design), WINSOR)


def fits(
    residual: np.ndarray,
    *,
    freedom: int,
    features: np.ndarray | None = None,
    proxies: np.ndarray | None = None,
    attributed: np.ndarray | None = None,
    inputs: np.ndarray | None = None,
    given: np.ndarray | None = None,
) -> Fits:
    """What the folds learnt; nothing where left out."""
    none = np.zeros((len(residual), 0))
    parts = (
        residual,
        np.ones(len(residual)),
        np.float32(freedom),
        none if features is None else features,
        none if proxies is None else proxies,
        none if attributed is None else attributed,
        none if inputs is None else inputs,
        none if given is None else given,
        none,
    )
    return Fits(*(jnp.asarray(part, jnp.float32) for part in parts))


def assess(channels: Channels, what: Fits) -> attribution.Tested:
    return attribution.Tested(*map(np.asarray, attributed_covariance(channels, what)))


def assess_anew(channels: Channels, what: Fits) -> attribution.Tested:
    """The same with constants as they are now, which a program compiled before does not see."""
    anew = jax.jit(lambda *given: attributed_covariance.__wrapped__(*given))
    return attribution.Tested(*map(np.asarray, anew(channels, what)))


def t_statistic(y: np.ndarray, x: np.ndarray, covariates: np.ndarray) -> float:
    """t of the last column in the regression of y on covariates and x, by the textbook."""
    design = np.column_stack([covariates, x])
    inverse = np.linalg.inv(design.T @ design)
    slope = inverse @ design.T @ y
    left = y - design @ slope
    return slope[-1] / np.sqrt(inverse[-1, -1] * (left @ left) / (len(y) - design.shape[1]))


def test_of_a_balanced_carrier_status_z_is_the_pooled_t_of_two_groups():
    carrier = np.tile([0.0, 1.0], 60)
    y = 0.5 * carrier + np.random.default_rng(0).standard_normal(120)
    found = assess(channels_of(carrier[:, None]), fits(y - y.mean(), freedom=118))
    expected = stats.ttest_ind(y[carrier == 1], y[carrier == 0]).statistic
    assert_allclose(found.z[:, 0], [expected, 0, 0], rtol=1e-5)
    # the slope is a standard deviation of the marker, one half
    difference = y[carrier == 1].mean() - y[carrier == 0].mean()
    assert_allclose(found.slope, [difference / 2], rtol=1e-5)


def test_with_nothing_selected_and_plain_errors_z_is_the_t_of_least_squares(monkeypatch):
    monkeypatch.setattr(attribution, "SANDWICH_CARRIERS", np.inf)
    rng = np.random.default_rng(1)
    covariates = np.column_stack([np.ones(200), rng.standard_normal((200, 3))])
    dosage = rng.binomial(2, [0.05, 0.2, 0.5], (200, 3)) + 0.3 * covariates[:, [1]]
    y = 0.5 * dosage[:, 2] + covariates @ [1, 2, 3, 4] + rng.standard_normal(200)
    residual = y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]
    found = assess_anew(channels_of(dosage, covariates), fits(residual, freedom=200 - 5))
    expected = [t_statistic(y, x, covariates) for x in dosage.T]
    assert_allclose(found.z[0], expected, rtol=1e-4)


def test_the_second_channel_is_the_t_of_a_heterozygote_effect_given_the_dosage(monkeypatch):
    monkeypatch.setattr(attribution, "SANDWICH_CARRIERS", np.inf)
    rng = np.random.default_rng(2)
    dosage = rng.binomial(2, 0.4, 300).astype(float)
    y = 0.3 * dosage + 0.5 * (dosage == 1) + rng.standard_normal(300)
    found = assess_anew(channels_of(dosage[:, None]), fits(y - y.mean(), freedom=298))
    spread = (dosage == 1) + 0.0
    conditional = t_statistic(y, spread, np.column_stack([np.ones(300), dosage]))
    # a conditional t has the dosage's own signal taken from its error; the score has not
    left = y - np.polyval(np.polyfit(dosage, y, 1), dosage)
    share = np.sqrt(np.var(left) / np.var(y))
    assert abs(found.z[1, 0]) == pytest.approx(abs(conditional) * share, rel=0.03)


def test_the_error_is_the_sandwich_where_many_samples_carry_the_marker():
    rng = np.random.default_rng(3)
    x = rng.binomial(2, 0.5, 20_000).astype(float)
    y = rng.standard_normal(20_000) * np.where(x == 1, 0.5, 2.0)  # uneven errors
    found = assess(channels_of(x[:, None]), fits(y - y.mean(), freedom=19_998))
    x = x - x.mean()
    rest = y - y.mean() - x * (x @ y) / (x @ x)
    sandwich = x @ y / np.sqrt((x**2 * rest**2).sum())
    plain = x @ y / np.sqrt((x**2).sum() * (rest**2).mean())
    assert abs(found.z[0, 0] - sandwich) < 0.1 * abs(plain - sandwich)


def test_a_strong_effect_of_five_carriers_does_not_hide_itself():
    carrier = (np.arange(2000) < 5).astype(float)
    y = 8 * carrier + np.random.default_rng(4).standard_normal(2000)
    found = assess(channels_of(carrier[:, None]), fits(y - y.mean(), freedom=1998))
    expected = t_statistic(y, carrier, np.ones((2000, 1)))
    assert expected > 15
    assert found.z[0, 0] == pytest.approx(expected, rel=0.05)


@pytest.fixture(scope="module")
def neighbourhood() -> tuple[np.ndarray, np.ndarray]:
    """A causal marker, its twin, a tag, a neighbour in weak LD, a stranger; their phenotype."""
    rng = np.random.default_rng(5)
    causal, own, stranger = rng.standard_normal((3, 1500))
    twin = np.sqrt(0.9) * causal + np.sqrt(0.1) * rng.standard_normal(1500)
    neighbour = np.sqrt(0.18) * causal + np.sqrt(0.82) * own
    phenotype = causal + rng.standard_normal(1500)
    tag = np.sqrt(0.4) * causal + np.sqrt(0.6) * rng.standard_normal(1500)
    return np.column_stack([causal, twin, tag, neighbour, stranger]), phenotype


def test_what_a_path_gave_to_a_twin_is_put_back_and_to_a_neighbour_is_not(neighbourhood):
    markers, y = neighbourhood
    channels = channels_of(markers)
    x = np.asarray(channels.values[0], float)
    r2 = np.corrcoef(x.T)[0] ** 2
    assert r2[1] > PROXY_R2 > r2[2] > OWN_R2 > r2[3] > 0.1
    learnt = x[:, [0]] * (x[:, 0] @ y / 1500)
    residual = y - y.mean() - learnt[:, 0]
    settings = {"freedom": 1498, "proxies": x[:, [0]]}
    found = assess(channels, fits(residual, features=learnt, **settings))
    alone = assess(channels, fits(y - y.mean(), freedom=1498))
    robbed = assess(channels, fits(residual, freedom=1498))
    # the causal marker, its twin and its tag score as if nothing had been selected
    assert_allclose(found.z[0, :3], alone.z[0, :3], rtol=1e-3)
    assert np.abs(robbed.z[0, :3]).max() < 3
    # the neighbour is what the stranger is, though alone it looked associated
    assert alone.z[0, 3] > 10
    assert_allclose(found.z[0, 3:], robbed.z[0, 3:], atol=1e-3)
    assert np.abs(found.z[0, 3:]).max() < 3


def test_a_network_is_credited_to_its_inputs_and_their_twins_by_r2(neighbourhood):
    markers, y = neighbourhood
    channels = channels_of(markers)
    x = np.asarray(channels.values[0])
    e = y - y.mean()
    right = fits(e, freedom=1498, attributed=x[:, [0]], inputs=x[:, [0]])
    found = assess(channels, right)
    assert found.z[2, 0] > 10
    # a share of the attribution changes its size and not its significance
    assert found.z[2, 1] == pytest.approx(found.z[2, 0], rel=1e-4)
    assert_array_equal(found.z[2, 2:], 0)
    wrong = fits(e, freedom=1498, attributed=-x[:, [0]], inputs=x[:, [0]])
    assert_allclose(assess(channels, wrong).z[2], -found.z[2], rtol=1e-4)


def test_samples_of_unknown_phenotype_do_not_count():
    rng = np.random.default_rng(6)
    markers, y = rng.standard_normal((400, 5)), rng.standard_normal(400)
    channels = channels_of(markers)
    known = np.arange(400) % 4 > 0
    some = fits(np.where(known, y, 0), freedom=298)._replace(known=jnp.asarray(known, jnp.float32))
    kept = Channels(channels.values[:, known], channels.active, channels.scale)
    alone = fits(y[known], freedom=298)
    assert_allclose(assess(channels, some).z, assess(kept, alone).z, rtol=1e-4, atol=1e-5)


def p_of(z: list[float], *, second: bool = True, freedom: int = 10**9) -> float:
    """p-value of one marker."""
    active = np.array([[True], [second]])
    views = [np.array(z, float).reshape(3, 1)]
    return float(np.exp(log_p_value(views, active=active, freedom=freedom)[0]))


@pytest.mark.parametrize("z", [0.5, -2.0, 4.0])
def test_a_marker_of_one_channel_has_the_p_value_of_the_t_test(z: float):
    found = p_of([z, 0, 0], second=False, freedom=40)
    assert found == pytest.approx(2 * stats.t.sf(abs(z), 40), rel=1e-9)


def test_two_channels_are_one_test_of_one_and_one_of_two_degrees_of_freedom():
    parts = np.log([stats.chi2.sf(4, 1), stats.chi2.sf(4 + 9, 2)])
    expected = cauchy_combination(parts, np.zeros(2, int), 1, weight=np.array(WEIGHTS[:2]))
    assert p_of([2, 3, 0]) == pytest.approx(np.exp(expected[0]), rel=1e-6)


def test_a_network_is_tested_one_sided():
    parts = np.log([stats.chi2.sf(1, 1), stats.norm.sf(4)])
    weight = np.array([WEIGHTS[0], WEIGHTS[2]])
    expected = cauchy_combination(parts, np.zeros(2, int), 1, weight=weight)
    assert p_of([1, 0, 4], second=False) == pytest.approx(np.exp(expected[0]), rel=1e-6)
    assert p_of([1, 0, -4], second=False) > 0.3


def test_two_views_of_a_marker_are_combined():
    active = np.array([[True], [False]])
    first, second = np.array([[3.0], [0], [0]]), np.array([[1.0], [0], [0]])
    found = log_p_value([first, second], active=active, freedom=10**9)
    expected = cauchy_combination(np.log(stats.chi2.sf([9, 1], 1)), np.zeros(2, int), 1)
    assert_allclose(found, expected, rtol=1e-6)


def test_a_marker_that_does_not_vary_has_p_one():
    views = [np.zeros((3, 2))]
    active = np.array([[False, True], [False, True]])
    assert log_p_value(views, active=active, freedom=100)[0] == 0


def log_tail_by_integration(t: float, freedom: int) -> float:
    """Log of the upper tail of Student's law, the density integrated relative to its start."""
    start = stats.t.logpdf(t, freedom)
    width = (freedom + t**2) / (t * freedom)
    body = integrate.quad(
        lambda u: np.exp(stats.t.logpdf(t + u * width, freedom) - start), 0, np.inf, epsabs=0
    )[0]
    return float(start + np.log(body * width))


@pytest.mark.parametrize(("z", "freedom"), [(37, 10**6), (50, 900), (60, 900), (200, 3000)])
def test_p_values_stay_exact_far_beyond_underflow(z: int, freedom: int):
    active = np.array([[True], [False]])
    views = [np.array([[float(z)], [0], [0]])]
    found = log_p_value(views, active=active, freedom=freedom)[0]
    assert found == pytest.approx(np.log(2) + log_tail_by_integration(z, freedom), abs=1e-3)


def test_stronger_scores_never_have_larger_p_values():
    z = np.linspace(0, 300, 6001)
    views = [np.stack([z, 0.5 * z, 0.2 * z])]
    log_p = log_p_value(views, active=np.ones((2, len(z)), bool), freedom=2000)
    assert np.isfinite(log_p).all()
    assert (np.diff(log_p) < 0).all()


@pytest.mark.parametrize("z", [-2.0, 0.0, 1.645, 12.0, 90.0])
def test_the_deviate_has_the_tail_it_was_made_from(z: float):
    assert deviate(np.array([stats.norm.logsf(z)]))[0] == pytest.approx(z, abs=1e-6)


@pytest.mark.parametrize(
    "tails", [*(pytest.param(t, marks=LONG) for t in ("normal", "binary")), "heavy"]
)
def test_p_values_of_null_markers_are_uniform(tails: str):
    rng = np.random.default_rng(7)
    samples, markers = 500, 20_000
    covariates = np.column_stack([np.ones(samples), rng.standard_normal((samples, 2))])
    noise = {
        "normal": rng.standard_normal(samples),
        "heavy": rng.standard_t(4, samples),
        "binary": rng.binomial(1, 0.3, samples),
    }[tails]
    residual = noise - covariates @ np.linalg.lstsq(covariates, noise, rcond=None)[0]
    frequency = rng.uniform(0.02, 0.5, markers)
    dosage = rng.binomial(2, frequency, (samples, markers)).astype(np.float32)
    channels = channels_of(dosage, covariates)
    found = assess(channels, fits(residual, freedom=samples - 4))
    active = np.asarray(channels.active)
    p = np.exp(log_p_value([found.z], active=active, freedom=samples - 4))
    assert 0.8 < (p < 0.05).mean() / 0.05 < 1.2
    assert 0.8 < (p < 0.01).mean() / 0.01 < 1.25
    assert (p < 1e-3).mean() / 1e-3 < 1.7


def test_what_is_given_is_a_covariate_of_the_t_of_least_squares(monkeypatch):
    monkeypatch.setattr(attribution, "SANDWICH_CARRIERS", np.inf)
    rng = np.random.default_rng(31)
    dosage = rng.binomial(2, 0.4, (400, 3)).astype(float)
    dosage[:, 1] = np.where(rng.random(400) < 0.8, dosage[:, 0], dosage[:, 1])
    y = dosage[:, 0] + rng.standard_normal(400)
    channels = channels_of(dosage)
    lead = np.asarray(channels.values)[0, :, [0]].T
    given = fits(y - y.mean(), freedom=400 - 3, given=lead / np.linalg.norm(lead))
    found = assess_anew(channels, given)
    ones = np.ones(400)
    expected = [t_statistic(y, x, np.column_stack([ones, dosage[:, 0]])) for x in dosage[:, 1:].T]
    assert_allclose(found.z[0, 1:], expected, rtol=1e-3)
    # nothing is left of the lead itself
    assert found.z[0, 0] == 0


def modified(residual: np.ndarray, covariates: np.ndarray) -> Fits:
    """Fits whose products with every covariate but the intercept are tested too."""
    partners = covariates[:, 1:]
    nuisance = covariate_projection(np.column_stack([covariates, partners**2]))
    return fits(residual, freedom=len(residual) - covariates.shape[1] - 1)._replace(
        partners=jnp.asarray(partners, jnp.float32), nuisance=jnp.asarray(nuisance)
    )


def covariates_of(rng: np.random.Generator, samples: int) -> np.ndarray:
    """An intercept, an age and a sex, the last two of mean 0 and variance 1."""
    values = np.column_stack([rng.standard_normal(samples), rng.integers(0, 2, samples)])
    return np.column_stack([np.ones(samples), (values - values.mean(0)) / values.std(0)])


def test_a_product_with_a_covariate_is_scored_as_in_a_regression_on_all_lower_orders():
    rng = np.random.default_rng(40)
    covariates = covariates_of(rng, 500)
    dosage = rng.binomial(2, 0.4, 500).astype(float)
    y = rng.standard_normal(500) + 0.2 * dosage * covariates[:, 1]
    residual = y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]
    found = assess(channels_of(dosage[:, None], covariates), modified(residual, covariates))
    freed = dosage - covariates @ np.linalg.lstsq(covariates, dosage, rcond=None)[0]
    for row, partner in ((3, covariates[:, 1]), (4, covariates[:, 2])):
        lower = np.column_stack([covariates, partner**2, covariates[:, 1] ** 2, dosage, dosage**2])
        product = freed * partner
        u = product - lower @ np.linalg.lstsq(lower, product, rcond=None)[0]
        rest = residual - u * (u @ residual) / (u @ u)
        plain = (rest @ rest) / 496 * (u @ u)
        sandwich = (u**2) @ rest**2 * 500 / 496
        assert_allclose(found.z[row, 0], u @ residual / np.sqrt(max(plain, sandwich)), rtol=1e-3)


def test_an_effect_that_turns_with_age_is_found_without_a_main_effect():
    rng = np.random.default_rng(41)
    covariates = covariates_of(rng, 2000)
    dosage = rng.binomial(2, 0.3, (2000, 2)).astype(float)
    centred = dosage[:, 0] - dosage[:, 0].mean()
    y = rng.standard_normal(2000) + 0.4 * centred * covariates[:, 1]
    residual = y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]
    channels = channels_of(dosage, covariates)
    log_p = log_p_value(
        [assess(channels, modified(residual, covariates)).z],
        active=np.asarray(channels.active),
        freedom=1996,
    )
    assert log_p[0] < np.log(1e-8)
    assert log_p[1] > np.log(1e-3)


@pytest.mark.long
def test_a_spread_that_grows_with_a_covariate_makes_no_products():
    rng = np.random.default_rng(42)
    covariates = covariates_of(rng, 1000)
    y = rng.standard_normal(1000) * np.exp(0.5 * covariates[:, 1])
    residual = y - covariates @ np.linalg.lstsq(covariates, y, rcond=None)[0]
    dosage = rng.binomial(2, rng.uniform(0.1, 0.5, 4000), (1000, 4000)).astype(float)
    z = assess(channels_of(dosage, covariates), modified(residual, covariates)).z[3]
    # the plain variance would say 2.4 times as many: five standard errors of 4,000 draws
    assert (2 * stats.t.sf(np.abs(z), 996) < 0.05).mean() < 0.05 + 5 * np.sqrt(0.05 * 0.95 / 4000)


def test_a_product_that_few_samples_carry_is_not_tested():
    rng = np.random.default_rng(43)
    rare = (np.arange(400) < 8).astype(float)
    covariates = np.column_stack([np.ones(400), (rare - rare.mean()) / rare.std()])
    residual = rng.standard_normal(400)
    dosage = rng.binomial(2, 0.5, (400, 5)).astype(float)
    found = assess(channels_of(dosage, covariates), modified(residual, covariates))
    assert_array_equal(found.z[3], 0)
    assert (found.z[0] != 0).all()


def test_the_products_of_all_covariates_share_one_weight():
    z = np.array([[1.0], [0.0], [0.0], [3.0], [-2.0]])
    active = np.array([[True], [False]])
    p = 2 * stats.norm.sf([1.0, 3.0, 2.0])
    weight = np.array([WEIGHTS[0], PARTNERS_WEIGHT / 2, PARTNERS_WEIGHT / 2])
    expected = cauchy_combination(np.log(p), np.zeros(3, int), 1, weight=weight)
    assert_allclose(log_p_value([z], active=active, freedom=10**9), expected, rtol=1e-6)
