#!/usr/bin/python3
"""Times similarity measures in scikit-image, scikit-learn, SciPy and NumPy, and here, on the same pair of scans.

usage: measures_peers.py STORE BENCH_MEASURES [--seconds S]

STORE is a store of prepared scans, BENCH_MEASURES the program of that name. Everything runs on one core. Prints a
Markdown table: pairs per second there, here (the kernel of the pair family; the matrix product's share of a pair in
the GEMM family), and their ratio. What is computed once per scan here (levels, local means) is not counted on either
side where the peer can be given it too: levels are, local means are not, as its functions compute them themselves.
On both sides the best time counts, so that a busy machine tells the same.
"""
import os
import subprocess
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
import numpy as np  # noqa: E402 (threads are set before)
import scipy.stats  # noqa: E402
import skimage.metrics  # noqa: E402
import sklearn.metrics  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
from recompute_scores import Store  # noqa: E402
from cross_check_measures import levels  # noqa: E402


def rate(function, seconds):
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return 1 / best


def numpy_nmi(a, b):
    joint = np.histogram2d(a, b, bins=64)[0] / a.size

    def entropy(p):
        p = p[p > 0]
        return -(p * np.log(p)).sum()

    return (entropy(joint.sum(0)) + entropy(joint.sum(1))) / entropy(joint)


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 3
    store = Store(sys.argv[1])
    a, b = [np.ascontiguousarray(row, dtype=np.float32) for row in list(store.rows.values())[:2]]
    level_a, level_b = levels(a, 64), levels(b, 64)
    where = np.nonzero(store.mask)
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in where)
    volumes = []
    for row in (a, b):
        volume = np.zeros(store.mask.shape, dtype=np.float32)
        volume[store.mask] = row
        volumes.append(np.ascontiguousarray(volume[box]))
    span = float(max(v.max() for v in volumes) - min(v.min() for v in volumes))
    peers = [
        ("pearson", "numpy.corrcoef", lambda: np.corrcoef(a, b)[0, 1]),
        ("spearman", "scipy.stats.spearmanr", lambda: scipy.stats.spearmanr(a, b)[0]),
        ("mse", "skimage.metrics.mean_squared_error", lambda: skimage.metrics.mean_squared_error(a, b)),
        ("mae", "sklearn.metrics.mean_absolute_error", lambda: sklearn.metrics.mean_absolute_error(a, b)),
        ("ssim", "skimage structural_similarity, 3-D, Gaussian, float32",
         lambda: skimage.metrics.structural_similarity(*volumes, data_range=span, gaussian_weights=True, sigma=1.5,
                                                       use_sample_covariance=False)),
        ("uqi", "skimage structural_similarity, 3-D, cubes of 7, float32",
         lambda: skimage.metrics.structural_similarity(*volumes, data_range=span, win_size=7,
                                                       use_sample_covariance=False)),
        ("mi", "sklearn.metrics.mutual_info_score, levels given",
         lambda: sklearn.metrics.mutual_info_score(level_a, level_b)),
        ("nmi", "sklearn.metrics.normalized_mutual_info_score, levels given",
         lambda: sklearn.metrics.normalized_mutual_info_score(level_a, level_b)),
        ("nmi", "numpy.histogram2d and three entropies", lambda: numpy_nmi(a, b)),
    ]
    command = [sys.argv[2], sys.argv[1], "--threads", "1", "--seconds", str(seconds)]
    names = sorted({name for name, _, _ in peers})
    for name in names:
        command += ["--measure", name]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    here = {row[0]: float(row[2]) for row in cells if row[0] in names}
    print("| measure | peer | pairs/s there | pairs/s here | ratio |\n|---|---|---|---|---|")
    for name, what, function in peers:
        there = rate(function, seconds)
        print(f"| {name} | {what} | {there:.1f} | {here[name]:.0f} | {here[name] / there:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
