// Selection on the device (engine/backend.h). Of a comparison the histograms stay there until its end, and
// of a tile come back its candidates alone: as many as there is room for, else those of half its lines, and
// so on.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "box.h"
#include "core/memory.h"
#include "core/order.h"
#include "cuda.h"
#include "measure/measure.h"

// Room for this part of a tile's pairs, once in each direction; at least for a line of it.
enum { PAIRS_A_PLACE = 8 };

static int64_t capacity_of(int64_t m, int64_t n) {
  return sb_larger(m * n / PAIRS_A_PLACE, sb_larger(m, n));
}

int64_t sb_cuda_selection_bytes(int64_t m, int64_t n) {
  const int64_t line = SB_LIST_KINDS + SB_MOST_TERMS;
  return 2 * capacity_of(m, n) * (int64_t)sizeof(sb_selected) +
         (m + n) * line * (int64_t)sizeof(double);
}

void sb_cuda_select_free(sb_cuda *c) {
  sb_selector *s = &c->selector;
  for (int b = 0; b < SB_SELECTOR_BUFFERS; b++) sb_buffer_free(&s->buffers[b]);
  sb_pinned_free(&s->inputs);
  sb_pinned_free(&s->outputs);
  memset(s, 0, sizeof *s);
}

// The blocks that a tile on its way reads; NULL: none is.
static void set_busy(sb_cuda *c, sb_device_block *a, sb_device_block *b) {
  c->spare.busy = false;
  for (int slot = 0; slot < SB_SLOTS; slot++)
    c->slots[slot].busy = &c->slots[slot] == a || &c->slots[slot] == b;
}

// ---- A comparison -------------------------------------------------------------------------------

static sb_status zero(sb_cuda *c, sb_buffer *buffer, size_t bytes, const char *what) {
  sb_status status = sb_buffer_reserve(buffer, bytes, what);
  if (status.code == SB_OK)
    status = sb_cuda_failure(cudaMemsetAsync(buffer->data, 0, bytes, c->stream), "clearing counts");
  return status;
}

sb_status sb_cuda_select_begin(sb_cuda *c, const sb_selection *selection) {
  sb_selector *s = &c->selector;
  sb_selection *of = &s->kernel.of;
  const size_t counts = (size_t)(selection->probes * selection->bins) * sizeof(uint32_t);
  const struct {
    const int64_t *from;
    int64_t count;
    const int64_t **to;
  } tables[SB_SELECTOR_TABLES] = {
      {selection->probe_person, selection->probes, &of->probe_person},
      {selection->gallery_person, selection->gallery, &of->gallery_person},
      {selection->probe_dataset, selection->probes, &of->probe_dataset},
      {selection->gallery_dataset, selection->gallery, &of->gallery_dataset},
      {selection->same, selection->probes, &of->same}};
  sb_status status = sb_ok();
  sb_cuda_empty_slots(c);
  s->kernel = (sb_kernel_selection){.of = *selection, .stream = c->stream};
  for (int t = 0; t < SB_SELECTOR_TABLES; t++) {
    SB_TRY(sb_upload(&s->tables[t], tables[t].from, tables[t].count, sizeof(int64_t), c->stream));
    *tables[t].to = s->tables[t].data;
  }
  SB_TRY(zero(c, &s->histogram, counts, "histograms"));
  s->kernel.histogram = s->histogram.data;
  if (selection->within) {
    SB_TRY(zero(c, &s->within, counts, "histograms"));
    s->kernel.within = s->within.data;
  }
  SB_TRY(zero(c, &s->figures, 2 * sizeof(unsigned long long), "counts"));
  s->kernel.most_error = s->figures.data;
  s->kernel.count = s->kernel.most_error + 1;
cleanup:
  if (status.code != SB_OK) sb_cuda_select_free(c); // tiles may fit without it
  return status;
}

// Adds counters of the device to the host's, a piece at a time.
static sb_status add_counts(sb_cuda *c, const uint32_t *from, int64_t count, uint32_t *to) {
  enum { PIECE = 1 << 20 };
  uint32_t *piece = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&piece, PIECE, "histograms"));
  for (int64_t at = 0; at < count; at += PIECE) {
    const int64_t some = count - at < PIECE ? count - at : PIECE;
    SB_TRY(sb_download(piece, from + at, (size_t)some * sizeof *piece, c->stream));
    for (int64_t i = 0; i < some; i++) to[at + i] += piece[i];
  }
cleanup:
  free(piece);
  return status;
}

sb_status sb_cuda_select_end(sb_cuda *c, uint32_t *histogram, uint32_t *within, double *error) {
  const sb_kernel_selection *k = &c->selector.kernel;
  const int64_t counters = k->of.probes * k->of.bins;
  double most;
  sb_status status;
  SB_TRY(add_counts(c, k->histogram, counters, histogram));
  if (within != NULL) SB_TRY(add_counts(c, k->within, counters, within));
  SB_TRY(sb_download(&most, k->most_error, sizeof most, c->stream));
  *error = fmax(*error, most);
cleanup:
  sb_cuda_select_free(c);
  return status;
}

// ---- A tile -------------------------------------------------------------------------------------

static sb_status reserve(sb_cuda *c, const sb_extent *t) {
  sb_selector *s = &c->selector;
  sb_kernel_selection *k = &s->kernel;
  const size_t lines = (size_t)sb_extent_lines(t);
  const size_t inputs =
      lines * SB_LIST_KINDS + (size_t)((t->probes + t->galleries) * k->of.terms); // doubles
  sb_status status;
  k->extent = *t;
  k->capacity = capacity_of(t->probes, t->galleries);
  SB_TRY(sb_buffer_reserve(&s->input, inputs * sizeof(double), "cutoffs"));
  SB_TRY(sb_pinned_reserve(&s->inputs, inputs * sizeof(double), "cutoffs"));
  SB_TRY(sb_buffer_reserve(&s->least, lines * SB_LIST_KINDS * sizeof(int32_t), "cutoffs"));
  SB_TRY(sb_buffer_reserve(&s->selected, (size_t)k->capacity * sizeof(sb_selected), "candidates"));
  // The count lies before the candidates.
  SB_TRY(sb_pinned_reserve(&s->outputs, (size_t)(k->capacity + 1) * sizeof(sb_selected),
                           "candidates"));
  k->cutoffs = s->input.data;
  k->a_terms = k->cutoffs + lines * SB_LIST_KINDS;
  k->b_terms = k->a_terms + t->probes * k->of.terms;
  k->least = s->least.data;
  k->selected = s->selected.data;
cleanup:
  return status;
}

// Cutoffs, and terms where there are any, one behind the other.
static sb_status send_inputs(sb_cuda *c, const sb_selection_tile *tile) {
  sb_selector *s = &c->selector;
  const sb_extent *t = &tile->extent;
  const size_t terms = (size_t)s->kernel.of.terms * sizeof(double);
  const size_t cutoffs = (size_t)sb_extent_lines(t) * SB_LIST_KINDS * sizeof(double);
  const size_t a = (size_t)t->probes * terms, b = (size_t)t->galleries * terms;
  char *at = s->inputs.data;
  memcpy(at, tile->cutoffs, cutoffs);
  if (terms > 0) {
    memcpy(at + cutoffs, tile->a_terms, a);
    memcpy(at + cutoffs + a, tile->b_terms, b);
  }
  return sb_cuda_failure(
      cudaMemcpyAsync(s->input.data, at, cutoffs + a + b, cudaMemcpyHostToDevice, c->stream),
      "copying cutoffs");
}

// Queues the picking of lines [first, last), and the copy of how many there are.
static sb_status pick(sb_cuda *c, int64_t first, int64_t last) {
  sb_selector *s = &c->selector;
  sb_kernel_selection *k = &s->kernel;
  sb_status status;
  s->first = first;
  s->last = last;
  SB_TRY(sb_cuda_failure(cudaMemsetAsync(k->count, 0, sizeof *k->count, c->stream),
                         "clearing counts"));
  SB_TRY(sb_cuda_failure(sb_kernel_pick(k, first, last), "selecting pairs"));
  SB_TRY(sb_cuda_failure(cudaMemcpyAsync(s->outputs.data, k->count, sizeof *k->count,
                                         cudaMemcpyDeviceToHost, c->stream),
                         "counting pairs"));
cleanup:
  return status;
}

sb_status sb_cuda_select_start(sb_cuda *c, sb_part a, sb_part b, const sb_selection_tile *tile) {
  sb_selector *s = &c->selector;
  sb_status status;
  SB_TRY(reserve(c, &tile->extent));
  SB_TRY(sb_cuda_products(c, a, b));
  s->kernel.dots = c->sum.data;
  s->kernel.error = tile->error;
  if (c->precision == SB_INT8) {
    s->kernel.a_lost = c->lost.data;
    s->kernel.b_lost = s->kernel.a_lost + a.count;
  }
  SB_TRY(send_inputs(c, tile));
  SB_TRY(sb_cuda_failure(sb_kernel_survey(&s->kernel), "surveying pairs"));
  SB_TRY(pick(c, 0, sb_extent_lines(&tile->extent)));
  set_busy(c, &c->slots[a.slot], &c->slots[b.slot]);
cleanup:
  return status;
}

// How many were picked, when that is known.
static sb_status picked(sb_cuda *c, int64_t *count) {
  unsigned long long found = 0;
  const sb_status status = sb_cuda_failure(cudaStreamSynchronize(c->stream), "selecting pairs");
  if (status.code == SB_OK) memcpy(&found, c->selector.outputs.data, sizeof found);
  *count = (int64_t)found;
  return status;
}

sb_status sb_cuda_select_take(sb_cuda *c, const sb_selected **items, int64_t *count, bool *more) {
  sb_selector *s = &c->selector;
  const sb_kernel_selection *k = &s->kernel;
  const int64_t lines = sb_extent_lines(&k->extent);
  sb_selected *out = (sb_selected *)s->outputs.data + 1;
  sb_status status;
  SB_TRY(picked(c, count));
  while (*count > k->capacity) { // a single line's fit
    SB_TRY(pick(c, s->first, s->first + (s->last - s->first) / 2));
    SB_TRY(picked(c, count));
  }
  SB_TRY(sb_download(out, k->selected, (size_t)*count * sizeof *out, c->stream));
  *items = out;
  *more = s->last < lines;
  if (*more) SB_TRY(pick(c, s->last, lines));
  if (!*more) set_busy(c, NULL, NULL);
cleanup:
  return status;
}
