#!/bin/bash
# tests/cuda_faults.sh: does the emulated conformance see faults? A copy of the sources is built, and then, one fault after the other,
# a line of the CUDA backend is made wrong, the emulated module is built anew and the tests that must notice are run. A fault that no
# test notices, or a line that is no longer there to be made wrong, fails. Prints a table.
#   tests/cuda_faults.sh PROGRAM [NAME]   PROGRAM, of a build, is not used; NAME: only the faults whose names match it
set -uo pipefail
source=$(cd "$(dirname "$0")/.." && pwd) only=${2:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/cuda-faults-XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
for part in CMakeLists.txt samebrain.pc.in LICENSE README.md include src kernels tests bench docs scripts; do cp -r "$source/$part" "$work/" || exit 2; done
cmake -S "$work" -B "$work/build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSAMEBRAIN_CUDA=OFF >"$work/log" 2>&1 &&
  cmake --build "$work/build" --target test_cuda test_cuda_pairs -j "$(nproc)" >>"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }

# Whether a test fails; it is not waited for once one of its parts has. One that dies or hangs has noticed the fault, too.
notices() {
  : >"$work/said"
  TMPDIR=$work timeout 900 "$work/build/tests/$1" >"$work/said" 2>&1 &
  local pid=$!
  while kill -0 $pid 2>/dev/null; do
    if grep -aq '\[  FAILED  \] test' "$work/said"; then kill $pid; wait $pid; return 0; fi
    sleep 0.2
  done
  ! wait $pid
}
for test in test_cuda test_cuda_pairs; do
  if notices $test; then echo "cuda_faults: $test fails without any fault"; tail -20 "$work/said"; exit 1; fi
done

failed=0
fault() { # NAME TEST FILE FROM TO [TARGET]: what to build anew, by default the emulated module alone
  local name=$1 test=$2 file=$work/kernels/$3 verdict start=$SECONDS
  [[ $name =~ $only ]] || return 0
  cp "$file" "$work/kept"
  python3 - "$file" "$4" "$5" <<'PYTHON'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
if text.count(old) == 0:
    sys.exit(f"{path}: there is no \"{old}\"")
open(path, "w").write(text.replace(old, new, 1))
PYTHON
  if [ $? -ne 0 ]; then verdict="NOT PLANTED"
  elif ! cmake --build "$work/build" --target "${6:-samebrain_cuda_emulated}" -j "$(nproc)" >"$work/log" 2>&1; then verdict="NOT BUILT"
  elif notices $test; then verdict="noticed: $(grep -aoE '\[  FAILED  \] test_[a-z0-9_]+|emulated [A-Za-z]+: .*|Segmentation.*' "$work/said" | head -1)"
  else verdict="NOT NOTICED"; fi
  [[ $verdict == noticed* ]] || failed=1
  printf '%-46s %s (%d s)\n' "$name" "$verdict" $((SECONDS - start))
  cp "$work/kept" "$file"
  [ -z "${6:-}" ] || cmake --build "$work/build" --target "$6" -j "$(nproc)" >"$work/log" 2>&1 || { echo "cuda_faults: not built again"; exit 1; }
}

# Products and rounding
fault "off by one: the last voxel is missed" test_cuda round.cu 'at < k ? in[row * k + at] * scale' 'at < k - 1 ? in[row * k + at] * scale'
fault "off by one: the last part is not added" test_cuda add_parts.cu 'part < p.number' 'part < p.number - 1'
fault "the grid's step is wrong" test_cuda device.h 'return (int64_t)gridDim.x * blockDim.x;' 'return (int64_t)gridDim.x * blockDim.x + 1;'
fault "wrong epilogue: scaled once too few" test_cuda products.c '1 / (SB_CUDA_SCALE * SB_CUDA_SCALE)' '1 / SB_CUDA_SCALE'
fault "wrong epilogue: the old sum is kept" test_cuda add_parts.cu 'p.first ? 0 : sum[i]' 'sum[i]'
fault "wrong epilogue: lines of the padded length" test_cuda add_parts.cu 'row * p.stride + (i - row * p.columns)' 'i'
fault "int8: the other operand's scales" test_cuda add_parts.cu 'b_scales[column * chunks + part]' 'b_scales[row * chunks + part]'
fault "int8: scales of the next chunk" test_cuda products.c 'b_scales + b.first * c->chunks + first' 'b_scales + b.first * c->chunks + first + 1'
fault "int8: columns are not rounded up" test_cuda cuda.h 'enum { SB_COLUMN_UNIT = 4 };' 'enum { SB_COLUMN_UNIT = 1 };'
fault "transposed layout" test_cuda products.c '&p->a, type, c->chunk, columns, padded' '&p->a, type, columns, c->chunk, padded'
fault "operands swapped" test_cuda products.c 'alpha, b_data, p->a, a_data,' 'alpha, a_data, p->a, b_data,'
fault "misaligned leading dimension" test_cuda vectors.c 'enum { UNIT = 16 };' 'enum { UNIT = 2 };'
fault "stride of the batch" test_cuda products.c 'batch, m * columns' 'batch, m * columns - 1'
fault "ties are rounded away" test_cuda rounding.h '(bits + half + odd)' '(bits + half + 1)' test_cuda
# Streams
fault "kernels do not wait for the copy" test_cuda staging.c 'if (code == cudaSuccess) code = cudaStreamWaitEvent(s->computing, stage->copied, 0);' ''
fault "the copy does not wait for kernels" test_cuda staging.c 'cudaError_t code = cudaStreamWaitEvent(s->copying, stage->used, 0);' 'cudaError_t code = cudaSuccess;'
fault "the host does not wait for the copy" test_cuda staging.c 'sb_cuda_failure(cudaEventSynchronize(stage->copied), "waiting for vectors on their way")' 'sb_ok()'
fault "scores are read before they are there" test_cuda products.c 'SB_TRY(sb_cuda_failure(cudaStreamSynchronize(c->stream), "multiplying"));' ''
# Embedding
fault "embedding: a lane starts one late" test_cuda embed.cu 'v = i % SB_DOT_LANES;' 'v = i % SB_DOT_LANES + SB_DOT_LANES;'
fault "embedding: sums in float32" test_cuda embed.cu 'double sum = 0;' 'float sum = 0;'
fault "embedding: one lane is not added" test_cuda ../src/measure/elements.h 'for (int j = 0; j < half; j++) sum[j] += sum[j + half];' 'for (int j = 0; j < half; j++) sum[j] += j == 5 ? 0 : sum[j + half];'
fault "embedding: taps beyond the box" test_cuda embed.cu 'x + k < 0 || x + k >= f.nx ? -1' 'false ? -1'
fault "embedding: the last tap is missed" test_cuda embed.cu 'k <= f.radius' 'k < f.radius'
fault "embedding: offsets are left out" test_cuda embed.cu 'scale[0], scale[1])' 'scale[0], 0.0)'
fault "embedding: rows without variation pass" test_cuda embed.cu 'isfinite(norm) && isfinite(f->rms) && sb_varies(norm, f->rms, r.k)' 'true'
# Memory
fault "no room: halves overlap" test_cuda products.c 'a2.first += half;' ''
# Pairs
fault "missing barrier" test_cuda_pairs levels.cu '__syncthreads();' ''
fault "missing barrier in a sum" test_cuda_pairs device.h '  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();' '  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {'
fault "no atomics" test_cuda_pairs levels.cu 'atomicAdd(&table[mine + level_l * PITCH + level_r], 1u)' 'table[mine + level_l * PITCH + level_r] += 1u'
exit $failed
