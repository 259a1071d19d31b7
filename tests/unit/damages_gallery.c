// How damaged scans and non-brains compare with the undamaged scans (see damages.h).
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "damages.h"
#include "registration_cases.h"

// ---- Gallery ------------------------------------------------------------------------------------

// A path up to its session names the person.
static void person_of(const char *path, char person[256]) {
  const char *end = strstr(path, "/ses-");
  size_t length = end != NULL ? (size_t)(end - path) : strlen(path);
  const size_t skip = length > 255 ? length - 255 : 0; // the end of a long path tells people apart
  memcpy(person, path + skip, length - skip);
  person[length - skip] = '\0';
}

static sb_status embed(const gallery *g, const float *row, float *vector) {
  float *scratch = NULL;
  sb_status status = SB_NEW(&scratch, g->embedder.scratch, "embedding");
  const sb_scan_data scan = {.row = row};
  if (status.code == SB_OK) status = sb_embed(&g->embedder, &scan, vector, scratch);
  free(scratch);
  return status;
}

static sb_status prepare_scan(const gallery *g, gallery_scan *scan) {
  sb_prepared prepared = {0};
  sb_status status;
  person_of(scan->path, scan->person);
  SB_TRY(sb_prepare_file(g->preparer, scan->path, &prepared));
  memcpy(scan->template_to_scan, prepared.template_to_scan, sizeof scan->template_to_scan);
  SB_TRY(SB_NEW(&scan->vector, g->embedder.size, "embedding"));
  SB_TRY(embed(g, prepared.row, scan->vector));
cleanup:
  sb_prepared_free(&prepared);
  return status;
}

static sb_status open_tools(gallery *g) {
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  sb_status status;
  SB_TRY(sb_template_load(&options, &g->t));
  SB_TRY(sb_preparer_create(g->t, &prepare, &g->preparer));
  const int64_t *dims = sb_template_grid_dims(g->t);
  const sb_grid grid = {.dims = {dims[0], dims[1], dims[2]},
                        .voxel_mm = options.resolution_mm,
                        .mask = sb_template_mask(g->t),
                        .row_length = sb_template_row_length(g->t)};
  SB_TRY(sb_embedder_open(sb_measure_row_find("bandpass"), &grid, &g->embedder));
cleanup:
  return status;
}

sb_status gallery_open(const char *folder, gallery *out) {
  glob_t found = {0};
  char pattern[512];
  memset(out, 0, sizeof *out);
  sb_status status, failure = sb_ok();
  SB_TRY(open_tools(out));
  snprintf(pattern, sizeof pattern, "%s/*/sub-*/ses-*/anat/*_T1w.nii.gz", folder);
  if (glob(pattern, 0, NULL, &found) != 0) {
    status = sb_error(SB_NOT_FOUND, "no real scans at %s", folder);
    goto cleanup;
  }
  SB_TRY(SB_NEW_ZERO(&out->scans, found.gl_pathc, "gallery"));
  out->count = (int)found.gl_pathc;
#pragma omp parallel for schedule(dynamic, 1)
  for (int i = 0; i < out->count; i++) {
    snprintf(out->scans[i].path, sizeof out->scans[i].path, "%s", found.gl_pathv[i]);
    sb_status prepared = prepare_scan(out, &out->scans[i]);
#pragma omp critical
    if (prepared.code != SB_OK) failure = prepared;
  }
  status = failure;
cleanup:
  globfree(&found);
  if (status.code != SB_OK) gallery_close(out);
  return status;
}

void gallery_close(gallery *g) {
  for (int i = 0; i < g->count; i++) free(g->scans[i].vector);
  free(g->scans);
  if (g->embedder.measure != NULL) sb_embedder_close(&g->embedder);
  sb_preparer_free(g->preparer);
  sb_template_free(g->t);
  memset(g, 0, sizeof *g);
}

// ---- One case -----------------------------------------------------------------------------------

static double dot(int64_t n, const float *a, const float *b) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static sb_status compare_row(const gallery *g, int scan, bool brain, const float *row,
                             outcome *out) {
  float *vector = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&vector, g->embedder.size, "embedding"));
  SB_TRY(embed(g, row, vector));
  for (int i = 0; i < g->count; i++) {
    double r = dot(g->embedder.length, vector, g->scans[i].vector);
    if (brain && i == scan) out->own = r;
    if (!brain || strcmp(g->scans[i].person, g->scans[scan].person) != 0)
      out->other = fmax(out->other, r);
  }
cleanup:
  free(vector);
  return status;
}

sb_status gallery_case(const gallery *g, int scan, const sb_volume *volume, int which,
                       outcome *out) {
  const bool brain = which < damage_count();
  sb_volume spoiled = {0};
  sb_prepared prepared = {0};
  double moved[16], expected[16];
  *out = (outcome){.error_mm = NAN, .own = NAN, .other = -1};
  sb_status status = brain
                         ? damage_make(which, volume, (uint64_t)scan, &spoiled, moved)
                         : non_brain_make(which - damage_count(), volume, (uint64_t)scan, &spoiled);
  if (status.code != SB_OK) return status;
  out->status = sb_prepare_volume(g->preparer, &spoiled, &prepared);
  out->quality = prepared.quality;
  out->seconds = prepared.seconds;
  if (brain && sb_affine_determinant(prepared.template_to_scan) != 0) {
    sb_affine_multiply(moved, g->scans[scan].template_to_scan, expected);
    out->error_mm = compare_maps(g->t, expected, prepared.template_to_scan).mean_mm;
  }
  if (prepared.row != NULL) status = compare_row(g, scan, brain, prepared.row, out);
  sb_prepared_free(&prepared);
  sb_volume_free(&spoiled);
  return status;
}

bool outcome_links(const outcome *o) {
  return o->status.code == SB_OK && o->own > o->other;
}
