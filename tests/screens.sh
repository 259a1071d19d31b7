#!/bin/bash
# screens.sh PROGRAM synthetic|DATA [MODULE]: matches.tsv, mated.tsv and probes.tsv must be the same bytes for every precision, for 1
# and 2 threads, for tiles of several sizes (--memory) and for the instruction sets of older processors (oneDNN's
# ONEDNN_MAX_CPU_ISA; AVX2 has no VNNI), and for the CUDA backend in all precisions where its emulated MODULE is given. On a small synthetic cohort, or on the real scans of the folder DATA.
# Exit codes: 0 as it must be, 1 not, 77 cannot run here.
set -euo pipefail
program=$(realpath "$1")
data=$2
module=${3:+$(realpath "$3")}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/samebrain-screens-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "skipped: $*"; exit 77; }

if [ "$data" = synthetic ]; then
  "$program" synth -o "$scratch/cohort" --subjects 6 --sessions 2 --base procedural --voxel-mm 1.5 --quiet
  inputs=("$scratch/cohort" --template "$scratch/cohort/template_T1w.nii.gz")
else
  if [ ! -d "$data/oasis" ] || [ ! -d "$data/ds002748" ]; then skip "no real scans in $data"; fi
  if [ -z "${SAMEBRAIN_TEMPLATE:-}" ] && [ ! -e /usr/share/mricron/templates/ch2bet.nii.gz ]; then skip "no default template"; fi
  inputs=("$data/oasis" "$data/ds002748")
fi
cd "$scratch"
"$program" prepare "${inputs[@]}" -o store --quiet || fail "prepare"

link() { # name, options...
  local name=$1
  shift
  "$program" link store -o "$name" -m pearson,bandpass --threshold 0.5 --overwrite --quiet "$@" || fail "link $*"
}
expect_the_same() { # what was tried
  for file in matches.tsv mated.tsv probes.tsv; do cmp expected/$file found/$file || fail "$file differs: $*"; done
}
link expected --backend cpu --precision fp32 --threads 1
for isa in AVX2 AVX512_CORE DEFAULT; do
  for precision in fp32 auto int8; do
    for threads in 1 2; do
      for memory in 1G 80M 56M; do
        ONEDNN_MAX_CPU_ISA=$isa link found --backend cpu --precision $precision --threads $threads --memory $memory
        expect_the_same "$precision, $threads threads, $memory, $isa"
      done
    done
  done
done
if [ -n "$module" ]; then # its streams run late
  export SAMEBRAIN_CUDA_MODULE=$module SAMEBRAIN_EMULATED_STREAMS=late
  for precision in fp32 tf32 fp16 bf16 int8; do
    link found --backend cuda --precision $precision
    expect_the_same "$precision on an emulated GPU"
    echo "$precision on an emulated GPU: bounds $(sed -n 's/.*"screen_bound":[^0-9]*\([0-9.e-]*\).*/\1/p' found/summary.json | paste -sd ' ')"
  done
fi
# Of mirror images, which the host embeds whatever the backend.
link expected --mirrored --backend cpu --precision fp32 --threads 1
for precision in fp32 int8; do
  link found --mirrored --backend cpu --precision $precision --threads 2 --memory 56M
  expect_the_same "$precision, mirrored"
done
for precision in ${module:+fp32 fp16 int8}; do
  link found --mirrored --backend cuda --precision $precision
  expect_the_same "$precision on an emulated GPU, mirrored"
done
echo "the same files from every screen"
