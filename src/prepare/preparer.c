#include "prepare/preparer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "image/smooth.h"
#include "prepare/structure.h"
#include "prepare/template.h"

sb_prepare_options sb_prepare_options_default(void) {
  return (sb_prepare_options){.dof = 12,
                              .bias = SB_BIAS_AUTO,
                              .harmonise = SB_HARMONISE_NYUL,
                              .outside = SB_OUTSIDE_FALLOFF,
                              .winsor_sigma = 2.5};
}

// What `auto` is: see docs/preparation.md.
sb_bias sb_chosen_bias(sb_bias bias) {
  return bias == SB_BIAS_AUTO ? SB_BIAS_N4 : bias;
}

// Without harmonisation a row is on no scale whose mean could be filled in.
sb_outside sb_chosen_outside(const sb_prepare_options *o) {
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
           t->resolution_mm, align, smooth, bias_name(sb_chosen_bias(o->bias)),
           harmonise_name(o->harmonise), outside_name(sb_chosen_outside(o)),
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
  const sb_prepare_options defaults = sb_prepare_options_default();
  *out = NULL;
  if (options == NULL) options = &defaults;
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

sb_status sb_preparer_head(const sb_preparer *preparer, const sb_head **out) {
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
