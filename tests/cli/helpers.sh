# What every case of tests/cli can use.
set -u

samebrain() { "$SAMEBRAIN" "$@"; }

# image FILE KIND: see image.py
image() { python3 "$HERE/image.py" "$@"; }

# The fixture's scan of person 1 or 2, and the template it goes with.
scan() { echo "$FIXTURE/sub-000$1/ses-01/anat/sub-000$1_ses-01_T1w.nii.gz"; }
TEMPLATE=$FIXTURE/template_T1w.nii.gz

# prepare ARGUMENTS...: with the fixture's template and the coarsest grid, which is quick.
prepare() { samebrain prepare --quiet --template "$TEMPLATE" --resolution-mm 4 "$@"; }

# flip FROM TO: the scan with its left and right exchanged, under the same header. Whichever axis is reversed, that is a mirror image.
flip() {
  python3 - "$1" "$2" <<'END'
import gzip, struct, sys
data = bytearray(gzip.open(sys.argv[1]).read())
(width,), (bits,), (start,) = (struct.unpack_from(f, data, at) for f, at in (("<h", 42), ("<h", 72), ("<f", 108)))
size = bits // 8
for row in range(int(start), len(data), width * size):
    voxels = [data[row + i : row + i + size] for i in range(0, width * size, size)]
    data[row : row + width * size] = b"".join(reversed(voxels))
with gzip.open(sys.argv[2], "wb", 1) as file:
    file.write(data)
END
}

# dispute FROM TO: the same scan with a qform that is the mirror image of its sform.
dispute() {
  python3 - "$1" "$2" <<'END'
import gzip, struct, sys
data = bytearray(gzip.open(sys.argv[1]).read())
(qfac,) = struct.unpack_from("<f", data, 76)
struct.pack_into("<f", data, 76, 1 if qfac < 0 else -1)
with gzip.open(sys.argv[2], "wb", 1) as file:
    file.write(data)
END
}

# The exit code of a command, on standard output.
code() {
  "$@"
  echo "exit code $?"
}
