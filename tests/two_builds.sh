#!/bin/bash
# two_builds.sh PROGRAM synthetic|DATA OTHER...: PROGRAM, and another build of it on another processor, with another compiler or C library,
# must make the same of the same scans: rows, masks and the stores' tables, but for the seconds; every table of a link by all measures
# and of its evaluation; and of evaluation.json all but the cost, numbers to 1 in 10^9. OTHER... is the command that starts the other, e.g.
#   tests/two_builds.sh build/samebrain DATA qemu-aarch64 -L ROOT build-arm64/samebrain
# On a small synthetic cohort, or on the real scans of the folder DATA. Exit codes: 0 the same, 1 not, 77 cannot run here.
set -euo pipefail
program=$(realpath "$1")
data=$2
shift 2
other=("$@")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/samebrain-two-builds-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

if [ "$data" = synthetic ]; then
  "$program" synth -o "$scratch/cohort" --subjects 5 --sessions 2 --base procedural --voxel-mm 1.5 --quiet
  inputs=("$scratch/cohort" --template "$scratch/cohort/template_T1w.nii.gz")
else
  if [ ! -d "$data/oasis" ] || [ ! -d "$data/ds002748" ]; then echo "skipped: no real scans in $data"; exit 77; fi
  inputs=("$data/oasis" "$data/ds002748")
fi
measures=$("$program" measures | sed -n 's/^\([a-z]\+\) .*/\1/p' | paste -sd ,)

all() { # FOLDER COMMAND...
  local folder=$scratch/$1
  shift
  "$@" prepare "${inputs[@]}" -o "$folder/store" --quiet || fail "prepare: $*"
  "$@" link "$folder/store" -o "$folder/links" -m "$measures" --backend cpu --no-images --quiet || fail "link: $*"
  "$@" evaluate "$folder/links" --quiet || fail "evaluate: $*"
}
all one "$program"
all two "${other[@]}"
cd "$scratch"

for file in one/store/*.npy one/store/*.json one/store/*.nii.gz one/links/*.tsv; do
  cmp "$file" "two/${file#one/}" || fail "${file#one/} differs"
done
python3 - <<'CHECK'
import csv, glob, json, sys

def table(path):
    with open(path) as file:
        return [{**line, "seconds": ""} for line in csv.DictReader(file, delimiter="\t")]

differ, most, problems = 0, 0.0, []

def compare(name, a, b):
    global differ, most
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            compare(name + "." + key, a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            compare("%s[%d]" % (name, i), x, y)
    elif type(a) is float and type(b) is float and a != b:
        apart = abs(a - b) / max(abs(a), abs(b))
        differ, most = differ + 1, max(most, apart)
        if not apart <= 1e-9:
            problems.append("%s: %r and %r" % (name, a, b))
    elif a != b:
        problems.append("%s: %r and %r" % (name, a, b))

for path in sorted(glob.glob("one/store/shard-*.tsv")):
    compare(path[4:], table(path), table("two" + path[3:]))
one, two = (json.load(open(folder + "/links/evaluation.json")) for folder in ("one", "two"))
del one["cost"], two["cost"]  # times
compare("evaluation", one, two)
for problem in problems[:20]:
    print("FAILED:", problem)
print("%d figures of evaluation.json differ, by %.1g of their size at most" % (differ, most))
sys.exit(bool(problems))
CHECK
echo "the same rows, scores and tables"
