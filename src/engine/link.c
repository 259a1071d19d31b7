// A link, or a share of one: two stores in, the result files out. Measure by measure: screen all
// pairs, rescore the candidates canonically, write.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/order.h"
#include "core/threads.h"
#include "engine/json.h"
#include "engine/link_arrays.h"
#include "engine/results.h"
#include "engine/run.h"
#include "engine/warn.h"
#include "store/mirror.h"

sb_link_options sb_link_options_default(void) {
  return (sb_link_options){.top = 10, .backend = "auto", .precision = "auto"};
}

// ---- Setting up ---------------------------------------------------------------------------------

static sb_status need_measures(sb_run *run) {
  const sb_link_options *options = run->options;
  bool given = options->measure_count > 0;
  run->measure_count = given ? options->measure_count : 1;
  sb_status status = SB_NEW_ZERO(&run->measured, run->measure_count, "measures");
  for (size_t i = 0; i < run->measure_count && status.code == SB_OK; i++) {
    status = sb_measure_need(given ? options->measures[i] : SB_DEFAULT_MEASURE,
                             &run->measured[i].measure);
    for (size_t j = 0; j < i && status.code == SB_OK; j++)
      if (run->measured[j].measure == run->measured[i].measure)
        status = sb_error(SB_USAGE, "measure %s is given twice", options->measures[i]);
  }
  if (status.code != SB_OK || options->refine == NULL) return status;
  status = sb_measure_need(options->refine, &run->refine);
  for (size_t i = 0; i < run->measure_count && status.code == SB_OK; i++)
    if (run->measured[i].measure == run->refine)
      status = sb_error(SB_USAGE,
                        "measure %s is to refine the matches of the others, and is one of "
                        "them",
                        options->refine);
  return status;
}

static sb_status list_scans(const sb_store *store, sb_identity **list, int64_t *count) {
  *count = sb_store_count(store);
  sb_status status = SB_NEW(list, *count, "scans");
  for (int64_t i = 0; i < *count && status.code == SB_OK; i++) {
    const sb_scan_record *record = sb_store_record(store, i);
    const sb_scan *scan = &record->scan;
    (*list)[i] = (sb_identity){.dataset = scan->dataset,
                               .scan_id = scan->scan_id,
                               .participant = scan->participant,
                               .session = scan->session,
                               .person = "",
                               .source_sha256 = record->source_sha256};
  }
  return status;
}

static sb_status check_request(const sb_run *run) {
  if (run->options->top < 1)
    return sb_error(SB_USAGE, "at least one gallery scan must be listed per probe (top %lld)",
                    (long long)run->options->top);
  if (run->options->has_threshold && !isfinite(run->options->threshold))
    return sb_error(SB_USAGE, "the threshold must be a finite number");
  const sb_store *stores[2] = {run->gallery, run->probe};
  for (int i = 0; i < 2; i++)
    if (sb_store_count(stores[i]) == 0)
      return sb_error(SB_CONTENT, "%s: holds no prepared scan", sb_store_path(stores[i]));
  return run->scans.self ? sb_ok() : sb_store_comparable(run->gallery, run->probe);
}

// Mated pairs are in the order of their probes.
static void keep_mated_of_share(sb_run *run) {
  int64_t kept = 0;
  for (int64_t i = 0; i < run->mated_count; i++)
    if (run->mated[i].probe >= run->range.first && run->mated[i].probe < run->range.last)
      run->mated[kept++] = run->mated[i];
  run->mated_count = kept;
}

static sb_status set_up(sb_run *run, sb_tsv *table) {
  const sb_link_options *options = run->options;
  sb_status status = sb_ok();
  run->started_s = sb_now_s();
  run->threads = sb_thread_count(options->threads);
  run->memory_bytes = sb_memory_bytes(options->memory_bytes);
  run->mode = sb_identity_mode_of(options->identities);
  run->command = sb_link_command(run->gallery, run->scans.self ? NULL : run->probe, options);
  if (run->command == NULL) return sb_error(SB_NO_MEMORY, "out of memory");
  SB_TRY(check_request(run));
  SB_TRY(need_measures(run));
  SB_TRY(sb_compute_open(options->backend, options->precision, run->threads,
                         run->limits != NULL ? run->limits->k_chunk : 0, &run->compute));
  SB_TRY(list_scans(run->gallery, &run->scans.gallery, &run->scans.gallery_count));
  if (sb_store_is_of(run->probe, run->gallery)) {
    run->scans.probe = run->scans.gallery;
    run->scans.probe_count = run->scans.gallery_count;
  } else {
    SB_TRY(list_scans(run->probe, &run->scans.probe, &run->scans.probe_count));
  }
  SB_TRY(sb_identities_assign(run->mode, options->identities, &run->scans, table, run->progress));
  SB_TRY(sb_people_create(run->mode, &run->scans, &run->people));
  SB_TRY(sb_people_mated(&run->people, &run->mated, &run->mated_count));
  keep_mated_of_share(run);
  sb_run_digest(run, run->digest);
  sb_run_warn(run);
cleanup:
  return status;
}

static void tear_down(sb_run *run) {
  sb_compute_close(&run->compute);
  for (size_t i = 0; run->measured != NULL && i < run->measure_count; i++)
    free(run->measured[i].best_nonmated);
  free(run->measured);
  free(run->command);
  free(run->survivors.items);
  free(run->mated);
  sb_people_free(&run->people);
  if (run->scans.probe != run->scans.gallery) free(run->scans.probe);
  free(run->scans.gallery);
}

// ---- One measure --------------------------------------------------------------------------------

// Everything that is to be rescored: candidates and mated pairs without a canonical score.
static sb_status rescore(sb_comparison *c, const sb_run *run, sb_sink *sink, double *mated) {
  int64_t count = run->mated_count, used = 0;
  sb_request *requests = NULL;
  for (int64_t p = 0; p < run->people.probe_count; p++)
    for (int kind = 0; kind < SB_LIST_KINDS; kind++) count += sink->lists[kind][p].count;
  sb_status status = SB_NEW(&requests, count, "pairs to rescore");
  if (status.code != SB_OK) return status;
  for (int64_t p = 0; p < run->people.probe_count; p++)
    for (int kind = 0; kind < SB_LIST_KINDS; kind++) {
      const sb_shortlist *list = sink->lists[kind] + p;
      for (int64_t i = 0; i < list->count; i++) {
        sb_candidate *item = list->items + i;
        if (item->low == item->high) continue;
        requests[used++] = (sb_request){p, item->gallery, &item->low};
        item->high = (double)NAN;
      }
    }
  for (int64_t i = 0; i < run->mated_count; i++)
    if (isnan(mated[i]))
      requests[used++] = (sb_request){run->mated[i].probe, run->mated[i].gallery, mated + i};
  status = sb_rescore(c, requests, used);
  free(requests);
  for (int64_t p = 0; p < run->people.probe_count && status.code == SB_OK; p++)
    for (int kind = 0; kind < SB_LIST_KINDS; kind++) {
      sb_shortlist *list = sink->lists[kind] + p;
      for (int64_t i = 0; i < list->count; i++)
        if (isnan(list->items[i].high)) list->items[i].high = list->items[i].low *= sink->direction;
      sb_shortlist_sort(list);
    }
  return status;
}

static void put_pair(FILE *file, const sb_run *run, int64_t probe, int64_t gallery,
                     const char *measure) {
  const sb_identity *p = run->scans.probe + probe, *g = run->scans.gallery + gallery;
  const char *const cells[] = {p->dataset, p->scan_id, g->dataset, g->scan_id, measure};
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
    sb_tsv_put(file, cells[i]);
    fputc('\t', file);
  }
}

// Of a share all digits, so that merging can rank as if it had been one run.
static void put_rank_and_score(FILE *file, const sb_run *run, int64_t rank, double score) {
  fprintf(file, sb_share_is_whole(run->share) ? "%lld\t%.9f\n" : "%lld\t%.17g\n", (long long)rank,
          score);
}

static sb_status write_matches(FILE *file, sb_run *run, const sb_sink *sink) {
  const char *name = sink->measure->info.name;
  sb_status status = sb_ok();
  for (int64_t p = 0; p < run->people.probe_count; p++) {
    const sb_shortlist *list = sink->lists[SB_LIST_MATCHES] + p;
    for (int64_t i = 0; i < list->count; i++) {
      double closeness = list->items[i].low;
      bool beyond =
          run->options->has_threshold && closeness >= sink->screens[SB_LIST_MATCHES].threshold;
      if (i >= run->options->top && !beyond) break;
      put_pair(file, run, p, list->items[i].gallery, name);
      put_rank_and_score(file, run, i + 1, sink->direction * closeness);
      if (run->refine == NULL) continue;
      status = sb_pairs_add(&run->survivors, (sb_pair){p, list->items[i].gallery});
      if (status.code != SB_OK) return status;
    }
  }
  return status;
}

static void write_mated(FILE *file, const sb_run *run, const char *name, const double *scores) {
  for (int64_t i = 0; i < run->mated_count; i++) {
    put_pair(file, run, run->mated[i].probe, run->mated[i].gallery, name);
    fprintf(file, "%.9f\n", scores[i]);
  }
}

static sb_status choose_screen(sb_comparison *c, const sb_run *run, sb_measured *m) {
  const double direction = m->measure->info.higher_is_closer ? 1 : -1;
  const sb_wish wish = {
      .probes = run->people.probe_count,
      .gallery = run->people.gallery_count,
      .self = run->scans.self,
      .top = run->options->top,
      .threshold = run->options->has_threshold ? direction * run->options->threshold : INFINITY,
      .threads = run->threads,
      .memory_bytes = run->memory_bytes};
  return sb_choose_screen(c, &wish, &m->choice);
}

static double rows_bytes(const sb_store *store) {
  return (double)sb_store_count(store) * (double)sb_store_row_length(store) * sizeof(uint16_t);
}

// Whether rows are let go of at their last reading: more than the memory granted holds would be of little use to
// whoever reads them next, and takes the system time and others their memory. Those that the system held
// before stay.
static bool forgets_rows(const sb_run *run, const sb_measured *m) {
  const bool last = m == run->measured + run->measure_count - 1 && run->refine == NULL;
  const sb_rows rows = {run->gallery, NULL, 0, run->people.gallery_count};
  const double bytes = rows_bytes(run->gallery) + (run->scans.self ? 0 : rows_bytes(run->probe));
  return last && bytes > (double)run->memory_bytes && sb_rows_held(&rows) < 0.5;
}

// The measure's embedder, screen and plan. Close the embedder also after an error.
static sb_status plan_measure(sb_run *run, sb_measured *m, sb_embedder *embedder,
                              sb_comparison *c) {
  sb_status status;
  *c = (sb_comparison){.probe = run->probe,
                       .gallery = run->gallery,
                       .plan = &m->plan,
                       .embedder = embedder,
                       .compute = &run->compute,
                       .progress = run->progress,
                       .forgets = forgets_rows(run, m),
                       .timings = &run->timings};
  SB_TRY(sb_run_embedder_open(m->measure, run->probe, run->gallery, embedder, m->standards));
  SB_TRY(choose_screen(c, run, m));
  SB_TRY(sb_plan_make(run->people.probe_count, run->people.gallery_count, run->scans.self,
                      run->range, run->options->top, run->threads, run->memory_bytes, embedder,
                      c->screen, c->screen_context, run->limits, &m->plan));
cleanup:
  return status;
}

static sb_status link_measure(sb_run *run, sb_measured *m, sb_results *results, FILE *matches,
                              FILE *mated_file) {
  sb_status status = sb_ok();
  sb_embedder embedder = {0};
  sb_comparison c;
  sb_sink sink = {0};
  double *mated = NULL;
  SB_TRY(plan_measure(run, m, &embedder, &c));
  SB_TRY(SB_NEW(&mated, run->mated_count, "mated scores"));
  sb_sink_options sink_options = {.top = run->options->top,
                                  .has_threshold = run->options->has_threshold,
                                  .threshold = run->options->threshold,
                                  .matrix = -1,
                                  .mated = {run->mated, mated, run->mated_count}};
  if (run->options->matrix)
    SB_TRY(sb_link_open_matrix(results, run, m->measure->info.name, &sink_options.matrix));
  SB_TRY(sb_sink_open(&run->people, m->measure, &m->plan, &sink_options, &sink));
  SB_TRY(sb_comparison_open(&c));
  SB_TRY(SB_NEW(&m->best_nonmated, run->people.probe_count, "scores"));
  SB_TRY(sb_compare_all(&c, &sink));
  if (c.screen == &sb_backend_cpu) m->choice.precision = SB_FP32; // it may have stood in for a GPU
  m->bound = sb_sink_bound(&sink);
  m->rows_read = c.rows_read;
  SB_TRY(rescore(&c, run, &sink, mated));

  double start = sb_now_s();
  SB_TRY(write_matches(matches, run, &sink));
  write_mated(mated_file, run, m->measure->info.name, mated);
  for (int64_t p = 0; p < run->people.probe_count; p++) {
    const sb_shortlist *list = sink.lists[SB_LIST_NONMATED] + p;
    m->best_nonmated[p] = list->count > 0 ? sink.direction * list->items[0].low : (double)NAN;
  }
  SB_TRY(sb_link_write_histograms(results, run, &sink));
  run->timings.write_s += sb_now_s() - start;
cleanup:
  free(mated);
  sb_comparison_close(&c);
  sb_sink_close(&sink);
  sb_embedder_close(&embedder);
  return status;
}

// ---- Refining -----------------------------------------------------------------------------------

// The survivors' scores by the refining measure, each pair once; free() *requests and *scores.
static sb_status score_survivors(sb_run *run, sb_request **requests, double **scores) {
  sb_pairs *pairs = &run->survivors;
  sb_embedder embedder = {0};
  sb_plan plan;
  sb_comparison c = {.probe = run->probe,
                     .gallery = run->gallery,
                     .plan = &plan,
                     .embedder = &embedder,
                     .timings = &run->timings};
  sb_status status;
  sb_pairs_sort(pairs);
  SB_TRY(SB_NEW(requests, pairs->count, "pairs to refine"));
  SB_TRY(SB_NEW(scores, pairs->count, "scores"));
  for (int64_t i = 0; i < pairs->count; i++)
    (*requests)[i] = (sb_request){pairs->items[i].probe, pairs->items[i].gallery, *scores + i};
  SB_TRY(sb_run_embedder_open(run->refine, run->probe, run->gallery, &embedder,
                              run->refine_standards));
  SB_TRY(sb_plan_make(run->people.probe_count, run->people.gallery_count, run->scans.self,
                      run->range, 1, run->threads, run->memory_bytes, &embedder,
                      run->compute.backend, run->compute.context, run->limits, &plan));
  SB_TRY(sb_comparison_open(&c));
  SB_TRY(sb_rescore(&c, *requests, pairs->count));
cleanup:
  sb_comparison_close(&c);
  sb_embedder_close(&embedder);
  return status;
}

// Each probe's survivors in the order of the refining measure.
static sb_status refine(sb_run *run, FILE *matches) {
  const sb_pairs *pairs = &run->survivors;
  sb_request *requests = NULL;
  double *scores = NULL, direction = run->refine->info.higher_is_closer ? 1 : -1;
  sb_shortlist list = {0};
  sb_status status;
  SB_TRY(score_survivors(run, &requests, &scores));
  SB_TRY(SB_NEW(&list.items, run->people.gallery_count, "candidates"));
  for (int64_t first = 0; first < pairs->count; first += list.count) {
    const int64_t probe = pairs->items[first].probe;
    list.count = 0;
    for (int64_t i = first; i < pairs->count && pairs->items[i].probe == probe; i++)
      list.items[list.count++] =
          (sb_candidate){direction * scores[i], direction * scores[i], pairs->items[i].gallery};
    sb_shortlist_sort(&list);
    for (int64_t i = 0; i < list.count; i++) {
      put_pair(matches, run, probe, list.items[i].gallery, run->refine->info.name);
      put_rank_and_score(matches, run, i + 1, direction * list.items[i].low);
    }
  }
cleanup:
  sb_shortlist_free(&list);
  free(requests);
  free(scores);
  return status;
}

// ---- The whole ----------------------------------------------------------------------------------

// probes.tsv or gallery.tsv.
static sb_status write_scans(sb_results *results, const sb_run *run, bool probes) {
  FILE *file = NULL;
  sb_status status = sb_results_create(results, probes ? "probes.tsv" : "gallery.tsv", &file);
  if (status.code != SB_OK) return status;
  const sb_identity *list = probes ? run->scans.probe : run->scans.gallery;
  int64_t count = probes ? run->scans.probe_count : run->scans.gallery_count;
  size_t measures = probes ? run->measure_count : 0;
  fputs("dataset\tscan_id\tparticipant\tsession\tperson\tsource_sha256", file);
  for (size_t m = 0; m < measures; m++)
    fprintf(file, "\tbest_nonmated_%s", run->measured[m].measure->info.name);
  fputc('\n', file);
  for (int64_t i = 0; i < count; i++) {
    const char *const cells[] = {list[i].dataset, list[i].scan_id, list[i].participant,
                                 list[i].session, list[i].person,  list[i].source_sha256};
    for (size_t cell = 0; cell < sizeof cells / sizeof *cells; cell++) {
      if (cell > 0) fputc('\t', file);
      sb_tsv_put(file, cells[cell]);
    }
    for (size_t m = 0; m < measures; m++) {
      double best = run->measured[m].best_nonmated[i];
      if (isnan(best))
        fputs("\tn/a", file);
      else
        fprintf(file, "\t%.9f", best);
    }
    fputc('\n', file);
  }
  return status;
}

static sb_status publish(sb_run *run, sb_results *results) {
  cJSON *summary = NULL;
  sb_status status = sb_ok();
  double start = sb_now_s();
  SB_TRY(write_scans(results, run, true));
  SB_TRY(write_scans(results, run, false));
  run->timings.write_s += sb_now_s() - start;
  summary = sb_run_summary(run);
  SB_TRY(sb_results_publish(results, summary));
cleanup:
  cJSON_Delete(summary);
  return status;
}

static void summarise(const sb_run *run, sb_link_summary *summary) {
  *summary = (sb_link_summary){.gallery = run->scans.gallery_count,
                               .probes = run->scans.probe_count,
                               .measures = (int64_t)run->measure_count,
                               .pairs = sb_people_range_pairs(&run->people, run->range),
                               .mated = run->mated_count,
                               .mirrored = run->options->mirrored,
                               .seconds = sb_now_s() - run->started_s};
}

// Whether the folder holds the very share that is asked for, from a run that was killed later on.
static bool is_finished(const sb_run *run, const char *out, sb_link_summary *summary) {
  char *path = sb_path_join(out, "summary.json"), *text = NULL;
  size_t bytes;
  bool finished = false;
  if (!sb_share_is_whole(run->share) && path != NULL &&
      sb_read_file(path, &text, &bytes).code == SB_OK) {
    cJSON *root = cJSON_Parse(text);
    const cJSON *share = cJSON_GetObjectItemCaseSensitive(root, "share");
    finished = (int64_t)sb_json_number_or(share, "index", -1) == run->share.index &&
               (int64_t)sb_json_number_or(share, "count", 0) == run->share.count &&
               (int64_t)sb_json_number_or(share, "first", -1) == run->range.first &&
               (int64_t)sb_json_number_or(share, "last", -1) == run->range.last &&
               strcmp(sb_json_text(root, "request"), run->digest) == 0;
    cJSON_Delete(root);
  }
  if (finished) summarise(run, summary);
  free(text);
  free(path);
  return finished;
}

static sb_run run_of(const sb_store *gallery, const sb_store *probe, const sb_link_options *options,
                     const sb_limits *limits, sb_range range) {
  return (sb_run){.options = options,
                  .limits = limits,
                  .gallery = gallery,
                  .probe = probe != NULL ? probe : gallery,
                  .range = range,
                  .scans = {.self = probe == NULL}};
}

sb_status sb_link_block(const sb_store *gallery, const sb_store *probe,
                        const sb_link_options *options, const sb_limits *limits, sb_range range,
                        int64_t *block) {
  sb_run run = run_of(gallery, probe, options, limits, range);
  sb_tsv table = {0};
  sb_status status = set_up(&run, &table);
  *block = 1;
  for (size_t i = 0; i < run.measure_count && status.code == SB_OK; i++) {
    sb_embedder embedder = {0};
    sb_comparison c;
    status = plan_measure(&run, run.measured + i, &embedder, &c);
    if (status.code == SB_OK) *block = sb_larger(*block, run.measured[i].plan.probe_tile);
    sb_embedder_close(&embedder);
  }
  tear_down(&run);
  sb_tsv_free(&table);
  return status;
}

sb_status sb_link_share(const sb_store *gallery, const sb_store *probe,
                        const sb_link_options *options, const sb_limits *limits, sb_share share,
                        sb_range range, const char *out, const sb_progress *progress,
                        sb_link_summary *summary) {
  sb_run run = run_of(gallery, probe, options, limits, range);
  run.share = share;
  run.progress = progress;
  sb_tsv table = {0};
  sb_results results = {0};
  FILE *matches = NULL, *mated = NULL;
  sb_status status = sb_ok();
  SB_TRY(set_up(&run, &table));
  if (is_finished(&run, out, summary)) goto cleanup;
  SB_TRY(sb_results_open(out, &(sb_results_use){run.command, options->keep, progress}, &results));
  SB_TRY(sb_results_create(&results, "matches.tsv", &matches));
  SB_TRY(sb_results_create(&results, "mated.tsv", &mated));
  fputs(SB_MATCHES_HEADER, matches);
  fputs(SB_MATED_HEADER, mated);
  for (size_t i = 0; i < run.measure_count; i++)
    SB_TRY(link_measure(&run, run.measured + i, &results, matches, mated));
  if (run.refine != NULL) SB_TRY(refine(&run, matches));
  SB_TRY(publish(&run, &results));
  summarise(&run, summary);
cleanup:
  sb_results_close(&results);
  tear_down(&run);
  sb_tsv_free(&table);
  return status;
}
