#!/usr/bin/python3
"""Recomputes the figures of an evaluation with scikit-learn and SciPy, on simulated scores.

usage: recompute_evaluation.py PROGRAM

Writes result folders as `samebrain link` would, from simulated scores whose truth is known (two
stores, and one store against itself), lets PROGRAM evaluate them, and computes every figure again
from the dense matrix of scores. Scores lie on the centres of histogram bins, so that figures from
histograms must agree to rounding. Exit codes: 0 all agree, 1 some do not, 77 no scikit-learn here.
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from scipy import optimize, stats
    from sklearn import metrics
except ImportError as error:
    print(f"skipped: {error} (Debian: python3-sklearn, python3-scipy)")
    sys.exit(77)

BINS = 2000
EDGES = np.linspace(-1, 1, BINS + 1)
CENTRES = (EDGES[:-1] + EDGES[1:]) / 2


class Cohort:
    """People with two scans each (the last ones with one), and all scores between their scans."""

    def __init__(self, people, mated, self_comparison, distance, seed):
        rng = np.random.default_rng(seed)
        first, second = np.arange(people), np.arange(mated)
        effect = rng.normal(0, 0.4, people)
        self.self_comparison = self_comparison
        if self_comparison:
            self.probe = self.gallery = np.concatenate([first, second])
        else:
            self.probe, self.gallery = second, first
        noise = rng.normal(0, 0.8, (len(self.probe), len(self.gallery)))
        if self_comparison:
            noise = np.triu(noise, 1)
            noise += noise.T
        scores = effect[self.probe][:, None] + effect[self.gallery][None, :] + noise
        self.same_person = self.probe[:, None] == self.gallery[None, :]
        scores = 0.05 * (scores + distance * self.same_person) + 0.1
        self.scores = CENTRES[np.searchsorted(EDGES, scores, side="right") - 1]
        self.compared = np.ones_like(self.same_person)
        if self_comparison:
            np.fill_diagonal(self.compared, False)
        once = np.triu(self.compared, 1) if self_comparison else self.compared
        self.mated = self.scores[once & self.same_person]
        self.nonmated = self.scores[once & ~self.same_person]
        self.pairs = int(once.sum())

    def names(self, people):
        seen, names = {}, []
        for person in people:
            seen[person] = seen.get(person, 0) + 1
            names.append((f"sub-{person:04d}_ses-{seen[person]}", f"sub-{person:04d}"))
        return names

    def write(self, folder, top):
        """The folder that link writes, scans in the order of their names."""
        probe_order, probe_names = self.sort(self.probe, "ses-1" if self.self_comparison else "ses-2")
        gallery_order, gallery_names = self.sort(self.gallery, "ses-1")
        scores = self.scores[np.ix_(probe_order, gallery_order)]
        same = self.same_person[np.ix_(probe_order, gallery_order)]
        compared = self.compared[np.ix_(probe_order, gallery_order)]
        os.makedirs(folder)
        summary = {
            "kind": "samebrain link",
            "self": self.self_comparison,
            "parameters": {"identities": "labels"},
            "stores": {
                store: {"path": "/none", "template_hash": "0", "parameters": "none"} for store in ("gallery", "probe")
            },
            "measures": [{"name": "pearson", "histogram_bins": BINS}],
        }
        with open(os.path.join(folder, "summary.json"), "w", encoding="utf-8") as file:
            json.dump(summary, file)
        matches, mated, best, histogram = [], [], [], np.zeros((len(scores), BINS), "<i8")
        for p, (scan, _) in enumerate(probe_names):
            others = [g for g in np.argsort(-scores[p], kind="stable") if compared[p, g]]
            line = lambda g, *cells: ["a", scan, "a", gallery_names[g][0], "pearson", *cells]
            matches += [line(g, r + 1, f"{scores[p, g]:.9f}") for r, g in enumerate(others[:top])]
            once = lambda g: not self.self_comparison or p < g
            mated += [line(g, f"{scores[p, g]:.9f}") for g in others if same[p, g] and once(g)]
            nonmated = scores[p][compared[p] & ~same[p]]
            histogram[p] = np.histogram(nonmated, EDGES)[0]
            best.append(f"{nonmated.max():.9f}")
        pair = ["probe_dataset", "probe_id", "gallery_dataset", "gallery_id", "measure"]
        write_table(os.path.join(folder, "matches.tsv"), pair + ["rank", "score"], matches)
        write_table(os.path.join(folder, "mated.tsv"), pair + ["score"], sorted(mated))
        scan = ["dataset", "scan_id", "participant", "session", "person", "source_sha256"]
        cells = lambda name: ["a", name[0], name[1], name[0][-5:], name[1], "n/a"]
        write_table(
            os.path.join(folder, "probes.tsv"),
            scan + ["best_nonmated_pearson"],
            [cells(name) + [score] for name, score in zip(probe_names, best)],
        )
        write_table(os.path.join(folder, "gallery.tsv"), scan, [cells(name) for name in gallery_names])
        np.save(os.path.join(folder, "nonmated-pearson.npy"), histogram)
        np.save(os.path.join(folder, "nonmated-pearson-edges.npy"), EDGES)

    @staticmethod
    def sort(people, first_session):
        seen, names = {}, []
        for person in people:
            session = "ses-2" if person in seen else first_session
            seen[person] = True
            names.append((f"sub-{person:04d}_{session}", f"sub-{person:04d}"))
        order = sorted(range(len(names)), key=names.__getitem__)
        return order, [names[i] for i in order]


def write_table(path, header, lines):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


class Checker:
    def __init__(self):
        self.failures = self.checks = 0

    def near(self, what, value, expected, tolerance):
        self.checks += 1
        if value is None or not abs(float(value) - float(expected)) <= tolerance:
            self.failures += 1
            print(f"FAILED: {what}: {value}, recomputed {expected}")


def silverman(scores):
    iqr = np.subtract(*np.percentile(scores, [75, 25]))
    return 0.9 * min(np.std(scores, ddof=1), iqr / 1.34) * len(scores) ** -0.2


def check_pairs(cohort, got, check):
    """ROC, AUC, EER, d-prime, TAR at FAR."""
    mated, nonmated = cohort.mated, cohort.nonmated
    truth = np.r_[np.ones(len(mated)), np.zeros(len(nonmated))]
    scores = np.r_[mated, nonmated]
    check.near("AUC", got["auc"], metrics.roc_auc_score(truth, scores), 1e-12)
    fpr, tpr, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    eer = optimize.brentq(lambda x: np.interp(x, fpr, tpr) - (1 - x), 0, 1)
    check.near("EER", got["eer"], eer, 1e-9)
    pooled = np.sqrt((np.var(mated, ddof=1) + np.var(nonmated, ddof=1)) / 2)
    check.near("d-prime", got["d_prime"], (mated.mean() - nonmated.mean()) / pooled, 1e-7)
    for far in ("0.1", "0.01", "0.001", "0.0001"):
        value = got[f"tar_at_far_{far}"]
        if len(nonmated) + len(mated) < 1 / float(far):
            check.near(f"TAR at {far} is told", value is None, True, 0)
            continue
        check.near(f"TAR at {far}", value, tpr[fpr <= float(far) * (1 + 1e-12)].max(), 1e-12)
    check.near("mated_pairs", got["mated_pairs"], len(mated), 0)
    check.near("nonmated_pairs", got["nonmated_pairs"], len(nonmated), 0)


def check_density(cohort, got, check):
    """The kernel densities and where they cross."""
    densities = []
    for name, scores in (("mated", cohort.mated), ("nonmated", cohort.nonmated)):
        bandwidth = got[f"kde_{name}_bandwidth"]
        check.near(f"bandwidth of {name}", bandwidth, silverman(scores), 0.02 * bandwidth)
        densities.append(stats.gaussian_kde(scores, bandwidth / np.std(scores, ddof=1)))
    lead = lambda x: (densities[0](x) - densities[1](x))[0]
    t = got["kde_threshold"]
    crossing = optimize.brentq(lead, t - 0.01, t + 0.01)
    check.near("KDE threshold", t, crossing, 1e-7)
    check.near("FNMR at it", got["kde_fnmr"], np.mean(cohort.mated < t), 1e-12)
    in_its_bin = np.mean(np.abs(cohort.nonmated - t) <= EDGES[1] - EDGES[0])
    check.near("FMR at it", got["kde_fmr"], np.mean(cohort.nonmated >= t), in_its_bin + 1e-12)


def check_searches(cohort, got, check):
    """Rank-k, FNIR at FPIR."""
    compared, same, scores = cohort.compared, cohort.same_person, cohort.scores
    nonmated = np.where(compared & ~same, scores, -np.inf).max(axis=1)
    mate = np.where(compared & same, scores, -np.inf).max(axis=1)
    has_mate = np.isfinite(mate)
    threshold = np.sort(nonmated)[::-1][int(np.floor(got["fpir"] * len(nonmated) + 1e-9))]
    # Above that search by what can be told of it with nine digits.
    check.near("FPIR threshold", got["fpir_threshold"], threshold + 2e-8, 1e-9)
    check.near("FNIR", got["fnir"], np.mean(mate[has_mate] <= threshold), 1e-12)
    check.near("N", got["fpir_gallery"], (compared & ~same).sum(axis=1).mean(), 1e-9)
    closer = np.where(compared, scores, -np.inf) > mate[:, None]
    ties = (np.where(compared & ~same, scores, -np.inf) == mate[:, None]).sum(axis=1)
    for rank in (1, 5, 10):
        best = np.mean(closer.sum(axis=1)[has_mate] < rank)
        worst = np.mean((closer.sum(axis=1) + ties)[has_mate] < rank)
        value = got[f"rank{rank}"]
        check.near(f"rank-{rank} within its ties", worst - 1e-12 <= value <= best + 1e-12, True, 0)


def check_intervals(cohort, got, check, draws=1000):
    """AUC, d-prime, FNIR: the two-way bootstrap over people from the dense matrix."""
    rng = np.random.default_rng(7)
    people = max(cohort.probe.max(), cohort.gallery.max()) + 1
    once = np.triu(cohort.compared, 1) if cohort.self_comparison else cohort.compared
    p, g = np.nonzero(once)
    person_p, person_g = cohort.probe[p], cohort.gallery[g]
    same, scores = person_p == person_g, cohort.scores[p, g]
    values = {"auc": [], "d_prime": []}
    for _ in range(draws):
        weight = np.bincount(rng.integers(0, people, people), minlength=people)
        w = np.where(same, weight[person_p], weight[person_p] * weight[person_g])
        keep = w > 0
        values["auc"].append(metrics.roc_auc_score(same[keep], scores[keep], sample_weight=w[keep]))
        mean, variance = {}, {}
        for kind in (True, False):
            k = same == kind
            mean[kind] = np.average(scores[k], weights=w[k])
            variance[kind] = np.average((scores[k] - mean[kind]) ** 2, weights=w[k])
        values["d_prime"].append((mean[True] - mean[False]) / np.sqrt((variance[True] + variance[False]) / 2))
    for name, drawn in values.items():
        low, high = np.percentile(drawn, [2.5, 97.5])
        width = high - low
        check.near(f"{name} interval, low", got["intervals"][name][0], low, 0.12 * width)
        check.near(f"{name} interval, high", got["intervals"][name][1], high, 0.12 * width)


class Covariates:
    """An age and a scanner of every scan; some are missing. Values by probe and by gallery scan."""

    def __init__(self, cohort, path, seed):
        rng = np.random.default_rng(seed)
        self.age, self.scanner, lines = [], [], []
        for people, first in ((cohort.probe, "ses-1" if cohort.self_comparison else "ses-2"), (cohort.gallery, "ses-1")):
            if cohort.self_comparison and lines:
                self.age.append(self.age[0])
                self.scanner.append(self.scanner[0])
                break
            age = np.round(50 + 0.3 * people + rng.uniform(0, 8, len(people)), 1)
            scanner = rng.choice(np.array(["Avanto", "Prisma", "Trio"], object), len(people))
            age[rng.uniform(size=len(people)) < 0.1] = np.nan
            scanner[rng.uniform(size=len(people)) < 0.1] = "n/a"
            order, names = cohort.sort(people, first)
            for i, (scan, _) in zip(order, names):
                lines.append([scan, "n/a" if np.isnan(age[i]) else f"{age[i]:.1f}", scanner[i]])
            self.age.append(age)
            self.scanner.append(scanner)
        write_table(path, ["scan_id", "age", "scanner"], lines)

    def pairs_in(self, line, p, g):
        a, b = self.age[0][p], self.age[1][g]
        if line["column"] == "age":
            d, known = np.round(np.abs(a - b), 9), ~np.isnan(a - b)
            return known & {"all": known, "below 2": d < 2, "2 to 5": (d >= 2) & (d < 5), "5 and more": d >= 5}[line["stratum"]]
        a, b = self.scanner[0][p], self.scanner[1][g]
        known = (a != "n/a") & (b != "n/a")
        one, other = (line["stratum"].split(" - ") * 2)[:2]
        either = ((a == one) & (b == other)) | ((a == other) & (b == one))
        return known & {"all": known, "same": a == b, "different": a != b}.get(line["stratum"], either)

    def probes_in(self, line):
        if line["column"] == "scanner":
            known = self.scanner[0] != "n/a"
            return known if line["stratum"] == "all" else self.scanner[0] == line["stratum"]
        words, age = line["stratum"].split(), self.age[0]
        if words == ["all"]:
            return ~np.isnan(age)
        if words[0] == "below":
            return age < float(words[1])
        return (age >= float(words[0])) & (age < (float(words[2]) if words[1] == "to" else np.inf))


def draw_rate(rng, people, errors, trials, draws=1000):
    """The bootstrap of errors over trials: (weight of person, weight of other person) -> sums."""
    rates = []
    for _ in range(draws):
        weight = np.bincount(rng.integers(0, people, people), minlength=people)
        total = trials(weight)
        rates.append(errors(weight) / total if total > 0 else np.nan)
    return np.nanpercentile(rates, [2.5, 97.5])


def near_ends(what, line, name, ends, check):
    width = ends[1] - ends[0]
    for end, value in zip(("low", "high"), ends):
        if line[f"{name}_{end}"] != "n/a":
            check.near(f"{what} {name}_{end}", line[f"{name}_{end}"], value, 0.15 * width)


def check_strata(program, cohort, folder, check):
    """Figures by strata, and the intervals of those with many people."""
    path = os.path.join(folder, "covariates.tsv")
    covariates = Covariates(cohort, path, 5)
    got = evaluate(program, folder, "--fpir", "0.1", "--by", "age:2,5,scanner", "--covariates", path)
    os.remove(path)
    t, rng = got["fpir_threshold"], np.random.default_rng(11)
    once = np.triu(cohort.compared, 1) if cohort.self_comparison else cohort.compared
    p, g = np.nonzero(once & cohort.same_person)
    scores, person = cohort.scores[p, g], cohort.probe[p]
    other = cohort.compared & ~cohort.same_person
    mate = np.where(cohort.compared & cohort.same_person, cohort.scores, -np.inf).max(axis=1)
    best = np.where(other, cohort.scores, -np.inf).max(axis=1)
    closest = cohort.gallery[np.where(other, cohort.scores, -np.inf).argmax(axis=1)]
    people = max(cohort.probe.max(), cohort.gallery.max()) + 1
    for line in read_table(os.path.join(folder, "strata.tsv")):
        what = f"{line['column']}, {line['of']}, {line['stratum']}:"
        near = lambda name, value: check.near(f"{what} {name}", line[name], value, 1e-8)
        if line["of"] == "mated_pairs":
            k = covariates.pairs_in(line, p, g)
            near("mated", k.sum())
            near("people", len(set(person[k])))
            near("mated_min", scores[k].min())
            near("mated_median", np.median(scores[k]))
            near("mated_max", scores[k].max())
            near("fnmr", np.mean(scores[k] < t))
            if len(set(person[k])) >= 30:
                missed = person[k & (scores < t)]
                ends = draw_rate(rng, people, lambda w: w[missed].sum(), lambda w: w[person[k]].sum())
                near_ends(what, line, "fnmr", ends, check)
            continue
        k = covariates.probes_in(line)
        has_mate = k & np.isfinite(mate)
        near("searches", k.sum())
        near("people", len(set(cohort.probe[k])))
        near("mated", has_mate.sum())
        near("nonmated_pairs", other[k].sum())
        near("nonmated_median", np.median(best[k]))
        near("nonmated_max", best[k].max())
        near("fnir", np.mean(mate[has_mate] < t))
        near("fpir", np.mean(best[k] >= t))
        near("fmr", np.mean(cohort.scores[k][other[k]] >= t))
        if len(set(cohort.probe[k])) >= 30:
            a, b = np.nonzero((other & (cohort.scores >= t))[k])
            a, b = cohort.probe[k][a], cohort.gallery[b]
            of, count = cohort.probe[k], other[k].sum(axis=1)
            near_ends(what, line, "fmr", draw_rate(rng, people, lambda w: (w[a] * w[b]).sum(), lambda w: (w[of] * count).sum()), check)
            found, whom = cohort.probe[k & (best >= t)], closest[k & (best >= t)]
            near_ends(what, line, "fpir", draw_rate(rng, people, lambda w: max((w[found] + w[whom] - 1).sum(), 0), lambda w: w[of].sum()), check)
    difference = np.round(np.abs(covariates.age[0][p] - covariates.age[1][g]), 9)
    known = ~np.isnan(difference)
    rho = stats.spearmanr(difference[known], scores[known]).statistic
    check.near("Spearman", got["differentials"][0]["spearman"], rho, 1e-9)


def survival(tail, y, xi, sigma):
    """Of the generalised Pareto distribution, which SciPy gives with the same sign of xi."""
    return stats.genpareto.sf(y - tail["u"], xi, scale=sigma)


def check_tail(cohort, got, folder, check):
    """The tail's posterior, and what is expected of each link."""
    tail = got["tail"]
    scores = np.r_[cohort.mated, cohort.nonmated]
    z = np.arctanh(scores)
    check.near("location", tail["location_z"], np.median(z), 2e-3)
    check.near("scale", tail["scale_z"], np.subtract(*np.percentile(z, [75, 25])) / 1.349, 2e-3)
    surprise = lambda s: -stats.norm.logsf((np.arctanh(s) - tail["location_z"]) / tail["scale_z"])
    count = lambda low, high: np.sum((surprise(scores) > low) & (surprise(scores) <= high))
    check.near("exceedances", tail["exceedances"], count(tail["u"], tail["v"]), 0)
    xis = -0.4 + 0.0375 * np.arange(37)
    sigmas = 0.2 * 25 ** (np.arange(41) / 40)
    # The censoring of reciprocal best matches is left out here; it moves little.
    edges = surprise(EDGES[1:-1])
    inside = (edges >= tail["u"] - 1e-9) & (edges <= tail["v"] + 1e-9)
    edges = edges[inside]
    counts = np.histogram(surprise(scores), edges)[0]
    logs = np.full((37, 41), -np.inf)
    for i, xi in enumerate(xis):
        for j, sigma in enumerate(sigmas):
            s = survival(tail, edges, xi, sigma)
            with np.errstate(divide="ignore", invalid="ignore"):
                terms = np.where(counts > 0, counts * np.log((s[:-1] - s[1:]) / (s[0] - s[-1])), 0).sum()
            prior = stats.norm.logpdf(xi, 0, 0.15) + stats.norm.logpdf(np.log(sigma), 0, 0.5)
            logs[i, j] = terms / tail["cluster"] + prior
    weight = np.exp(logs - np.nanmax(logs))
    weight = np.where(np.isfinite(weight), weight, 0)
    weight /= weight.sum()
    check.near("xi", tail["xi"], (weight * xis[:, None]).sum(), 0.05)
    check.near("sigma", tail["sigma"], (weight * sigmas[None, :]).sum(), 0.1)
    for link in read_table(os.path.join(folder, "links.tsv"))[::20]:
        y, total = surprise(float(link["score"])), 0
        for i, xi in enumerate(xis):
            for j, sigma in enumerate(sigmas):
                within = 1 - survival(tail, tail["v"], xi, sigma)
                total += weight[i, j] * tail["exceedances"] / len(scores) / within * survival(tail, y, xi, sigma)
        expected = cohort.pairs * total
        check.near("log10 expected_false", np.log10(float(link["expected_false"])), np.log10(expected), 0.5)


def check_bounds(got, people, check):
    """Where no error was seen: Clopper-Pearson, one-sided."""
    exact = lambda n: stats.binomtest(0, n).proportion_ci(0.90, "exact").high
    check.near("FNIR bound", got["intervals"]["fnir"][1], exact(people), 1e-9)
    check.near("rank-1 bound", got["intervals"]["rank1"][0], 1 - exact(people), 1e-9)
    check.near("FMR bound", got["intervals"]["kde_fmr"][1], exact(people // 2), 1e-9)
    check.near("AUC bound", got["intervals"]["auc"][0], 1 - exact(people // 3), 1e-9)


def evaluate(program, folder, *options):
    subprocess.run([program, "evaluate", folder, "--quiet", *options], check=True)
    with open(os.path.join(folder, "evaluation.json"), encoding="utf-8") as file:
        return json.load(file)["measures"][0]


def main(arguments):
    if len(arguments) != 1:
        sys.exit(__doc__)
    check = Checker()
    with tempfile.TemporaryDirectory() as scratch:
        for number, self_comparison in enumerate((False, True)):
            cohort = Cohort(100, 80, self_comparison, 2.2, number)
            folder = os.path.join(scratch, f"overlapping-{number}")
            cohort.write(folder, 10)
            got = evaluate(arguments[0], folder, "--fpir", "0.1")
            check_pairs(cohort, got, check)
            check_density(cohort, got, check)
            check_searches(cohort, got, check)
            check_intervals(cohort, got, check)
            check_strata(arguments[0], cohort, folder, check)
            clear = Cohort(60, 60, self_comparison, 14, 10 + number)
            folder = os.path.join(scratch, f"apart-{number}")
            clear.write(folder, 10)
            got = evaluate(arguments[0], folder)
            check_pairs(clear, got, check)
            check_bounds(got, 60, check)
            check_tail(clear, got, folder, check)
            check.near("links", got["links"], 60, 0)
            check.near("links with the mates taken out", got["control_links"], 0, 0)
    if check.failures:
        sys.exit(f"{check.failures} of {check.checks} figures differ")
    print(f"{check.checks} figures recomputed, all agree")


if __name__ == "__main__":
    main(sys.argv[1:])
