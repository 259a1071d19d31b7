// What becomes of a (dataset, scan_id) that several files have, and of people whom several inputs have.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/memory.h"
#include "store/inputs.h"
#include "store/inputs_names.h"

// One file under two names, or the two files of a pair.
static bool same_file(const sb_scan *a, const sb_scan *b) {
  char *x = realpath(a->source_path, NULL), *y = realpath(b->source_path, NULL);
  bool same = false;
  if (x == NULL || y == NULL) {
    same = strcmp(a->source_path, b->source_path) == 0;
  } else if (sb_name_is_header(x) != sb_name_is_header(y)) {
    size_t stem = sb_name_stem(x);
    same = stem == sb_name_stem(y) && strncmp(x, y, stem) == 0 &&
           strncasecmp(x + stem, ".nii", 4) != 0 && strncasecmp(y + stem, ".nii", 4) != 0;
  } else {
    same = strcmp(x, y) == 0;
  }
  free(x);
  free(y);
  return same;
}

static bool same_folder(const sb_scan *a, const sb_scan *b) {
  char *x = sb_path_folder(a->source_path), *y = sb_path_folder(b->source_path);
  const bool same = x != NULL && y != NULL && strcmp(x, y) == 0;
  free(x);
  free(y);
  return same;
}

// What an image is: where its voxels lie, and a hash of them.
typedef struct content {
  int64_t dims[3];
  double affine[16];
  char hash[SB_SHA256_HEX];
} content;

static bool read_content(const char *path, content *out) {
  sb_volume volume = {0};
  sb_sha256 hash;
  if (sb_volume_load(path, &volume, NULL).code != SB_OK) return false;
  memcpy(out->dims, volume.dims, sizeof out->dims);
  memcpy(out->affine, volume.affine, sizeof out->affine);
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, volume.voxels,
                (size_t)(volume.dims[0] * volume.dims[1] * volume.dims[2]) * sizeof *volume.voxels);
  sb_sha256_end(&hash, out->hash);
  sb_volume_free(&volume);
  return true;
}

// Whether two files hold one image, packed or not, or in another of NIfTI's forms.
static bool same_image(const sb_scan *a, const sb_scan *b) {
  content x, y;
  if (!read_content(a->source_path, &x) || !read_content(b->source_path, &y)) return false;
  for (int i = 0; i < 16; i++)
    if (fabs(x.affine[i] - y.affine[i]) > 1e-3) return false;
  return memcmp(x.dims, y.dims, sizeof x.dims) == 0 && strcmp(x.hash, y.hash) == 0;
}

// Two labels, where neither is unknown.
static bool differ(const char *a, const char *b) {
  return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

// Whether the first of two scans stands for both; else why not.
//   image  out: they are two files, with one image
static bool one_scan(const sb_scan *a, const sb_scan *b, bool *image, sb_status *reason) {
  const bool file = same_file(a, b);
  *image = !file && same_folder(a, b) && same_image(a, b);
  if ((file || *image) &&
      (differ(a->participant, b->participant) || differ(a->session, b->session)))
    *reason = sb_error(SB_CONFLICT,
                       "%s: listed twice, as \"%s\" \"%s\" and as \"%s\" \"%s\"; leave one, or "
                       "give each a scan_id of its own",
                       a->source_path, a->participant, a->session, b->participant, b->session);
  else if (!file && !*image && same_folder(a, b))
    *reason = sb_error(SB_CONFLICT,
                       "dataset \"%s\", scan \"%s\" is two files: %s and %s, which do not hold the "
                       "same image; take one away, or list them in a manifest with a scan_id of "
                       "their own",
                       a->dataset, a->scan_id, a->source_path, b->source_path);
  else if (!file && !*image)
    *reason = sb_error(SB_CONFLICT,
                       "dataset \"%s\", scan \"%s\" is two files: %s and %s; prepare them in two "
                       "runs with different --dataset, or list them in a manifest with a dataset "
                       "or scan_id of their own",
                       a->dataset, a->scan_id, a->source_path, b->source_path);
  else
    return true;
  return false;
}

// The scans of one (dataset, scan_id).
static sb_status settle(sb_finder *f, sb_scan **scans, size_t count) {
  sb_status status = sb_ok();
  for (size_t i = 1; i < count; i++) {
    sb_status reason;
    bool image;
    if (!one_scan(scans[0], scans[i], &image, &reason)) {
      SB_TRY(sb_finder_leave_out(f, reason));
      for (size_t j = 0; j < count; j++) sb_scan_release(scans[j]);
      break;
    }
    if (image)
      SB_TRY(sb_finder_note(f, "%s: left out, as %s is the same image", scans[i]->source_path,
                            scans[0]->source_path));
    sb_scan_release(scans[i]);
  }
cleanup:
  return status;
}

static int compare_places(const void *x, const void *y) {
  const sb_scan *a = *(sb_scan *const *)x, *b = *(sb_scan *const *)y;
  int order = strcmp(a->dataset, b->dataset);
  if (order == 0) order = strcmp(a->scan_id, b->scan_id);
  return order != 0 ? order : (a > b) - (a < b);
}

static bool one_name(const sb_scan *a, const sb_scan *b) {
  return strcmp(a->dataset, b->dataset) == 0 && strcmp(a->scan_id, b->scan_id) == 0;
}

static int compare_paths(const void *x, const void *y) {
  const sb_scan *a = *(sb_scan *const *)x, *b = *(sb_scan *const *)y;
  int order = strcmp(a->source_path, b->source_path);
  return order != 0 ? order : compare_places(x, y);
}

// Says which files are several scans.
static sb_status note_repeated(sb_finder *f, sb_scan **scans, size_t count) {
  sb_status status = sb_ok();
  // NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers
  if (count > 1) qsort(scans, count, sizeof *scans, compare_paths);
  for (size_t i = 1; i < count; i++) {
    const sb_scan *a = scans[i - 1], *b = scans[i];
    if (strcmp(a->source_path, b->source_path) == 0)
      SB_TRY(sb_finder_note(
          f, "%s: is two scans, \"%s\" of dataset \"%s\" and \"%s\" of dataset \"%s\"",
          a->source_path, a->scan_id, a->dataset, b->scan_id, b->dataset));
  }
cleanup:
  return status;
}

sb_status sb_settle_duplicates(sb_finder *f) {
  sb_scan_list *list = f->list;
  sb_scan **order = NULL;
  sb_status status;
  // NOLINTBEGIN(bugprone-sizeof-expression): an array of pointers
  SB_TRY(SB_NEW(&order, list->count, "list of scans"));
  for (size_t i = 0; i < list->count; i++) order[i] = &list->scans[i];
  if (list->count > 1) qsort(order, list->count, sizeof *order, compare_places);
  // NOLINTEND(bugprone-sizeof-expression)
  for (size_t first = 0, end; first < list->count; first = end) {
    for (end = first + 1; end < list->count && one_name(order[first], order[end]);) end++;
    SB_TRY(settle(f, order + first, end - first));
  }
  size_t kept = 0;
  for (size_t i = 0; i < list->count; i++)
    if (list->scans[i].dataset != NULL) list->scans[kept++] = list->scans[i];
  list->count = kept;
  for (size_t i = 0; i < kept; i++) order[i] = &list->scans[i];
  SB_TRY(note_repeated(f, order, kept));
cleanup:
  free(order);
  return status;
}

// ---- People of one name -------------------------------------------------------------------------

// Whose a scan is, and where from.
typedef struct origin {
  const sb_scan *scan;
  const sb_input *input;
} origin;

static int compare_origins(const void *x, const void *y) {
  const origin *a = x, *b = y;
  int order = strcmp(a->scan->dataset, b->scan->dataset);
  if (order == 0) order = strcmp(a->scan->participant, b->scan->participant);
  return order != 0 ? order : (a->scan > b->scan) - (a->scan < b->scan);
}

// The first of some scans of one person that is from another folder than the first of all; NULL: none is.
static const origin *from_elsewhere(const origin *first, const origin *end) {
  for (const origin *o = first + 1; o < end; o++)
    if (strcmp(o->input->home, first->input->home) != 0) return o;
  return NULL;
}

static bool one_person(const origin *a, const origin *b) {
  return strcmp(a->scan->dataset, b->scan->dataset) == 0 &&
         strcmp(a->scan->participant, b->scan->participant) == 0;
}

// Of the scans of one dataset.
static sb_status warn_of_dataset(sb_finder *f, const origin *first, const origin *end) {
  const origin *one = NULL, *other = NULL;
  size_t people = 0;
  for (const origin *person = first, *next; person < end; person = next) {
    for (next = person + 1; next < end && one_person(person, next);) next++;
    const origin *elsewhere = from_elsewhere(person, next);
    if (elsewhere == NULL || people++ > 0) continue;
    one = person;
    other = elsewhere;
  }
  if (one == NULL) return sb_ok();
  return sb_finder_warn(
      f,
      "%s and %s are taken as one dataset, \"%s\", and people called alike in both as one "
      "person (%zu of them, e.g. %s); where they are not, prepare them in two runs with "
      "different --dataset",
      one->input->path, other->input->path, one->scan->dataset, people, one->scan->participant);
}

sb_status sb_warn_of_namesakes(sb_finder *f) {
  const sb_scan_list *list = f->list;
  origin *origins = NULL;
  size_t count = 0;
  sb_status status;
  SB_TRY(SB_NEW(&origins, list->count, "list of scans"));
  for (size_t scan = 0, input = 0; scan < list->count; scan++) {
    while (scan >= f->inputs[input].end) input++;
    if (f->inputs[input].home != NULL && list->scans[scan].participant[0] != '\0')
      origins[count++] = (origin){&list->scans[scan], &f->inputs[input]};
  }
  if (count > 1) qsort(origins, count, sizeof *origins, compare_origins);
  for (size_t first = 0, end; first < count; first = end) {
    const char *dataset = origins[first].scan->dataset;
    for (end = first + 1; end < count && strcmp(origins[end].scan->dataset, dataset) == 0;) end++;
    SB_TRY(warn_of_dataset(f, origins + first, origins + end));
  }
cleanup:
  free(origins);
  return status;
}
