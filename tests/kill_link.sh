#!/bin/bash
# kill_link.sh PROGRAM [DATA]: kills `link` with SIGKILL at 20 random moments (seeded), whole runs and shards, and runs it
# again each time. In the end the results must be those of one uninterrupted run, and no part that was finished may have
# been done again.
# DATA is a BIDS folder; default: the real scans beside the project, else a synthetic cohort.
# Exit codes: 0 as it must be, 1 not, 77 cannot run here.
set -u
program=$(realpath "${1:?usage: kill_link.sh PROGRAM [DATA]}")
data=${2:-$(dirname "$(realpath "$0")")/../../shared/data/oasis}
kills=${KILLS:-20}
RANDOM=${SEED:-20260210}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/samebrain-kill-XXXXXX") || exit 77
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 77

fail() {
  echo "FAILED: $*"
  exit 1
}

prepare=("$program" prepare --resolution-mm 3 --quiet -o store)
if [ -d "$data" ]; then
  data=$(realpath "$data")
else
  echo "no scans at $data: using a synthetic cohort"
  "$program" synth -o cohort --subjects 8 --sessions 2 --quiet || exit 77
  data=cohort
  [ -f cohort/template_T1w.nii.gz ] && prepare+=(--template cohort/template_T1w.nii.gz)
fi
"${prepare[@]}" "$data" || fail "prepare"

link=("$program" link store -m lncc,bandpass --refine nmi --top 4 --threads 1 --quiet)
files=(matches.tsv mated.tsv probes.tsv gallery.tsv nonmated-lncc.npy nonmated-lncc-edges.npy)
start=$(date +%s%N)
"${link[@]}" -o whole || fail "the uninterrupted run"
whole_ms=$((($(date +%s%N) - start) / 1000000))

same() { # FOLDER
  local file
  for file in "${files[@]}"; do cmp "whole/$file" "$1/$file" || fail "$file of $1 differs from an uninterrupted run's"; done
}

# When each finished part was written, in nanoseconds.
finished() { find broken* -path '*/parts/*' -name summary.json -printf '%p %T@\n' 2>/dev/null | sort; }

complete() { find broken* -name summary.json -not -path '*/parts/*' | grep -q .; }

# Runs a command, kills it at a random moment, and again, until it ends by itself.
killed=0 amid=0
until_done() {
  local pid timer ms code
  while true; do
    finished >before.txt
    "$@" >run.txt 2>&1 &
    pid=$!
    ms=$((RANDOM * whole_ms / 32768))
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" &
    timer=$!
    wait -n "$pid" "$timer"
    kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
    wait "$pid" 2>/dev/null
    code=$?
    kill "$timer" 2>/dev/null
    wait "$timer" 2>/dev/null
    [ "$code" -eq 0 ] && return
    [ "$code" -eq 137 ] || fail "link: exit code $code: $(cat run.txt)"
    finished >after.txt
    # Parts go when the results are complete, which may be where the kill came.
    [ -z "$(comm -23 before.txt after.txt)" ] || complete || fail "a finished part was done again"
    [ -s after.txt ] && amid=$((amid + 1))
  done
}

rounds=0
while [ "$killed" -lt "$kills" ]; do
  until_done "${link[@]}" -o broken --parts 6
  [ -e broken/parts ] && fail "parts are left behind"
  same broken
  for shard in 1 2 3; do until_done "${link[@]}" -o broken.shards --shard $shard/3 --parts 3; done
  "$program" merge broken.shards -o merged --quiet || fail "merge"
  same merged
  rm -rf broken broken.shards merged
  rounds=$((rounds + 1))
done
[ "$amid" -ge $((kills / 4)) ] || fail "only $amid of $killed kills came when a part was finished"
echo "killed $killed times ($amid with finished parts, over $rounds rounds): the same files, no part done twice"
