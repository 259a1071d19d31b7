# image.py FILE KIND: a small NIfTI-1 image, good or bad, with Python's standard library alone.
#   blob        16x16x16 int16, a bright ball: valid, but no brain
#   zero constant nan   the same grid with nothing in it
#   4d rgb complex 2d   kinds of images that are not taken
#   text empty  no image at all
#   short       the header says more voxels than the file has
#   cut         gzip that ends in the middle (the name must end in .gz)
import gzip
import struct
import sys

SIDE = 16
FLOAT32, INT16, RGB24, COMPLEX64 = 16, 4, 128, 32
BYTES = {FLOAT32: 4, INT16: 2, RGB24: 3, COMPLEX64: 8}


def header(dims, datatype):
    h = bytearray(352)
    struct.pack_into("<i", h, 0, 348)
    struct.pack_into("<8h", h, 40, len(dims), *(list(dims) + [1] * (7 - len(dims))))
    struct.pack_into("<hh", h, 70, datatype, 8 * BYTES[datatype])
    struct.pack_into("<8f", h, 76, 1, 8, 8, 8, 1, 1, 1, 1)
    struct.pack_into("<f", h, 108, 352)
    struct.pack_into("<hh", h, 252, 0, 1)
    for row in range(3):
        values = [0.0] * 4
        values[row], values[3] = 8.0, -64.0
        struct.pack_into("<4f", h, 280 + 16 * row, *values)
    h[344:348] = b"n+1\0"
    return bytes(h)


def ball():
    centre = (SIDE - 1) / 2
    for k in range(SIDE):
        for j in range(SIDE):
            for i in range(SIDE):
                distance = ((i - centre) ** 2 + (j - centre) ** 2 + (k - centre) ** 2) ** 0.5
                yield int(max(0, 1000 - 120 * distance))


def make(kind):
    cube, count = (SIDE, SIDE, SIDE), SIDE**3
    blob = struct.pack("<%dh" % count, *ball())
    if kind == "blob" or kind == "cut":
        return header(cube, INT16) + blob
    if kind == "zero":
        return header(cube, INT16) + bytes(2 * count)
    if kind == "constant":
        return header(cube, INT16) + struct.pack("<h", 7) * count
    if kind == "nan":
        return header(cube, FLOAT32) + struct.pack("<f", float("nan")) * count
    if kind == "4d":
        return header(cube + (3,), INT16) + 3 * blob
    if kind == "2d":
        return header((SIDE, SIDE), INT16) + blob[: 2 * SIDE * SIDE]
    if kind == "rgb":
        return header(cube, RGB24) + bytes(3 * count)
    if kind == "complex":
        return header(cube, COMPLEX64) + bytes(8 * count)
    if kind == "short":
        return header((SIDE, SIDE, 2 * SIDE), INT16) + blob
    if kind == "text":
        return b"This is a text and not an image.\n" * 40
    if kind == "empty":
        return b""
    sys.exit("image.py: no such kind: " + kind)


path, kind = sys.argv[1:]
data = make(kind)
if path.endswith(".gz") and kind not in ("text", "empty"):
    data = gzip.compress(data, mtime=0)
if kind == "cut":
    data = data[: len(data) // 2]
with open(path, "wb") as file:
    file.write(data)
