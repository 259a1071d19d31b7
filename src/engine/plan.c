#include "engine/plan.h"

#include <string.h>

#include "core/order.h"
#include "engine/rows.h"
#include "engine/screen.h"
#include "engine/select.h"
#include "engine/tile.h"

// Wide enough for full GEMM speed, small beside the probes kept: fresh memory is slow to come by. A coarse screen wants
// so many for each thread (its backend's batch).
enum { GALLERY_TILE = 256, OF_THREAD = 128, MOST_GALLERY_TILE = 1024 };

int64_t sb_histogram_bins(int64_t probes) {
  int64_t bins = 20000000 / (probes > 0 ? probes : 1);
  return bins < 100 ? 100 : bins > 2000 ? 2000 : bins;
}

int64_t sb_list_capacity(int64_t wanted) {
  return 2 * (wanted + 8);
}

static int64_t tile_bytes(const sb_plan *p, const sb_backend *backend, const void *context,
                          int64_t probe_tile, int64_t gallery_tile) {
  bool all = p->range.last - p->range.first == p->probes;
  bool streams = !(p->self && all && probe_tile >= p->probes);
  return (probe_tile + (streams ? gallery_tile : 0)) * p->stride * (int64_t)sizeof(float) +
         sb_tile_bytes(p, probe_tile, gallery_tile) +
         (probe_tile + gallery_tile) * (int64_t)sizeof(int64_t) +
         (backend->select_begin != NULL ? sb_select_bytes(probe_tile, gallery_tile) : 0) +
         backend->workspace_bytes(context, probe_tile, gallery_tile, p->length);
}

// The largest block of probes that fits; 0 when not even one does.
static int64_t fit_probes(const sb_plan *p, const sb_backend *backend, const void *context,
                          int64_t gallery_tile, int64_t available) {
  int64_t low = 0, high = p->range.last - p->range.first;
  if (high < 1) high = 1; // a range without probes has its mated pairs to score, which are none
  while (low < high) {
    int64_t middle = high - (high - low) / 2;
    if (tile_bytes(p, backend, context, middle, gallery_tile) <= available)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

static void choose_tiles(sb_plan *p, const sb_backend *backend, const void *context,
                         int64_t available) {
  const int64_t row_bytes = p->stride * (int64_t)sizeof(float);
  int64_t wide = GALLERY_TILE;
  if (p->coarse) wide = sb_larger(wide, sb_smaller(p->threads * OF_THREAD, MOST_GALLERY_TILE));
  p->gallery_tile = sb_smaller(sb_smaller(wide, p->gallery), available / 5 / row_bytes);
  if (p->gallery_tile < 1) p->gallery_tile = 1;
  p->probe_tile = fit_probes(p, backend, context, p->gallery_tile, available);
  if (p->self || p->probe_tile >= p->range.last - p->range.first) return;
  // Several blocks of probes: the gallery passes once for each. Where there is room for all of it beside
  // blocks that are still fast, it is kept instead, and embedded once.
  const int64_t beside = fit_probes(p, backend, context, p->gallery, available);
  if (beside < sb_smaller(GALLERY_TILE, p->gallery)) return;
  p->gallery_tile = p->gallery;
  p->probe_tile = beside;
}

// Tiles that a backend with memory of its own has room for.
static void cap_tiles(sb_plan *p, const sb_embedder *embedder, const sb_backend *backend,
                      const void *context) {
  const bool pairs = embedder->measure->epilogue == NULL;
  if (p->probe_tile < 1 || backend->most_vectors == NULL) return;
  if (pairs && !backend->pair_supports(&embedder->form)) return;
  // One that selects has the histograms of all probes, and fills a second block of the gallery meanwhile.
  const bool selects = !pairs && backend->select_begin != NULL;
  const int64_t counts = selects ? 2 * p->probes * p->bins * (int64_t)sizeof(uint32_t) : 0;
  const int64_t blocks = selects ? 2 : 1;
  const int64_t most = pairs ? backend->most_embeddings(context, &embedder->form)
                             : backend->most_vectors(context, p->length, counts);
  p->gallery_tile = sb_larger(sb_smaller(p->gallery_tile, most / (2 * blocks)), 1);
  p->probe_tile = sb_larger(sb_smaller(p->probe_tile, most - blocks * p->gallery_tile), 1);
}

sb_status sb_plan_make(int64_t probes, int64_t gallery, bool self, sb_range range, int64_t top,
                       int threads, int64_t memory_bytes, const sb_embedder *embedder,
                       const sb_backend *backend, const void *backend_context,
                       const sb_limits *limits, sb_plan *out) {
  sb_plan p = {.probes = probes,
               .gallery = gallery,
               .self = self,
               .range = range,
               .threads = threads,
               .length = embedder->length,
               .stride = embedder->size,
               .k_chunk = backend->k_chunk(backend_context),
               .coarse = backend->coarse,
               .bins = sb_histogram_bins(probes),
               .memory_bytes = memory_bytes};
  const int64_t scan_bytes = 512; // names, persons and results of one scan
  const sb_grid *grid = &embedder->grid;
  p.fixed_bytes = (probes + (self ? 0 : gallery)) * scan_bytes +
                  grid->dims[0] * grid->dims[1] * grid->dims[2] + 4 * grid->row_length +
                  sb_reader_bytes(embedder, threads);
  int64_t candidates = sb_list_capacity(sb_smaller(top, gallery)) + sb_list_capacity(1);
  int64_t lists = probes * candidates * SB_CANDIDATE_BYTES;
  int64_t reserve = memory_bytes / 8; // for ties and for what lies above a threshold
  p.list_bytes = lists + reserve;
  // Two histograms a probe: of all non-mated pairs, and of those of one dataset.
  p.probe_bytes =
      probes * (2 * p.bins * (int64_t)sizeof(uint32_t) + (int64_t)sizeof(double)) + p.list_bytes;
  int64_t available = memory_bytes - p.fixed_bytes - p.probe_bytes;
  choose_tiles(&p, backend, backend_context, available);
  cap_tiles(&p, embedder, backend, backend_context);
  if (p.probe_tile < 1) {
    int64_t least =
        p.fixed_bytes + p.probe_bytes - reserve + tile_bytes(&p, backend, backend_context, 1, 1);
    int64_t least_mib = (least * 8 / 7 >> 20) + 1, granted_mib = memory_bytes >> 20;
    return sb_error(SB_NO_MEMORY,
                    "comparing %lld probes needs at least %lld MiB of memory and %lld MiB are "
                    "granted: allow more, or compare fewer probes at a time",
                    (long long)probes, (long long)least_mib, (long long)granted_mib);
  }
  if (limits != NULL && limits->probe_tile > 0)
    p.probe_tile = sb_smaller(limits->probe_tile, probes);
  if (limits != NULL && limits->gallery_tile > 0)
    p.gallery_tile = sb_smaller(limits->gallery_tile, gallery);
  p.tile_bytes = tile_bytes(&p, backend, backend_context, p.probe_tile, p.gallery_tile);
  *out = p;
  return sb_ok();
}
