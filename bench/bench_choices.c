// What each choice of preparation does to linkage.
//
//   bench_choices [--altered N] [--tsv FILE] SCAN...
//
// Prepares the scans in the default way and with one choice changed at a time, and prints for each
// how well one person's scans are told from others', by pearson and bandpass:
//   re-scans  people scanned more than once (the folder sub-NAME says who is who);
//   altered   each of the first N scans against altered copies of itself: mated is the copy with its
//             own scan, non-mated the copy with other people's.
// Tables in Markdown; --tsv writes every figure.
#include <stdio.h>

#include "alterations.h"
#include "measure/measure.h"
#include "measure/vector.h"
#include "prepare/template.h"
#include "steps.h"

enum { MEASURES = 2, ERODED = 3, MOST_CHOICES = 40, MOST_SCANS = 200 };
static const char *const MEASURE[MEASURES] = {"pearson", "bandpass"};

// ---- What is compared ---------------------------------------------------------------------------

typedef struct choice {
  char name[48];
  sb_prepare_options options;
  int erode; // voxels off the row's mask
} choice;

typedef enum alteration {
  RESCANS, // none: the scans as they are
  BIAS_20,
  BIAS_40,
  GAMMA_08,
  GAMMA_125,
  ISOTROPIC_13,
  SLICES_3,
  SNR_15,
  TIGHTER,
  LOOSER,
  BIAS_GAMMA_TIGHTER,
  NOISE_BIAS_LOOSER,
  ALTERATIONS
} alteration;
static const char *const ALTERATION[ALTERATIONS] = {"re-scans",
                                                    "bias 20 %",
                                                    "bias 40 %",
                                                    "gamma 0.8",
                                                    "gamma 1.25",
                                                    "1.3 mm",
                                                    "1x1x3 mm",
                                                    "SNR 15",
                                                    "strip tighter",
                                                    "strip looser",
                                                    "bias, gamma, tighter",
                                                    "bias, SNR 15, looser"};

static sb_status alter(alteration kind, uint64_t seed, sb_volume *v) {
  static const double THIRTEEN[3] = {1.3, 1.3, 1.3}, THICK[3] = {1, 1, 3};
  sb_status status = sb_ok();
  switch (kind) {
  case BIAS_20:
    return alter_bias(0.2, seed, v);
  case BIAS_40:
    return alter_bias(0.4, seed, v);
  case GAMMA_08:
    alter_gamma(0.8, v);
    return status;
  case GAMMA_125:
    alter_gamma(1.25, v);
    return status;
  case ISOTROPIC_13:
    return alter_resolution(THIRTEEN, v);
  case SLICES_3:
    return alter_resolution(THICK, v);
  case SNR_15:
    alter_noise(15, seed, v);
    return status;
  case TIGHTER:
  case LOOSER:
    return alter_strip(kind == LOOSER, seed, v);
  case BIAS_GAMMA_TIGHTER:
    SB_TRY(alter_bias(0.3, seed, v));
    alter_gamma(1.25, v);
    return alter_strip(false, seed + 1, v);
  case NOISE_BIAS_LOOSER:
    SB_TRY(alter_bias(0.3, seed, v));
    SB_TRY(alter_strip(true, seed + 1, v));
    alter_noise(15, seed + 2, v);
    return status;
  case RESCANS:
  case ALTERATIONS:
    break;
  }
cleanup:
  return status;
}

typedef struct choices {
  choice at[MOST_CHOICES];
  int count;
} choices;

static choice *add(choices *c, const char *name) {
  choice *new = &c->at[c->count++];
  *new = (choice){.options = sb_prepare_options_default()};
  snprintf(new->name, sizeof new->name, "%s", name);
  return new;
}

static void list_choices(choices *c) {
  static const double SMOOTH[] = {0.5, 1, 1.5, 2}, WINSOR[] = {2, 2.5, 3, 0};
  char name[48];
  c->count = 0;
  add(c, "default");
  add(c, "bias off")->options.bias = SB_BIAS_OFF;
  add(c, "bias gain")->options.bias = SB_BIAS_GAIN;
  add(c, "bias n4")->options.bias = SB_BIAS_N4;
  add(c, "harmonise nyul")->options.harmonise = SB_HARMONISE_NYUL;
  add(c, "harmonise zscore")->options.harmonise = SB_HARMONISE_ZSCORE;
  add(c, "harmonise rank")->options.harmonise = SB_HARMONISE_RANK;
  add(c, "outside scan")->options.outside = SB_OUTSIDE_SCAN;
  add(c, "outside mean")->options.outside = SB_OUTSIDE_MEAN;
  add(c, "outside template")->options.outside = SB_OUTSIDE_TEMPLATE;
  add(c, "outside falloff")->options.outside = SB_OUTSIDE_FALLOFF;
  add(c, "mask eroded 1 voxel")->erode = 1;
  add(c, "mask eroded 2 voxels")->erode = 2;
  add(c, "box average")->options.smooth_mm = 0;
  for (size_t i = 0; i < sizeof SMOOTH / sizeof *SMOOTH; i++) {
    snprintf(name, sizeof name, "Gaussian %g mm", SMOOTH[i]);
    add(c, name)->options.smooth_mm = SMOOTH[i];
  }
  for (size_t i = 0; i < sizeof WINSOR / sizeof *WINSOR; i++) {
    snprintf(name, sizeof name, WINSOR[i] > 0 ? "winsor %g" : "winsor none", WINSOR[i]);
    add(c, name)->options.winsor_sigma = WINSOR[i];
  }
}

// ---- Vectors ------------------------------------------------------------------------------------

typedef struct bench {
  sb_template *t;
  sb_preparer *preparer;
  choices choices;
  uint8_t *mask[ERODED]; // the row's mask, eroded
  sb_embedder embedder[ERODED][MEASURES];
  char **paths;
  int scans, altered;
  float **vectors; // [scan][choice][measure]
} bench;

// Leaves out what is the default under another name.
static sb_status drop_duplicates(const bench *b, choices *c) {
  int kept = 1;
  for (int i = 1; i < c->count; i++) {
    sb_preparer *p;
    sb_status status = sb_preparer_create(b->t, &c->at[i].options, &p);
    if (status.code != SB_OK) return status;
    if (c->at[i].erode > 0 ||
        strcmp(sb_preparer_parameters(p), sb_preparer_parameters(b->preparer)) != 0)
      c->at[kept++] = c->at[i];
    sb_preparer_free(p);
  }
  c->count = kept;
  return sb_ok();
}

static float **vector_at(const bench *b, float **vectors, int scan, int which, int measure) {
  return &vectors[(scan * b->choices.count + which) * MEASURES + measure];
}

static sb_status set_up_masks(bench *b) {
  const int64_t *dims = sb_template_grid_dims(b->t), n = dims[0] * dims[1] * dims[2];
  const int64_t steps[3] = {1, dims[0], dims[0] * dims[1]};
  sb_status status;
  for (int e = 0; e < ERODED; e++) {
    SB_TRY(SB_NEW(&b->mask[e], n, "mask"));
    memcpy(b->mask[e], e == 0 ? sb_template_mask(b->t) : b->mask[e - 1], (size_t)n);
    int64_t length = 0;
    for (int64_t i = 0; i < n; i++) {
      for (int axis = 0; e > 0 && axis < 3; axis++) {
        int64_t at = i / steps[axis] % dims[axis];
        if (at == 0 || at + 1 == dims[axis] || b->mask[e - 1][i - steps[axis]] == 0 ||
            b->mask[e - 1][i + steps[axis]] == 0)
          b->mask[e][i] = 0;
      }
      length += b->mask[e][i];
    }
    const sb_grid grid = {{dims[0], dims[1], dims[2]}, b->t->resolution_mm, b->mask[e], length};
    for (int m = 0; m < MEASURES; m++)
      SB_TRY(sb_embedder_open(sb_measure_row_find(MEASURE[m]), &grid, &b->embedder[e][m]));
  }
cleanup:
  return status;
}

// The vectors of one placed brain for one choice.
static sb_status embed(const bench *b, const choice *c, const sb_brain *brain,
                       const sb_alignment *alignment, float **vectors) {
  const int64_t *index = sb_template_row_index(b->t), length = sb_template_row_length(b->t);
  sb_prepared prepared = {0};
  float *scratch = NULL;
  sb_status status;
  SB_TRY(make_row(b->preparer, &c->options, brain, alignment, &prepared));
  int64_t kept = 0;
  for (int64_t i = 0; i < length; i++)
    if (b->mask[c->erode][index[i]] != 0) prepared.row[kept++] = prepared.row[i];
  for (int m = 0; m < MEASURES; m++) {
    const sb_embedder *e = &b->embedder[c->erode][m];
    SB_TRY(SB_NEW(&vectors[m], e->size, "vector"));
    SB_TRY(SB_NEW(&scratch, e->scratch, "scratch"));
    const sb_scan_data data = {.row = prepared.row};
    SB_TRY(sb_embed(e, &data, vectors[m], scratch));
    free(scratch);
    scratch = NULL;
  }
cleanup:
  free(scratch);
  sb_prepared_free(&prepared);
  return status;
}

// The vectors of one scan, altered, for every choice.
static sb_status prepare(const bench *b, int scan, alteration kind, float **vectors) {
  sb_volume v = {0};
  sb_brain brain = {0};
  sb_alignment alignment;
  sb_status status;
  SB_TRY(sb_volume_load(b->paths[scan], &v, NULL));
  SB_TRY(alter(kind, (uint64_t)(1000 * scan + 10 * (int)kind), &v));
  SB_TRY(place_brain(b->preparer, &v, &brain, &alignment));
  sb_volume_free(&v);
  for (int c = 0; c < b->choices.count; c++)
    SB_TRY(embed(b, &b->choices.at[c], &brain, &alignment, vectors + c * MEASURES));
cleanup:
  if (status.code != SB_OK)
    fprintf(stderr, "%s, %s: %s\n", b->paths[scan], ALTERATION[kind], status.message);
  sb_volume_free(&v);
  sb_brain_free(&brain);
  return status;
}

// ---- Figures ------------------------------------------------------------------------------------

typedef struct scores {
  double lowest[2], highest[2], sum[2], squares[2], count[2]; // non-mated, mated
} scores;

static void count_score(scores *s, bool mated, double score) {
  s->lowest[mated] = s->count[mated] > 0 ? fmin(s->lowest[mated], score) : score;
  s->highest[mated] = s->count[mated] > 0 ? fmax(s->highest[mated], score) : score;
  s->sum[mated] += score;
  s->squares[mated] += score * score;
  s->count[mated]++;
}

static double margin(const scores *s) {
  return s->lowest[1] - s->highest[0];
}

static double d_prime(const scores *s) {
  double mean[2], variance[2];
  for (int k = 0; k < 2; k++) {
    mean[k] = s->sum[k] / s->count[k];
    variance[k] = (s->squares[k] - s->sum[k] * mean[k]) / (s->count[k] - 1);
  }
  return (mean[1] - mean[0]) / sqrt(0.5 * (variance[0] + variance[1]));
}

// Do two paths go through the same folder sub-NAME?
static bool same_person(const char *a, const char *b) {
  const char *sub_a = strstr(a, "/sub-"), *sub_b = strstr(b, "/sub-");
  if (sub_a == NULL || sub_b == NULL) return false;
  size_t length = (size_t)(sub_a - a) + 1 + strcspn(sub_a + 1, "/") + 1;
  return strncmp(a, b, length) == 0;
}

static scores table[ALTERATIONS][MOST_CHOICES][MEASURES]; // a benchmark's, filled once

// Scores of the vectors of one scan, altered, against those of all scans.
static void score_scan(const bench *b, int scan, alteration kind, float **vectors) {
  for (int other = kind == RESCANS ? scan + 1 : 0; other < b->scans; other++) {
    const bool same = same_person(b->paths[scan], b->paths[other]);
    if (kind != RESCANS && same && other != scan) continue;
    for (int c = 0; c < b->choices.count; c++)
      for (int m = 0; m < MEASURES; m++) {
        const float *theirs = *vector_at(b, b->vectors, other, c, m);
        const int64_t length = b->embedder[b->choices.at[c].erode][m].length;
        const double score = sb_dot(length, vectors[c * MEASURES + m], theirs);
#pragma omp critical
        count_score(&table[kind][c][m], same, score);
      }
  }
}

static sb_status run_alteration(bench *b, alteration kind) {
  sb_status failure = sb_ok();
  const int count = kind == RESCANS ? b->scans : b->altered;
#pragma omp parallel for schedule(dynamic, 1)
  for (int scan = 0; scan < count; scan++) {
    const int vectors = b->choices.count * MEASURES;
    float **mine = calloc((size_t)vectors, sizeof *mine);
    float **to = kind == RESCANS ? vector_at(b, b->vectors, scan, 0, 0) : mine;
    sb_status status =
        mine == NULL ? sb_error(SB_NO_MEMORY, "out of memory") : prepare(b, scan, kind, to);
    if (status.code == SB_OK && kind != RESCANS) score_scan(b, scan, kind, mine);
    for (int i = 0; i < vectors && mine != NULL; i++) free(mine[i]);
    free(mine);
    if (status.code != SB_OK && kind == RESCANS) {
#pragma omp critical
      failure = status;
    }
  }
  if (kind == RESCANS && failure.code == SB_OK)
    for (int scan = 0; scan < count; scan++)
      score_scan(b, scan, RESCANS, vector_at(b, b->vectors, scan, 0, 0));
  return failure;
}

// ---- Tables -------------------------------------------------------------------------------------

static void print_summary(const bench *b, int m) {
  printf(
      "\n%s | re-scans: mated min | non-mated max | margin | d' | altered: mated min | non-mated "
      "max | least margin | least d'\n---|---|---|---|---|---|---|---|---\n",
      MEASURE[m]);
  for (int c = 0; c < b->choices.count; c++) {
    const scores *r = &table[RESCANS][c][m];
    double least = INFINITY, most = -INFINITY, least_margin = INFINITY, least_d = INFINITY;
    for (int k = 1; k < ALTERATIONS; k++) {
      const scores *s = &table[k][c][m];
      if (s->count[0] == 0 || s->count[1] == 0) continue;
      least = fmin(least, s->lowest[1]);
      most = fmax(most, s->highest[0]);
      least_margin = fmin(least_margin, margin(s));
      least_d = fmin(least_d, d_prime(s));
    }
    printf("%s | %.3f | %.3f | %.3f | %.1f | %.3f | %.3f | %.3f | %.1f\n", b->choices.at[c].name,
           r->lowest[1], r->highest[0], margin(r), d_prime(r), least, most, least_margin, least_d);
  }
}

static void print_alterations(const bench *b, int m) {
  printf("\n%s, mated min (margin)", MEASURE[m]);
  for (int k = 0; k < ALTERATIONS; k++) printf(" | %s", ALTERATION[k]);
  printf("\n---");
  for (int k = 0; k < ALTERATIONS; k++) printf("|---");
  printf("\n");
  for (int c = 0; c < b->choices.count; c++) {
    printf("%s", b->choices.at[c].name);
    for (int k = 0; k < ALTERATIONS; k++)
      printf(" | %.3f (%.3f)", table[k][c][m].lowest[1], margin(&table[k][c][m]));
    printf("\n");
  }
}

static void write_tsv(const bench *b, FILE *file) {
  fprintf(file,
          "alteration\tchoice\tmeasure\tmated\tmated_min\tmated_mean\tnonmated\tnonmated_mean\t"
          "nonmated_max\tmargin\td_prime\n");
  for (int k = 0; k < ALTERATIONS; k++)
    for (int c = 0; c < b->choices.count; c++)
      for (int m = 0; m < MEASURES; m++) {
        const scores *s = &table[k][c][m];
        fprintf(file, "%s\t%s\t%s\t%.0f\t%.4f\t%.4f\t%.0f\t%.4f\t%.4f\t%.4f\t%.2f\n", ALTERATION[k],
                b->choices.at[c].name, MEASURE[m], s->count[1], s->lowest[1],
                s->sum[1] / s->count[1], s->count[0], s->sum[0] / s->count[0], s->highest[0],
                margin(s), d_prime(s));
      }
}

// ---- The program --------------------------------------------------------------------------------

static sb_status set_up(bench *b) {
  const sb_template_options template = sb_template_options_default();
  const sb_prepare_options options = sb_prepare_options_default();
  sb_status status;
  list_choices(&b->choices);
  SB_TRY(sb_template_load(&template, &b->t));
  SB_TRY(sb_preparer_create(b->t, &options, &b->preparer));
  SB_TRY(drop_duplicates(b, &b->choices));
  SB_TRY(set_up_masks(b));
  SB_TRY(SB_NEW_ZERO(&b->vectors, b->scans * b->choices.count * MEASURES, "vectors"));
cleanup:
  return status;
}

static void tear_down(bench *b) {
  for (int i = 0; b->vectors != NULL && i < b->scans * b->choices.count * MEASURES; i++)
    free(b->vectors[i]);
  free(b->vectors);
  for (int e = 0; e < ERODED; e++) {
    for (int m = 0; m < MEASURES; m++) sb_embedder_close(&b->embedder[e][m]);
    free(b->mask[e]);
  }
  sb_preparer_free(b->preparer);
  sb_template_free(b->t);
}

int main(int argc, char **argv) {
  bench b = {.altered = MOST_SCANS};
  const char *tsv = NULL;
  int first = 1;
  for (; first + 1 < argc && strncmp(argv[first], "--", 2) == 0; first += 2) {
    if (strcmp(argv[first], "--altered") == 0) b.altered = atoi(argv[first + 1]);
    if (strcmp(argv[first], "--tsv") == 0) tsv = argv[first + 1];
  }
  b.paths = argv + first;
  b.scans = argc - first;
  if (b.altered > b.scans) b.altered = b.scans;
  if (b.scans < 3 || b.altered < 2) {
    fprintf(stderr, "usage: bench_choices [--altered N] [--tsv FILE] SCAN SCAN SCAN...\n");
    return 2;
  }
  sb_status status;
  SB_TRY(set_up(&b));
  for (int kind = 0; kind < ALTERATIONS; kind++) {
    SB_TRY(run_alteration(&b, (alteration)kind));
    fprintf(stderr, "%s: done\n", ALTERATION[kind]);
  }
  printf("%d scans, %d of them altered; the default is %s\n", b.scans, b.altered,
         sb_preparer_parameters(b.preparer));
  for (int m = 0; m < MEASURES; m++) print_summary(&b, m);
  for (int m = 0; m < MEASURES; m++) print_alterations(&b, m);
  FILE *file = tsv != NULL ? fopen(tsv, "w") : NULL;
  if (file != NULL) {
    write_tsv(&b, file);
    fclose(file);
  }
cleanup:
  if (status.code != SB_OK) fprintf(stderr, "bench_choices: %s\n", status.message);
  tear_down(&b);
  return status.code == SB_OK ? 0 : 1;
}
