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
  cmake --build "$work/build" --target test_cuda test_cuda_pairs test_cuda_select -j "$(nproc)" >>"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }

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
for test in test_cuda test_cuda_pairs test_cuda_select; do
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
fault "int8: the random numbers are left out" test_cuda rounding.h 'value * inverse + dither + whole' 'value * inverse + whole' samebrain_cuda_emulated
fault "int8: random numbers of the first chunk" test_cuda round.cu 'r.dither[first + i]' 'r.dither[i]'
fault "int8: what follows the last element" test_cuda round.cu 'i < count ? sb_to_int8' 'i < r.chunk ? sb_to_int8'
fault "int8: a scale of one thread's elements" test_cuda round.cu 'sb_int8_scale(sb_block_most(mosts, most))' 'sb_int8_scale(most)'
fault "int8: a missing barrier" test_cuda device.h 'room[threadIdx.x] = mine;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();' 'room[threadIdx.x] = mine;
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {'
fault "int8: the last chunk's loss is left out" test_cuda round.cu 'c < r.chunks' 'c < r.chunks - 1'
fault "int8: bounds are not sent to the host" test_cuda vectors.c 'if (c->precision == SB_INT8)
    SB_TRY(sb_cuda_failure(cudaMemcpyAsync(b->lost_here.data' 'if (false)
    SB_TRY(sb_cuda_failure(cudaMemcpyAsync(b->lost_here.data'
fault "int8: intervals by the first vector's bound" test_cuda_select select.cu '(row ? s.a_lost : s.b_lost) + own' '(row ? s.a_lost : s.b_lost)'
fault "int8: bounds of scans that came later" test_cuda_select select.c 's->kernel.a_lost = c->lost.data;
    s->kernel.b_lost = s->kernel.a_lost + a.count;' 's->kernel.a_lost = (const sb_lost *)c->slots[a.slot].lost.data + a.first;
    s->kernel.b_lost = (const sb_lost *)c->slots[b.slot].lost.data + b.first;'
fault "int8: columns are not rounded up" test_cuda cuda.h 'enum { SB_COLUMN_UNIT = 4 };' 'enum { SB_COLUMN_UNIT = 1 };'
fault "transposed layout" test_cuda products.c '&p->a, type, c->chunk, columns, padded' '&p->a, type, columns, c->chunk, padded'
fault "operands swapped" test_cuda products.c 'alpha, b_data, p->a, a_data,' 'alpha, a_data, p->a, b_data,'
fault "misaligned leading dimension" test_cuda vectors.c 'enum { UNIT = 16 };' 'enum { UNIT = 2 };'
fault "stride of the batch" test_cuda products.c 'batch, m * columns' 'batch, m * columns - 1'
fault "algorithms may count on too much" test_cuda products.c 'alignment = 16;' 'alignment = 256;'
fault "ties are rounded away" test_cuda rounding.h '(bits + half + odd)' '(bits + half + 1)' test_cuda
# Streams
fault "kernels do not wait for the copy" test_cuda staging.c 'if (code == cudaSuccess) code = cudaStreamWaitEvent(s->computing, stage->copied, 0);' ''
fault "the copy does not wait for kernels" test_cuda staging.c 'cudaError_t code = cudaStreamWaitEvent(s->copying, stage->used, 0);' 'cudaError_t code = cudaSuccess;'
fault "the host does not wait for the copy" test_cuda staging.c 'sb_cuda_failure(cudaEventSynchronize(stage->copied), "waiting for vectors on their way")' 'sb_ok()'
fault "scores are read before they are there" test_cuda products.c 'SB_TRY(sb_cuda_failure(cudaStreamSynchronize(c->stream), "multiplying"));' ''
# Embedding
fault "embedding: a lane starts one late" test_cuda embed.cu 'v = i % SB_DOT_LANES;' 'v = i % SB_DOT_LANES + SB_DOT_LANES;'
fault "embedding: a lane ends one early" test_cuda embed.cu 'if (v + a * SB_DOT_LANES < r.k)' 'if (v + (a + 1) * SB_DOT_LANES < r.k)'
fault "embedding: elements are read twice" test_cuda embed.cu 'v + AHEAD * SB_DOT_LANES, r.k, next' 'v + (AHEAD - 1) * SB_DOT_LANES, r.k, next'
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
# Selection
fault "selection: a cutoff one bin too high" test_cuda_select select.cu '(int32_t)bin;' '(int32_t)bin + 1;'
fault "selection: one too few of a list" test_cuda_select select.cu 'found < s.of.wanted[kind]' 'found < s.of.wanted[kind] - 1'
fault "selection: ties in the last bin are lost" test_cuda_select select.cu 'bin >= s.least[' 'bin > s.least['
fault "selection: ties with the lists are lost" test_cuda_select select.cu 'p.candidate.high >= s.cutoffs[' 'p.candidate.high > s.cutoffs['
fault "selection: the threshold is forgotten" test_cuda_select select.cu 'p.candidate.high >= s.of.threshold[kind]' 'false'
fault "selection: the other list's cutoff" test_cuda_select select.cu 's.cutoffs[line * SB_LIST_KINDS + kind]' 's.cutoffs[line * SB_LIST_KINDS + 1 - kind]'
fault "selection: intervals without their error" test_cuda_select select.cu 'dot - error, a, b' 'dot, a, b'
fault "selection: a line's own terms twice" test_cuda_select select.cu '(row ? s.b_terms : s.a_terms) + other' '(row ? s.a_terms : s.b_terms) + own'
fault "selection: bins of the counts are one off" test_cuda_select select.cu 's.of.bins, p.score.score)' 's.of.bins, p.score.score) - 1'
fault "selection: mated pairs are counted" test_cuda_select select.cu 'if (!p.taken[SB_LIST_NONMATED]) return;' ''
fault "selection: the largest error of one thread's pairs" test_cuda_select select.cu 'error = sb_block_most(errors, error);' 'sb_block_most(errors, error);'
fault "selection: columns count as the first probe" test_cuda_select select.cu 'l.probe * s.of.bins' '(l.step > 1 ? s.extent.probe : l.probe) * s.of.bins'
fault "selection: no barrier after the bins are cleared" test_cuda_select select.cu 'lows[i] = 0;
    __syncthreads();' 'lows[i] = 0;'
fault "selection: no barrier before the next line" test_cuda_select select.cu '__syncthreads(); // before the next line' '// before the next line'
fault "selection: a column begins one late" test_cuda_select ../src/engine/screened.h 'out.at = column;' 'out.at = column + t->galleries;'
fault "selection: too many candidates are cut off" test_cuda_select select.c 'while (*count > k->capacity) {' 'if (*count > k->capacity) *count = k->capacity;
  while (false) {'
fault "selection: the rest is not picked" test_cuda_select select.c '*more = s->last < lines;' '*more = false;'
fault "selection: the rest begins anew" test_cuda_select select.c 'pick(c, s->last, lines)' 'pick(c, s->first, lines)'
fault "selection: the count is not cleared" test_cuda_select select.c 'SB_TRY(sb_cuda_failure(cudaMemsetAsync(k->count, 0, sizeof *k->count, c->stream),' 'SB_TRY(sb_cuda_failure(cudaSuccess,'
fault "selection: counts are read before they are there" test_cuda_select select.c 'sb_cuda_failure(cudaStreamSynchronize(c->stream), "selecting pairs")' 'sb_ok()'
fault "selection: the last tile is not taken" test_cuda_select ../src/engine/select.c 'SB_TRY(take(c, sink));' '' test_cuda_select
fault "selection: what a lost device gave stays" test_cuda ../src/engine/compare.c 'sb_sink_empty(sink);' '' test_cuda
# Overlap
fault "overlap: scans of a tile on its way are replaced" test_cuda_select vectors.c 'SB_TRY(sb_cuda_failure(cudaStreamWaitEvent(c->preparing, b->used, 0), "waiting for a product"));' ''
fault "overlap: the next scans wait for the tile" test_cuda_select vectors.c 'slot == SB_SLOT_GALLERY && b->busy' 'false'
fault "overlap: products do not wait for scans" test_cuda_select products.c 'cudaStreamWaitEvent(c->stream, c->slots[slot].filled, 0)' 'cudaSuccess'
fault "overlap: a tile is not said to read its scans" test_cuda_select select.c 'set_busy(c, &c->slots[a.slot], &c->slots[b.slot]);' ''
# Memory of pairs
fault "pairs: planned as if memory had no end" test_cuda_pairs ../src/engine/plan.c 'pairs ? backend->most_embeddings(context, &embedder->form)' 'pairs ? INT64_MAX' test_cuda_pairs
exit $failed
