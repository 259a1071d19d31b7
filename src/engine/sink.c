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
                   .matrix = options->matrix};
  int64_t gallery = people->gallery_count;
  out->matches = (sb_screen){
      .wanted = options->top < gallery ? options->top : gallery,
      .threshold = options->has_threshold ? out->direction * options->threshold : INFINITY,
      .bytes_limit = plan->list_bytes};
  out->nonmated = out->matches;
  out->nonmated.wanted = 1;
  out->nonmated.threshold = INFINITY;

  sb_status status = sb_ok();
  int64_t probes = people->probe_count;
  SB_TRY(SB_NEW_ZERO(&out->match_lists, probes, "candidates"));
  SB_TRY(SB_NEW_ZERO(&out->nonmated_lists, probes, "candidates"));
  SB_TRY(SB_NEW_ZERO(&out->histogram, probes * out->bins, "histograms"));
  if (people->datasets > 1) SB_TRY(SB_NEW_ZERO(&out->within, probes * out->bins, "histograms"));
  SB_TRY(SB_NEW_ZERO(&out->bounds, probes, "bounds"));
  for (int64_t p = 0; p < probes; p++) {
    sb_shortlist_start(out->match_lists + p);
    sb_shortlist_start(out->nonmated_lists + p);
  }
cleanup:
  if (status.code != SB_OK) sb_sink_close(out);
  return status;
}

static void free_lists(sb_shortlist *lists, int64_t count) {
  for (int64_t i = 0; lists != NULL && i < count; i++) sb_shortlist_free(lists + i);
  free(lists);
}

void sb_sink_close(sb_sink *sink) {
  int64_t probes = sink->people == NULL ? 0 : sink->people->probe_count;
  free_lists(sink->match_lists, probes);
  free_lists(sink->nonmated_lists, probes);
  free(sink->histogram);
  free(sink->within);
  free(sink->bounds);
  memset(sink, 0, sizeof *sink);
}

// As closenesses.
static sb_candidate candidate_of(const sb_sink *sink, const sb_screened *score, int64_t gallery) {
  if (sink->direction > 0) return (sb_candidate){score->low, score->high, gallery};
  return (sb_candidate){-score->high, -score->low, gallery};
}

bool sb_sink_take(sb_sink *sink, int64_t probe, int64_t first, int64_t count,
                  const sb_screened *scores) {
  const sb_people *people = sink->people;
  sb_screen matches = sink->matches, nonmated = sink->nonmated;
  matches.bytes_used = nonmated.bytes_used = &sink->list_bytes;
  uint32_t *histogram = sink->histogram + probe * sink->bins;
  double bound = sink->bounds[probe];
  bool room = true;
  for (int64_t i = 0; i < count && room; i++) {
    int64_t gallery = first + i;
    if (gallery == people->same[probe]) continue;
    const sb_candidate item = candidate_of(sink, scores + i, gallery);
    bound = fmax(bound, fmax(scores[i].high - scores[i].score, scores[i].score - scores[i].low));
    room = sb_shortlist_add(&matches, sink->match_lists + probe, item);
    if (sb_people_kind(people, probe, gallery) != SB_PAIR_NONMATED) continue;
    const int64_t bin = sb_histogram_bin(&sink->measure->info, sink->bins, scores[i].score);
    histogram[bin]++;
    if (sink->within != NULL && sb_people_within(people, probe, gallery))
      sink->within[probe * sink->bins + bin]++;
    room = room && sb_shortlist_add(&nonmated, sink->nonmated_lists + probe, item);
  }
  sink->bounds[probe] = bound;
  return room;
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

void sb_sink_finish(sb_sink *sink, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t p = 0; p < sink->people->probe_count; p++) {
    sb_shortlist_prune(&sink->matches, sink->match_lists + p);
    sb_shortlist_prune(&sink->nonmated, sink->nonmated_lists + p);
  }
}

double sb_sink_bound(const sb_sink *sink) {
  double bound = 0;
  for (int64_t p = 0; p < sink->people->probe_count; p++) bound = fmax(bound, sink->bounds[p]);
  return bound;
}
