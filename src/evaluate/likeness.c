#include "evaluate/likeness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "measure/likely.h"
#include "samebrain/link.h"

static sb_status choose_measure(const sb_check_options *options, sb_likeness *l) {
  if (!(options->expected_false > 0 && isfinite(options->expected_false)))
    return sb_error(SB_USAGE, "the number of false pairs to expect must be above 0 (%g)",
                    options->expected_false);
  sb_status status =
      sb_measure_need(options->measure != NULL ? options->measure : SB_LIKELY_MEASURE, &l->measure);
  if (status.code != SB_OK) return status;
  const sb_measure_info *info = &l->measure->info;
  if (!isfinite(info->range_max))
    return sb_error(SB_UNSUPPORTED,
                    "%s is a distance without an upper limit, by which pairs cannot be judged: "
                    "check by nrmse, which compares the same differences, or by %s",
                    info->name, SB_LIKELY_MEASURE);
  if (options->has_threshold &&
      !(options->threshold >= info->range_min && options->threshold <= info->range_max))
    return sb_error(SB_USAGE, "the threshold must be a score of %s, from %g to %g", info->name,
                    info->range_min, info->range_max);
  l->direction = info->higher_is_closer ? 1 : -1;
  l->likely_known = strcmp(info->name, SB_LIKELY_MEASURE) == 0;
  return status;
}

// This check in words, as sb_link_command has a link's; free() it. NULL: no memory.
static char *check_command(const sb_store *store, const sb_check_options *o, const sb_likeness *l) {
  char *path = sb_path_real(sb_store_path(store)), *identities = sb_identities_words(o->identities);
  char *command = NULL;
  if (path != NULL && identities != NULL)
    command = sb_format("samebrain check %s -m %s %s %.15g%s%s", path, l->measure->info.name,
                        o->has_threshold ? "--threshold" : "--expected-false",
                        o->has_threshold ? o->threshold : o->expected_false, identities,
                        o->mirrored ? "" : " --no-mirrored");
  free(path);
  free(identities);
  return command;
}

// Links the store, and reads what came of it.
//   listed_from  a closeness from which every pair is to be listed; NaN: the closest few of each scan
static sb_status link_store(const sb_store *store, const sb_check_options *check,
                            const sb_likeness *as_is, const char *out, const sb_progress *progress,
                            double listed_from, sb_likeness *l) {
  // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): chosen before, or that failed
  const char *names[1] = {l->measure->info.name};
  sb_link_options options = sb_link_options_default();
  sb_link_summary summary;
  double nonmated_max;
  options.measures = names;
  options.measure_count = 1;
  options.mirrored = as_is != NULL;
  options.identities = check->identities;
  options.backend = check->backend;
  options.memory_bytes = check->memory_bytes;
  options.threads = check->threads;
  options.keep = check->keep;
  options.has_threshold = !isnan(listed_from);
  options.threshold = l->direction * listed_from;
  char *command = check_command(store, check, l);
  options.command = command;
  sb_status status = command != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "out of memory");
  SB_TRY(status);
  SB_TRY(sb_link(store, NULL, &options, out, progress, &summary));
  SB_TRY(sb_link_folder_open(out, &l->folder));
  SB_TRY(sb_scores_open(&l->folder, NULL, &l->table, progress, &l->scores));
  SB_TRY(sb_scores_study(&l->scores, l->folder.measures, &l->study, &nonmated_max));
  // Pairs that labels call one person's say nothing of two people's.
  if (as_is != NULL && l->likely_known)
    l->tail = as_is->tail;
  else
    SB_TRY(sb_tail_of_study(&l->study, false, &l->tail));
cleanup:
  free(command);
  return status;
}

bool sb_likeness_is_bulk_alike(const sb_likeness *l) {
  return l->likely_known && tanh(l->tail.location) > SB_LIKELY_DIFFERENT;
}

// From which closeness pairs are found to be of one person, and the pairs that are. Pairs as close as one
// person's scans usually are are listed too: with mirrored ones their noise will say, and where many people
// have scans that no label joins, chance seems to reach that far.
static sb_status find_pairs(const sb_check_options *options, const sb_likeness *as_is,
                            sb_likeness *l) {
  const double usual = as_is != NULL ? SB_LIKELY_MIRRORED : SB_LIKELY_SAME;
  sb_status status = sb_ok();
  l->rely = true;
  l->given = options->has_threshold;
  if (l->given) {
    l->threshold = l->direction * options->threshold;
  } else {
    SB_TRY(sb_links_propose(&l->study, &l->tail, options->expected_false, true, false, &l->found));
    l->threshold = l->found.threshold;
    sb_proposals_free(&l->found);
    l->rely = !isnan(l->threshold) && !sb_likeness_is_bulk_alike(l);
    if (!l->rely) l->threshold = l->likely_known ? usual : INFINITY;
    if (l->rely && as_is != NULL && as_is->rely && !as_is->given)
      l->threshold = fmax(l->threshold, as_is->threshold);
  }
  l->listed = l->likely_known && !l->given ? fmin(l->threshold, usual) : l->threshold;
  if (as_is != NULL && sb_likeness_is_bulk_alike(l)) l->listed = INFINITY; // nothing could be told
  if (isfinite(l->listed)) SB_TRY(sb_links_above(&l->study, &l->tail, l->listed, true, &l->found));
cleanup:
  return status;
}

// What nothing asks for once it is known which pairs are found: the mirrored link needs the memory.
static void forget_compared(sb_likeness *l) {
  sb_linked_measure *m = l->folder.measures;
  free(m->matches.items);
  free(m->within);
  free(l->study.matches.items);
  free(l->study.histogram);
  m->matches = l->study.matches = (sb_listed_array){0};
  m->within = l->study.histogram = NULL;
}

// But for the measure.
static void forget_link(sb_likeness *l) {
  sb_proposals_free(&l->found);
  sb_study_free(&l->study);
  sb_scores_close(&l->scores);
  sb_tsv_free(&l->table);
  sb_link_folder_close(&l->folder);
}

void sb_likeness_close(sb_likeness *l) {
  forget_link(l);
  memset(l, 0, sizeof *l);
}

sb_status sb_likeness_open(const sb_store *store, const sb_check_options *options,
                           const sb_likeness *as_is, const char *out, const sb_progress *progress,
                           sb_likeness *l) {
  sb_status status = sb_ok();
  memset(l, 0, sizeof *l);
  SB_TRY(choose_measure(options, l));
  SB_TRY(link_store(store, options, as_is, out, progress, (double)NAN, l));
  SB_TRY(find_pairs(options, as_is, l));
  if (l->found.cut_short) { // somebody has more scans than were listed
    const double listed = l->listed;
    forget_link(l);
    SB_TRY(link_store(store, options, as_is, out, progress, listed, l));
    SB_TRY(find_pairs(options, as_is, l));
  }
  forget_compared(l);
cleanup:
  return status;
}
