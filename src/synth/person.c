#include "synth/person.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "core/random.h"

static const double LATTICE_STEP_MM = 2, MARGIN_MM = 12;

// The deformation: smooth fields from coarse to fine, one applied after the other. Each alone has
// gradients well below 1 and so folds nothing, and so their composition folds nothing either.
// The amplitudes set how unlike two people are: on Colin27, after alignment, two people's rows
// score 0.50 to 0.60 by pearson and 0.28 to 0.39 by bandpass (real people: 0.55 to 0.77 and 0.20 to
// 0.37), two sessions of one 0.92 and 0.95 or more.
static const struct {
  double sigma_mm, amplitude_mm;
} DEFORMATIONS[] = {{30, 1.5}, {15, 0.8}, {8, 0.9}, {4, 0.45}};
enum { DEFORMATION_COUNT = sizeof DEFORMATIONS / sizeof *DEFORMATIONS };

// Folds of their own: dark sheets where a smooth field is near zero, and a fine mottle.
static const double FOLD_SIGMA_MM = 4.5, FOLD_WIDTH = 0.22, FOLD_DEPTH = 0.3;
static const double MOTTLE_SIGMA_MM = 2.2, MOTTLE_AMPLITUDE = 0.06;

static void place_lattice(const sb_base *base, sb_lattice *out) {
  out->step_mm = LATTICE_STEP_MM;
  for (int a = 0; a < 3; a++) {
    out->origin[a] = base->low_mm[a] - MARGIN_MM;
    double length = base->high_mm[a] - base->low_mm[a] + 2 * MARGIN_MM;
    out->dims[a] = (int64_t)ceil(length / LATTICE_STEP_MM) + 1;
  }
}

// displacement(p) += field(p + displacement(p)) at every node.
static void compose(const sb_lattice *lattice, const float *field, float *displacement) {
  const int64_t *n = lattice->dims;
  float *d = displacement;
  for (int64_t k = 0; k < n[2]; k++)
    for (int64_t j = 0; j < n[1]; j++)
      for (int64_t i = 0; i < n[0]; i++, d += SB_PERSON_CHANNELS) {
        double node[3] = {(double)i, (double)j, (double)k}, moved[3];
        for (int a = 0; a < 3; a++)
          moved[a] = lattice->origin[a] + lattice->step_mm * node[a] + (double)d[a];
        float step[3];
        sb_field_sample(lattice, 3, field, moved, step);
        for (int a = 0; a < 3; a++) d[a] += step[a];
      }
}

static sb_status deform(sb_person *person, uint64_t key) {
  const sb_lattice *lattice = &person->lattice;
  int64_t nodes = sb_lattice_nodes(lattice);
  float *field = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&field, 3 * nodes, "deformation"));
  for (int s = 0; s < DEFORMATION_COUNT; s++) {
    memset(field, 0, (size_t)(3 * nodes) * sizeof *field);
    for (int a = 0; a < 3; a++)
      SB_TRY(sb_field_add(lattice, DEFORMATIONS[s].sigma_mm, DEFORMATIONS[s].amplitude_mm,
                          sb_random_key(key, (uint64_t)(3 * s + a)), 3, a, field));
    compose(lattice, field, person->field);
  }
cleanup:
  free(field);
  return status;
}

static sb_status draw_texture(sb_person *person, uint64_t key) {
  int64_t nodes = sb_lattice_nodes(&person->lattice);
  float *fields = NULL; // folds, mottle
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&fields, 2 * nodes, "texture"));
  SB_TRY(sb_field_add(&person->lattice, FOLD_SIGMA_MM, 1, sb_random_key(key, 0), 2, 0, fields));
  SB_TRY(sb_field_add(&person->lattice, MOTTLE_SIGMA_MM, MOTTLE_AMPLITUDE, sb_random_key(key, 1), 2,
                      1, fields));
  for (int64_t i = 0; i < nodes; i++) {
    double from_sheet = (double)fields[2 * i] / FOLD_WIDTH;
    double fold = 1 - FOLD_DEPTH * exp(-from_sheet * from_sheet);
    double mottle = fmax(0.5, 1 + (double)fields[2 * i + 1]);
    person->field[SB_PERSON_CHANNELS * i + 3] = (float)(fold * mottle);
  }
cleanup:
  free(fields);
  return status;
}

// Upper triangular: sizes on the diagonal, shears above; the brain's centre stays where it is.
static void shape(const sb_base *base, uint64_t key, double to_base[16]) {
  sb_affine_identity(to_base);
  double size = sb_random_uniform(key, 0, -0.05, 0.05);
  for (int a = 0; a < 3; a++)
    to_base[5 * a] = 1 + size + sb_random_uniform(key, 1 + (uint64_t)a, -0.03, 0.03);
  to_base[1] = sb_random_uniform(key, 4, -0.03, 0.03);
  to_base[2] = sb_random_uniform(key, 5, -0.03, 0.03);
  to_base[6] = sb_random_uniform(key, 6, -0.03, 0.03);
  double moved[3];
  sb_affine_apply(to_base, base->centre_mm, moved);
  for (int a = 0; a < 3; a++) to_base[4 * a + 3] = base->centre_mm[a] - moved[a];
}

sb_status sb_person_create(const sb_base *base, uint64_t key, sb_person *out) {
  memset(out, 0, sizeof *out);
  place_lattice(base, &out->lattice);
  shape(base, sb_random_key(key, 0), out->to_base);
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(&out->field, SB_PERSON_CHANNELS * sb_lattice_nodes(&out->lattice), "person"));
  SB_TRY(deform(out, sb_random_key(key, 1)));
  SB_TRY(draw_texture(out, sb_random_key(key, 2)));
cleanup:
  if (status.code != SB_OK) sb_person_free(out);
  return status;
}

void sb_person_free(sb_person *person) {
  free(person->field);
  memset(person, 0, sizeof *person);
}
