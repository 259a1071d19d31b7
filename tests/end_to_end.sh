#!/bin/bash
# end_to_end.sh PROGRAM synthetic|DATA: scans in, linked people out. On a small synthetic cohort, or on the real scans of
# the folder DATA (oasis, ds002748). Checks: every scan has a row; each mated scan has its mate at rank 1; the margins
# between mated and non-mated scores; the same bytes with one thread and with two; scores recomputed with NumPy.
# Exit codes: 0 as it must be, 1 not, 77 cannot run here.
set -euo pipefail
program=$(realpath "$1")
data=$2
here=$(cd "$(dirname "$0")" && pwd)
python=python3
if [ -x /usr/bin/python3 ]; then python=/usr/bin/python3; fi # where Debian's numpy is
scratch=$(mktemp -d "${TMPDIR:-/tmp}/samebrain-end-to-end-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*"; exit 77; }

if [ "$data" = synthetic ]; then
  "$program" synth -o "$scratch/cohort" --subjects 5 --sessions 2 --base procedural --voxel-mm 1.5 --quiet
  inputs=("$scratch/cohort" --template "$scratch/cohort/template_T1w.nii.gz")
  scans=10 mated=5 pearson=0.1 bandpass=0.3
else
  if [ ! -d "$data/oasis" ] || [ ! -d "$data/ds002748" ]; then skip "no real scans in $data"; fi
  if [ -z "${SAMEBRAIN_TEMPLATE:-}" ] && [ ! -e /usr/share/mricron/templates/ch2bet.nii.gz ]; then skip "no default template"; fi
  inputs=("$data/oasis" "$data/ds002748")
  scans=31 mated=3 pearson=0.1 bandpass=0.3
fi

cd "$scratch"
for threads in 1 2; do
  "$program" prepare "${inputs[@]}" -o store$threads --threads $threads --quiet || fail "prepare"
  "$program" link store$threads -o links$threads -m pearson,bandpass --matrix --threads $threads --quiet || fail "link"
done

for file in store1/shard-*.npy; do
  cmp "$file" "store2/${file##*/}" || fail "rows differ between 1 and 2 threads"
done
for file in matches.tsv mated.tsv; do
  cmp links1/$file links2/$file || fail "$file differs between 1 and 2 threads"
done

"$program" evaluate links1 || fail "evaluate"

# Without labels: on real scans exactly the true pairs are proposed, and none when one scan of each pair is left out.
proposed() { # LINKS: the pairs proposed by the default measure, as "same" or "different" by the labels of their names
  awk -F '\t' 'NR > 1 { split($2, a, "_ses"); split($4, b, "_ses"); print ($1 == $3 && a[1] == b[1] ? "same" : "different") }' \
    "$1/links.tsv" | sort | uniq -c | xargs
}
if [ "$data" != synthetic ]; then
  "$program" link store1 -o unlabelled --identities none --quiet && "$program" evaluate unlabelled --quiet || fail "evaluate"
  [ "$(proposed unlabelled)" = "$mated same" ] || fail "links proposed without labels: $(proposed unlabelled), not $mated same"
  { echo path; find "$data/oasis" "$data/ds002748" -name '*_T1w.nii*' | grep -v _ses-02_ | sort; } >single.tsv
  "$program" prepare single.tsv -o single --quiet || fail "prepare"
  "$program" link single -o alone --identities none --quiet && "$program" evaluate alone --quiet || fail "evaluate"
  [ -z "$(proposed alone)" ] || fail "links proposed where nobody has a mate: $(proposed alone)"
fi
"$python" - "$scans" "$mated" "$pearson" "$bandpass" <<'CHECK'
import csv, glob, json, sys

scans, mated = map(int, sys.argv[1:3])
margins = {"pearson": float(sys.argv[3]), "bandpass": float(sys.argv[4])}
table = lambda path: list(csv.DictReader(open(path), delimiter="\t"))
lines = [line for path in glob.glob("store1/shard-*.tsv") for line in table(path)]
problems = ["%s: %s" % (line["scan_id"], line.get("reason", "")) for line in lines if line["status"] != "ok"]
if len(lines) != scans:
    problems.append("%d scans in the store, not %d" % (len(lines), scans))
found = {measure["measure"]: measure for measure in json.load(open("links1/evaluation.json"))["measures"]}
for name, margin in margins.items():
    got = found.get(name)
    if got is None:
        problems.append(name + ": not evaluated")
        continue
    if got["mated_pairs"] != mated or got["mated_probes"] != 2 * mated:
        problems.append("%s: %s mated pairs of %s probes" % (name, got["mated_pairs"], got["mated_probes"]))
    if got["rank1_probes"] != got["mated_probes"]:
        problems.append("%s: %s of %s mates at rank 1" % (name, got["rank1_probes"], got["mated_probes"]))
    if not got["margin"] >= margin:
        problems.append("%s: margin %s, not %s" % (name, got["margin"], margin))
for problem in problems:
    print("FAILED:", problem)
sys.exit(bool(problems))
CHECK

if "$python" -c 'import numpy' 2>/dev/null; then
  "$python" "$here/recompute_scores.py" store1 links1 || fail "scores recomputed with NumPy differ"
else
  echo "no NumPy here: scores not recomputed"
fi
echo "as it must be: $scans scans, $mated mated pairs"
