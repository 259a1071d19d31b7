// What was asked for, as a checksum and in words. Shares of one run have the same checksum, and only
// they are merged; a run with other words does not replace a run's results unasked.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "engine/run.h"
#include "store/mirror.h"

static void add_text(sb_sha256 *hash, const char *text) {
  sb_sha256_add(hash, text, strlen(text) + 1);
}

static void add_scans(sb_sha256 *hash, const sb_store *store, const sb_identity *list,
                      int64_t count) {
  add_text(hash, sb_store_template_hash(store));
  add_text(hash, sb_store_parameters(store));
  for (int64_t i = 0; i < count; i++) {
    const uint32_t checksum = sb_store_record(store, i)->row_checksum;
    add_text(hash, list[i].dataset);
    add_text(hash, list[i].scan_id);
    add_text(hash, list[i].person);
    add_text(hash, list[i].source_sha256);
    sb_sha256_add(hash, &checksum, sizeof checksum);
  }
}

void sb_run_digest(const sb_run *run, char hex[SB_SHA256_HEX]) {
  const sb_link_options *o = run->options;
  const int64_t numbers[] = {o->top, o->has_threshold, o->matrix, run->scans.self,
                             (int64_t)run->mode};
  const double threshold = o->has_threshold ? o->threshold : 0;
  sb_sha256 hash;
  sb_sha256_start(&hash);
  add_text(&hash, sb_version());
  sb_sha256_add(&hash, numbers, sizeof numbers);
  sb_sha256_add(&hash, &threshold, sizeof threshold);
  if (o->mirrored) add_text(&hash, "mirrored");
  for (size_t m = 0; m < run->measure_count; m++)
    add_text(&hash, run->measured[m].measure->info.name);
  add_text(&hash, run->refine != NULL ? run->refine->info.name : "");
  add_scans(&hash, run->probe, run->scans.probe, run->scans.probe_count);
  if (!run->scans.self)
    add_scans(&hash, run->gallery, run->scans.gallery, run->scans.gallery_count);
  sb_sha256_end(&hash, hex);
}

static void put_path(FILE *text, const char *before, const char *path) {
  char *real = sb_path_real(path);
  fprintf(text, "%s%s", before, real != NULL ? real : path);
  free(real);
}

char *sb_link_command(const sb_store *gallery, const sb_store *probe, const sb_link_options *o) {
  if (o->command != NULL) return sb_strdup(o->command);
  char *words = NULL, *identities = sb_identities_words(o->identities);
  size_t bytes;
  FILE *text = open_memstream(&words, &bytes);
  if (text == NULL) goto cleanup;
  put_path(text, "samebrain link ", sb_store_path(gallery));
  // Its own mirror images are told by --mirrored.
  const bool own = o->mirrored && probe != NULL && sb_store_is_of(probe, gallery);
  if (probe != NULL && !own) put_path(text, " ", sb_store_path(probe));
  fprintf(text, " -m %s", o->measure_count > 0 ? o->measures[0] : SB_DEFAULT_MEASURE);
  for (size_t m = 1; m < o->measure_count; m++) fprintf(text, ",%s", o->measures[m]);
  if (o->refine != NULL) fprintf(text, " --refine %s", o->refine);
  fprintf(text, " --top %lld", (long long)o->top);
  if (o->has_threshold) fprintf(text, " --threshold %.15g", o->threshold);
  if (identities != NULL) fputs(identities, text);
  if (o->mirrored) fputs(" --mirrored", text);
  if (o->matrix) fputs(" --matrix", text);
  if (fclose(text) != 0 || identities == NULL) {
    free(words);
    words = NULL;
  }
cleanup:
  free(identities);
  return words;
}
