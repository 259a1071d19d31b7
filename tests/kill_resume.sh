#!/bin/bash
# kill_resume.sh PROGRAM [DATA]: kills `prepare` with SIGKILL at 20 random moments (seeded) and runs it
# again each time. In the end the store must hold what one uninterrupted run writes, and no scan that
# was finished may have been prepared again.
# DATA is a BIDS folder; default: the real scans beside the project, else a synthetic cohort.
# Exit codes: 0 as it must be, 1 not, 77 cannot run here.
set -u
program=$(realpath "${1:?usage: kill_resume.sh PROGRAM [DATA]}")
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

if [ ! -d "$data" ]; then
  echo "no scans at $data: using a synthetic cohort"
  "$program" synth -o cohort --subjects 4 --sessions 2 --quiet || exit 77
  data=cohort
fi
labels=$(cd "$data" && printf '%s\n' sub-* | head -n 6 | paste -sd,)

prepare=("$program" prepare "$data" --participant-label "$labels" --quiet)
# A machine without the default template: the cohort brings its own.
[ -f cohort/template_T1w.nii.gz ] && prepare+=(--template cohort/template_T1w.nii.gz)
prepare+=(-o)

# A line a scan: dataset, scan_id, status, checksum, and the SHA-256 of its row's bytes.
contents() {
  local table dataset id status row checksum bytes
  bytes=$(($(tr -d '[:space:]' <"$1/store.json" | sed 's/.*"row_length":\([0-9]*\).*/\1/') * 2))
  for table in "$1"/shard-*.tsv; do
    tail -n +2 "$table" | cut -f 1,2,5-7 | while IFS=$'\t' read -r dataset id status row checksum; do
      printf '%s\t%s\t%s\t%s\t' "$dataset" "$id" "$status" "$checksum"
      tail -c +$((129 + row * bytes)) "${table%.tsv}.npy" | head -c "$bytes" | sha256sum
    done
  done | sort
}

# The committed lines: those that end in a newline.
lines() {
  [ -f "$1/shard-0001.tsv" ] && head -n "$(wc -l <"$1/shard-0001.tsv")" "$1/shard-0001.tsv"
}

start=$(date +%s%N)
"${prepare[@]}" whole || fail "the uninterrupted run"
whole_ms=$((($(date +%s%N) - start) / 1000000))
contents whole >whole.txt
[ "$(wc -l <whole.txt)" -ge 4 ] || fail "only $(wc -l <whole.txt) scans"
grep -qv $'\tok\t' whole.txt && fail "a scan failed in the uninterrupted run"

check_finished() {
  "${prepare[@]}" broken || fail "the run after the kills"
  contents broken >broken.txt
  cmp whole.txt broken.txt || fail "the store differs from that of an uninterrupted run"
  "$program" info broken --verify --quiet >info.txt || fail "verify: $(cat info.txt)"
  rm -rf broken
}

killed=0 stores=0 amid=0
while [ "$killed" -lt "$kills" ]; do
  lines broken >before.txt
  "${prepare[@]}" broken >run.txt 2>&1 & # a plain command: $! is the program, not a shell around it
  pid=$!
  ms=$((RANDOM * whole_ms / 32768)) # up to the time of a whole run
  sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" &
  timer=$!
  wait -n "$pid" "$timer"
  kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
  wait "$pid" 2>/dev/null
  code=$?
  kill "$timer" 2>/dev/null
  wait "$timer" 2>/dev/null
  if [ "$code" -ne 137 ] && [ "$code" -ne 0 ]; then fail "prepare: exit code $code: $(cat run.txt)"; fi
  lines broken >after.txt
  # What was committed before is there as it was: nothing was done again.
  head -c "$(wc -c <before.txt)" after.txt | cmp - before.txt || fail "finished scans were touched"
  [ -e broken/shard-0002.tsv ] && fail "a dead process kept its shard"
  count=$(($(wc -l <after.txt) - 1))
  if [ "$count" -gt 0 ] && [ "$count" -lt "$(wc -l <whole.txt)" ]; then amid=$((amid + 1)); fi
  if [ "$count" -ge "$(wc -l <whole.txt)" ]; then
    check_finished
    stores=$((stores + 1))
  fi
done
check_finished
[ "$amid" -ge $((kills / 4)) ] || fail "only $amid of $killed kills came amid the work"
echo "killed $killed times ($amid amid the scans, over $((stores + 1)) stores): the same rows, none done twice"
