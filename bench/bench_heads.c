// Whole heads: how well the brain is cut out, whether the head links to its stripped scan, and the
// time beside elastix's affine alone.
//
//   bench_heads [--moved N] [--every N] [--seed N] [--elastix PATH] [FOLDER...]
//
// First the template's head moved by N known transforms (4), with bias field and noise; then a head
// built around every N-th (1) scan of the folders (see tests/unit/head_cases.h), every third with the
// template's own skin and bones around it; another seed makes other heads. They are stored as
// scanners store them, in whole numbers of 16 bits, compressed. Dice is with the brain's own mask, moved and bent alike;
// the rank is that of the scan itself among all scans, by bandpass; beside its likeness stands that of the
// brain cut out by its own mask. Times are processor seconds of one
// thread for whole files: sb_prepare_file, and elastix's process with the template's head as the
// fixed image.
#include <stdio.h>

#include "../tests/unit/head_cases.h"
#include "../tests/unit/scratch.h"
#include "core/clock.h"
#include "elastix.h"
#include "image/nifti_save.h"
#include "median.h"
#include "samebrain/measure.h"
#include "samebrain/store.h"
#include "steps.h"

typedef struct bench {
  sb_template *t;
  sb_preparer *automatic, *stripped;
  sb_volume head, skin; // the template's
  const char *elastix;  // NULL: not there
  char folder[32], image[64];
  sb_scan_list scans;
  sb_prepared *rows; // of the scans, stripped
} bench;

typedef struct figures {
  double dice[1024], seconds[1024], ratios[1024];
  int count, peers, first_ranks, failed;
} figures;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_heads: %s\n", status.message);
  exit(1);
}

static double likeness(const bench *b, const float *x, const float *y) {
  double score = 0;
  must(sb_measure_score("bandpass", sb_template_grid_dims(b->t), b->t->resolution_mm,
                        sb_template_mask(b->t), x, y, sb_template_row_length(b->t), &score));
  return score;
}

// The rank of scan `self` among all, other scans of the same person left out.
static int rank_of(const bench *b, size_t self, const float *row, double *own, double *other) {
  const sb_scan *scans = b->scans.scans;
  int rank = 1;
  *other = -1;
  *own = likeness(b, row, b->rows[self].row);
  for (size_t k = 0; k < b->scans.count; k++) {
    if (strcmp(scans[k].dataset, scans[self].dataset) == 0 &&
        strcmp(scans[k].participant, scans[self].participant) == 0)
      continue;
    double score = likeness(b, row, b->rows[k].row);
    rank += score > *own;
    *other = fmax(*other, score);
  }
  return rank;
}

// How like its scan a head's brain is when it is cut out by the right mask: the head is bent, which
// extraction has no part in. Takes what is not brain off the head.
static double likeness_with_mask(const bench *b, sb_volume *head, const uint8_t *mask,
                                 size_t self) {
  sb_volume brain = *head;
  sb_prepared prepared;
  must(SB_NEW(&brain.voxels, voxels_of(head), "mask"));
  for (int64_t i = 0; i < voxels_of(head); i++) brain.voxels[i] = mask[i];
  sb_status status = sb_prepare_masked(b->stripped, head, &brain, &prepared);
  sb_volume_free(&brain);
  if (status.code != SB_OK) return NAN;
  const double own = likeness(b, prepared.row, b->rows[self].row);
  sb_prepared_free(&prepared);
  return own;
}

// Intensities as scanners store them: whole numbers up to 4095.
static void as_stored(sb_volume *head) {
  float most = 0;
  for (int64_t i = 0; i < voxels_of(head); i++) most = fmaxf(most, head->voxels[i]);
  for (int64_t i = 0; i < voxels_of(head); i++)
    head->voxels[i] = roundf(head->voxels[i] * (4095 / most));
}

// One head: its Dice, row and times. `scan` is the scan it was built around, -1 for the template's.
static void run_head(const bench *b, const char *name, sb_volume *head, const uint8_t *mask,
                     long scan, figures *f) {
  sb_volume brain;
  sb_prepared prepared;
  run_time peer = {0};
  double dice = 0, seconds = 0;
  as_stored(head);
  sb_status status = cut_brain(b->automatic, head, &brain);
  if (status.code == SB_OK) {
    must(dice_of(head, mask, &brain, &dice));
    sb_volume_free(&brain);
    must(sb_volume_save_as(head, b->image, SB_SAVE_INT16, 1, 0));
    seconds = sb_clock_s(CLOCK_PROCESS_CPUTIME_ID);
    status = sb_prepare_file(b->automatic, b->image, &prepared);
    seconds = sb_clock_s(CLOCK_PROCESS_CPUTIME_ID) - seconds;
  }
  if (f->count == 1024) must(sb_error(SB_USAGE, "too many heads"));
  f->dice[f->count] = dice;
  if (status.code != SB_OK) {
    printf("%-26s failed: %s\n", name, status.message);
    f->seconds[f->count++] = NAN;
    f->failed++;
    return;
  }
  if (b->elastix != NULL) {
    must(elastix_run(b->elastix, b->t->head_path, b->image, b->folder, &peer));
    f->ratios[f->peers++] = peer.cpu_s / seconds;
  }
  f->seconds[f->count++] = seconds;
  printf("%-26s Dice %.4f  edge %.2f  structure %.2f", name, dice, prepared.quality.extraction_edge,
         prepared.quality.structure);
  if (scan >= 0) {
    double own, other;
    int rank = rank_of(b, (size_t)scan, prepared.row, &own, &other);
    f->first_ranks += rank == 1;
    printf("  bandpass %.3f (%.3f by the right mask, others %.3f) rank %d", own,
           likeness_with_mask(b, head, mask, (size_t)scan), other, rank);
  }
  printf("  %.2f s", seconds);
  if (b->elastix != NULL) printf("  elastix %.2f s", peer.cpu_s);
  printf("%s\n", prepared.quality.brain == SB_BRAIN_WAS_EXTRACTED ? "" : "  TAKEN AS STRIPPED");
  fflush(stdout);
  sb_prepared_free(&prepared);
}

static void print_figures(const char *what, bool ranked, figures *f) {
  double sum = 0, least = 1;
  for (int i = 0; i < f->count; i++) {
    sum += f->dice[i];
    least = fmin(least, f->dice[i]);
  }
  printf("%s: %d heads, %d failed, Dice mean %.4f, least %.4f", what, f->count, f->failed,
         sum / f->count, least);
  if (ranked) printf(", rank 1: %d", f->first_ranks);
  printf(", median %.3f s", median(f->count, f->seconds));
  if (f->peers > 0)
    printf(", elastix's affine takes %.1f times as long (median of pairs)",
           median(f->peers, f->ratios));
  printf("\n\n");
}

static void bench_template(const bench *b, int count, uint64_t seed) {
  static figures f;
  for (int i = 0; i < count; i++) {
    sb_volume head;
    uint8_t *mask;
    must(moved_head(b->t, &b->head, seed + (uint64_t)i + 1, &head, &mask));
    run_head(b, "the template's, moved", &head, mask, -1, &f);
    sb_volume_free(&head);
    free(mask);
  }
  print_figures("the template's head moved", false, &f);
}

static void bench_scans(bench *b, int every, uint64_t seed) {
  static figures f;
  b->rows = calloc(b->scans.count, sizeof *b->rows);
  if (b->rows == NULL) {
    fputs("bench_heads: out of memory for rows\n", stderr);
    exit(1);
  }
  for (size_t i = 0; i < b->scans.count; i++)
    must(sb_prepare_file(b->stripped, b->scans.scans[i].source_path, &b->rows[i]));
  int built = 0;
  for (size_t i = 0; i < b->scans.count; i += (size_t)every, built++) {
    const bool real = built % 3 == 2;
    sb_volume scan, head;
    uint8_t *mask;
    char name[64];
    must(sb_volume_load(b->scans.scans[i].source_path, &scan, NULL));
    must(build_head(&scan, b->rows[i].template_to_scan, real ? &b->skin : NULL, b->t->mask,
                    seed + i + 1, &head, &mask));
    snprintf(name, sizeof name, "%.20s%s", b->scans.scans[i].scan_id, real ? " *" : "");
    run_head(b, name, &head, mask, (long)i, &f);
    sb_volume_free(&scan);
    sb_volume_free(&head);
    free(mask);
  }
  print_figures("built around real brains (*: with the template's skin and bones)", true, &f);
  for (size_t i = 0; i < b->scans.count; i++) sb_prepared_free(&b->rows[i]);
  free(b->rows);
}

// A folder for the heads and for what elastix reads and writes.
static void open_folder(bench *b) {
  char parameters[64];
  if (!elastix_there(b->elastix)) {
    printf("no elastix here: its figures are left out\n");
    b->elastix = NULL;
  }
  if (mkdtemp(b->folder) == NULL) must(sb_error(SB_IO, "%s: cannot be made", b->folder));
  snprintf(b->image, sizeof b->image, "%s/moving.nii.gz", b->folder);
  snprintf(parameters, sizeof parameters, "%s/affine.txt", b->folder);
  must(sb_write_file(parameters, ELASTIX_PARAMETERS, strlen(ELASTIX_PARAMETERS)));
}

int main(int argc, char **argv) {
  bench b = {.elastix = "elastix", .folder = "/tmp/samebrain-bench-XXXXXX"};
  int moved = 4, every = 1, at = 1;
  uint64_t seed = 0;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
    const char *value = at + 1 < argc ? argv[at + 1] : NULL;
    if (value != NULL && strcmp(argv[at], "--moved") == 0) {
      moved = atoi(value);
    } else if (value != NULL && strcmp(argv[at], "--every") == 0 && atoi(value) > 0) {
      every = atoi(value);
    } else if (value != NULL && strcmp(argv[at], "--seed") == 0) {
      seed = (uint64_t)atoll(value);
    } else if (value != NULL && strcmp(argv[at], "--elastix") == 0) {
      b.elastix = value;
    } else {
      fprintf(stderr, "usage: bench_heads [--moved N] [--every N] [--seed N] [--elastix PATH] "
                      "[FOLDER...]\n");
      return 2;
    }
  }
  sb_template_options options = sb_template_options_default();
  sb_prepare_options prepare = sb_prepare_options_default();
  const sb_input_options input = {0};
  sb_keep_freed();
  must(sb_template_load(&options, &b.t));
  if (b.t->head_path == NULL) must(sb_error(SB_NOT_FOUND, "the template has no head"));
  must(sb_volume_load(b.t->head_path, &b.head, NULL));
  must(skin_of(b.t, &b.head, &b.skin));
  must(sb_preparer_create(b.t, &prepare, &b.automatic));
  prepare.brain = SB_BRAIN_STRIPPED;
  must(sb_preparer_create(b.t, &prepare, &b.stripped));
  open_folder(&b);

  bench_template(&b, moved, seed);
  if (at < argc) {
    must(sb_scan_list_find((const char *const *)argv + at, (size_t)(argc - at), &input, &b.scans));
    bench_scans(&b, every, seed);
  }
  if (remove_folder(b.folder) != 0) printf("left behind: %s\n", b.folder);
  sb_scan_list_free(&b.scans);
  sb_volume_free(&b.head);
  sb_volume_free(&b.skin);
  sb_preparer_free(b.automatic);
  sb_preparer_free(b.stripped);
  sb_template_free(b.t);
  return 0;
}
