#!/usr/bin/python3
"""Recomputes every score of a link from the stores' rows, with NumPy alone, and compares.

usage: recompute_scores.py GALLERY [PROBE] LINK

GALLERY and PROBE are stores, LINK the folder that `samebrain link` wrote from them. Opens shards and
matrices by numpy.load(mmap_mode="r"). Exits with 1 when a score differs by more than 1e-5 or a match
is missing, else with 0.
"""
import csv
import glob
import gzip
import json
import os
import sys

import numpy as np

TOLERANCE = 1e-5


def read_table(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_mask(path):
    """The mask of a NIfTI-1 file as booleans (z, y, x)."""
    with gzip.open(path, "rb") as file:
        data = file.read()
    dims = np.frombuffer(data, "<i2", 8, 40)
    datatype = {2: "u1", 4: "<i2", 16: "<f4"}[int(np.frombuffer(data, "<i2", 1, 70)[0])]
    offset = int(np.frombuffer(data, "<f4", 1, 108)[0])
    count = int(np.prod(dims[1:4].astype(np.int64)))
    voxels = np.frombuffer(data, datatype, count, offset)
    return voxels.reshape(dims[3], dims[2], dims[1]) != 0


class Store:
    def __init__(self, path):
        with open(os.path.join(path, "store.json"), encoding="utf-8") as file:
            self.voxel_mm = json.load(file)["resolution_mm"]
        self.mask = read_mask(os.path.join(path, "mask.nii.gz"))
        self.rows = {}  # (dataset, scan_id): harmonised values
        for table in sorted(glob.glob(os.path.join(path, "shard-*.tsv"))):
            array = np.load(table[: -len("tsv")] + "npy", mmap_mode="r")
            for line in read_table(table):
                if int(line["row"]) < 0:
                    continue
                row = array[int(line["row"])].astype(np.float64)
                row = row * float(line["scale"]) + float(line["offset"])
                self.rows[line["dataset"], line["scan_id"]] = row


def smooth(volume, sigma):
    """Gaussian of `sigma` voxels, cut at 4 sigma, along each axis, with zeros outside."""
    radius = int(4 * sigma + 0.5)
    for axis in range(3):
        size = volume.shape[axis]
        padding = [(radius, radius) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(volume, padding)
        volume = np.zeros_like(volume)
        for k in range(-radius, radius + 1):
            part = [slice(radius + k, radius + k + size) if a == axis else slice(None) for a in range(3)]
            volume += np.exp(-0.5 * (k / sigma) ** 2) * padded[tuple(part)]
    return volume


def bandpass(store):
    where = np.nonzero(store.mask)
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in where)
    mask = store.mask[box]
    sigma = 4 / store.voxel_mm
    weight = smooth(mask.astype(np.float64), sigma)[mask]

    def filtered(row):
        volume = np.zeros(mask.shape)
        volume[mask] = row
        return row - smooth(volume, sigma)[mask] / weight

    return filtered


def unit_vectors(store, keys, step):
    vectors = np.stack([step(store.rows[key]) for key in keys])
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Checker:
    def __init__(self):
        self.failures = 0

    def compare(self, what, value, expected):
        if not abs(value - expected) <= TOLERANCE:
            self.failures += 1
            if self.failures <= 10:
                print(f"{what}: {value}, recomputed {expected}")


def check_measure(name, scores, link, probes, gallery, same, summary, checker):
    p_index = {key: i for i, key in enumerate(probes)}
    g_index = {key: i for i, key in enumerate(gallery)}
    matrix_path = os.path.join(link, f"scores-{name}.npy")
    if summary["parameters"]["matrix"]:
        matrix = np.load(matrix_path, mmap_mode="r")
        if matrix.shape != scores.shape or matrix.dtype != np.dtype("<f4"):
            sys.exit(f"{matrix_path}: {matrix.dtype} of shape {matrix.shape}")
        checker.compare(f"{matrix_path}, largest difference", np.abs(matrix - scores).max(), 0)

    listed = {key: [] for key in probes}
    for line in read_table(os.path.join(link, "matches.tsv")):
        if line["measure"] != name:
            continue
        probe = line["probe_dataset"], line["probe_id"]
        match = line["gallery_dataset"], line["gallery_id"]
        score = float(line["score"])
        checker.compare(f"match {probe} {match}", score, scores[p_index[probe], g_index[match]])
        listed[probe].append(score)
        checker.compare(f"rank of {probe} {match}", int(line["rank"]), len(listed[probe]))
    for key in probes:  # nobody closer is left out
        others = [scores[p_index[key], g_index[g]] for g in gallery if not (g == key and key in same)]
        best = sorted(others, reverse=True)
        checker.compare(f"matches of {key}", len(listed[key]) >= min(summary["parameters"]["top"], len(best)), True)
        for rank, score in enumerate(listed[key]):
            checker.compare(f"rank {rank + 1} of {key}", score, best[rank])

    mated = 0
    for line in read_table(os.path.join(link, "mated.tsv")):
        if line["measure"] != name:
            continue
        probe = line["probe_dataset"], line["probe_id"]
        match = line["gallery_dataset"], line["gallery_id"]
        checker.compare(f"mated {probe} {match}", float(line["score"]), scores[p_index[probe], g_index[match]])
        mated += 1
    checker.compare(f"mated pairs by {name}", mated, summary["mated_pairs"])
    lines = sum(len(scores) for scores in listed.values())
    print(f"{name}: {scores.size} scores, {lines} matches, {mated} mated pairs recomputed")


def main(arguments):
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    link = arguments[-1]
    gallery_store = Store(arguments[0])
    probe_store = Store(arguments[1]) if len(arguments) == 3 else gallery_store
    with open(os.path.join(link, "summary.json"), encoding="utf-8") as file:
        summary = json.load(file)
    files = [
        {(s["dataset"], s["scan_id"]): s["source_sha256"] for s in read_table(os.path.join(link, name))}
        for name in ("probes.tsv", "gallery.tsv")
    ]
    probes, gallery = list(files[0]), list(files[1])
    same = {key for key in probes if files[0][key] == files[1].get(key)}  # one scan in both
    if set(probes) != set(probe_store.rows) or set(gallery) != set(gallery_store.rows):
        sys.exit("probes.tsv and gallery.tsv do not hold the scans of the stores")
    steps = {"pearson": lambda row: row, "bandpass": bandpass(gallery_store)}
    checker = Checker()
    for measure in summary["measures"]:
        name = measure["name"]
        if name not in steps:
            print(f"{name}: not known here, skipped")
            continue
        b = unit_vectors(gallery_store, gallery, steps[name])
        a = b if probe_store is gallery_store else unit_vectors(probe_store, probes, steps[name])
        check_measure(name, a @ b.T, link, probes, gallery, same, summary, checker)
    if checker.failures:
        sys.exit(f"{checker.failures} differences")
    print("no difference above 1e-5")


if __name__ == "__main__":
    main(sys.argv[1:])
