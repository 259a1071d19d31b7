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
  sb_status status = sb_volume_save(&volume, argv[2]);
  if (status.code != SB_OK) return fail("saving", status);
  sb_volume loaded;
  sb_volume_info info;
  status = sb_volume_load(argv[2], &loaded, &info);
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

  char text[600];
  status = sb_backend_probe("cuda", text, sizeof text);
  printf("cuda: %s\n", status.code == SB_OK ? text : status.message);
  return 0;
}
