// A program outside the project: it sees the installed headers and library, and nothing else.
#include <samebrain/samebrain.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 20, COUNT = SIDE * SIDE * SIDE };

static int fail(const char *what, sb_status status) {
  fprintf(stderr, "consumer: %s: %s: %s\n", what, sb_code_name(status.code), status.message);
  return 1;
}

// A row of a store is like itself, and less like another person's.
static int compare_rows(const sb_store *store) {
  const size_t length = (size_t)sb_store_row_length(store);
  float *rows[2] = {malloc(length * sizeof(float)), malloc(length * sizeof(float))};
  double same = 0, other = 1;
  sb_status status = sb_store_row_values(store, 0, rows[0]);
  if (status.code == SB_OK) status = sb_store_row_values(store, sb_store_count(store) - 1, rows[1]);
  double *const scores[2] = {&same, &other};
  for (int i = 0; i < 2 && status.code == SB_OK; i++)
    status = sb_measure_score("pearson", sb_store_grid_dims(store), sb_store_resolution_mm(store),
                              sb_store_mask(store), rows[0], rows[i], (int64_t)length, scores[i]);
  free(rows[0]);
  free(rows[1]);
  if (status.code != SB_OK) return fail("scoring rows", status);
  if (fabs(same - 1) < 1e-9 && other < 0.9) return 0;
  fprintf(stderr, "consumer: a row scores %.12g with itself, %.12g with another\n", same, other);
  return 1;
}

// What samebrain.h says of all functions: NULL is the default, or not wanted, and can be freed.
static int use_defaults(const char *folder) {
  char rows[300], links[300];
  snprintf(rows, sizeof rows, "%s/rows", folder);
  snprintf(links, sizeof links, "%s/links", folder);
  sb_synth_rows_options made = sb_synth_rows_options_default();
  made.people = 3;
  made.sessions = 2;
  made.voxel_mm = 10;
  sb_status status = sb_synth_rows(rows, &made, NULL);
  if (status.code != SB_OK) return fail("making rows", status);
  sb_store *store;
  status = sb_store_open(rows, &store);
  if (status.code != SB_OK) return fail("opening a store", status);
  if (compare_rows(store) != 0) return 1;
  const sb_link_options one = {.top = 1};
  status = sb_link(store, NULL, &one, links, NULL, NULL);
  if (status.code != SB_OK) return fail("linking", status);
  size_t measures = 0;
  status = sb_evaluate(links, NULL, NULL, 0, &measures);
  if (status.code != SB_USAGE || measures != 1) return fail("evaluating without room", status);
  status = sb_report_write(links, NULL, NULL);
  if (status.code != SB_OK) return fail("reporting", status);
  status = sb_check(store, NULL, links, NULL, NULL);
  if (status.code != SB_OK) return fail("checking", status);
  sb_store_close(store);

  sb_template *brain;
  sb_preparer *preparer = NULL;
  status = sb_template_load(NULL, &brain);
  if (status.code == SB_OK) status = sb_preparer_create(brain, NULL, &preparer);
  if (status.code != SB_OK && (status.code != SB_NOT_FOUND || brain != NULL))
    return fail("the default template", status);
  sb_preparer_free(preparer);
  sb_template_free(brain);

  status = sb_store_open("no-such-store", &store);
  if (status.code != SB_NOT_FOUND || store != NULL)
    return fail("opening what is not there", status);
  sb_store_close(store);
  const char *nothing = "no-such-folder";
  sb_scan_list list;
  status = sb_scan_list_find(&nothing, 1, NULL, &list);
  if (status.code != SB_NOT_FOUND || list.count != 0)
    return fail("finding what is not there", status);
  sb_scan_list_free(&list);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3 || strcmp(sb_version(), argv[1]) != 0) {
    fprintf(stderr, "consumer: the library says it is %s\n", sb_version());
    return 1;
  }
  static float voxels[COUNT];
  static uint8_t mask[COUNT];
  for (int i = 0; i < COUNT; i++) {
    voxels[i] = (float)(i % 97);
    mask[i] = 1;
  }
  sb_volume volume = {.voxels = voxels,
                      .dims = {SIDE, SIDE, SIDE},
                      .affine = {2, 0, 0, -20, 0, 2, 0, -20, 0, 0, 2, -20, 0, 0, 0, 1}};
  char copy[300];
  snprintf(copy, sizeof copy, "%s/copy.nii.gz", argv[2]);
  sb_status status = sb_volume_save(&volume, copy);
  if (status.code != SB_OK) return fail("saving", status);
  sb_volume loaded;
  sb_volume_info info;
  status = sb_volume_load(copy, &loaded, &info);
  if (status.code != SB_OK) return fail("loading", status);

  double score = 0;
  status = sb_measure_score("pearson", volume.dims, 2, mask, voxels, loaded.voxels, COUNT, &score);
  sb_volume_free(&loaded);
  if (status.code != SB_OK) return fail("scoring", status);
  if (!(fabs(score - 1) < 1e-9)) {
    fprintf(stderr, "consumer: an image and its copy score %.12g\n", score);
    return 1;
  }
  status = sb_volume_load("no-such-file.nii", &loaded, NULL);
  if (status.code != SB_NOT_FOUND) return fail("loading what is not there", status);
  sb_volume_free(&loaded);
  if (use_defaults(argv[2]) != 0) return 1;

  char text[600];
  status = sb_backend_probe("cuda", text, sizeof text);
  printf("cuda: %s\n", status.code == SB_OK ? text : status.message);
  return 0;
}
