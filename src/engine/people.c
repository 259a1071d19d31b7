#include "engine/people.h"

#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"
#include "engine/scan_lines.h"

const char *sb_identity_mode_name(sb_identity_mode mode) {
  static const char *const names[] = {"labels", "table", "none"};
  return names[mode];
}

sb_identity_mode sb_identity_mode_of(const char *identities) {
  if (identities == NULL) return SB_IDENTITIES_LABELS;
  return strcmp(identities, "none") == 0 ? SB_IDENTITIES_NONE : SB_IDENTITIES_TABLE;
}

char *sb_identities_words(const char *identities) {
  if (sb_identity_mode_of(identities) != SB_IDENTITIES_TABLE)
    return sb_strdup(identities == NULL ? "" : " --identities none");
  char *path = sb_path_real(identities);
  char *words = path == NULL ? NULL : sb_format(" --identities %s", path);
  free(path);
  return words;
}

int64_t sb_identity_find(const sb_identity *list, int64_t count, const char *dataset,
                         const char *scan_id) {
  int64_t low = 0, high = count - 1;
  while (low <= high) {
    int64_t middle = low + (high - low) / 2;
    int order = strcmp(list[middle].dataset, dataset);
    if (order == 0) order = strcmp(list[middle].scan_id, scan_id);
    if (order == 0) return middle;
    if (order < 0)
      low = middle + 1;
    else
      high = middle - 1;
  }
  return -1;
}

// A table of persons, and the scans that get them.
typedef struct persons {
  const char *path;
  const sb_tsv *table;
  size_t person;
  sb_scans *scans;
} persons;

static sb_status take_person(void *context, int64_t scan, size_t row) {
  const persons *p = context;
  sb_identity *who = sb_scans_at(p->scans, scan);
  const char *person = sb_tsv_text(sb_tsv_cell(p->table, row, p->person));
  if (*who->person != '\0' && strcmp(who->person, person) != 0)
    return sb_error(SB_FORMAT, "%s: two persons for scan %s of dataset %s", p->path, who->scan_id,
                    who->dataset);
  who->person = person;
  return sb_ok();
}

static sb_status read_table(const char *path, sb_scans *scans, sb_tsv *table,
                            const sb_progress *progress) {
  persons p = {.path = path, .table = table, .scans = scans};
  sb_status status = sb_ok();
  size_t dataset, scan_id;
  SB_TRY(sb_tsv_read(path, table));
  sb_tsv_trim(table);
  SB_TRY(sb_tsv_need(table, path, "dataset", &dataset));
  SB_TRY(sb_tsv_need(table, path, "scan_id", &scan_id));
  SB_TRY(sb_tsv_need(table, path, "person", &p.person));
  const sb_scan_columns by = {(long)dataset, (long)scan_id, -1, -1, NULL, false};
  SB_TRY(sb_scan_lines(path, table, &by, scans, progress, take_person, &p));
cleanup:
  return status;
}

sb_status sb_identities_assign(sb_identity_mode mode, const char *path, sb_scans *scans,
                               sb_tsv *table, const sb_progress *progress) {
  memset(table, 0, sizeof *table);
  for (int64_t i = 0; i < scans->probe_count; i++)
    scans->probe[i].person = mode == SB_IDENTITIES_LABELS ? scans->probe[i].participant : "";
  for (int64_t i = 0; i < scans->gallery_count; i++)
    scans->gallery[i].person = mode == SB_IDENTITIES_LABELS ? scans->gallery[i].participant : "";
  return mode == SB_IDENTITIES_TABLE ? read_table(path, scans, table, progress) : sb_ok();
}

// The very same scan in the gallery, or -1. A name alone does not make it: folders called "data" with
// a "sub-01" are many.
static int64_t find_same(const sb_scans *scans, int64_t probe) {
  const sb_identity *scan = scans->probe + probe;
  if (scans->probe == scans->gallery) return probe;
  int64_t g = sb_identity_find(scans->gallery, scans->gallery_count, scan->dataset, scan->scan_id);
  bool one_file = g >= 0 && *scan->source_sha256 != '\0' &&
                  strcmp(scan->source_sha256, scans->gallery[g].source_sha256) == 0;
  return one_file ? g : -1;
}

// ---- Numbers ------------------------------------------------------------------------------------

typedef struct name {
  const char *dataset, *person; // dataset "" where a person is known across datasets
  int64_t *number;
} name;

static int compare_names(const void *left, const void *right) {
  const name *a = left, *b = right;
  int order = strcmp(a->dataset, b->dataset);
  return order != 0 ? order : strcmp(a->person, b->person);
}

static void add_names(sb_identity_mode mode, const sb_identity *list, int64_t count,
                      int64_t *numbers, name *names, int64_t *used) {
  for (int64_t i = 0; i < count; i++) {
    numbers[i] = -1;
    if (*list[i].person == '\0') continue;
    names[(*used)++] =
        (name){mode == SB_IDENTITIES_LABELS ? list[i].dataset : "", list[i].person, numbers + i};
  }
}

// Both lists are in the order of their datasets: one walk along both.
static sb_status number_datasets(const sb_scans *scans, sb_people *out) {
  sb_status status = SB_NEW(&out->probe_dataset, scans->probe_count, "datasets");
  if (status.code != SB_OK) return status;
  out->gallery_dataset = out->probe_dataset;
  if (!scans->self) status = SB_NEW(&out->gallery_dataset, scans->gallery_count, "datasets");
  if (status.code != SB_OK) {
    out->gallery_dataset = NULL;
    return status;
  }
  const char *last = NULL;
  for (int64_t p = 0, g = 0; p < scans->probe_count || g < scans->gallery_count;) {
    bool probe =
        g == scans->gallery_count ||
        (p < scans->probe_count && strcmp(scans->probe[p].dataset, scans->gallery[g].dataset) <= 0);
    const char *next = probe ? scans->probe[p].dataset : scans->gallery[g].dataset;
    if (last == NULL || strcmp(last, next) != 0) out->datasets++;
    last = next;
    if (probe)
      out->probe_dataset[p++] = out->datasets - 1;
    else
      out->gallery_dataset[g++] = out->datasets - 1;
  }
  return status;
}

sb_status sb_people_create(sb_identity_mode mode, const sb_scans *scans, sb_people *out) {
  *out = (sb_people){.probe_count = scans->probe_count,
                     .gallery_count = scans->gallery_count,
                     .self = scans->self,
                     .unknown_left_out = mode == SB_IDENTITIES_TABLE};
  sb_status status = sb_ok();
  name *names = NULL;
  int64_t used = 0;
  SB_TRY(SB_NEW(&names, scans->probe_count + scans->gallery_count, "persons"));
  SB_TRY(SB_NEW(&out->probe, scans->probe_count, "persons"));
  add_names(mode, scans->probe, scans->probe_count, out->probe, names, &used);
  if (scans->self) {
    out->gallery = out->probe;
  } else {
    SB_TRY(SB_NEW(&out->gallery, scans->gallery_count, "persons"));
    add_names(mode, scans->gallery, scans->gallery_count, out->gallery, names, &used);
  }
  if (used > 1) qsort(names, (size_t)used, sizeof *names, compare_names);
  for (int64_t i = 0, number = 0; i < used; i++) {
    if (i > 0 && compare_names(names + i - 1, names + i) != 0) number++;
    *names[i].number = number;
  }
  SB_TRY(number_datasets(scans, out));
  SB_TRY(SB_NEW(&out->same, scans->probe_count, "persons"));
  for (int64_t i = 0; i < scans->probe_count; i++) out->same[i] = find_same(scans, i);
cleanup:
  free(names);
  if (status.code != SB_OK) sb_people_free(out);
  return status;
}

void sb_people_free(sb_people *people) {
  if (people->gallery != people->probe) free(people->gallery);
  if (people->gallery_dataset != people->probe_dataset) free(people->gallery_dataset);
  free(people->probe_dataset);
  free(people->probe);
  free(people->same);
  memset(people, 0, sizeof *people);
}

// ---- Mated pairs --------------------------------------------------------------------------------

typedef struct member {
  int64_t person, scan;
} member;

static int compare_members(const void *left, const void *right) {
  const member *a = left, *b = right;
  if (a->person != b->person) return a->person < b->person ? -1 : 1;
  return a->scan < b->scan ? -1 : a->scan > b->scan;
}

// The first member of a person or of a later one.
static int64_t first_of(const member *members, int64_t count, int64_t person) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (members[middle].person < person)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

sb_status sb_people_mated(const sb_people *people, sb_pair **pairs, int64_t *count) {
  *pairs = NULL;
  *count = 0;
  member *members = NULL;
  sb_status status = sb_ok();
  int64_t known = people->gallery_count;
  SB_TRY(SB_NEW(&members, known, "persons"));
  for (int64_t g = 0; g < known; g++) members[g] = (member){people->gallery[g], g};
  if (known > 1) qsort(members, (size_t)known, sizeof *members, compare_members);
  for (int pass = 0; pass < 2; pass++) { // count, then fill
    int64_t used = 0;
    for (int64_t p = 0; p < people->probe_count; p++) {
      int64_t person = people->probe[p];
      if (person < 0) continue;
      for (int64_t i = first_of(members, known, person); i < known && members[i].person == person;
           i++) {
        int64_t g = members[i].scan;
        if (g == people->same[p] || (people->self && g < p)) continue;
        if (pass == 1) (*pairs)[used] = (sb_pair){p, g};
        used++;
      }
    }
    if (pass == 0) SB_TRY(SB_NEW(pairs, used, "mated pairs"));
    *count = used;
  }
cleanup:
  free(members);
  return status;
}

sb_status sb_pairs_add(sb_pairs *pairs, sb_pair pair) {
  if (pairs->count == pairs->capacity) {
    int64_t capacity = pairs->capacity == 0 ? 256 : 2 * pairs->capacity;
    sb_pair *grown = realloc(pairs->items, (size_t)capacity * sizeof *grown);
    if (grown == NULL) return sb_error(SB_NO_MEMORY, "out of memory for a list of pairs");
    pairs->items = grown;
    pairs->capacity = capacity;
  }
  pairs->items[pairs->count++] = pair;
  return sb_ok();
}

static int compare_pairs(const void *left, const void *right) {
  const sb_pair *a = left, *b = right;
  if (a->probe != b->probe) return a->probe < b->probe ? -1 : 1;
  return a->gallery < b->gallery ? -1 : a->gallery > b->gallery;
}

void sb_pairs_sort(sb_pairs *pairs) {
  if (pairs->count < 2) return;
  qsort(pairs->items, (size_t)pairs->count, sizeof *pairs->items, compare_pairs);
  int64_t kept = 1;
  for (int64_t i = 1; i < pairs->count; i++)
    if (compare_pairs(pairs->items + i, pairs->items + kept - 1) != 0)
      pairs->items[kept++] = pairs->items[i];
  pairs->count = kept;
}
