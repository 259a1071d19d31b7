// Rows of a store to vectors on the device: two bytes a voxel cross the bus. Batch by batch a row's
// float16 are copied to a pinned buffer and on to the device (staging.h), embedded there in float32 and
// float64 exactly as on the host (embed.cu), and rounded as vectors.c does.
#include <stdlib.h>
#include <string.h>

#include "box.h"
#include "core/memory.h"
#include "core/order.h"
#include "cuda.h"
#include "kernels.h"

// What lies between kernels: a row's values and, of a filter, its boxes.
#ifdef SAMEBRAIN_SMALL_TILES
static const size_t WORK_BYTES = 16 << 10;
#else
static const size_t WORK_BYTES = 256 << 20;
#endif

bool sb_cuda_embed_supports(const sb_recipe *recipe) {
  return recipe->kind != SB_RECIPE_NONE;
}

void sb_cuda_embed_free(sb_cuda *c) {
  sb_embedding_room *e = &c->embedding;
  enum { BUFFERS = 8 };
  sb_buffer *const buffers[BUFFERS] = {&e->row_of,   &e->weight,   &e->inverse, &e->values,
                                       &e->boxes[0], &e->boxes[1], &e->lanes,   &e->figures};
  for (int b = 0; b < BUFFERS; b++) sb_buffer_free(buffers[b]);
  memset(e, 0, sizeof *e);
}

sb_status sb_cuda_embed_begin(sb_cuda *c, const sb_recipe *recipe) {
  sb_embedding_room *e = &c->embedding;
  sb_status status = sb_ok();
  e->recipe = *recipe;
  if (recipe->kind != SB_RECIPE_BANDPASS) return status;
  SB_TRY(sb_upload_box(&e->row_of, recipe->dims, recipe->first, recipe->size, recipe->mask,
                       c->stream));
  SB_TRY(sb_upload(&e->weight, recipe->weight, recipe->radius + 1, sizeof(float), c->stream));
  SB_TRY(sb_upload(&e->inverse, recipe->inverse, recipe->voxels, sizeof(float), c->stream));
cleanup:
  return status;
}

static int64_t box_places(const sb_recipe *recipe) {
  return recipe->kind == SB_RECIPE_BANDPASS ? recipe->size[0] * recipe->size[1] * recipe->size[2]
                                            : 0;
}

// Rows in work at once: as many as their copy and what lies between kernels leave room for.
static int64_t rows_at_once(const sb_recipe *recipe, int64_t count) {
  const size_t stored = (size_t)recipe->voxels * sizeof(uint16_t) + 2 * sizeof(double);
  const size_t work = (size_t)(recipe->voxels + 2 * box_places(recipe)) * sizeof(float);
  const int64_t fit = (int64_t)(WORK_BYTES / work);
  return sb_smaller(sb_staging_items(stored, count), fit > 1 ? fit : 1);
}

static sb_status reserve(sb_embedding_room *e, int64_t at_once, int64_t count) {
  const size_t rows = (size_t)at_once, places = (size_t)box_places(&e->recipe);
  sb_status status;
  SB_TRY(sb_buffer_reserve(&e->values, rows * (size_t)e->recipe.voxels * sizeof(float), "rows"));
  for (int b = 0; b < 2 && places > 0; b++)
    SB_TRY(sb_buffer_reserve(&e->boxes[b], rows * places * sizeof(float), "filtered rows"));
  SB_TRY(sb_buffer_reserve(&e->lanes, rows * SB_DOT_LANES * sizeof(double), "sums"));
  SB_TRY(sb_buffer_reserve(&e->figures, (size_t)count * sizeof(sb_row_figures), "sums"));
cleanup:
  return status;
}

static cudaError_t embed(const sb_embedding_room *e, const sb_kernel_rows *rows) {
  cudaError_t code = sb_kernel_rms(rows);
  if (code == cudaSuccess && e->recipe.kind == SB_RECIPE_BANDPASS) {
    const sb_kernel_filter filter = {.nx = e->recipe.size[0],
                                     .ny = e->recipe.size[1],
                                     .nz = e->recipe.size[2],
                                     .row_of = e->row_of.data,
                                     .radius = e->recipe.radius,
                                     .weight = e->weight.data,
                                     .inverse = e->inverse.data,
                                     .box = e->boxes[0].data,
                                     .other_box = e->boxes[1].data};
    code = sb_kernel_bandpass(rows, &filter);
  }
  return code == cudaSuccess ? sb_kernel_standardise(rows) : code;
}

// Rows first..first+count-1 of a slot. Of each its scale and offset, and behind all of these their values.
static sb_status send_rows(sb_cuda *c, const sb_stored_row *rows, sb_device_block *b, int64_t first,
                           int64_t count) {
  sb_embedding_room *e = &c->embedding;
  const int64_t k = e->recipe.voxels;
  const size_t row_bytes = (size_t)k * sizeof(uint16_t),
               scales = (size_t)count * 2 * sizeof(double);
  const size_t bytes = scales + (size_t)count * row_bytes;
  const sb_kernel_rows work = {.rows = count,
                               .k = k,
                               .values = e->values.data,
                               .lanes = e->lanes.data,
                               .figures = (sb_row_figures *)e->figures.data + first,
                               .stream = c->preparing};
  sb_stage *stage;
  sb_status status;
  SB_TRY(sb_staging_fill(&c->staging, bytes, &stage));
#pragma omp parallel for num_threads(c->threads)
  for (int64_t i = 0; i < count; i++) {
    double *scale = (double *)stage->host.data + 2 * i;
    scale[0] = rows[first + i].scale;
    scale[1] = rows[first + i].offset;
    memcpy((char *)stage->host.data + scales + (size_t)i * row_bytes, rows[first + i].halves,
           row_bytes);
  }
  SB_TRY(sb_staging_send(&c->staging, stage, bytes));
  SB_TRY(sb_cuda_failure(sb_kernel_decode(stage->device.data, &work), "decoding rows"));
  SB_TRY(sb_staging_used(&c->staging, stage));
  SB_TRY(sb_cuda_failure(embed(e, &work), "embedding rows"));
  SB_TRY(sb_cuda_round(c, work.values, b, first, count));
cleanup:
  return status;
}

// Whether all rows could be embedded.
static sb_status ask(sb_cuda *c, int64_t count, bool *well) {
  sb_row_figures *figures = NULL;
  const size_t bytes = (size_t)count * sizeof *figures;
  sb_status status;
  SB_TRY(SB_NEW(&figures, count, "sums"));
  SB_TRY(sb_download(figures, c->embedding.figures.data, bytes, c->preparing));
  *well = true;
  for (int64_t i = 0; i < count; i++) *well = *well && figures[i].well;
cleanup:
  free(figures);
  return status;
}

sb_status sb_cuda_put_rows(sb_cuda *c, sb_slot slot, const sb_stored_row *rows, int64_t count,
                           bool *well) {
  const sb_recipe *recipe = &c->embedding.recipe;
  const int64_t at_once = rows_at_once(recipe, count);
  sb_device_block *b = &c->slots[slot];
  sb_status status;
  SB_TRY(sb_cuda_reserve_block(c, slot, count, recipe->voxels));
  SB_TRY(reserve(&c->embedding, at_once, count));
  for (int64_t at = 0; at < count; at += at_once)
    SB_TRY(send_rows(c, rows, b, at, sb_smaller(at_once, count - at)));
  SB_TRY(ask(c, count, well));
  if (*well) SB_TRY(sb_cuda_block_filled(c, slot, count));
cleanup:
  return status;
}
