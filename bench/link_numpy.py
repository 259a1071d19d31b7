#!/usr/bin/python3
"""Times NumPy's top 10 of each probe beside ours, on the rows that bench_link makes up.

usage: link_numpy.py BENCH_LINK [--folder FOLDER] [what bench_link takes]

Runs bench_link, which leaves its rows and answers in FOLDER (default: a new one in the temporary folder; it is removed
in the end), then searches the same rows by `probes @ gallery.T` and `argpartition`. Prints what bench_link prints, the
median processor time of NumPy, which BLAS it uses, and for how many probes the ids differ. Both use one thread. Set
OPENBLAS_CORETYPE as for bench_link.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np  # noqa: E402 (threads are set before)

TOP = 10


def search(probes, gallery, itself):
    scores = probes @ gallery.T
    if itself:
        np.fill_diagonal(scores, -np.inf)
    best = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def main():
    arguments = sys.argv[1:]
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    folder = None
    if "--folder" in arguments:
        at = arguments.index("--folder")
        folder = arguments[at + 1]
        del arguments[at : at + 2]
        os.makedirs(folder, exist_ok=True)
    made = folder is None
    folder = folder or tempfile.mkdtemp()
    try:
        told = subprocess.run([*arguments, "--threads", "1", "--save", folder], check=True, capture_output=True, text=True)
        print(told.stdout, end="")
        ours = float(re.search(r"^samebrain +([0-9.]+) s", told.stdout, re.M).group(1))
        itself = "--self" in arguments
        gallery = np.load(os.path.join(folder, "gallery.npy"))
        probes = gallery if itself else np.load(os.path.join(folder, "probes.npy"))
        answers = np.load(os.path.join(folder, "answers.npy"))
        times = []
        for _ in range(int(arguments[arguments.index("--runs") + 1]) if "--runs" in arguments else 5):
            start = time.process_time()
            found = search(probes, gallery, itself)
            times.append(time.process_time() - start)
        taken = statistics.median(times)
        differ = int((found != answers).any(axis=1).sum())
        core = os.environ.get("OPENBLAS_CORETYPE", "unset")
        print(f"NumPy      {taken:7.2f} s processor (NumPy {np.__version__}, OPENBLAS_CORETYPE={core})")
        print(f"ratio      {taken / ours:7.2f}")
        print(f"of {len(found)} lists of {TOP} ids, {differ} differ")
    finally:
        if made:
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
