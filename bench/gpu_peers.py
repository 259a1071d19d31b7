#!/usr/bin/python3
"""The matrix products of a link by PyTorch and CuPy, on the GPU: what cuBLAS reaches on the same shapes.

    bench/gpu_peers.py

Prints JSON: for each shape (probes x gallery scans x voxels) and precision the median time of seven products after two to warm up, and
operations per second. Vectors are random, of norm 1, and stay on the device; PyTorch and CuPy multiply them whole, samebrain in chunks.
Exit code 77 where neither finds a GPU."""
import json
import statistics
import sys

SHAPES = [(1, 2000, 217489), (16, 2000, 217489), (1000, 2000, 217489), (2000, 2000, 217489), (400, 400, 1740000)]
REPEATS, WARM_UP = 7, 2


def by_torch():
    import torch
    if not torch.cuda.is_available():
        return None
    kinds = {"fp32": (torch.float32, False), "tf32": (torch.float32, True), "fp16": (torch.float16, False),
             "bf16": (torch.bfloat16, False)}
    results = []
    for m, n, k in SHAPES:
        a = torch.nn.functional.normalize(torch.randn(m, k, device="cuda"))
        b = torch.nn.functional.normalize(torch.randn(n, k, device="cuda"))
        for name, (kind, tf32) in kinds.items():
            torch.backends.cuda.matmul.allow_tf32 = tf32
            x, y = a.to(kind), b.to(kind).t()
            times = []
            for i in range(REPEATS + WARM_UP):
                begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                begin.record()
                x @ y
                end.record()
                torch.cuda.synchronize()
                if i >= WARM_UP:
                    times.append(begin.elapsed_time(end) / 1e3)
            results.append(entry("torch " + torch.__version__, (m, n, k), name, times))
    return results


def by_cupy():
    import cupy
    if cupy.cuda.runtime.getDeviceCount() == 0:
        return None
    results = []
    for m, n, k in SHAPES:
        a, b = cupy.random.standard_normal((m, k), dtype=cupy.float32), cupy.random.standard_normal((n, k), dtype=cupy.float32)
        a /= cupy.linalg.norm(a, axis=1, keepdims=True)
        b /= cupy.linalg.norm(b, axis=1, keepdims=True)
        for name, kind in (("fp32", cupy.float32), ("fp16", cupy.float16)):
            x, y = a.astype(kind), b.astype(kind).T
            times = []
            for i in range(REPEATS + WARM_UP):
                begin, end = cupy.cuda.Event(), cupy.cuda.Event()
                begin.record()
                x @ y
                end.record()
                end.synchronize()
                if i >= WARM_UP:
                    times.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3)
            results.append(entry("cupy " + cupy.__version__, (m, n, k), name, times))
    return results


def entry(library, shape, precision, times):
    seconds = statistics.median(times)
    return {"library": library, "shape": shape, "precision": precision, "seconds": seconds, "all_seconds": times,
            "tflops": 2 * shape[0] * shape[1] * shape[2] / seconds / 1e12}


def main():
    found, missing = [], []
    for library in (by_torch, by_cupy):
        try:
            results = library()
        except Exception as error:  # whatever is wrong with one library must not hide the other
            missing.append(f"{library.__name__[3:]}: {error}")
            continue
        if results is None:
            missing.append(f"{library.__name__[3:]}: no GPU")
        else:
            found += results
    print(json.dumps({"products": found, "not_measured": missing}, indent=1))
    return 0 if found else 77


if __name__ == "__main__":
    sys.exit(main())
