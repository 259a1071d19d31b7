// The steps from a scan to a row, in order: find the brain (cut it out of a head), align, resample
// once, take the bias field off, harmonise.
#include "prepare/pipeline.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clones.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "image/orient.h"
#include "image/smooth.h"
#include "prepare/bias.h"
#include "prepare/extract.h"
#include "prepare/harmonise.h"
#include "prepare/labels.h"
#include "prepare/mask.h"
#include "prepare/sample.h"
#include "prepare/structure.h"
#include "prepare/template.h"

struct sb_preparer {
  const sb_template *tmpl;
  sb_prepare_options options;
  sb_aligner aligner;
  sb_standard_scale scale;
  float *standard_row;    // the template's own row on the standard scale
  double least_structure; // of a brain
  char parameters[256];
  // The template's head takes time to read and most runs need none: made when first asked for.
  pthread_mutex_t head_lock;
  sb_head *head;
};

sb_prepare_options sb_prepare_options_default(void) {
  return (sb_prepare_options){.dof = 12,
                              .bias = SB_BIAS_AUTO,
                              .harmonise = SB_HARMONISE_NYUL,
                              .outside = SB_OUTSIDE_FALLOFF,
                              .winsor_sigma = 2.5};
}

// What `auto` is: see docs/choices.md.
static sb_bias chosen_bias(sb_bias bias) {
  return bias == SB_BIAS_AUTO ? SB_BIAS_N4 : bias;
}

// Without harmonisation a row is on no scale whose mean could be filled in.
static sb_outside chosen_outside(const sb_prepare_options *o) {
  return o->harmonise == SB_HARMONISE_NONE ? SB_OUTSIDE_SCAN : o->outside;
}

static const char *bias_name(sb_bias bias) {
  static const char *const NAMES[] = {"auto", "n4", "gain", "off"};
  return NAMES[bias];
}

static const char *outside_name(sb_outside outside) {
  static const char *const NAMES[] = {"scan", "mean", "template", "falloff"};
  return NAMES[outside];
}

static const char *harmonise_name(sb_harmonise method) {
  static const char *const NAMES[] = {"nyul", "zscore", "rank", "none"};
  return NAMES[method];
}

static sb_status check_options(const sb_prepare_options *o) {
  if (o->space == SB_SPACE_TEMPLATE && o->dof != 12)
    return sb_error(SB_USAGE,
                    "scans in the template's space are not aligned: leave out the degrees "
                    "of freedom (--dof)");
  if (o->dof != 12 && o->dof != 6)
    return sb_error(SB_USAGE, "%d degrees of freedom: alignment has 12 (affine) or 6 (rigid)",
                    o->dof);
  if (!(o->winsor_sigma >= 0))
    return sb_error(SB_USAGE, "winsorising at %g sigma: it must be 0 (none) or above",
                    o->winsor_sigma);
  if (!(o->smooth_mm >= 0 && o->smooth_mm <= 20))
    return sb_error(SB_USAGE, "smoothing by %g mm: it must be 0 (none) to 20", o->smooth_mm);
  if ((unsigned)o->brain > SB_BRAIN_EXTRACT)
    return sb_error(SB_USAGE, "unknown kind of scan: stripped, a head, or to be told");
  if ((unsigned)o->bias > SB_BIAS_OFF || (unsigned)o->harmonise > SB_HARMONISE_NONE ||
      (unsigned)o->outside > SB_OUTSIDE_FALLOFF || (unsigned)o->space > SB_SPACE_TEMPLATE)
    return sb_error(SB_USAGE, "unknown space, bias field, harmonisation or outside method");
  return sb_ok();
}

// What shapes a row, as one line.
static void describe(const sb_template *t, const sb_prepare_options *o, size_t size, char *out) {
  char align[40] = "align=given", smooth[40] = "8-bit-half-box";
  if (o->space == SB_SPACE_NATIVE)
    snprintf(align, sizeof align, "align=gauss-newton-6 dof=%d", o->dof);
  if (o->smooth_mm > 0) snprintf(smooth, sizeof smooth, "8-bit-gaussian-%g", o->smooth_mm);
  snprintf(out, size, "resolution_mm=%g %s resample=%s bias=%s harmonise=%s outside=%s winsor=%g",
           t->resolution_mm, align, smooth, bias_name(chosen_bias(o->bias)),
           harmonise_name(o->harmonise), outside_name(chosen_outside(o)),
           o->harmonise == SB_HARMONISE_NONE ? 0 : o->winsor_sigma);
}

// The structure that a brain must exceed. An average of many brains is smooth: brains are more like
// it than like one brain, and so is whatever is dark near the surface and bright inside. How much
// of the template's structure is its outline (0.30 of Colin27's, 0.75 of an average of 16 brains')
// therefore moves the bound: brains had 0.33 and more with the one, 0.62 with the other, and what is
// none 0.27 and 0.35 at most.
static sb_status find_least_structure(const sb_template *t, double *least) {
  static const double LEAST = 0.3, OF_OUTLINE = 0.65, RIND_MM = 5;
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  const double sigma = RIND_MM / t->resolution_mm, sigmas[3] = {sigma, sigma, sigma};
  float *depth = NULL, *row = NULL;
  uint8_t *brain = NULL;
  sb_structure outline;
  sb_status status;
  SB_TRY(SB_NEW(&depth, n, "template outline"));
  SB_TRY(SB_NEW(&row, t->row_length, "template outline"));
  SB_TRY(SB_NEW(&brain, t->row_length, "template outline"));
  for (int64_t i = 0; i < n; i++) depth[i] = t->row_mask[i];
  SB_TRY(sb_gaussian(depth, t->row_image.dims, sigmas));
  for (int64_t i = 0; i < t->row_length; i++) row[i] = depth[t->row_index[i]];
  memset(brain, 1, (size_t)t->row_length);
  SB_TRY(sb_structure_measure(t, row, brain, &outline));
  *least = fmax(LEAST, OF_OUTLINE * outline.octants[2]);
cleanup:
  free(depth);
  free(row);
  free(brain);
  return status;
}

sb_status sb_preparer_create(const sb_template *t, const sb_prepare_options *options,
                             sb_preparer **out) {
  *out = NULL;
  sb_status status = check_options(options);
  if (status.code != SB_OK) return status;
  sb_preparer *p = calloc(1, sizeof *p);
  if (p == NULL) return sb_error(SB_NO_MEMORY, "out of memory for preparation");
  p->tmpl = t;
  p->options = *options;
  pthread_mutex_init(&p->head_lock, NULL);
  describe(t, options, sizeof p->parameters, p->parameters);
  SB_TRY(sb_standard_scale_create(t, &p->scale));
  SB_TRY(SB_NEW(&p->standard_row, t->row_length, "template row"));
  for (int64_t i = 0; i < t->row_length; i++)
    p->standard_row[i] = (float)(((double)t->row_image.voxels[t->row_index[i]] - p->scale.mean) /
                                 p->scale.deviation);
  SB_TRY(find_least_structure(t, &p->least_structure));
  SB_TRY(sb_aligner_create(t, &p->aligner));
  *out = p;
  p = NULL;
cleanup:
  sb_preparer_free(p);
  return status;
}

void sb_preparer_free(sb_preparer *preparer) {
  if (preparer == NULL) return;
  sb_aligner_free(&preparer->aligner);
  if (preparer->head != NULL) sb_head_free(preparer->head);
  free(preparer->head);
  pthread_mutex_destroy(&preparer->head_lock);
  free(preparer->standard_row);
  free(preparer);
}

const char *sb_preparer_parameters(const sb_preparer *preparer) {
  return preparer->parameters;
}

// ---- Rotations ----------------------------------------------------------------------------------

// The rotation nearest to a matrix's 3x3 part (Newton's iteration for the polar factor).
static bool nearest_rotation(const double matrix[16], double r[16]) {
  double inverse[16];
  memcpy(r, matrix, 16 * sizeof *r);
  r[3] = r[7] = r[11] = 0;
  for (int iteration = 0; iteration < 30; iteration++) {
    if (!sb_affine_invert(r, inverse)) return false;
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++) r[4 * i + j] = 0.5 * (r[4 * i + j] + inverse[4 * j + i]);
  }
  return true;
}

// Takes scales and shears out of a map; the brain's centre stays where it is.
static void make_rigid(const sb_aligner *aligner, double map[16]) {
  double centre[3], placed[3], turned[3], r[16];
  if (!nearest_rotation(map, r)) return; // a map that is singular is refused for its stretch
  sb_affine_apply(aligner->frame_to_ras, aligner->centre_mm, centre);
  sb_affine_apply(map, centre, placed);
  sb_affine_apply(r, centre, turned);
  for (int i = 0; i < 3; i++) r[4 * i + 3] = placed[i] - turned[i];
  memcpy(map, r, sizeof r);
}

// ---- Resampling ---------------------------------------------------------------------------------

// The brain's image smoothed by a Gaussian as wide in every direction, packed.
static sb_status smooth(const sb_brain *brain, double smooth_mm, sb_packed *out) {
  const int64_t *dims = brain->image.dims, n = dims[0] * dims[1] * dims[2];
  const float low = brain->packed.low, high = low + 255 * brain->packed.step;
  sb_volume image = brain->image;
  double sigma_vox[3];
  sb_status status;
  SB_TRY(SB_NEW(&image.voxels, n, "smoothed scan"));
  memcpy(image.voxels, brain->image.voxels, (size_t)n * sizeof *image.voxels);
  sb_voxel_size(image.affine, sigma_vox);
  for (int i = 0; i < 3; i++) sigma_vox[i] = smooth_mm / sigma_vox[i];
  SB_TRY(sb_volume_gaussian(&image, sigma_vox));
  SB_TRY(sb_packed_create(&image, low, high, out));
cleanup:
  if (image.voxels != brain->image.voxels) sb_volume_free(&image);
  return status;
}

SB_CLONES
static void mark_foreground(int64_t count, const float *restrict values, float threshold,
                            uint8_t *restrict mask) {
  for (int64_t i = 0; i < count; i++) mask[i] = fabsf(values[i]) > threshold;
}

// The brain on the rows' grid, and where on it the scan's own brain is.
//   grid      out: intensities where the template's mask is; voxels allocated here
//   own_mask  out: 0 or 1 per grid voxel
static sb_status resample(const sb_template *t, const sb_brain *brain,
                          const double template_to_scan[16], double smooth_mm, sb_volume *grid,
                          uint8_t *own_mask) {
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  sb_packed smoothed = {0};
  double grid_to_scan[16], to_voxels[16];
  sb_status status;
  *grid = t->row_image;
  grid->voxels = NULL;
  SB_TRY(SB_NEW(&grid->voxels, n, "resampled scan"));
  if (!sb_affine_invert(brain->image.affine, to_voxels)) {
    status = sb_error(SB_FORMAT, "the header's orientation matrix is singular");
    goto cleanup;
  }
  sb_affine_multiply(template_to_scan, t->row_image.affine, grid_to_scan);
  sb_affine_multiply(to_voxels, grid_to_scan, grid_to_scan);

  // The scan's own brain is where the intensity at the voxel's centre stands out.
  SB_TRY(sb_sample_packed_grid(&brain->packed, grid_to_scan, 1, NULL, grid));
  mark_foreground(n, grid->voxels, (float)brain->threshold, own_mask);
  SB_TRY(sb_mask_fill_holes(grid->dims, own_mask));
  if (smooth_mm > 0) {
    SB_TRY(smooth(brain, smooth_mm, &smoothed));
    SB_TRY(sb_sample_packed_grid(&smoothed, grid_to_scan, 1, t->row_mask, grid));
  } else {
    SB_TRY(sb_sample_packed_grid(&brain->packed, grid_to_scan, SB_SUB_SAMPLES, t->row_mask, grid));
  }
cleanup:
  sb_packed_free(&smoothed);
  return status;
}

// ---- Bias field and what is outside -------------------------------------------------------------

// The field that N4 finds, as a gain for each element of the row.
static sb_status n4_gain(const sb_template *t, const sb_volume *grid, const uint8_t *own_mask,
                         float *gain) {
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  uint8_t *brain = NULL;
  float *field = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&brain, n, "brain mask"));
  SB_TRY(SB_NEW(&field, n, "bias field"));
  for (int64_t i = 0; i < n; i++) brain[i] = own_mask[i] & t->row_mask[i];
  SB_TRY(sb_bias_estimate(grid, t->resolution_mm, brain, field));
  for (int64_t i = 0; i < t->row_length; i++) gain[i] = expf(field[t->row_index[i]]);
cleanup:
  free(brain);
  free(field);
  return status;
}

static void alignment_gain(const sb_preparer *p, const sb_alignment *alignment, float *gain) {
  const sb_template *t = p->tmpl;
  const int64_t nx = t->row_image.dims[0], ny = t->row_image.dims[1];
  for (int64_t i = 0; i < t->row_length; i++) {
    const int64_t at = t->row_index[i], x = at % nx, y = at / nx % ny, z = at / (nx * ny);
    double point[3] = {(double)x, (double)y, (double)z};
    sb_affine_apply(t->row_image.affine, point, point);
    gain[i] = (float)sb_align_gain(&p->aligner, alignment, point);
  }
}

// Divides the bias field out of a row.
static sb_status remove_bias(const sb_preparer *p, sb_bias bias, const sb_alignment *alignment,
                             const sb_volume *grid, const uint8_t *own_mask, float *row) {
  float *gain = NULL;
  sb_status status = sb_ok();
  if (bias == SB_BIAS_OFF) return status;
  SB_TRY(SB_NEW(&gain, p->tmpl->row_length, "bias field"));
  if (bias == SB_BIAS_N4)
    SB_TRY(n4_gain(p->tmpl, grid, own_mask, gain));
  else
    alignment_gain(p, alignment, gain);
  for (int64_t i = 0; i < p->tmpl->row_length; i++) row[i] /= gain[i];
cleanup:
  free(gain);
  return status;
}

// Fades a harmonised row to 0 over the edge of the scan's own brain, by the brain's share of a
// neighbourhood about a voxel wide.
static sb_status fade(const sb_template *t, const uint8_t *own_mask, float *row) {
  enum { REACH = 4 }; // of the Gaussian
  static const double SIGMA_VOX[3] = {1, 1, 1};
  const int64_t *grid = t->row_image.dims, plane = grid[0] * grid[1];
  const int64_t first = t->row_first[2] > REACH ? t->row_first[2] - REACH : 0;
  const int64_t end = t->row_end[2] + REACH < grid[2] ? t->row_end[2] + REACH : grid[2];
  const int64_t dims[3] = {grid[0], grid[1], end - first}, before = plane * first;
  float *share = NULL; // of the planes first..end-1
  sb_status status;
  SB_TRY(SB_NEW(&share, plane * dims[2], "brain mask"));
  for (int64_t i = 0; i < plane * dims[2]; i++) share[i] = own_mask[before + i];
  SB_TRY(sb_gaussian(share, dims, SIGMA_VOX));
  for (int64_t i = 0; i < t->row_length; i++) row[i] *= share[t->row_index[i] - before];
cleanup:
  free(share);
  return status;
}

static sb_status fill_outside(const sb_preparer *p, const sb_prepare_options *options,
                              const uint8_t *own_mask, float *row) {
  const sb_template *t = p->tmpl;
  const float most = options->winsor_sigma > 0 ? (float)options->winsor_sigma : INFINITY;
  const sb_outside outside = chosen_outside(options);
  if (outside == SB_OUTSIDE_SCAN) return sb_ok();
  if (outside == SB_OUTSIDE_FALLOFF) return fade(t, own_mask, row);
  for (int64_t i = 0; i < t->row_length; i++) {
    if (own_mask[t->row_index[i]] != 0) continue;
    row[i] = outside == SB_OUTSIDE_MEAN ? 0 : fmaxf(-most, fminf(most, p->standard_row[i]));
  }
  return sb_ok();
}

// ---- Quality ------------------------------------------------------------------------------------

SB_CLONES
static double dice(int64_t n, const uint8_t *a, const uint8_t *b) {
  int64_t both = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    both += a[i] & b[i];
    sum += a[i] + b[i];
  }
  return sum > 0 ? 2 * (double)both / (double)sum : 0;
}

static double row_correlation(const sb_template *t, const float *row) {
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, n = (double)t->row_length;
  for (int64_t i = 0; i < t->row_length; i++) {
    double x = (double)row[i], y = (double)t->row_image.voxels[t->row_index[i]];
    sx += x;
    sy += y;
    sxx += x * x;
    syy += y * y;
    sxy += x * y;
  }
  double product = (sxx - sx * sx / n) * (syy - sy * sy / n);
  return product > 0 ? (sxy - sx * sy / n) / sqrt(product) : 0;
}

// Angle of the rotation nearest to a matrix's 3x3 part.
static double rotation_deg(const double matrix[16]) {
  double r[16];
  if (!nearest_rotation(matrix, r)) return NAN;
  double cosine = 0.5 * (r[0] + r[5] + r[10] - 1);
  return acos(fmin(1, fmax(-1, cosine))) * 57.29577951308232;
}

// Ratio of the largest to the smallest singular value of a matrix's 3x3 part: the square root of
// that of the eigenvalues of A'A, which have a closed form (Smith 1961).
static double stretch(const double a[16]) {
  double b[3][3], mean = 0, p = 0, shifted[16];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) b[i][j] = a[i] * a[j] + a[4 + i] * a[4 + j] + a[8 + i] * a[8 + j];
  for (int i = 0; i < 3; i++) mean += b[i][i] / 3;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) p += pow(b[i][j] - (i == j ? mean : 0), 2) / 6;
  p = sqrt(p);
  if (!(p > 1e-12 * mean)) return 1;
  sb_affine_identity(shifted);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) shifted[4 * i + j] = (b[i][j] - (i == j ? mean : 0)) / p;
  double angle = acos(fmin(1, fmax(-1, sb_affine_determinant(shifted) / 2))) / 3;
  double largest = mean + 2 * p * cos(angle);
  double smallest = mean + 2 * p * cos(angle + 2.0943951023931953);
  return smallest > 0 ? sqrt(largest / smallest) : INFINITY;
}

static void measure_quality(const sb_preparer *p, const sb_brain *brain,
                            const sb_alignment *alignment, const sb_structure *structure,
                            sb_prepared *out) {
  const sb_template *t = p->tmpl;
  sb_quality *q = &out->quality;
  double centre[3], placed[3], square = 0;
  sb_affine_apply(p->aligner.frame_to_ras, p->aligner.centre_mm, centre);
  sb_affine_apply(alignment->template_to_scan, centre, placed);
  for (int i = 0; i < 3; i++) square += (placed[i] - centre[i]) * (placed[i] - centre[i]);
  q->brain = SB_BRAIN_WAS_STRIPPED;
  q->extraction_overlap = q->extraction_edge = NAN;
  q->translation_mm = sqrt(square);
  q->rotation_deg = rotation_deg(alignment->template_to_scan);
  q->scale = cbrt(fabs(sb_affine_determinant(alignment->template_to_scan)));
  q->handedness = alignment->handedness;
  q->fit = alignment->correlation;
  q->lead = alignment->next_correlation;
  q->structure_whole = structure->whole;
  q->structure = structure->octants[2];
  q->sharpness = structure->sharpness;
  q->off_mm = NAN;
  q->starts = alignment->starts;
  q->stretch = stretch(alignment->template_to_scan);
  q->noise = sb_brain_noise(brain);
  q->template_correlation = row_correlation(t, out->row);
  q->mask_overlap = dice(t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2],
                         t->row_mask, out->own_mask);
}

// Bounds between what is right and what is not, over real scans, damaged or not, and what is no brain.
static const double LEAST_SHARPNESS = 0.7, LEAST_OVERLAP = 0.75, MOST_STRETCH = 1.7,
                    MOST_BRAIN_CM3 = 2000, MOST_OFF_MM = 8;

// Is the result a brain on the template? The outline alone does not tell (a potato overlaps as
// well as a brain does): the pattern of tissues must be there, nearly everywhere.
static sb_status check_quality(const sb_preparer *p, const sb_brain *brain, const sb_quality *q) {
  const double cm3 = brain->volume_mm3 / 1000;
  if (q->mask_overlap < LEAST_OVERLAP && cm3 > MOST_BRAIN_CM3)
    return sb_error(
        SB_UNSUPPORTED,
        "looks like a whole head (%.0f cm3 stand out from the background, overlap with "
        "the template brain %.2f) and was taken as skull-stripped: use --brain auto or extract, "
        "give the scan's brain mask, or strip the skull first",
        cm3, q->mask_overlap);
  if (q->mask_overlap < LEAST_OVERLAP)
    return sb_error(SB_ALIGN,
                    "does not fit the template brain (overlap %.2f, at least %.2f expected; "
                    "structure %.2f): not skull-stripped, cut off, or not a brain?",
                    q->mask_overlap, LEAST_OVERLAP, q->structure);
  if (!(q->structure > p->least_structure))
    return sb_error(SB_ALIGN,
                    "does not look like the template brain (structure %.2f, above %.2f expected): "
                    "not T1-weighted, much of it missing, or not a brain?",
                    q->structure, p->least_structure);
  if (!(q->sharpness > LEAST_SHARPNESS))
    return sb_error(SB_CONTENT,
                    "too blurred to tell people apart (sharpness %.2f, above %.2f expected): folds "
                    "are smoothed away",
                    q->sharpness, LEAST_SHARPNESS);
  if (!(q->stretch < MOST_STRETCH))
    return sb_error(SB_ALIGN,
                    "fits the template brain only when stretched %.2f-fold (under %.2f expected): "
                    "are the header's voxel sizes right?",
                    q->stretch, MOST_STRETCH);
  return sb_ok();
}

bool sb_quality_doubt(const sb_quality *quality, char *text, size_t size) {
  static const double MOST_EDGE = 0.3, DOUBTFUL_SHARPNESS = 0.9, TEMPLATES_OWN = 0.9;
  if (quality->structure > TEMPLATES_OWN)
    snprintf(
        text, size,
        "it is the template, or another image of the template's brain (structure %.2f, where other "
        "people have less than %g): leave it out unless that is meant",
        quality->structure, TEMPLATES_OWN);
  else if (quality->brain == SB_BRAIN_WAS_EXTRACTED && quality->extraction_edge > MOST_EDGE)
    snprintf(
        text, size,
        "cutting out the brain is doubtful, as %.0f %% of what is around the cut is as bright as "
        "brain; look at it (--save-images), or give a mask",
        100 * quality->extraction_edge);
  else if (quality->sharpness < DOUBTFUL_SHARPNESS)
    snprintf(
        text, size,
        "it is blurred (sharpness %.2f), and blurred scans of two people are alike: do not trust "
        "a high score of it alone",
        quality->sharpness);
  else
    return false;
  return true;
}

// ---- The list of steps --------------------------------------------------------------------------

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double cpu_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// Adds the processor time since *since to a step, and starts the next one.
static void lap(double *since, double *step) {
  const double now = cpu_s();
  *step += now - *since;
  *since = now;
}

// The row that an alignment gives, into arrays that are there already.
//   brain_in_row  scratch, a byte per row element
static sb_status place(const sb_preparer *p, const sb_prepare_options *options,
                       const sb_brain *brain, const sb_alignment *alignment, uint8_t *brain_in_row,
                       sb_prepared *out) {
  const sb_template *t = p->tmpl;
  sb_volume grid = {0};
  sb_structure structure;
  double since = cpu_s();
  sb_status status;
  SB_TRY(resample(t, brain, alignment->template_to_scan, options->smooth_mm, &grid, out->own_mask));
  for (int64_t i = 0; i < t->row_length; i++) {
    out->row[i] = grid.voxels[t->row_index[i]];
    brain_in_row[i] = out->own_mask[t->row_index[i]];
  }
  lap(&since, &out->steps.resample);
  SB_TRY(remove_bias(p, chosen_bias(options->bias), alignment, &grid, out->own_mask, out->row));
  lap(&since, &out->steps.bias);
  SB_TRY(sb_harmonise_row(options->harmonise, options->winsor_sigma, &p->scale, t->row_length,
                          brain_in_row, out->row));
  lap(&since, &out->steps.harmonise);
  SB_TRY(sb_structure_measure(t, out->row, brain_in_row, &structure));
  memcpy(out->template_to_scan, alignment->template_to_scan, sizeof out->template_to_scan);
  measure_quality(p, brain, alignment, &structure, out); // of what the scan has, also outside
  lap(&since, &out->steps.check);
  SB_TRY(fill_outside(p, options, out->own_mask, out->row));
  lap(&since, &out->steps.outside);
cleanup:
  sb_volume_free(&grid);
  return status;
}

// The place whose weak octants fit best, of those that alignment offers.
static sb_status best_place(const sb_preparer *p, const sb_brain *brain, bool thorough,
                            uint8_t *brain_in_row, sb_alignment *chosen, sb_prepared *out) {
  sb_alignment places[SB_ALIGN_PLACES];
  int count, best = 0, last = 0;
  double best_structure = -2, since = cpu_s();
  sb_status status;
  SB_TRY(sb_align_places(&p->aligner, brain, thorough, places, &count));
  lap(&since, &out->steps.align);
  for (; last < count; last++) {
    status = place(p, &p->options, brain, &places[last], brain_in_row, out);
    if (status.code == SB_CONTENT && count > 1) continue; // next to nothing of the brain is there
    if (status.code != SB_OK) goto cleanup;
    if (out->quality.structure > best_structure) {
      best = last;
      best_structure = out->quality.structure;
    }
  }
  *chosen = places[best];
  if (count > 1) SB_TRY(place(p, &p->options, brain, chosen, brain_in_row, out));
cleanup:
  return status;
}

// The row of a scan that was aligned elsewhere. The identity must be about where alignment would
// lead: other tools and other templates in MNI space differ by some millimetres, scans where the
// scanner put them by more.
static sb_status given_place(const sb_preparer *p, const sb_brain *brain, uint8_t *brain_in_row,
                             sb_prepared *out) {
  sb_alignment given;
  double off_mm, since = cpu_s();
  sb_status status;
  SB_TRY(sb_align_given(&p->aligner, brain, &given, &off_mm));
  lap(&since, &out->steps.align);
  if (off_mm > MOST_OFF_MM) {
    status = sb_error(SB_ALIGN, "alignment would move it by %.1f mm, and %g are allowed", off_mm,
                      MOST_OFF_MM);
    goto cleanup;
  }
  SB_TRY(place(p, &p->options, brain, &given, brain_in_row, out));
  out->quality.off_mm = off_mm;
  SB_TRY(check_quality(p, brain, &out->quality));
cleanup:
  if (status.code == SB_ALIGN || status.code == SB_CONTENT) {
    const sb_status reason = status;
    status = sb_error(SB_ALIGN,
                      "not on the template as it lies (%s); without --space template it is aligned",
                      reason.code == SB_ALIGN ? reason.message : "hardly any of it is there");
  }
  return status;
}

// The same scan without the scales and shears that made it fit. Whether it is a brain in its place
// was told with them: most brains are smaller than the template, and fit badly at their own size.
static sb_status rigid_place(const sb_preparer *p, const sb_brain *brain, uint8_t *brain_in_row,
                             sb_alignment *alignment, sb_prepared *out) {
  const sb_quality affine = out->quality;
  make_rigid(&p->aligner, alignment->template_to_scan);
  sb_status status = place(p, &p->options, brain, alignment, brain_in_row, out);
  out->quality.structure = affine.structure;
  out->quality.structure_whole = affine.structure_whole;
  return status;
}

// How alignment looks for a brain's place: from the likely starts, and from all starts at the next
// best places too. With both, the second look follows where the first leads to nothing.
enum { LOOK_QUICK = 1, LOOK_THOROUGH = 2, LOOK_TWICE = LOOK_QUICK | LOOK_THOROUGH };

// The row of a scan that is aligned here.
//   affine  out: the alignment, whatever the degrees of freedom of the row
static sb_status found_place(const sb_preparer *p, const sb_brain *brain, int looks,
                             uint8_t *brain_in_row, double affine[16], sb_prepared *out) {
  sb_alignment alignment = {0};
  sb_status status = sb_error(SB_ALIGN, "not looked for");
  for (int look = LOOK_QUICK; look <= LOOK_THOROUGH && status.code == SB_ALIGN; look++) {
    if ((looks & look) == 0) continue;
    SB_TRY(best_place(p, brain, look == LOOK_THOROUGH, brain_in_row, &alignment, out));
    status = check_quality(p, brain, &out->quality);
  }
  if (status.code != SB_OK) goto cleanup;
  memcpy(affine, alignment.template_to_scan, sizeof alignment.template_to_scan);
  if (p->options.dof == 6) SB_TRY(rigid_place(p, brain, brain_in_row, &alignment, out));
cleanup:
  return status;
}

// Room for a row and a mask.
static sb_status make_room(const sb_template *t, sb_prepared *out, uint8_t **brain_in_row) {
  const int64_t n = t->row_image.dims[0] * t->row_image.dims[1] * t->row_image.dims[2];
  sb_status status;
  memset(out, 0, sizeof *out);
  SB_TRY(SB_NEW(&out->row, t->row_length, "row"));
  SB_TRY(SB_NEW(&out->own_mask, n, "brain mask"));
  SB_TRY(SB_NEW(brain_in_row, t->row_length, "brain mask"));
cleanup:
  return status;
}

sb_status sb_prepare_place(const sb_preparer *p, const sb_volume *volume, sb_brain *brain,
                           sb_alignment *alignment) {
  sb_status status;
  SB_TRY(sb_brain_find(volume, brain));
  SB_TRY(sb_align(&p->aligner, brain, alignment));
  if (p->options.dof == 6) make_rigid(&p->aligner, alignment->template_to_scan);
cleanup:
  return status;
}

sb_status sb_prepare_row(const sb_preparer *p, const sb_prepare_options *options,
                         const sb_brain *brain, const sb_alignment *alignment, sb_prepared *out) {
  uint8_t *brain_in_row = NULL;
  sb_status status;
  SB_TRY(make_room(p->tmpl, out, &brain_in_row));
  SB_TRY(place(p, options, brain, alignment, brain_in_row, out));
  SB_TRY(check_quality(p, brain, &out->quality));
cleanup:
  free(brain_in_row);
  return status;
}

// ---- Whole heads --------------------------------------------------------------------------------

static sb_status head_of(const sb_preparer *preparer, const sb_head **out) {
  sb_preparer *p = (sb_preparer *)preparer; // only `head` changes, once, behind its lock
  sb_status status = sb_ok();
  pthread_mutex_lock(&p->head_lock);
  if (p->head == NULL) {
    sb_head *head = calloc(1, sizeof *head);
    status = head == NULL ? sb_error(SB_NO_MEMORY, "out of memory for the template's head")
                          : sb_head_create(p->tmpl, &p->aligner, head);
    if (status.code == SB_OK)
      p->head = head;
    else
      free(head);
  }
  *out = p->head;
  pthread_mutex_unlock(&p->head_lock);
  return status;
}

// Aligns a brain that was cut out, from where its head was aligned. The check of its structure tells
// whether that was right.
static sb_status near_place(const sb_preparer *p, const sb_head *head, const sb_brain *brain,
                            const sb_alignment *head_alignment, uint8_t *brain_in_row,
                            double affine[16], sb_prepared *out) {
  sb_alignment found;
  double start[16], since = cpu_s();
  sb_status status;
  if (!sb_affine_invert(head->to_template, start))
    return sb_error(SB_ALIGN, "the template and its head do not fit");
  sb_affine_multiply(head_alignment->template_to_scan, start, start);
  SB_TRY(sb_align_near(&p->aligner, brain, start, &found));
  found.starts = head_alignment->starts;
  found.next_correlation = head_alignment->next_correlation;
  lap(&since, &out->steps.align);
  SB_TRY(place(p, &p->options, brain, &found, brain_in_row, out));
  SB_TRY(check_quality(p, brain, &out->quality));
  memcpy(affine, found.template_to_scan, sizeof found.template_to_scan);
  if (p->options.dof == 6) SB_TRY(rigid_place(p, brain, brain_in_row, &found, out));
cleanup:
  return status;
}

// Cuts the brain out of a head that has been aligned and takes it as a stripped scan.
//   search  where it does not fit near its head's place, look for it from all starts
//   cut     out: the brain as it was cut out; free with sb_volume_free
//   affine  out: the brain's own alignment
static sb_status place_cut(const sb_preparer *p, const sb_head *head, const sb_volume *volume,
                           const sb_alignment *alignment, bool search, uint8_t *brain_in_row,
                           double affine[16], sb_volume *cut, sb_prepared *out) {
  sb_extraction figures;
  sb_brain brain = {0};
  double since = cpu_s();
  sb_status status;
  sb_volume_free(cut);
  SB_TRY(sb_head_extract(head, volume, alignment, &figures, cut));
  SB_TRY(sb_brain_find(cut, &brain));
  lap(&since, &out->steps.brain);
  status = near_place(p, head, &brain, alignment, brain_in_row, affine, out);
  if (search && (status.code == SB_ALIGN || status.code == SB_CONTENT))
    status = found_place(p, &brain, LOOK_TWICE, brain_in_row, affine, out);
  out->quality.brain = SB_BRAIN_WAS_EXTRACTED;
  out->quality.extraction_overlap = figures.overlap;
  out->quality.extraction_edge = figures.edge;
cleanup:
  sb_brain_free(&brain);
  return status;
}

// How far, in mm, a point 70 mm from the brain's centre is moved between the head's alignment and
// its brain's.
static double disagreement_mm(const sb_head *head, const double head_map[16],
                              const double brain_map[16]) {
  double centre[3], most = 0;
  sb_affine_apply(head->aligner.frame_to_ras, head->aligner.centre_mm, centre);
  for (int corner = 0; corner < 8; corner++) {
    double p[3], u[3], v[3], square = 0;
    for (int i = 0; i < 3; i++) p[i] = centre[i] + ((corner >> i & 1) != 0 ? 40 : -40);
    sb_affine_apply(head_map, p, u);
    sb_affine_apply(brain_map, p, v);
    for (int i = 0; i < 3; i++) square += (u[i] - v[i]) * (u[i] - v[i]);
    most = fmax(most, sqrt(square));
  }
  return most;
}

static bool may_be_elsewhere(sb_status status) {
  return status.code == SB_ALIGN || status.code == SB_CONTENT;
}

// The first of the places where a head may be that gives a brain.
//   search  where none does, look for the brain that the best place gives from all starts
//   found   out: that place
//   affine  out: the brain's own alignment
static sb_status try_places(const sb_preparer *p, const sb_head *head, const sb_volume *volume,
                            const sb_alignment *places, int count, bool search,
                            uint8_t *brain_in_row, sb_alignment *found, double affine[16],
                            sb_volume *cut, sb_prepared *out) {
  sb_status first = sb_ok();
  for (int i = 0; i < count; i++) {
    sb_status status =
        place_cut(p, head, volume, &places[i], false, brain_in_row, affine, cut, out);
    *found = places[i];
    if (i == 0) first = status; // of several failures that of the best place tells most
    if (!may_be_elsewhere(status)) return status;
  }
  *found = places[0];
  if (!search) return first;
  return place_cut(p, head, volume, found, true, brain_in_row, affine, cut, out);
}

// The row of a whole head. The brain that was cut out is aligned on its own; where that tells that the
// head was aligned wrongly, the brain is cut out again, where it is.
static sb_status head_place(const sb_preparer *p, const sb_volume *volume, uint8_t *brain_in_row,
                            sb_volume *cut, sb_prepared *out) {
  static const double MOST_MM = 8;
  const sb_head *head;
  sb_alignment places[SB_ALIGN_PLACES], found;
  double affine[16];
  int count;
  sb_status status;
  SB_TRY(head_of(p, &head));
  for (int look = 0; look < 2; look++) { // the second one thorough
    double since = cpu_s();
    status = sb_head_align(head, volume, look > 0, places, &count);
    lap(&since, &out->steps.brain);
    if (status.code == SB_OK)
      status = try_places(p, head, volume, places, count, look > 0, brain_in_row, &found, affine,
                          cut, out);
    if (!may_be_elsewhere(status)) break;
  }
  if (status.code != SB_OK) goto cleanup;
  sb_affine_multiply(affine, head->to_template, affine);
  if (disagreement_mm(head, found.template_to_scan, affine) > MOST_MM) {
    memcpy(found.template_to_scan, affine, sizeof affine);
    SB_TRY(place_cut(p, head, volume, &found, true, brain_in_row, affine, cut, out));
  }
cleanup:
  return status;
}

sb_status sb_prepare_extract(const sb_preparer *p, const sb_volume *volume, sb_volume *brain) {
  uint8_t *brain_in_row = NULL;
  sb_prepared prepared;
  sb_status status;
  memset(brain, 0, sizeof *brain);
  SB_TRY(make_room(p->tmpl, &prepared, &brain_in_row));
  SB_TRY(head_place(p, volume, brain_in_row, brain, &prepared));
cleanup:
  free(brain_in_row);
  sb_prepared_free(&prepared);
  if (status.code != SB_OK) sb_volume_free(brain);
  return status;
}

// Whether more stands out from the background than a stripped brain has around it: a head without
// face and neck may well fit as a brain. Stripped scans have up to 1.15 times the template's volume.
static bool is_too_large(const sb_preparer *p, const sb_brain *brain, const sb_prepared *found) {
  static const double MOST_RATIO = 1.3;
  return brain->volume_mm3 >
         MOST_RATIO * p->aligner.volume_mm3 * fabs(sb_affine_determinant(found->template_to_scan));
}

// As a head, else as a brain.
//   looks   at the brain; both: it has a head's size, and where it is neither, what is wrong with it
//           as a head matters, unless it has no scalp and a brain's size
static sb_status head_first(const sb_preparer *p, const sb_volume *volume, int looks,
                            sb_brain *brain, uint8_t *brain_in_row, sb_volume *cut,
                            sb_prepared *out) {
  double affine[16];
  sb_status as_head = head_place(p, volume, brain_in_row, cut, out), as_brain;
  if (as_head.code == SB_OK) return as_head;
  sb_brain_free(brain);
  as_brain = sb_brain_find(volume, brain);
  if (as_brain.code == SB_OK) as_brain = found_place(p, brain, looks, brain_in_row, affine, out);
  if (as_brain.code == SB_OK || looks != LOOK_TWICE) return as_brain;
  return as_head.code == SB_CONTENT && as_brain.code != SB_UNSUPPORTED ? as_brain : as_head;
}

// Stripped or a head? What it fits as, it is. The volume only says what is tried first.
static sb_status either_place(const sb_preparer *p, const sb_volume *volume, sb_brain *brain,
                              uint8_t *brain_in_row, sb_volume *cut, sb_prepared *out) {
  double affine[16];
  if (brain->volume_mm3 > 1000 * MOST_BRAIN_CM3)
    return head_first(p, volume, LOOK_TWICE, brain, brain_in_row, cut, out);
  sb_status status = found_place(p, brain, LOOK_QUICK, brain_in_row, affine, out);
  if (status.code == SB_OK && !is_too_large(p, brain, out)) return status;
  if (status.code != SB_OK && status.code != SB_ALIGN) return status;
  return head_first(p, volume, status.code == SB_OK ? LOOK_QUICK : LOOK_THOROUGH, brain,
                    brain_in_row, cut, out);
}

// ---- All of it ----------------------------------------------------------------------------------

// From the loaded volume on.
//   stripped  it is one, whatever the options say
//   owned     the volume, to be let go of where only its brain is needed any more: the brain has its
//             own copy, and what follows takes as much again; NULL: it is kept
//   steps     those before this
static sb_status prepare(const sb_preparer *p, const sb_volume *volume, bool stripped,
                         sb_volume *owned, const sb_step_seconds *steps, sb_prepared *out) {
  const bool given = p->options.space == SB_SPACE_TEMPLATE;
  double since = cpu_s(), affine[16];
  uint8_t *brain_in_row = NULL;
  sb_brain brain = {0};
  sb_volume cut = {0};
  sb_status status;
  SB_TRY(make_room(p->tmpl, out, &brain_in_row));
  out->steps = *steps;
  SB_TRY(sb_refuse_labels(volume));
  stripped = stripped || given || p->options.brain == SB_BRAIN_STRIPPED;
  if (!stripped && p->options.brain == SB_BRAIN_EXTRACT) {
    SB_TRY(head_place(p, volume, brain_in_row, &cut, out));
    goto cleanup;
  }
  SB_TRY(sb_brain_find_below(volume, stripped ? INFINITY : 1000 * MOST_BRAIN_CM3, &brain));
  lap(&since, &out->steps.brain);
  if (stripped && owned != NULL) sb_volume_free(owned);
  if (given)
    SB_TRY(given_place(p, &brain, brain_in_row, out));
  else if (stripped)
    SB_TRY(found_place(p, &brain, LOOK_TWICE, brain_in_row, affine, out));
  else
    SB_TRY(either_place(p, volume, &brain, brain_in_row, &cut, out));
cleanup:
  free(brain_in_row);
  sb_volume_free(&cut);
  sb_brain_free(&brain);
  if (status.code != SB_OK) sb_prepared_free(out);
  return status;
}

sb_status sb_prepare_volume(const sb_preparer *p, const sb_volume *volume, sb_prepared *out) {
  const double started = now_s();
  const sb_step_seconds steps = {0};
  sb_status status = prepare(p, volume, false, NULL, &steps, out);
  out->seconds = now_s() - started;
  return status;
}

static bool same_grid(const sb_volume *a, const sb_volume *b) {
  for (int i = 0; i < 16; i++)
    if (fabs(a->affine[i] - b->affine[i]) > 1e-2) return false;
  return memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

sb_status sb_prepare_masked(const sb_preparer *p, sb_volume *volume, const sb_volume *mask,
                            sb_prepared *out) {
  const double started = now_s();
  const sb_step_seconds steps = {0};
  memset(out, 0, sizeof *out);
  if (!same_grid(volume, mask))
    return sb_error(SB_CONFLICT, "the mask has another grid; resample it to the scan's");
  const int64_t n = volume->dims[0] * volume->dims[1] * volume->dims[2];
  for (int64_t i = 0; i < n; i++)
    if (!(mask->voxels[i] > 0)) volume->voxels[i] = 0;
  sb_status status = prepare(p, volume, true, NULL, &steps, out);
  out->quality.brain = SB_BRAIN_WAS_MASKED;
  out->seconds = now_s() - started;
  return status;
}

sb_status sb_prepare_file(const sb_preparer *p, const char *path, sb_prepared *out) {
  const double started = now_s();
  double since = cpu_s();
  sb_volume volume = {0};
  sb_volume_info info;
  sb_step_seconds steps = {0};
  memset(out, 0, sizeof *out);
  sb_status status = sb_volume_load(path, &volume, &info);
  if (status.code != SB_OK) return status;
  lap(&since, &steps.load);
  status = prepare(p, &volume, false, &volume, &steps, out);
  sb_volume_free(&volume);
  if (status.code != SB_OK) return sb_error(status.code, "%s: %s", path, status.message);
  out->quality.orientation = info.orientation;
  out->quality.nonfinite_voxels = info.nonfinite_voxels;
  out->unit_doubted = info.unit_doubted;
  out->seconds = now_s() - started;
  return status;
}

sb_status sb_prepare_memory(const sb_preparer *p, const char *path, int64_t *bytes) {
  // What a voxel takes after loading: twice a float (the volume and the brain; in heads the volume
  // and what is around its brain) and the packed brain's byte, and the volume itself where it may
  // turn out to be a head; a voxel of the rows' grid: the row, the field and the masks; and what the
  // allocator keeps.
  enum { OF_GRID = 40, KEPT = 32 << 20 };
  const bool stripped =
      p->options.space == SB_SPACE_TEMPLATE || p->options.brain == SB_BRAIN_STRIPPED;
  const int64_t of_voxel = (stripped ? 2 : 3) * (int64_t)sizeof(float) + 1;
  const int64_t *dims = p->tmpl->row_image.dims;
  int64_t voxels, loading;
  sb_status status = sb_volume_cost(path, &voxels, &loading);
  const int64_t working = of_voxel * voxels + OF_GRID * dims[0] * dims[1] * dims[2];
  *bytes = (loading > working ? loading : working) + KEPT;
  return status;
}

void sb_prepared_free(sb_prepared *prepared) {
  free(prepared->row);
  free(prepared->own_mask);
  prepared->row = NULL;
  prepared->own_mask = NULL;
}
