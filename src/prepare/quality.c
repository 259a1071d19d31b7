#include "prepare/quality.h"

#include <math.h>
#include <stdio.h>

#include "core/clones.h"
#include "core/geometry.h"
#include "prepare/preparer.h"
#include "prepare/template.h"

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
  if (!sb_affine_rotation(matrix, r)) return NAN;
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

void sb_quality_measure(const sb_preparer *p, const sb_brain *brain, const sb_alignment *alignment,
                        const sb_structure *structure, sb_prepared *out) {
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
static const double LEAST_SHARPNESS = 0.7, LEAST_OVERLAP = 0.75, MOST_STRETCH = 1.7;

// The outline alone does not tell (a potato overlaps as
// well as a brain does): the pattern of tissues must be there, nearly everywhere.
sb_status sb_quality_check(const sb_preparer *p, const sb_brain *brain, const sb_quality *q) {
  const double cm3 = brain->volume_mm3 / 1000;
  if (q->mask_overlap < LEAST_OVERLAP && cm3 > SB_MOST_BRAIN_CM3)
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
