#!/usr/bin/python3
"""Writes small valid images into a folder, for a fuzzer to start from: make_seeds.py FOLDER"""
import gzip
import pathlib
import struct
import sys

SIDE = 8
TYPES = {2: "B", 256: "b", 512: "H", 4: "h", 768: "I", 8: "i", 1280: "Q", 1024: "q", 16: "f", 64: "d"}


def header(version, order, datatype, bits):
    """A header by hand: dims, datatype, a plain sform."""
    rows = [1.0, 0, 0, -4, 0, 1.0, 0, -4, 0, 0, 1.0, -4]
    if version == 1:
        h = bytearray(352)
        struct.pack_into(order + "i", h, 0, 348)
        struct.pack_into(order + "8h", h, 40, 3, SIDE, SIDE, SIDE, 1, 1, 1, 1)
        struct.pack_into(order + "2h", h, 70, datatype, bits)
        struct.pack_into(order + "8f3f", h, 76, *[1.0] * 8, 352, 1, 0)
        struct.pack_into(order + "2h", h, 252, 1, 1)
        struct.pack_into(order + "12f", h, 280, *rows)
        h[344:348] = b"n+1\0"
        return h
    h = bytearray(544)
    struct.pack_into(order + "i8s2h8q", h, 0, 540, b"n+2\0\r\n\x1a\n", datatype, bits,
                     3, SIDE, SIDE, SIDE, 1, 1, 1, 1)
    struct.pack_into(order + "8d", h, 104, *[1.0] * 8)
    struct.pack_into(order + "q2d", h, 168, 544, 1, 0)
    struct.pack_into(order + "2i", h, 344, 1, 1)
    struct.pack_into(order + "12d", h, 400, *rows)
    return h


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    values = [i * 7 % 97 for i in range(SIDE**3)]
    for version in (1, 2):
        for order in "<>":
            for datatype, letter in TYPES.items():
                bits = 8 * struct.calcsize(letter)
                voxels = struct.pack(f"{order}{len(values)}{letter}", *values)
                image = bytes(header(version, order, datatype, bits)) + voxels
                name = f"v{version}-{'little' if order == '<' else 'big'}-{datatype}.nii"
                (folder / name).write_bytes(image)
                (folder / (name + ".gz")).write_bytes(gzip.compress(image, mtime=0))


if __name__ == "__main__":
    main()
