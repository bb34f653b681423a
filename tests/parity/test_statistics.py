"""trainer/statistics beside scipy, statsmodels, scikit-learn and numpy: where they have the method, equal to 1e-9.

Needs statistics_tool (BREAKEVEN_BUILD names the build folder, default build/release).
"""
import itertools
import json
import math
import subprocess

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import sklearn.metrics
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from program import BUILD, ROOT

TOOL = BUILD / "tests" / "statistics_tool"
CLOSE = dict(rtol=1e-9, atol=1e-12)


def ask(*requests):
    """One process for many requests; the answers in order."""
    assert TOOL.exists(), f"{TOOL} is missing: build the target statistics_tool"
    text = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([TOOL], input=text.encode(), stdout=subprocess.PIPE, timeout=120, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def number(value):
    return float(value)  # "inf" stands for what JSON has no word for


def test_distributions():
    xs = (-8.0, -3.1, -0.4, 0.0, 1e-6, 0.7, 2.2, 6.5)
    ps = (1e-12, 1e-4, 0.025, 0.3, 0.5, 0.9, 0.975, 0.999999)
    degrees = (1, 2, 2.7, 9, 49, 999, 12345.6, "inf")
    cases = [(x, p, d) for (x, p), d in itertools.product(zip(xs, ps), degrees)]
    answers = ask(*[{"op": "distributions", "x": x, "p": p, "degrees": d} for x, p, d in cases])
    for (x, p, d), got in zip(cases, answers):
        t = scipy.stats.norm if d == "inf" else scipy.stats.t(d)
        want = {"normal_cdf": scipy.stats.norm.cdf(x), "normal_quantile": scipy.stats.norm.ppf(p), "student_cdf": t.cdf(x),
                "student_quantile": t.ppf(p), "student_two_sided": 2 * t.sf(abs(x))}
        for name, value in want.items():
            np.testing.assert_allclose(got[name], value, err_msg=f"{name} at {x, p, d}", **CLOSE)


def test_binomial():
    cases = [(k, n, p) for n in (1, 7, 60, 2000) for k in {0, 1, n // 3, n // 2, n} for p in (0.5, 0.03)]
    for (k, n, p), got in zip(cases, ask(*[{"op": "binomial", "k": k, "n": n, "p": p} for k, n, p in cases])):
        np.testing.assert_allclose(got["cdf"], scipy.stats.binom.cdf(k, n, p), err_msg=str((k, n, p)), **CLOSE)
        np.testing.assert_allclose(got["pmf"], scipy.stats.binom.pmf(k, n, p), err_msg=str((k, n, p)), **CLOSE)


def test_wilson_interval():
    cases = [(k, n, c) for n in (1, 5, 30, 1000) for k in {0, 1, n // 2, n} for c in (0.9, 0.95)]
    answers = ask(*[{"op": "wilson", "successes": k, "trials": n, "confidence": c} for k, n, c in cases])
    for (k, n, c), got in zip(cases, answers):
        scipys = scipy.stats.binomtest(k, n).proportion_ci(c, method="wilson")
        np.testing.assert_allclose(got, [scipys.low, scipys.high], err_msg=str((k, n, c)), **CLOSE)
        theirs = proportion_confint(k, n, 1 - c, method="wilson")
        np.testing.assert_allclose(got, theirs, err_msg=str((k, n, c)), **CLOSE)


TABLES = [(0, 0), (1, 0), (0, 1), (3, 3), (5, 0), (25, 10), (10, 25), (40, 41), (400, 330), (7, 19)]


def test_mcnemar():
    for (won, lost), got in zip(TABLES, ask(*[{"op": "mcnemar", "won": b, "lost": c} for b, c in TABLES])):
        theirs = mcnemar([[50, won], [lost, 9]], exact=True).pvalue
        np.testing.assert_allclose(got["exact"], theirs, err_msg=str((won, lost)), **CLOSE)
        if won + lost:
            np.testing.assert_allclose(got["exact"], scipy.stats.binomtest(won, won + lost).pvalue, **CLOSE)
        # Mid-p: half the probability of the table itself is left out of each tail.
        pmf = scipy.stats.binom.pmf(np.arange(won + lost + 1), won + lost, 0.5)
        k = min(won, lost)
        mid = 2 * (pmf[:k].sum() + pmf[k] / 2) if won != lost else 1 - pmf[k] / 2
        np.testing.assert_allclose(got["mid_p"], mid, err_msg=str((won, lost)), **CLOSE)


def tango_statistic(difference, won, lost, n):
    """From the definition: the multinomial likelihood is maximised under won − lost = difference, by its slope's root."""
    def slope(loss):
        return won / (loss + difference) + lost / loss - 2 * (n - won - lost) / (1 - 2 * loss - difference)

    low = max(0.0, -difference)
    high = (1 - difference) / 2
    tiny = 1e-14
    loss = scipy.optimize.brentq(slope, low + tiny, high - tiny, xtol=1e-16, rtol=8.9e-16, maxiter=500)
    return (won - lost - n * difference) / math.sqrt(n * (2 * loss + difference - difference**2))


def test_tango_interval_is_where_the_constrained_likelihood_puts_it():
    cases = [(b, c, n, conf) for b, c, n in [(3, 1, 40), (25, 10, 220), (10, 25, 220), (1, 9, 50), (120, 90, 1000), (8, 8, 30)]
             for conf in (0.9, 0.95, 0.99)]
    answers = ask(*[{"op": "tango", "won": b, "lost": c, "n": n, "confidence": q} for b, c, n, q in cases])
    for (b, c, n, conf), (low, high) in zip(cases, answers):
        z = scipy.stats.norm.ppf(0.5 + conf / 2)
        for end, sign in ((low, 1), (high, -1)):
            np.testing.assert_allclose(tango_statistic(end, b, c, n), sign * z, rtol=1e-9, err_msg=str((b, c, n, conf)))


def test_tango_interval_without_discordant_documents():
    n, z2 = 50, scipy.stats.norm.ppf(0.975) ** 2
    (low, high), = ask({"op": "tango", "won": 0, "lost": 0, "n": n, "confidence": 0.95})
    np.testing.assert_allclose([low, high], [-z2 / (n + z2), z2 / (n + z2)], **CLOSE)


def test_paired_t():
    rng = np.random.default_rng(1)
    for n in (2, 9, 300):
        a, b = rng.random(n), rng.random(n)
        got, = ask({"op": "mean", "systems": [(a - b).tolist()], "confidence": 0.95})
        theirs = scipy.stats.ttest_rel(a, b)
        interval = theirs.confidence_interval(0.95)
        np.testing.assert_allclose(got["interval"], [interval.low, interval.high], **CLOSE)
        np.testing.assert_allclose(got["p_value"], theirs.pvalue, **CLOSE)
        again, = ask({"op": "mean", "systems": [(a - b).tolist()], "confidence": 0.95, "leverage": True})
        np.testing.assert_allclose(again["estimate"], got["estimate"], **CLOSE)


@pytest.mark.parametrize("sizes", ["documents", "weights"])
def test_clustered_standard_error(sizes):
    rng = np.random.default_rng(2)
    groups = rng.integers(0, 17, 140)
    values = rng.random(140) + 0.4 * rng.random(17)[groups]
    weights = np.ones(140) if sizes == "documents" else rng.integers(1, 30, 140).astype(float)
    got, = ask({"op": "mean", "systems": [(values * weights).tolist()], "sizes": weights.tolist(), "groups": groups.tolist(),
                "confidence": 0.95})
    model = WLS(values, np.ones(140), weights=weights)
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": groups, "df_correction": True}, use_t=True)
    np.testing.assert_allclose(got["estimate"], [theirs.params[0], theirs.bse[0], len(set(groups)) - 1], **CLOSE)
    np.testing.assert_allclose(got["interval"], theirs.conf_int()[0], **CLOSE)


def test_leverage_variance_and_degrees_are_bell_and_mccaffreys():
    """Beside the definition in matrices: residuals times (I − H)^−½ within a group, degrees from the trace."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(8), [1, 2, 2, 3, 5, 8, 13, 21])
    n = len(groups)
    values = rng.random(n)
    got, = ask({"op": "mean", "systems": [values.tolist()], "groups": groups.tolist(), "confidence": 0.95, "leverage": True})
    x = np.ones((n, 1))
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    residual = values - values.mean()
    variance, columns = 0.0, []
    for g in np.unique(groups):
        rows = np.flatnonzero(groups == g)
        w, v = np.linalg.eigh(np.eye(len(rows)) - hat[np.ix_(rows, rows)])
        adjust = v @ np.diag(w**-0.5) @ v.T
        weight = adjust @ np.ones(len(rows)) / n
        variance += (weight @ residual[rows]) ** 2
        columns.append((np.eye(n) - hat)[:, rows] @ weight)
    gram = np.array(columns) @ np.array(columns).T
    degrees = np.trace(gram) ** 2 / (gram**2).sum()
    np.testing.assert_allclose(got["estimate"], [values.mean(), math.sqrt(variance), degrees], **CLOSE)


class Resampled:
    """What scipy.stats.bootstrap asks of an earlier result."""

    def __init__(self, distribution):
        self.bootstrap_distribution = np.array(distribution)


@pytest.mark.parametrize("n", [15, 200])
def test_bca_interval(n):
    """scipy's BCa on our resamples, and our resamples' moments beside the bootstrap's exact ones."""
    rng = np.random.default_rng(n)
    a, b = rng.random(n) ** 3, rng.random(n)
    got, = ask({"op": "bootstrap", "systems": [a.tolist(), b.tolist()], "coefficients": [1, -1], "resamples": 4000, "seed": 5,
                "confidence": 0.95})
    for method, name in (("BCa", "bca"), ("percentile", "percentile")):
        theirs = scipy.stats.bootstrap((a - b,), np.mean, n_resamples=0, bootstrap_result=Resampled(got["distribution"]),
                                       method=method).confidence_interval
        np.testing.assert_allclose(got[name], [theirs.low, theirs.high], **CLOSE)
    d = a - b
    distribution = np.array(got["distribution"])
    deviation = d.std() / math.sqrt(n)
    assert abs(distribution.mean() - d.mean()) < 4 * deviation / math.sqrt(4000)
    assert abs(distribution.std() / deviation - 1) < 4 / math.sqrt(2 * 4000)


def test_bootstrap_draws_whole_groups():
    values, groups = [1.0] * 6 + [0.0] * 2, [1] * 6 + [2] * 2
    got, = ask({"op": "bootstrap", "systems": [values], "groups": groups, "coefficients": [1], "resamples": 400, "seed": 1,
                "confidence": 0.95})
    assert set(got["distribution"]) == {0.0, 0.75, 1.0}


def test_recipe_interval_is_that_of_crossed_analysis_of_variance():
    """Without groups the covariance form equals the mean squares of replicate × document."""
    rng = np.random.default_rng(6)
    seeds, n = 4, 60
    scores = rng.random((seeds, n)) + 0.2 * rng.random((seeds, 1)) + rng.random((1, n))
    got, = ask({"op": "recipes", "systems": scores.tolist(), "first": list(range(seeds)), "second": [], "confidence": 0.95})
    seed_means, doc_means, grand = scores.mean(1), scores.mean(0), scores.mean()
    ms_seed = n * seed_means.var(ddof=1)
    ms_doc = seeds * doc_means.var(ddof=1)
    ms_rest = ((scores - seed_means[:, None] - doc_means + grand) ** 2).sum() / ((seeds - 1) * (n - 1))
    np.testing.assert_allclose(got["document_variance"], (ms_doc - ms_rest) / (seeds * n), **CLOSE)
    np.testing.assert_allclose(got["replicate_variance"], ms_seed / (seeds * n), **CLOSE)
    seed_t = scipy.stats.ttest_1samp(seed_means, 0).confidence_interval()
    np.testing.assert_allclose(got["replicates"], [seed_t.low, seed_t.high], **CLOSE)
    doc_t = scipy.stats.ttest_1samp(doc_means, 0).confidence_interval()
    np.testing.assert_allclose(got["documents"], [doc_t.low, doc_t.high], **CLOSE)
    half = math.hypot(seed_t.high - grand, doc_t.high - grand)
    np.testing.assert_allclose(got["joined"], [grand - half, grand + half], **CLOSE)
    components, = ask({"op": "components", "scores": scores.tolist()})
    want = {"replicate": max(0, (ms_seed - ms_rest) / n), "document": (ms_doc - ms_rest) / seeds, "residual": ms_rest}
    for name, value in want.items():
        np.testing.assert_allclose(components[name], value, err_msg=name, **CLOSE)


def test_holm():
    rng = np.random.default_rng(7)
    lists = [[0.04], [0.01, 0.01, 0.03, 0.9], rng.random(20).tolist(), (rng.random(30) ** 6).tolist()]
    for values, got in zip(lists, ask(*[{"op": "holm", "p_values": p} for p in lists])):
        np.testing.assert_allclose(got, multipletests(values, method="holm")[1], **CLOSE)


def test_power_formula_and_its_inverse():
    cases = [(psi, delta) for psi in (0.05, 0.2, 0.4) for delta in (0.01, 0.03, psi / 2, psi)]
    za, zb = scipy.stats.norm.ppf([0.975, 0.8])
    answers = ask(*[{"op": "power", "discordance": psi, "difference": d, "n": 777, "confidence": 0.95, "power": 0.8}
                    for psi, d in cases])
    for (psi, delta), got in zip(cases, answers):
        want = (za * math.sqrt(psi) + zb * math.sqrt(psi - delta**2)) ** 2 / delta**2
        np.testing.assert_allclose(got["documents"], want, **CLOSE)
    again = ask(*[{"op": "power", "discordance": psi, "difference": answer["difference"], "n": 777, "confidence": 0.95, "power": 0.8}
                  for (psi, _), answer in zip(cases, answers)])
    np.testing.assert_allclose([g["documents"] for g in again], 777, rtol=1e-9)


def test_isotonic_fit():
    rng = np.random.default_rng(8)
    for n in (1, 2, 9, 40):
        values, weights = rng.normal(size=n) + np.arange(n) / 9, rng.random(n) + 0.1
        got, = ask({"op": "isotonic", "values": values.tolist(), "weights": weights.tolist()})
        np.testing.assert_allclose(got, scipy.optimize.isotonic_regression(values, weights=weights).x, **CLOSE)


def test_power_law_fit():
    """The truth is found again, and with noise no fit of scipy's from many starts has a smaller residual."""
    sizes = np.array([20, 50, 100, 200, 400, 800, 1600.0])
    got, = ask({"op": "power_law", "sizes": sizes.tolist(), "errors": (0.12 + 1.4 * sizes**-0.55).tolist()})
    np.testing.assert_allclose([got["floor"], got["scale"], got["exponent"]], [0.12, 1.4, 0.55], rtol=1e-5)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        errors = 0.2 + 1.1 * sizes**-0.4 + rng.normal(scale=0.01, size=7)
        weights = rng.random(7) + 0.5
        got, = ask({"op": "power_law", "sizes": sizes.tolist(), "errors": errors.tolist(), "weights": weights.tolist()})

        def rest(p):
            return np.sqrt(weights) * (errors - p[0] - p[1] * (sizes / 20) ** -p[2])

        fits = [scipy.optimize.least_squares(rest, start, bounds=([0, 0, 0.02], [1, 10, 4]), xtol=1e-15, ftol=1e-15, gtol=1e-15)
                for start in ([0.1, 0.5, 0.3], [0.01, 0.3, 1.0], [0.3, 0.3, 2.0], [0.2, 0.1, 0.1])]
        best = math.sqrt(2 * min(fit.cost for fit in fits) / weights.sum())
        assert got["residual"] <= best * (1 + 1e-9), (seed, got, best)
        np.testing.assert_allclose(got["residual"], best, rtol=1e-6, err_msg=str(seed))


def test_nonnegative_least_squares():
    rng = np.random.default_rng(11)
    for rows, columns in ((3, 1), (6, 2), (12, 4), (40, 7)):
        for kind in range(6):
            a = rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-9, 3, size=columns)
            if kind % 2:
                a = abs(a)
            b = a @ np.maximum(0, rng.normal(size=columns)) + 1e-3 * rng.normal(size=rows)
            got, = ask({"op": "nonnegative", "rows": a.tolist(), "b": b.tolist()})
            # scipy stops at an absolute slope, so it is asked in units in which columns have length 1.
            lengths = np.linalg.norm(a, axis=0)
            want, rest = scipy.optimize.nnls(a / lengths, b)
            np.testing.assert_allclose(np.linalg.norm(a @ got - b), rest, rtol=1e-7, atol=1e-12)
            np.testing.assert_allclose(np.array(got) * lengths, want, rtol=1e-6, atol=1e-9 * abs(b).max())


def test_two_sizes_make_no_power_law():
    assert ask({"op": "power_law", "sizes": [10, 20, 20], "errors": [0.5, 0.4, 0.4]}) == [None]


def test_calibration():
    rng = np.random.default_rng(9)
    confidences = np.append(rng.random(500), [0.0, 1.0, 0.1])
    correct = (rng.random(503) < confidences**1.5).astype(float)
    got, = ask({"op": "calibration", "confidences": confidences.tolist(), "correct": correct.tolist(), "bins": 10})
    place = np.clip(np.ceil(confidences * 10) - 1, 0, 9).astype(int)
    want = sum(abs((correct - confidences)[place == b].sum()) for b in range(10)) / 503
    np.testing.assert_allclose(got["error"], want, **CLOSE)
    assert got["counts"] == np.bincount(place, minlength=10).tolist()


def test_probabilities_and_brier_score():
    rng = np.random.default_rng(10)
    table = rng.normal(scale=4, size=(40, 4)) - 300
    gold = rng.integers(0, 4, 40)
    answers = ask(*[{"op": "probabilities", "loglikelihoods": row.tolist(), "gold": int(g)} for row, g in zip(table, gold)])
    for row, got in zip(table, answers):
        np.testing.assert_allclose(got["probabilities"], scipy.special.softmax(row), **CLOSE)
    theirs = sklearn.metrics.brier_score_loss(gold, scipy.special.softmax(table, axis=1), labels=range(4), scale_by_half=False)
    np.testing.assert_allclose(np.mean([got["brier"] for got in answers]), theirs, **CLOSE)


def test_fieller_interval_holds_what_the_t_test_does_not_reject():
    cases = [((100, 4, 9), (2.0, 0.1, 30)), ((100, 0, "inf"), (2.0, 0.3, 12)), ((5, 8, 9), (2.0, 0.1, 30)), ((100, 0, "inf"), (2.0, 1.5, 12)),
             ((100, 0, "inf"), (-2.0, 0.3, 12)), ((-50, 1, 9), (2.0, 0.1, 30)), ((0.0, 1, 9), (0.0, 1.0, 30))]
    answers = ask(*[{"op": "fieller", "cost": c, "saving": s, "confidence": 0.95} for c, s in cases])
    for (cost, saving), got in zip(cases, answers):
        ratio = max(0.0, cost[0] / saving[0]) if saving[0] > 0 else 1.0
        va, vb = cost[1] ** 2, (ratio * saving[1]) ** 2
        shares = (va**2 / number(cost[2]) if va else 0) + (vb**2 / number(saving[2]) if vb else 0)
        t = scipy.stats.t.ppf(0.975, (va + vb) ** 2 / shares) if shares else scipy.stats.norm.ppf(0.975)
        grid = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 20001)])
        kept = grid[np.abs(cost[0] - grid * saving[0]) <= t * np.sqrt(cost[1] ** 2 + grid**2 * saving[1] ** 2)]
        low, high = number(got[0]), number(got[1])
        inside = grid[(grid >= low) & (grid <= high)]
        assert np.setxor1d(kept, inside).size <= 1, (cost, saving, got, kept[:3], kept[-3:])


@pytest.mark.full
def test_the_readme_shows_what_the_simulation_measures():
    """Its tables are what one command prints, to the last digit, and they keep what is promised."""
    done = subprocess.run([TOOL.parent / "statistics_simulation"], stdout=subprocess.PIPE, text=True, check=True, timeout=3600)
    printed = [line for line in done.stdout.splitlines() if line.startswith(("|", "###"))]
    assert len(printed) > 200
    readme = (ROOT / "trainer" / "statistics" / "README.md").read_text(encoding="utf-8")
    shown = [line for line in readme[readme.index("## Measured") :].splitlines() if line.startswith(("|", "###"))]
    assert shown == printed
