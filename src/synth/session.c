#include "synth/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "core/random.h"
#include "image/resample.h"
#include "synth/field.h"

static const double ROTATION_RAD = 12 * 3.14159265358979 / 180, TRANSLATION_MM = 15;
static const double BIAS_SIGMA_MM = 45, BIAS_LIMIT = 0.25, OUTLINE_SIGMA_MM = 9, MARGIN_MM = 8;

// What is drawn once per session.
typedef struct session {
  double scan_to_base[16]; // RAS mm of the scanner to the base's mm, before the deformation
  double base_to_scan[16];
  double gamma, sigmoid; // contrast
  double fluid;          // what a wide outline takes in
  double noise, white;   // noise over white matter's intensity; that intensity
  float *fields;         // two channels on the person's lattice: bias factor, outline's level
} session;

enum { FIELD_CHANNELS = 2 };

// A rotation about a random axis by up to ROTATION_RAD, with a translation: base mm to scanner mm.
static void draw_pose(const sb_base *base, uint64_t key, double pose[16]) {
  double axis[3], length = 0;
  for (int a = 0; a < 3; a++) {
    axis[a] = sb_random_uniform(key, (uint64_t)a, -1, 1);
    length += axis[a] * axis[a];
  }
  length = fmax(sqrt(length), 1e-6);
  double angle = sb_random_uniform(key, 3, -1, 1) * ROTATION_RAD, c = cos(angle), s = sin(angle);
  double x = axis[0] / length, y = axis[1] / length, z = axis[2] / length;
  const double rotation[16] = {c + x * x * (1 - c),
                               x * y * (1 - c) - z * s,
                               x * z * (1 - c) + y * s,
                               0,
                               y * x * (1 - c) + z * s,
                               c + y * y * (1 - c),
                               y * z * (1 - c) - x * s,
                               0,
                               z * x * (1 - c) - y * s,
                               z * y * (1 - c) + x * s,
                               c + z * z * (1 - c),
                               0,
                               0,
                               0,
                               0,
                               1};
  memcpy(pose, rotation, sizeof rotation);
  double moved[3];
  sb_affine_apply(pose, base->centre_mm, moved);
  for (int a = 0; a < 3; a++)
    pose[4 * a + 3] = base->centre_mm[a] - moved[a] +
                      sb_random_uniform(key, 4 + (uint64_t)a, -1, 1) * TRANSLATION_MM / sqrt(3);
}

static sb_status draw_fields(const sb_person *person, uint64_t key, float **out) {
  int64_t nodes = sb_lattice_nodes(&person->lattice);
  sb_status status = sb_ok();
  SB_TRY(SB_NEW_ZERO(out, FIELD_CHANNELS * nodes, "bias field"));
  SB_TRY(sb_field_add(&person->lattice, BIAS_SIGMA_MM, 0.6 * BIAS_LIMIT, sb_random_key(key, 0),
                      FIELD_CHANNELS, 0, *out));
  SB_TRY(sb_field_add(&person->lattice, OUTLINE_SIGMA_MM, 0.12, sb_random_key(key, 1),
                      FIELD_CHANNELS, 1, *out));
  double level = sb_random_uniform(key, 2, 0.4, 0.6); // a tight or a wide stripping
  for (int64_t i = 0; i < nodes; i++) {
    float *node = *out + FIELD_CHANNELS * i;
    node[0] = (float)(1 + BIAS_LIMIT * tanh((double)node[0] / BIAS_LIMIT));
    node[1] = (float)fmin(fmax(level + (double)node[1], 0.15), 0.85);
  }
cleanup:
  return status;
}

static sb_status draw_session(const sb_base *base, const sb_person *person, uint64_t key,
                              session *out) {
  memset(out, 0, sizeof *out);
  double pose[16], inverse[16];
  draw_pose(base, sb_random_key(key, 0), pose);
  if (!sb_affine_invert(pose, inverse)) return sb_error(SB_CONTENT, "a pose without an inverse");
  sb_affine_multiply(person->to_base, inverse, out->scan_to_base);
  if (!sb_affine_invert(out->scan_to_base, out->base_to_scan))
    return sb_error(SB_CONTENT, "a pose without an inverse");
  uint64_t look = sb_random_key(key, 1);
  out->gamma = sb_random_uniform(look, 0, 0.8, 1.25);
  out->sigmoid = sb_random_uniform(look, 1, 0, 0.35);
  out->fluid = sb_random_uniform(look, 2, 0.12, 0.25);
  out->noise = 1 / sb_random_uniform(look, 3, 25, 50);
  out->white = sb_random_uniform(look, 4, 300, 3000);
  return draw_fields(person, sb_random_key(key, 2), &out->fields);
}

// ---- The grid -----------------------------------------------------------------------------------

// Storage orientations: which RAS axis each of the file's axes runs along, and in which direction.
// Half of all scans are stored as RAS or LAS.
static const struct {
  int axis[3];
  double sign[3];
} STORAGE[] = {
    {{0, 1, 2}, {1, 1, 1}},  {{0, 1, 2}, {-1, 1, 1}},  {{0, 1, 2}, {1, 1, 1}},
    {{0, 1, 2}, {-1, 1, 1}}, {{0, 1, 2}, {-1, -1, 1}}, {{1, 2, 0}, {-1, -1, 1}},
    {{1, 2, 0}, {1, 1, 1}},  {{0, 2, 1}, {1, -1, 1}},
};
enum { STORAGE_COUNT = sizeof STORAGE / sizeof *STORAGE };

// The box in scanner mm that holds the whole brain.
static void scanner_box(const sb_base *base, const session *s, double low[3], double high[3]) {
  for (int a = 0; a < 3; a++) {
    low[a] = INFINITY;
    high[a] = -INFINITY;
  }
  for (int corner = 0; corner < 8; corner++) {
    double point[3], mm[3];
    for (int a = 0; a < 3; a++)
      point[a] =
          (corner >> a & 1) != 0 ? base->high_mm[a] + MARGIN_MM : base->low_mm[a] - MARGIN_MM;
    sb_affine_apply(s->base_to_scan, point, mm);
    for (int a = 0; a < 3; a++) {
      low[a] = fmin(low[a], mm[a]);
      high[a] = fmax(high[a], mm[a]);
    }
  }
}

static sb_status make_grid(const sb_base *base, const session *s, uint64_t key, double voxel_mm,
                           sb_volume *out) {
  double low[3], high[3];
  scanner_box(base, s, low, high);
  double size = voxel_mm > 0 ? voxel_mm : sb_random_uniform(key, 0, 0.9, 1.2);
  double slice = voxel_mm > 0 ? voxel_mm : size * sb_random_uniform(key, 1, 1, 1.3 / 1.2);
  int64_t which = (int64_t)(sb_random_bits(key, 2) % STORAGE_COUNT);
  memset(out, 0, sizeof *out);
  out->affine[15] = 1;
  for (int a = 0; a < 3; a++) { // file axis a runs along RAS axis `axis`
    int axis = STORAGE[which].axis[a];
    double step = (a == 2 ? slice : size) * STORAGE[which].sign[a];
    out->dims[a] = (int64_t)ceil((high[axis] - low[axis]) / fabs(step)) + 1;
    out->affine[4 * axis + a] = step;
    out->affine[4 * axis + 3] = step > 0 ? low[axis] : high[axis];
  }
  return SB_NEW_ZERO(&out->voxels, out->dims[0] * out->dims[1] * out->dims[2], "synthetic scan");
}

// ---- Voxels -------------------------------------------------------------------------------------

// The signal at a point of the base's space (before the deformation): 0 outside the outline.
static double signal_at(const sb_base *base, const sb_person *person, const session *s,
                        const double point[3]) {
  float own[SB_PERSON_CHANNELS], fields[FIELD_CHANNELS];
  double moved[3], voxel[3];
  sb_field_sample(&person->lattice, SB_PERSON_CHANNELS, person->field, point, own);
  for (int a = 0; a < 3; a++) moved[a] = point[a] + (double)own[a];
  sb_affine_apply(base->to_voxel, moved, voxel);
  float inside = sb_sample_linear(&base->inside, voxel[0], voxel[1], voxel[2], 0);
  if (inside < 0.15f) return 0; // no outline is wider
  sb_field_sample(&person->lattice, FIELD_CHANNELS, s->fields, point, fields);
  if (inside < fields[1]) return 0;
  double value = (double)sb_sample_cubic(&base->image, voxel[0], voxel[1], voxel[2], 0);
  value = fmax(value * (double)own[3], s->fluid);
  value = pow(value, s->gamma);
  double steep = 1 / (1 + exp(-6 * (value - 0.6)));
  return (value + s->sigmoid * (steep - value)) * (double)fields[0];
}

// The magnitude of a complex signal with normal noise in both its parts (Rice), in grey levels.
static float observe(const session *s, double signal, uint64_t key, uint64_t counter) {
  float pair[2];
  sb_random_normals(key, counter, pair);
  double real = signal + s->noise * (double)pair[0], imaginary = s->noise * (double)pair[1];
  double level = round(s->white * sqrt(real * real + imaginary * imaginary));
  return (float)fmin(fmax(level, 1), 32767);
}

sb_status sb_session_render(const sb_base *base, const sb_person *person, uint64_t key,
                            double voxel_mm, sb_volume *out) {
  session s = {0};
  uint64_t noise_key = sb_random_key(key, 4);
  memset(out, 0, sizeof *out);
  sb_status status = sb_ok();
  SB_TRY(draw_session(base, person, key, &s));
  SB_TRY(make_grid(base, &s, sb_random_key(key, 3), voxel_mm, out));
  double to_base[16];
  sb_affine_multiply(s.scan_to_base, out->affine, to_base);
  for (int64_t k = 0, at = 0; k < out->dims[2]; k++)
    for (int64_t j = 0; j < out->dims[1]; j++)
      for (int64_t i = 0; i < out->dims[0]; i++, at++) {
        double voxel[3] = {(double)i, (double)j, (double)k}, point[3];
        sb_affine_apply(to_base, voxel, point);
        double signal = signal_at(base, person, &s, point);
        if (signal > 0) out->voxels[at] = observe(&s, signal, noise_key, (uint64_t)at);
      }
cleanup:
  free(s.fields);
  if (status.code != SB_OK) sb_volume_free(out);
  return status;
}
