#include "synth/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "core/order.h"
#include "image/smooth.h"
#include "synth/field.h"

static const double OUTLINE_SIGMA_MM = 2;

static int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

void sb_base_free(sb_base *base) {
  sb_volume_free(&base->image);
  sb_volume_free(&base->inside);
  memset(base, 0, sizeof *base);
}

// Divides the image by the 90th percentile of its positive voxels, which is bright white matter.
static sb_status scale_to_white(sb_volume *image, const char *name) {
  int64_t count = voxel_count(image), brain = 0;
  float *sorted = NULL;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&sorted, count, "base brain"));
  for (int64_t i = 0; i < count; i++)
    if (image->voxels[i] > 0) sorted[brain++] = image->voxels[i];
  if (brain < count / 100 || brain > count * 9 / 10) {
    status =
        sb_error(SB_CONTENT,
                 "%s: %.0f %% of its voxels are above zero; a base brain must be skull-stripped,"
                 " with zero outside the brain",
                 name, 100.0 * (double)brain / (double)count);
    goto cleanup;
  }
  qsort(sorted, (size_t)brain, sizeof *sorted, sb_order_floats);
  float white = sorted[brain * 9 / 10];
  for (int64_t i = 0; i < count; i++)
    image->voxels[i] = image->voxels[i] > 0 ? image->voxels[i] / white : 0;
cleanup:
  free(sorted);
  return status;
}

// The box and centre of what is above zero, in RAS mm.
static void measure_extent(sb_base *base) {
  const sb_volume *v = &base->image;
  double sum[3] = {0, 0, 0}, count = 0;
  for (int a = 0; a < 3; a++) {
    base->low_mm[a] = INFINITY;
    base->high_mm[a] = -INFINITY;
  }
  for (int64_t k = 0; k < v->dims[2]; k++)
    for (int64_t j = 0; j < v->dims[1]; j++)
      for (int64_t i = 0; i < v->dims[0]; i++) {
        if (!(v->voxels[i + v->dims[0] * (j + v->dims[1] * k)] > 0)) continue;
        double voxel[3] = {(double)i, (double)j, (double)k}, mm[3];
        sb_affine_apply(v->affine, voxel, mm);
        for (int a = 0; a < 3; a++) {
          base->low_mm[a] = fmin(base->low_mm[a], mm[a]);
          base->high_mm[a] = fmax(base->high_mm[a], mm[a]);
          sum[a] += mm[a];
        }
        count++;
      }
  for (int a = 0; a < 3; a++) base->centre_mm[a] = sum[a] / count;
}

// Everything else, once the image is there.
static sb_status complete(sb_base *base, const char *name) {
  sb_volume *image = &base->image, *inside = &base->inside;
  sb_status status = sb_ok();
  SB_TRY(scale_to_white(image, name));
  if (!sb_affine_invert(image->affine, base->to_voxel)) {
    status = sb_error(SB_FORMAT, "%s: its header has a singular affine", name);
    goto cleanup;
  }
  measure_extent(base);
  *inside = *image;
  inside->voxels = NULL;
  SB_TRY(SB_NEW(&inside->voxels, voxel_count(image), "base brain's mask"));
  for (int64_t i = 0; i < voxel_count(image); i++)
    inside->voxels[i] = image->voxels[i] > 0 ? 1.0f : 0.0f;
  double sigma_vox[3];
  for (int a = 0; a < 3; a++)
    sigma_vox[a] = OUTLINE_SIGMA_MM / sqrt(image->affine[a] * image->affine[a] +
                                           image->affine[4 + a] * image->affine[4 + a] +
                                           image->affine[8 + a] * image->affine[8 + a]);
  SB_TRY(sb_gaussian(inside->voxels, inside->dims, sigma_vox));
cleanup:
  return status;
}

sb_status sb_base_load(const char *path, sb_base *out) {
  memset(out, 0, sizeof *out);
  sb_status status = sb_volume_load(path, &out->image, NULL);
  if (status.code == SB_OK) status = complete(out, path);
  if (status.code != SB_OK) sb_base_free(out);
  return status;
}

// ---- The procedural brain -----------------------------------------------------------------------

enum { NX = 161, NY = 193, NZ = 161 };
static const double ORIGIN_MM[3] = {-80, -116, -72};

// T1-weighted intensities of the tissues, white matter at 1.
static const double WHITE = 1.0, GREY = 0.62, NUCLEUS = 0.74, FLUID = 0.18;

typedef struct ellipsoid {
  double centre[3], radius[3];
} ellipsoid;

// About how many mm a point is inside an ellipsoid (negative outside).
static double depth_in(const ellipsoid *e, double x, double y, double z) {
  double u = (x - e->centre[0]) / e->radius[0], v = (y - e->centre[1]) / e->radius[1];
  double w = (z - e->centre[2]) / e->radius[2];
  double r = sqrt(u * u + v * v + w * w);
  double slope =
      sqrt(u * u / (e->radius[0] * e->radius[0]) + v * v / (e->radius[1] * e->radius[1]) +
           w * w / (e->radius[2] * e->radius[2]));
  return r < 1e-6 ? fmin(e->radius[0], fmin(e->radius[1], e->radius[2])) : (1 - r) * r / slope;
}

// 0 below, 1 above, a smooth step about 1 mm wide between.
static double step(double distance_mm) {
  return 1 / (1 + exp(-4 * distance_mm));
}

// The intensity `inside_mm` below a surface: fluid, then 3 mm of cortex, then white matter.
static double shells(double surface_mm, double sulcus_mm) {
  double distance = fmin(surface_mm, sulcus_mm);
  double cortex = FLUID + (GREY - FLUID) * step(distance - 0.8);
  return cortex + (WHITE - GREY) * step(distance - 3.6);
}

// One point of the brain; 0 outside. `fold` holds two noise fields of unit deviation: wide folds
// and fine ones; a fold is a sheet where its field is near zero.
static double tissue_at(double x, double y, double z, const float fold[2]) {
  double side = x < 0 ? -1 : 1, lateral = fabs(x);
  // The hemispheres narrow to the front, and the right one reaches further there, the left one
  // back.
  double taper = 1 - 0.0016 * (y + 17) - 0.000012 * (y + 17) * (y + 17);
  const ellipsoid hemisphere = {{25, -17 + 2 * side, 10}, {43, 84, 58}};
  const ellipsoid temporal = {{44, -8, -20}, {21, 38, 20}};
  const ellipsoid cerebellum = {{20, -62, -40}, {32, 30, 24}};
  const ellipsoid stem = {{0, -30, -44}, {14, 15, 26}};
  double fissure = lateral - 0.8 - 0.6 * step((z - 20) / 6);
  double callosum = 10 - hypot((y + 8) / 4.5, z - 14); // joins the two sides
  double cerebrum = fmin(depth_in(&hemisphere, lateral / taper, y, z), fmax(fissure, callosum));
  double lobe = depth_in(&temporal, lateral, y, z);
  double outer = fmax(cerebrum, lobe);
  double little = depth_in(&cerebellum, lateral, y, z), trunk = depth_in(&stem, x, y, z);
  double outline = fmax(outer, fmax(little, trunk));
  if (outline <= 0) return 0;

  double value;
  if (outer >= little && outer >= trunk) {
    double deep = fmax(0, outer - 16) * 0.8; // folds reach some 20 mm in
    double sulcus =
        fmin(fabs((double)fold[0]) * 9, fabs((double)fold[1]) * 6 + 0.5 * fmax(0, outer - 8));
    value = shells(outer, sulcus + deep);
  } else if (little >= trunk) {
    value = shells(little,
                   fabs(sin(0.9 * z + 0.25 * y + 1.2 * fold[1])) * 3.4 + 0.3 * fmax(0, little - 9));
  } else {
    value = 0.9 * WHITE * step(trunk - 0.5) + FLUID * step(0.5 - trunk);
  }

  const ellipsoid nuclei[] = {{{12, -18, 8}, {9, 14, 9}},
                              {{26, 2, 2}, {6, 15, 9}},
                              {{14, 14, 10}, {5, 14, 8}},
                              {{25, -18, -16}, {7, 17, 5}}};
  for (size_t i = 0; i < sizeof nuclei / sizeof *nuclei; i++)
    value += (NUCLEUS - value) * step(depth_in(&nuclei[i], lateral, y, z));
  const ellipsoid ventricles[] = {{{9, 6, 18}, {5, 28, 8}},
                                  {{22, -38, 14}, {6, 16, 11}},
                                  {{0, -16, 4}, {2.5, 13, 8}},
                                  {{0, -46, -34}, {5, 6, 8}}};
  for (size_t i = 0; i < sizeof ventricles / sizeof *ventricles; i++)
    value += (FLUID - value) * step(depth_in(&ventricles[i], lateral, y, z));
  return value;
}

sb_status sb_base_procedural(sb_base *out) {
  memset(out, 0, sizeof *out);
  sb_volume *image = &out->image;
  const sb_lattice lattice = {{NX, NY, NZ}, {ORIGIN_MM[0], ORIGIN_MM[1], ORIGIN_MM[2]}, 1.0};
  const uint64_t key = 0x6272616921; // any constant: this brain is always the same
  float *folds = NULL;
  sb_status status = sb_ok();
  sb_affine_identity(image->affine);
  for (int a = 0; a < 3; a++) {
    image->dims[a] = lattice.dims[a];
    image->affine[4 * a + 3] = ORIGIN_MM[a];
  }
  SB_TRY(SB_NEW(&image->voxels, voxel_count(image), "procedural brain"));
  SB_TRY(SB_NEW_ZERO(&folds, 2 * voxel_count(image), "procedural brain"));
  SB_TRY(sb_field_add(&lattice, 6.5, 1, key, 2, 0, folds));
  SB_TRY(sb_field_add(&lattice, 4.5, 1, key + 1, 2, 1, folds));
  for (int64_t k = 0; k < NZ; k++)
    for (int64_t j = 0; j < NY; j++)
      for (int64_t i = 0; i < NX; i++) {
        int64_t at = i + NX * (j + NY * k);
        image->voxels[at] = (float)tissue_at((double)i + ORIGIN_MM[0], (double)j + ORIGIN_MM[1],
                                             (double)k + ORIGIN_MM[2], folds + 2 * at);
      }
  SB_TRY(complete(out, "the procedural brain"));
cleanup:
  free(folds);
  if (status.code != SB_OK) sb_base_free(out);
  return status;
}
