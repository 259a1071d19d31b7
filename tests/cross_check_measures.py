#!/usr/bin/python3
"""Compares similarity measures with scikit-image, scikit-learn, SciPy and NumPy, where these define them.

usage: cross_check_measures.py LIBSAMEBRAIN.SO

Scores of made-up rows (brain-like, noise, signed, integers with ties) on irregular masks come from the
library by ctypes. Exits with 1 when one differs by more than its tolerance, and with 77, saying what is
missing, where the Python packages are not installed.
"""
import ctypes
import sys

try:
    import numpy as np
    import scipy.ndimage as ndimage
    import scipy.spatial.distance
    import scipy.stats
    import skimage.filters
    import skimage.metrics
    import sklearn.metrics
except ImportError as missing:
    print(f"cross_check_measures: skipped: {missing}; install python3-skimage, python3-scipy and python3-sklearn")
    sys.exit(77)

LEVELS = 64


class Status(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 1020)]


class ScanData(ctypes.Structure):
    _fields_ = [("row", ctypes.c_void_p), ("own_mask", ctypes.c_void_p)]


class Scene:
    """A mask (z, y, x), two rows of its voxels as float32, and two brain masks."""

    def __init__(self, seed, shape, voxel_mm, kind):
        random = np.random.default_rng(seed)
        self.voxel_mm, self.kind = voxel_mm, kind
        grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
        radius = (grid ** 2).sum(0)
        self.mask = (radius < 0.75) & (random.random(shape) > 0.05)
        wave = np.sin(9 * grid[0]) + np.cos(7 * grid[1] + 5 * grid[2])
        a = 100 + 20 * wave + 5 * random.random(shape)
        b = 0.5 * a + 40 + 10 * random.random(shape)
        if kind == "noise":
            a, b = random.random(shape), random.random(shape)
        elif kind == "signed":
            a, b = wave + random.random(shape) - 0.5, random.random(shape) - 0.3 * wave - 0.5
        elif kind == "integers":
            a = random.integers(-4, 5, shape)
            b = np.where(random.random(shape) < 0.5, a, random.integers(-4, 5, shape))
        self.rows = [np.ascontiguousarray(v[self.mask], dtype=np.float32) for v in (a, b)]
        self.own = [radius < 0.6, radius < 0.5 + 0.3 * random.random(shape)]

    def volume(self, row):
        out = np.zeros(self.mask.shape)
        out[self.mask] = row
        return out

    def doubles(self):
        return [row.astype(np.float64) for row in self.rows]

    def joint_range(self, background=False):
        values = np.concatenate(self.doubles() + ([np.zeros(1)] if background else []))
        return values.max() - values.min()


def load(path):
    library = ctypes.CDLL(path)
    library.sb_measure_score_scans.restype = Status
    return library


def score(library, name, scene):
    dims = (ctypes.c_int64 * 3)(*scene.mask.shape[::-1])
    mask = np.ascontiguousarray(scene.mask, dtype=np.uint8)
    bits = [np.packbits(own) for own in scene.own]
    scans = [ScanData(r.ctypes.data, b.ctypes.data) for r, b in zip(scene.rows, bits)]
    value = ctypes.c_double()
    status = library.sb_measure_score_scans(
        name.encode(), dims, ctypes.c_double(scene.voxel_mm), ctypes.c_void_p(mask.ctypes.data),
        ctypes.c_int64(scene.rows[0].size), ctypes.byref(scans[0]), ctypes.byref(scans[1]), ctypes.byref(value))
    if status.code != 0:
        raise SystemExit(f"cross_check_measures: {name}: {status.message.decode()}")
    return value.value


# ---- What the libraries make of a scene ----------------------------------------------------------


def pearson(s):
    return scipy.stats.pearsonr(*s.doubles())[0]


def cosine(s):
    a, b = s.doubles()
    return sklearn.metrics.pairwise.cosine_similarity(a[None], b[None])[0, 0]


def spearman(s):
    return scipy.stats.spearmanr(*s.doubles())[0]


def mse(s):
    return skimage.metrics.mean_squared_error(*s.doubles())


def nrmse(s):
    a, b = s.doubles()
    one_sided = skimage.metrics.normalized_root_mse(a, b, normalization="euclidean")
    return one_sided * np.linalg.norm(a) / np.sqrt((a @ a + b @ b) / 2)


def psnr(s):
    return skimage.metrics.peak_signal_noise_ratio(*s.doubles(), data_range=s.joint_range())


def ccc(s):
    (aa, ab), (_, bb) = np.cov(*s.doubles(), bias=True)
    return 2 * ab / (aa + bb + (s.rows[0].mean(dtype=float) - s.rows[1].mean(dtype=float)) ** 2)


def mae(s):
    return sklearn.metrics.mean_absolute_error(*s.doubles())


def bandpass(s):
    def smooth(volume):
        return ndimage.gaussian_filter(volume, 4 / s.voxel_mm, mode="constant", truncate=4)

    inside = smooth(s.mask.astype(float))
    return np.corrcoef(*[(v - smooth(v) / inside)[s.mask] for v in map(s.volume, s.doubles())])[0, 1]


def cube_mean(s, volume, width_mm):
    size = 2 * max(1, int(width_mm / 2 / s.voxel_mm)) + 1
    inside = ndimage.uniform_filter(s.mask.astype(float), size, mode="constant")
    return (ndimage.uniform_filter(volume, size, mode="constant") / np.maximum(inside, 1e-12))[s.mask]


def localz(s):
    out = []
    for row in s.doubles():
        row = row - row.mean()
        mean = cube_mean(s, s.volume(row), 10)
        variance = cube_mean(s, s.volume(row ** 2), 10) - mean ** 2
        out.append((row - mean) / np.sqrt(variance + (0.05 * row.std()) ** 2))
    return np.corrcoef(*out)[0, 1]


def lncc(s):
    a, b = [row - row.mean() for row in s.doubles()]
    mean_a, mean_b, aa, bb, ab = [cube_mean(s, s.volume(v), 8) for v in (a, b, a * a, b * b, a * b)]
    return np.mean((ab - mean_a * mean_b) ** 2 / ((aa - mean_a ** 2) * (bb - mean_b ** 2)))


def structure(s, **how):
    a, b = [np.pad(s.volume(row), 8) for row in s.doubles()]
    with np.errstate(invalid="ignore", divide="ignore"):  # the background, where nothing is divided by nothing
        image = skimage.metrics.structural_similarity(
            a, b, data_range=s.joint_range(background=True), use_sample_covariance=False, full=True, **how)[1]
    return image[np.pad(s.mask, 8)].mean()


def ssim(s):
    return structure(s, gaussian_weights=True, sigma=1.5)


def uqi(s):
    return structure(s, win_size=7, K1=0, K2=0)


def levels(row, count):
    ordered, last = np.sort(row), row.size - 1
    low, high = ordered[last // 200], ordered[last * 199 // 200]
    if low == high:
        low, high = ordered[0], ordered[-1]
    return np.clip(np.floor((row - low) * (count / (high - low))), 0, count - 1).astype(int)


def classes(row):
    level = levels(row, 256)
    counts = np.bincount(level, minlength=256)
    first, second = skimage.filters.threshold_multiotsu(hist=(counts, np.arange(256)), classes=3)
    return (level > first).astype(int) + (level > second)


def dice(s):
    return sklearn.metrics.f1_score(*map(classes, s.doubles()), average="micro")


def outline(s):
    return 1 - scipy.spatial.distance.dice(s.own[0].ravel(), s.own[1].ravel())


def mi(s):
    return sklearn.metrics.mutual_info_score(*[levels(row, LEVELS) for row in s.doubles()])


def nmi(s):
    n = sklearn.metrics.normalized_mutual_info_score(*[levels(row, LEVELS) for row in s.doubles()])
    return 1 / (1 - n / 2)  # from 2 I / (H(A) + H(B)) to (H(A) + H(B)) / H(A, B)


def cr(s):
    a, b = [levels(row, LEVELS) for row in s.doubles()]

    def explained(by, what):
        means = np.bincount(by, what, LEVELS) / np.maximum(np.bincount(by, minlength=LEVELS), 1)
        return sklearn.metrics.r2_score(what, means[by])

    return (explained(a, b) + explained(b, a)) / 2


CHECKS = {  # measure: (what it must equal, tolerance relative to the larger of 1 and that)
    "pearson": (pearson, 1e-7), "cosine": (cosine, 1e-7), "spearman": (spearman, 1e-7),
    "mse": (mse, 1e-10), "nrmse": (nrmse, 1e-10), "psnr": (psnr, 1e-10), "ccc": (ccc, 1e-10),
    "mae": (mae, 1e-10),
    "bandpass": (bandpass, 2e-6), "localz": (localz, 2e-6), "dice": (dice, 1e-12), "outline": (outline, 1e-12),
    "ssim": (ssim, 1e-6), "uqi": (uqi, 1e-5), "mi": (mi, 1e-10), "nmi": (nmi, 1e-10), "cr": (cr, 1e-10),
    "lncc": (lncc, 1e-5),
}
# Sums of integers can be 0 in a whole window, and then skimage divides rounding by rounding where uqi has 1.
LEFT_OUT = {("uqi", "integers")}
NOT_DEFINED = ["gradient", "fused", "poc"]  # by none of the libraries


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    library = load(sys.argv[1])
    library.sb_measure_at.restype = ctypes.POINTER(ctypes.c_char_p)  # a measure's first member is its name
    library.sb_measure_at.argtypes = [ctypes.c_size_t]
    names = []
    while library.sb_measure_at(len(names)):
        names.append(library.sb_measure_at(len(names))[0].decode())
    scenes = [Scene(seed, shape, voxel_mm, kind)
              for seed, (shape, voxel_mm) in enumerate([((24, 22, 20), 2), ((17, 30, 19), 1.5), ((16, 16, 16), 3)])
              for kind in ("brain", "noise", "signed", "integers")]
    failed = 0
    for name in names:
        if name in NOT_DEFINED:
            print(f"{name:10} none of the libraries defines it")
            continue
        if name not in CHECKS:
            print(f"{name:10} is in neither list of this script: add it to CHECKS or NOT_DEFINED")
            failed += 1
            continue
        expected, tolerance = CHECKS[name]
        worst = 0
        for scene in scenes:
            if (name, scene.kind) in LEFT_OUT:
                continue
            reference = expected(scene)
            difference = abs(score(library, name, scene) - reference) / max(1, abs(reference))
            worst = difference if not difference <= worst else worst  # NaN stays
        failed += not worst <= tolerance
        print(f"{name:10} differs by at most {worst:.1e} (allowed {tolerance:.0e}){'' if worst <= tolerance else ' FAILED'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
