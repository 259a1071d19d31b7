// samebrain link: which scans are of one person.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/tsv.h"

enum { PROBES_SHOWN = 30 };

// Where the cells of matches.tsv are.
typedef struct columns {
  size_t probe_dataset, probe, gallery_dataset, gallery, measure, rank, score;
} columns;

// A probe's two closest scans by one measure.
typedef struct shown {
  char *probe, *match;  // "dataset/scan_id"
  double score, second; // NaN: there is no second
  double closeness;
} shown;

static int closest_first(const void *left, const void *right) {
  const shown *a = left, *b = right;
  if (a->closeness != b->closeness) return a->closeness > b->closeness ? -1 : 1;
  return strcmp(a->probe, b->probe);
}

static void free_lines(shown *lines, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(lines[i].probe);
    free(lines[i].match);
  }
  free(lines);
}

// The probes of one measure, whose lines are rows [first, last) of the table. free_lines() them.
static sb_status read_lines(const sb_tsv *t, const columns *c, size_t first, size_t last,
                            shown **lines, size_t *count) {
  const sb_measure_info *info = sb_measure_find(sb_tsv_cell(t, first, c->measure));
  double direction = info != NULL && !info->higher_is_closer ? -1 : 1;
  *count = 0;
  sb_status status = SB_NEW(lines, last - first, "matches");
  for (size_t row = first; row < last && status.code == SB_OK; row++) {
    const char *rank = sb_tsv_cell(t, row, c->rank);
    double score = strtod(sb_tsv_cell(t, row, c->score), NULL);
    if (strcmp(rank, "2") == 0 && *count > 0) (*lines)[*count - 1].second = score;
    if (strcmp(rank, "1") != 0) continue;
    shown *line = *lines + (*count)++;
    *line = (shown){.probe = sb_format("%s/%s", sb_tsv_cell(t, row, c->probe_dataset),
                                       sb_tsv_cell(t, row, c->probe)),
                    .match = sb_format("%s/%s", sb_tsv_cell(t, row, c->gallery_dataset),
                                       sb_tsv_cell(t, row, c->gallery)),
                    .score = score,
                    .second = (double)NAN,
                    .closeness = direction * score};
    if (line->probe == NULL || line->match == NULL)
      status = sb_error(SB_NO_MEMORY, "out of memory");
  }
  return status;
}

static void print_lines(const char *measure, const shown *lines, size_t count) {
  size_t shown_count = count < PROBES_SHOWN ? count : PROBES_SHOWN;
  size_t left = strlen("probe"), right = strlen("closest scan");
  for (size_t i = 0; i < shown_count; i++) {
    if (sb_cli_width(lines[i].probe) > left) left = sb_cli_width(lines[i].probe);
    if (sb_cli_width(lines[i].match) > right) right = sb_cli_width(lines[i].match);
  }
  printf("\nBy %s, the closest first:\n%-*s  %-*s  %7s  %11s\n", measure, (int)left, "probe",
         (int)right, "closest scan", "score", "next score");
  for (size_t i = 0; i < shown_count; i++) {
    sb_cli_pad(lines[i].probe, left + 2);
    sb_cli_pad(lines[i].match, right + 2);
    printf("%7.4f  ", lines[i].score);
    if (isnan(lines[i].second))
      printf("%11s\n", "-");
    else
      printf("%11.4f\n", lines[i].second);
  }
  if (count > shown_count)
    printf("... and %zu more probe%s in matches.tsv\n", count - shown_count,
           count - shown_count == 1 ? "" : "s");
}

static sb_status print_tables(const char *out) {
  char *path = sb_path_join(out, "matches.tsv");
  sb_tsv table = {0};
  columns c;
  shown *lines = NULL;
  size_t count = 0;
  sb_status status = path == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_tsv_read(path, &table));
  SB_TRY(sb_tsv_need(&table, path, "probe_dataset", &c.probe_dataset));
  SB_TRY(sb_tsv_need(&table, path, "probe_id", &c.probe));
  SB_TRY(sb_tsv_need(&table, path, "gallery_dataset", &c.gallery_dataset));
  SB_TRY(sb_tsv_need(&table, path, "gallery_id", &c.gallery));
  SB_TRY(sb_tsv_need(&table, path, "measure", &c.measure));
  SB_TRY(sb_tsv_need(&table, path, "rank", &c.rank));
  SB_TRY(sb_tsv_need(&table, path, "score", &c.score));
  for (size_t first = 0, last; first < table.rows; first = last) {
    const char *measure = sb_tsv_cell(&table, first, c.measure);
    for (last = first; last < table.rows; last++)
      if (strcmp(sb_tsv_cell(&table, last, c.measure), measure) != 0) break;
    SB_TRY(read_lines(&table, &c, first, last, &lines, &count));
    if (count > 1) qsort(lines, count, sizeof *lines, closest_first);
    print_lines(measure, lines, count);
    free_lines(lines, count);
    lines = NULL;
    count = 0;
  }
cleanup:
  free_lines(lines, count);
  sb_tsv_free(&table);
  free(path);
  return status;
}

// Where a shard goes: all of them may be given one folder.
static char *shard_folder(const char *out, const sb_link_options *o) {
  return o->shard_count == 0
             ? sb_strdup(out)
             : sb_format("%s/shard-%04d-of-%04d", out, o->shard_index, o->shard_count);
}

static sb_status print_summary(const sb_arguments *a, const char *out, bool shard,
                               const sb_link_summary *summary) {
  if (a->json) {
    printf("{\"gallery\": %" PRId64 ", \"probes\": %" PRId64 ", \"measures\": %" PRId64
           ", \"pairs\": %" PRId64 ", \"mated_pairs\": %" PRId64
           ", \"mirrored\": %s, \"seconds\": %.3f}\n",
           summary->gallery, summary->probes, summary->measures, summary->pairs, summary->mated,
           summary->mirrored ? "true" : "false", summary->seconds);
    return sb_ok();
  }
  if (a->quiet) return sb_ok();
  printf("%" PRId64 " probes%s, %" PRId64 " gallery scans, %" PRId64 " pairs compared by %" PRId64
         " measure%s in %.1f s; %" PRId64 " pairs known to be mated\n",
         summary->probes, summary->mirrored ? " (their mirror images)" : "", summary->gallery,
         summary->pairs, summary->measures, summary->measures == 1 ? "" : "s", summary->seconds,
         summary->mated);
  if (shard) {
    printf("This is one shard, in %s: samebrain merge joins them all\n", out);
    return sb_ok();
  }
  sb_status status = print_tables(out);
  if (status.code == SB_OK)
    printf("\nA high score says that two scans are of one person%s, not who that is. All results: "
           "%s\n",
           summary->mirrored ? ", one of them with left and right exchanged" : "", out);
  return status;
}

// A threshold beyond the range of every measure is a slip.
static bool check_threshold(const sb_arguments *a, const sb_link_options *options) {
  static const char *const default_measure = "bandpass";
  const bool given = options->measure_count > 0;
  const sb_measure_info *info = NULL;
  if (!options->has_threshold) return true;
  for (size_t m = 0; m < (given ? options->measure_count : 1); m++) {
    info = sb_measure_find(given ? options->measures[m] : default_measure);
    if (options->threshold >= info->range_min && options->threshold <= info->range_max) return true;
  }
  sb_cli_usage(a->command, "--threshold %g: expects a score, which is %g to %g by %s",
               options->threshold, info->range_min, info->range_max, info->name);
  return false;
}

static bool read_options(const sb_arguments *a, sb_link_options *options, char ***measures) {
  static const char *const backends[] = {"auto", "cpu", "cuda", NULL};
  static const char *const precisions[] = {"auto", "fp32", "tf32", "fp16", "bf16", "int8", NULL};
  int backend = 0, precision = 0;
  bool valid = sb_arg_measures(a, "-m", measures, &options->measure_count) &&
               sb_arg_measure(a, "--refine", &options->refine) &&
               sb_arg_int(a, "--top", 1, INT32_MAX, &options->top) &&
               sb_arg_double(a, "--threshold", &options->threshold) &&
               sb_arg_bytes(a, "--memory", &options->memory_bytes) &&
               sb_arg_choice(a, "--backend", backends, &backend) &&
               sb_arg_choice(a, "--precision", precisions, &precision) &&
               sb_arg_shard(a, "--shard", &options->shard_index, &options->shard_count) &&
               sb_arg_int(a, "--parts", 1, 1000, &options->parts) &&
               sb_arg_threads(a, &options->threads);
  options->measures = (const char *const *)*measures;
  options->has_threshold = sb_arg_text(a, "--threshold", NULL) != NULL;
  options->identities = sb_arg_text(a, "--identities", NULL);
  options->mirrored = sb_arg_flag(a, "--mirrored");
  options->matrix = sb_arg_flag(a, "--matrix");
  options->keep = !sb_arg_flag(a, "--overwrite");
  options->backend = backends[backend];
  options->precision = precisions[precision];
  if (valid && sb_arg_text(a, "-o", NULL) == NULL) {
    sb_cli_usage(a->command, "-o OUT is missing: the folder for the results");
    return false;
  }
  return valid && check_threshold(a, options);
}

static int run(const sb_arguments *a) {
  sb_link_options options = sb_link_options_default();
  char **measures = NULL;
  if (!read_options(a, &options, &measures)) {
    sb_free_names(measures, options.measure_count);
    return SB_EXIT_USAGE;
  }
  char *out = shard_folder(sb_arg_text(a, "-o", NULL), &options);
  sb_store *gallery = NULL, *probe = NULL;
  sb_cli_holds holds = {0};
  sb_link_summary summary;
  sb_progress progress = sb_cli_progress(a->quiet);
  sb_status status = out == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_store_open(a->positional[0], &gallery));
  if (a->positional_count > 1) SB_TRY(sb_store_open(a->positional[1], &probe));
  SB_TRY(sb_cli_hold_for_link(out, false, &holds));
  SB_TRY(sb_link(gallery, probe, &options, out, &progress, &summary));
  sb_cli_progress_end();
  if (options.shard_count == 0) SB_TRY(sb_cli_write_report(a, out));
  SB_TRY(print_summary(a, out, options.shard_count > 0, &summary));
cleanup:
  sb_cli_release(&holds);
  sb_store_close(gallery);
  sb_store_close(probe);
  free(out);
  sb_free_names(measures, options.measure_count);
  return sb_report(status);
}

static const sb_option OPTIONS[] = {
    {"-o", "OUT", "folder for the results (required)"},
    {"-m", "MEASURE[,MEASURE...]", "similarity measures; see samebrain measures (bandpass)"},
    {"--top", "N", "gallery scans to list for each probe (10)"},
    {"--refine", "M",
     "compare what is listed for each probe by this measure too, and rank it anew"},
    {"--threshold", "S", "also list every pair whose score reaches S"},
    {"--identities", "TSV|none", "who is who: dataset, scan_id, person; none ignores all labels"},
    {"--mirrored", NULL, "compare each probe's mirror image: scans with left and right exchanged"},
    {"--matrix", NULL, "also write every score, scores-MEASURE.npy"},
    {"--precision", "P", "of the screen: auto, fp32, int8; on a GPU also tf32, fp16, bf16 (auto)"},
    {"--backend", "B", "auto, cpu or cuda (auto)"},
    {"--shard", "I/N|auto",
     "compare the I-th of N parts of the pairs alone, into OUT/shard-I-of-N"},
    {"--parts", "N", "finish in N steps that a killed run need not do again (by its length)"},
    {"--memory", "SIZE", "memory to use, e.g. 4G (4G, or a quarter of the machine's if less)"},
    {"--threads", "N", "processors to use (all)"},
    {SB_OVERWRITE},
    {SB_NO_IMAGES},
    {0},
};

const sb_command sb_cmd_link = {
    .name = "link",
    .usage = "GALLERY [PROBE] -o OUT",
    .summary = "find scans of one person: a store against itself or another",
    .details =
        "Compares every scan of the store PROBE with every scan of the store GALLERY, or those "
        "of GALLERY with each other, and lists for each the closest ones. People are "
        "compared by (dataset, participant) unless --identities says more. Writes tables, and "
        "report.html, a page with what they say. In a folder with results of the same command "
        "they are replaced; one with another command's is refused without --overwrite, and one "
        "in which another run is at work always.",
    .example = "samebrain link brains -o links\n  "
               "samebrain link hospital release -o risk -m pearson,bandpass --identities none\n  "
               "samebrain link brains -o links -m bandpass --top 20 --refine lncc\n  "
               "samebrain link brains -o mirrored --mirrored\n  "
               "srun samebrain link brains -o links.shards --shard auto",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};
