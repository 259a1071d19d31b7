#include "engine/sink.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/npy.h"

sb_status sb_sink_open(const sb_people *people, const sb_measure *measure, const sb_plan *plan,
                       const sb_sink_options *options, sb_sink *out) {
  *out = (sb_sink){.people = people,
                   .measure = measure,
                   .bins = plan->bins,
                   .direction = measure->info.higher_is_closer ? 1 : -1,
                   .matrix = options->matrix,
                   .mated = options->mated};
  for (int64_t i = 0; i < out->mated.count; i++) out->mated.scores[i] = (double)NAN;
  int64_t gallery = people->gallery_count;
  sb_screen *screens = out->screens;
  screens[SB_LIST_MATCHES] = (sb_screen){
      .wanted = options->top < gallery ? options->top : gallery,
      .threshold = options->has_threshold ? out->direction * options->threshold : INFINITY,
      .bytes_limit = plan->list_bytes};
  screens[SB_LIST_NONMATED] =
      (sb_screen){.wanted = 1, .threshold = INFINITY, .bytes_limit = plan->list_bytes};

  sb_status status = sb_ok();
  int64_t probes = people->probe_count;
  for (int kind = 0; kind < SB_LIST_KINDS; kind++) {
    SB_TRY(SB_NEW_ZERO(&out->lists[kind], probes, "candidates"));
    for (int64_t p = 0; p < probes; p++) sb_shortlist_start(out->lists[kind] + p);
  }
  SB_TRY(SB_NEW_ZERO(&out->histogram, probes * out->bins, "histograms"));
  if (people->datasets > 1) SB_TRY(SB_NEW_ZERO(&out->within, probes * out->bins, "histograms"));
  SB_TRY(SB_NEW_ZERO(&out->bounds, probes, "bounds"));
cleanup:
  if (status.code != SB_OK) sb_sink_close(out);
  return status;
}

void sb_sink_close(sb_sink *sink) {
  const int64_t probes = sink->people == NULL ? 0 : sink->people->probe_count;
  for (int kind = 0; kind < SB_LIST_KINDS; kind++) {
    for (int64_t p = 0; sink->lists[kind] != NULL && p < probes; p++)
      sb_shortlist_free(sink->lists[kind] + p);
    free(sink->lists[kind]);
  }
  free(sink->histogram);
  free(sink->within);
  free(sink->bounds);
  memset(sink, 0, sizeof *sink);
}

void sb_sink_empty(sb_sink *sink) {
  const size_t probes = (size_t)sink->people->probe_count, bins = (size_t)sink->bins;
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    for (size_t p = 0; p < probes; p++) {
      sb_shortlist_free(sink->lists[kind] + p);
      sb_shortlist_start(sink->lists[kind] + p);
    }
  sink->list_bytes = 0;
  memset(sink->histogram, 0, probes * bins * sizeof *sink->histogram);
  if (sink->within != NULL) memset(sink->within, 0, probes * bins * sizeof *sink->within);
  memset(sink->bounds, 0, probes * sizeof *sink->bounds);
}

void sb_sink_count(sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                   const sb_screened *scores) {
  const sb_people *people = sink->people;
  uint32_t *histogram = sink->histogram + probe * sink->bins;
  double bound = sink->bounds[probe];
  for (int64_t i = 0; i < count; i++) {
    const int64_t gallery = first + i;
    if (gallery == people->same[probe]) continue;
    bound = fmax(bound, sb_screened_error(scores + i));
    if (sb_people_kind(people, probe, gallery) != SB_PAIR_NONMATED) continue;
    const int64_t bin = sb_histogram_bin(&sink->measure->info, sink->bins, scores[i].score);
    histogram[bin]++;
    if (sink->within != NULL && sb_people_within(people, probe, gallery))
      sink->within[probe * sink->bins + bin]++;
  }
  sink->bounds[probe] = bound;
}

bool sb_sink_add(sb_sink *sink, int64_t probe, sb_candidate item) {
  bool room = true;
  for (int kind = 0; kind < SB_LIST_KINDS && room; kind++) {
    sb_shortlist *list = sink->lists[kind] + probe;
    if (item.high < list->cutoff || !sb_sink_lists(sink, (sb_list_kind)kind, probe, item.gallery))
      continue;
    sb_screen screen = sink->screens[kind];
    screen.bytes_used = &sink->list_bytes;
    room = sb_shortlist_add(&screen, list, item);
  }
  return room;
}

sb_status sb_sink_full(const sb_sink *sink) {
  return sb_error(SB_NO_MEMORY,
                  "%s: more pairs are near or beyond the threshold than fit in the memory granted: "
                  "set a stricter threshold or allow more memory",
                  sink->measure->info.name);
}

sb_status sb_sink_write(const sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                        const sb_screened *scores, float *line) {
  for (int64_t i = 0; i < count; i++) line[i] = (float)scores[i].score;
  int64_t offset = SB_NPY_HEADER + (probe * sink->people->gallery_count + first) * 4;
  const char *at = (const char *)line;
  size_t left = (size_t)count * sizeof *line;
  while (left > 0) {
    ssize_t written = pwrite(sink->matrix, at, left, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      return sb_error(SB_IO, "cannot write the matrix of scores: %s",
                      strerror(written < 0 ? errno : ENOSPC));
    at += written;
    offset += written;
    left -= (size_t)written;
  }
  return sb_ok();
}

void sb_sink_prune(sb_sink *sink, int64_t probe) {
  for (int kind = 0; kind < SB_LIST_KINDS; kind++)
    sb_shortlist_prune(sink->screens + kind, sink->lists[kind] + probe);
}

void sb_sink_finish(sb_sink *sink, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t p = 0; p < sink->people->probe_count; p++) sb_sink_prune(sink, p);
}

double sb_sink_bound(const sb_sink *sink) {
  double bound = 0;
  for (int64_t p = 0; p < sink->people->probe_count; p++) bound = fmax(bound, sink->bounds[p]);
  return bound;
}
