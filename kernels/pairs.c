// Error of a score by each form, against the canonical one:
//   - differences: a float32 difference errs by 2^-24 of itself, and sums of magnitudes in float32, at
//     most SB_RUN and then SB_CHUNK / SB_RUN of them one after the other, by 2^-24 of the sum for each;
//     float64 sums of these, and the canonical sum, add less than V 2^-52 of it;
//   - levels: counts are exact. Entropies are float64 sums of at most 4,096 terms n log n, whose sum is
//     at most N log N, in two orders, with logarithms that err by 2^-51 of themselves at most: an
//     entropy is within e = 2^-40 log N of the canonical one. nmi divides by the joint entropy, which
//     for rows with variation is more than log N / N;
//   - windows: each voxel's float32 operations are the canonical score's, one for one (kernels are
//     compiled without contraction), so its value is the same to the bit; values, of magnitude 4 at
//     most, are added up in another order in float64;
//   - phases: all operations are the canonical score's in its order; what is allowed for is more than
//     nothing, because it costs nothing.
#include "pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "box.h"
#include "core/memory.h"
#include "kernels.h"

// What kernels leave for each other at once, at first.
#ifdef SAMEBRAIN_SMALL_TILES
static const int64_t WORK_BYTES = 64 << 10;
#else
static const int64_t WORK_BYTES = 512 << 20;
#endif

struct sb_pairs {
  sb_pair_memory memory;
  sb_form form;
  int64_t work_bytes;    // for each pair
  int64_t most_bytes;    // for pairs at once: halved where the device has no room
  sb_buffer index, rows; // what all pairs share: of windows
  sb_kernel_windows windows;
  sb_buffer turns[6]; // of phases: real and imaginary parts of three axes
  sb_kernel_phases phases;
};

bool sb_pairs_support(const sb_form *form) {
  switch (form->kind) {
  case SB_FORM_DIFFERENCES:
  case SB_FORM_LEVELS:
    return true;
  case SB_FORM_WINDOWS:
    return form->windows.radius <= SB_MOST_RADIUS;
  case SB_FORM_PHASES:
    return true;
  default:
    return false;
  }
}

sb_score_error sb_pairs_error(const sb_form *form) {
  const int64_t sums = SB_CHUNK / SB_RUN; // of runs, in a chunk
  const double voxels = (double)form->voxels, entropy = 0x1p-40 * log(voxels);
  switch (form->kind) {
  case SB_FORM_DIFFERENCES:
    return (sb_score_error){.relative = (double)(1 + SB_RUN + sums) * 0x1p-24 * 1.001 +
                                        voxels * 0x1p-52 * 1.001};
  case SB_FORM_LEVELS:
    return (sb_score_error){.absolute = form->levels == SB_LEVELS_NMI
                                            ? 6 * entropy * voxels / log(voxels)
                                            : 3 * entropy};
  case SB_FORM_WINDOWS:
    return (sb_score_error){.absolute = 4 * (voxels + 64) * 0x1p-52};
  default:
    return (sb_score_error){.absolute = 0x1p-40};
  }
}

// ---- What all pairs share -----------------------------------------------------------------------

void sb_pairs_close(sb_pairs *pairs) {
  if (pairs == NULL) return;
  sb_buffer_free(&pairs->index);
  sb_buffer_free(&pairs->rows);
  for (int t = 0; t < 6; t++) sb_buffer_free(&pairs->turns[t]);
  free(pairs);
}

static sb_status open_windows(sb_pairs *p) {
  const sb_windows_form *form = &p->form.windows;
  sb_kernel_windows *w = &p->windows;
  sb_status status;
  *w = (sb_kernel_windows){.score = form->score,
                           .radius = form->radius,
                           .nx = form->size[0],
                           .ny = form->size[1],
                           .nz = form->size[2],
                           .voxels = p->form.voxels,
                           .stride = form->stride,
                           .terms = p->form.terms,
                           .scale = form->scale,
                           .constants = form->constants};
  memcpy(w->weight, form->weight, (size_t)(form->radius + 1) * sizeof *w->weight);
  SB_TRY(
      sb_upload_box(&p->index, form->dims, form->first, form->size, form->mask, p->memory.stream));
  SB_TRY(sb_upload(&p->rows, form->factor, p->form.voxels, sizeof *form->factor, p->memory.stream));
  w->row_of = p->index.data;
  w->factor = p->rows.data;
  p->work_bytes = sb_kernel_windows_tiles(w) * (int64_t)sizeof(double);
cleanup:
  return status;
}

static sb_status open_phases(sb_pairs *p) {
  const sb_phases_form *form = &p->form.phases;
  const int64_t frequencies[3] = {form->width, form->rows, form->slabs};
  sb_status status = sb_ok();
  p->phases = (sb_kernel_phases){
      .width = form->width, .rows = form->rows, .slabs = form->slabs, .band = form->band};
  for (int axis = 0; axis < 3; axis++) {
    sb_buffer *re = &p->turns[2 * axis], *im = &p->turns[2 * axis + 1];
    const int64_t count = SB_SHIFTS * frequencies[axis];
    SB_TRY(sb_upload(re, form->turn_re[axis], count, sizeof(float), p->memory.stream));
    SB_TRY(sb_upload(im, form->turn_im[axis], count, sizeof(float), p->memory.stream));
    p->phases.turn_re[axis] = re->data;
    p->phases.turn_im[axis] = im->data;
  }
  p->work_bytes = sb_kernel_phases_bytes(&p->phases);
cleanup:
  return status;
}

static int64_t between(int64_t value, int64_t least, int64_t most) {
  return value < least ? least : value > most ? most : value;
}

sb_status sb_pairs_open(const sb_pair_memory *memory, const sb_form *form, sb_pairs **out) {
  sb_pairs *p = NULL;
  sb_status status;
  *out = NULL;
  SB_TRY(SB_NEW_ZERO(&p, 1, "backend"));
  p->memory = *memory;
  p->form = *form;
  p->most_bytes = between((int64_t)memory->work_bytes, 0, WORK_BYTES);
  if (form->kind == SB_FORM_DIFFERENCES)
    p->work_bytes = sb_kernel_chunks(form->voxels) * (int64_t)sizeof(float);
  if (form->kind == SB_FORM_WINDOWS) SB_TRY(open_windows(p));
  if (form->kind == SB_FORM_PHASES) SB_TRY(open_phases(p));
  *out = p;
  p = NULL;
cleanup:
  sb_pairs_close(p);
  return status;
}

// ---- Pairs --------------------------------------------------------------------------------------

sb_status sb_pairs_put(sb_pairs *p, sb_slot slot, const float *embeddings, int64_t count) {
  sb_device_block *block = &p->memory.slots[slot];
  const size_t row_bytes = (size_t)p->form.size * sizeof(float);
  sb_status status;
  block->count = 0;
  SB_TRY(sb_buffer_reserve(&block->elements, (size_t)count * row_bytes, "embeddings"));
  SB_TRY(
      sb_cuda_failure(cudaMemcpyAsync(block->elements.data, embeddings, (size_t)count * row_bytes,
                                      cudaMemcpyHostToDevice, p->memory.stream),
                      "copying embeddings"));
  SB_TRY(sb_cuda_failure(cudaStreamSynchronize(p->memory.stream), "filling a block"));
  block->count = count;
cleanup:
  return status;
}

static cudaError_t launch(const sb_pairs *p, const sb_kernel_pairs *pairs) {
  switch (p->form.kind) {
  case SB_FORM_DIFFERENCES:
    return sb_kernel_differences(pairs, p->form.voxels);
  case SB_FORM_LEVELS:
    return sb_kernel_levels(pairs, p->form.voxels, p->form.levels);
  case SB_FORM_WINDOWS:
    return sb_kernel_window_scores(pairs, &p->windows);
  default:
    return sb_kernel_phase_scores(pairs, &p->phases);
  }
}

// Scores of parts that are small enough for what lies between kernels.
static sb_status score_parts(sb_pairs *p, sb_part a, sb_part b, double *c, int64_t ldc) {
  const sb_pair_memory *memory = &p->memory;
  const sb_form *form = &p->form;
  const float *a_block = memory->slots[a.slot].elements.data;
  const float *b_block = memory->slots[b.slot].elements.data;
  const size_t row_bytes = (size_t)b.count * sizeof(double);
  const size_t pairs = (size_t)(a.count * b.count);
  sb_status status;
  SB_TRY(sb_buffer_reserve(memory->work, pairs * (size_t)p->work_bytes, "sums of pairs"));
  SB_TRY(sb_buffer_reserve(memory->scores, pairs * sizeof(double), "scores"));
  const sb_kernel_pairs kernel = {.a = a_block + a.first * form->size,
                                  .b = b_block + b.first * form->size,
                                  .size = form->size,
                                  .m = a.count,
                                  .n = b.count,
                                  .work = memory->work->data,
                                  .scores = memory->scores->data,
                                  .stream = memory->stream};
  SB_TRY(sb_cuda_failure(launch(p, &kernel), "scoring pairs"));
  SB_TRY(sb_cuda_failure(cudaMemcpy2DAsync(c, (size_t)ldc * sizeof(double), kernel.scores,
                                           row_bytes, row_bytes, (size_t)a.count,
                                           cudaMemcpyDeviceToHost, memory->stream),
                         "copying scores"));
  SB_TRY(sb_cuda_failure(cudaStreamSynchronize(memory->stream), "scoring pairs"));
cleanup:
  return status;
}

// The tile in parts of at most p->most_bytes.
static sb_status score_tile(sb_pairs *p, sb_part a, sb_part b, double *c, int64_t ldc) {
  const int64_t pair_bytes = p->work_bytes + (int64_t)sizeof(double);
  const int64_t columns = between(p->most_bytes / pair_bytes, 1, b.count);
  const int64_t rows = between(p->most_bytes / pair_bytes / columns, 1, a.count);
  sb_status status = sb_ok();
  for (int64_t i = 0; i < a.count && status.code == SB_OK; i += rows)
    for (int64_t j = 0; j < b.count && status.code == SB_OK; j += columns) {
      const sb_part left = {a.slot, a.first + i, between(a.count - i, 1, rows)};
      const sb_part right = {b.slot, b.first + j, between(b.count - j, 1, columns)};
      status = score_parts(p, left, right, c + i * ldc + j, ldc);
    }
  return status;
}

sb_status sb_pairs_tile(sb_pairs *p, sb_part a, sb_part b, double *c, int64_t ldc) {
  for (;;) {
    const sb_status status = score_tile(p, a, b, c, ldc);
    if (status.code != SB_NO_MEMORY || p->most_bytes <= p->work_bytes + (int64_t)sizeof(double))
      return status;
    p->most_bytes /= 2;
  }
}
