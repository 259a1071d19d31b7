#!/usr/bin/python3
"""The matrix products of a link by PyTorch and CuPy, on the GPU: what cuBLAS reaches on the same shapes.

    bench/gpu_peers.py

Prints JSON: for each shape (probes x gallery scans x voxels) and precision the median time of seven products after two to warm up, and
operations per second. Vectors are random, padded to a multiple of 16 elements as samebrain's are, and stay on the device; PyTorch and
CuPy multiply them whole, samebrain in chunks. PyTorch's int8 product wants more than 16 probes.
Exit code 77 where neither finds a GPU."""
import json
import statistics
import sys

SHAPES = [(1, 2000, 217489), (16, 2000, 217489), (1000, 2000, 217489), (2000, 2000, 217489), (400, 400, 1740000)]
REPEATS, WARM_UP = 7, 2


def padded(k):
    return (k + 15) // 16 * 16


def torch_on_gpu():
    import torch
    if not torch.cuda.is_available():
        raise RuntimeError("no GPU")
    return torch


def timed_by_torch(torch, shape, precision, multiply):
    times = []
    for _ in range(REPEATS + WARM_UP):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        multiply()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return entry("torch " + torch.__version__, shape, precision, times)


def by_torch():
    torch = torch_on_gpu()
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    kinds = {"fp32": (torch.float32, False), "tf32": (torch.float32, True), "fp16": (torch.float16, False),
             "bf16": (torch.bfloat16, False)}
    for m, n, k in SHAPES:
        a = torch.nn.functional.normalize(torch.randn(m, padded(k), device="cuda"))
        b = torch.nn.functional.normalize(torch.randn(n, padded(k), device="cuda"))
        for name, (kind, tf32) in kinds.items():
            torch.backends.cuda.matmul.allow_tf32 = tf32
            x, y = a.to(kind), b.to(kind).t()
            yield timed_by_torch(torch, (m, n, k), name, lambda: x @ y)


def by_torch_in_int8():
    torch = torch_on_gpu()
    for m, n, k in SHAPES:
        if m > 16:
            a = torch.randint(-127, 128, (m, padded(k)), dtype=torch.int8, device="cuda")
            b = torch.randint(-127, 128, (n, padded(k)), dtype=torch.int8, device="cuda").t()
            yield timed_by_torch(torch, (m, n, k), "int8", lambda: torch._int_mm(a, b))


def by_cupy():
    import cupy
    if cupy.cuda.runtime.getDeviceCount() == 0:
        raise RuntimeError("no GPU")
    for m, n, k in SHAPES:
        a = cupy.random.standard_normal((m, padded(k)), dtype=cupy.float32)
        b = cupy.random.standard_normal((n, padded(k)), dtype=cupy.float32)
        a /= cupy.linalg.norm(a, axis=1, keepdims=True)
        b /= cupy.linalg.norm(b, axis=1, keepdims=True)
        for name, kind in (("fp32", cupy.float32), ("fp16", cupy.float16)):
            x, y = a.astype(kind), b.astype(kind).T
            times = []
            for _ in range(REPEATS + WARM_UP):
                begin, end = cupy.cuda.Event(), cupy.cuda.Event()
                begin.record()
                x @ y
                end.record()
                end.synchronize()
                times.append(cupy.cuda.get_elapsed_time(begin, end) / 1e3)
            yield entry("cupy " + cupy.__version__, (m, n, k), name, times)


def entry(library, shape, precision, times):
    times = times[WARM_UP:]
    seconds = statistics.median(times)
    return {"library": library, "shape": shape, "precision": precision, "seconds": seconds, "all_seconds": times,
            "tflops": 2 * shape[0] * shape[1] * shape[2] / seconds / 1e12}


def main():
    found, missing = [], []
    for library in (by_torch, by_torch_in_int8, by_cupy):
        try:
            for result in library():
                found.append(result)
        except Exception as error:  # whatever is wrong with one library must not hide the others
            missing.append(f"{library.__name__[3:]}: {error}")
    print(json.dumps({"products": found, "not_measured": missing}, indent=1))
    return 0 if found else 77


if __name__ == "__main__":
    sys.exit(main())
