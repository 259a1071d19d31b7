// Brain extraction. In: a scan of a whole head; out: its brain on the scan's own voxels.
// The head is aligned to the template's head; everything after that happens on a grid around the
// template's brain, where lengths are the template's millimetres whatever the scan's voxels and the
// head's size are: brain tissue is told from the dark shell around it by an intensity that follows
// the bias field, thin bridges to what lies outside are cut, sulci are closed, and the mask is
// carried back.
#include "prepare/extract.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "image/orient.h"
#include "image/resample.h"
#include "image/smooth.h"
#include "prepare/mask.h"

// All in millimetres of the template.
static const double BRIDGE_MM = 3;   // half the width of what is cut
static const double REGROW_MM = 9;   // how far from the uncut part brain tissue may lie
static const double SULCUS_MM = 4.5; // half the width of what is closed
static const double BIAS_MM = 20;    // sigma over which the brain's brightness is averaged
static const double SMOOTH_MM = 1.5; // sigma of the mask's final smoothing
static const float CUT = 0.45f;      // where the smoothed mask ends: a little further out

static int64_t voxel_count(const sb_volume *v) {
  return v->dims[0] * v->dims[1] * v->dims[2];
}

static int steps(double mm) {
  return (int)(mm / SB_HEAD_GRID_MM + 0.5);
}

// ---- Alignment ----------------------------------------------------------------------------------

enum { SIZES = 4, UPS = 6, UP_IN_HEADER = 4, HEIGHTS = 2 };
enum { MOST_STARTS = SIZES * HEIGHTS * SB_AXIS_ROTATIONS };
static const double HEIGHT_MM[HEIGHTS] = {0, 20}; // further up: of a scan that reaches far down
static const double SIZE[SIZES] = {1, 0.8, 1.25, 0.65};

// The template turned by `r`, its third axis pointing to direction `up` of the head's tops.
static sb_align_start start_of(const sb_head *head, const double r[9], double size,
                               double height_mm, const double top_mm[3]) {
  sb_align_start start = {.scale = size};
  memcpy(start.rotation, r, sizeof start.rotation);
  for (int i = 0; i < 3; i++) {
    start.centre_mm[i] = top_mm[i];
    for (int j = 0; j < 3; j++)
      start.centre_mm[i] +=
          size * r[3 * i + j] * (head->top_to_brain_mm[j] + (j == 2 ? height_mm : 0));
  }
  return start;
}

// Starts of one size: every axis orientation, or the header's alone. The neck pulls a head's centre
// of mass down, by a length that depends on the scan; that of its uppermost part tells better where
// the brain is.
static void add_starts(const sb_head *head, const sb_brain *found, double size, bool header_only,
                       sb_align_start *starts, int *count) {
  for (int up = header_only ? UP_IN_HEADER : 0; up < (header_only ? UP_IN_HEADER + 1 : UPS); up++) {
    double direction[3] = {0}, top[3];
    direction[up / 2] = up % 2 == 0 ? 1 : -1;
    sb_head_top(found, direction, size * SB_HEAD_TOP_MM, top);
    for (int turn = 0; turn < SB_AXIS_ROTATIONS; turn++) {
      double r[9];
      sb_axis_rotation(turn, r);
      const bool upright = r[0] > 0 && r[4] > 0 && r[8] > 0;
      if (r[3 * (up / 2) + 2] * direction[up / 2] <= 0 || upright != header_only) continue;
      for (int height = 0; height < HEIGHTS; height++)
        starts[(*count)++] = start_of(head, r, size, HEIGHT_MM[height], top);
    }
  }
}

// The header's orientation in all sizes, which are the likely starts; then the others, those too in
// all sizes if `thorough`.
static int make_starts(const sb_head *head, const sb_brain *found, bool thorough,
                       sb_align_start starts[MOST_STARTS], int *likely) {
  int count = 0;
  for (int size = 0; size < SIZES; size++)
    add_starts(head, found, SIZE[size], true, starts, &count);
  *likely = count;
  for (int size = 0; size < (thorough ? SIZES : 1); size++)
    add_starts(head, found, SIZE[size], false, starts, &count);
  return count;
}

sb_status sb_head_align(const sb_head *head, const sb_volume *scan, bool thorough,
                        sb_alignment places[SB_ALIGN_PLACES], int *count) {
  sb_align_start starts[MOST_STARTS];
  sb_volume small = {0};
  sb_brain found = {0};
  double mm[3];
  int64_t factors[3];
  sb_status status;
  *count = 0;
  sb_voxel_size(scan->affine, mm);
  for (int i = 0; i < 3; i++) factors[i] = llround(fmax(1, 4 / mm[i]));
  SB_TRY(sb_volume_shrink(scan, factors, &small));
  SB_TRY(sb_brain_find(&small, &found));
  int likely;
  const int start_count = make_starts(head, &found, thorough, starts, &likely);
  SB_TRY(
      sb_align_head(&head->aligner, &found, starts, start_count, likely, thorough, places, count));
cleanup:
  sb_volume_free(&small);
  sb_brain_free(&found);
  return status;
}

// ---- Brightness of the brain --------------------------------------------------------------------

// The mean of `image` over the core's voxels near each place, on a grid of blocks.
static sb_status local_mean(const sb_volume *image, const uint8_t *core, const int64_t factors[3],
                            sb_volume *mean) {
  sb_volume inside = *image, weight = {0};
  double mm[3], sigma[3];
  const int64_t n = voxel_count(image);
  sb_status status;
  inside.voxels = NULL;
  SB_TRY(SB_NEW(&inside.voxels, n, "bias"));
  for (int64_t i = 0; i < n; i++) inside.voxels[i] = core[i] != 0 ? image->voxels[i] : 0;
  SB_TRY(sb_volume_shrink(&inside, factors, mean));
  for (int64_t i = 0; i < n; i++) inside.voxels[i] = core[i];
  SB_TRY(sb_volume_shrink(&inside, factors, &weight));
  sb_voxel_size(mean->affine, mm);
  for (int i = 0; i < 3; i++) sigma[i] = BIAS_MM / mm[i];
  SB_TRY(sb_volume_gaussian(mean, sigma));
  SB_TRY(sb_volume_gaussian(&weight, sigma));
  for (int64_t i = 0; i < voxel_count(mean); i++)
    mean->voxels[i] = weight.voxels[i] > 1e-6f ? mean->voxels[i] / weight.voxels[i] : 0;
cleanup:
  sb_volume_free(&inside);
  sb_volume_free(&weight);
  return status;
}

// Divides the image by the brain's brightness nearby; what is far from the brain becomes 0.
static sb_status flatten(const sb_volume *image, const uint8_t *core) {
  static const int64_t origin[3] = {0, 0, 0};
  sb_volume mean = {0};
  sb_padded padded = {0};
  float *line = NULL;
  double mm[3];
  int64_t factors[3];
  const int64_t nx = image->dims[0], ny = image->dims[1];
  sb_status status;
  sb_voxel_size(image->affine, mm);
  for (int i = 0; i < 3; i++) factors[i] = llround(fmax(1, 4 / mm[i]));
  SB_TRY(local_mean(image, core, factors, &mean));
  SB_TRY(sb_padded_crop(&mean, origin, mean.dims, &padded));
  SB_TRY(SB_NEW(&line, nx, "bias"));
  for (int64_t row = 0; row < ny * image->dims[2]; row++) {
    float *values = image->voxels + nx * row;
    int64_t first = 0, end = nx;
    while (first < end && values[first] == 0) first++;
    while (end > first && values[end - 1] == 0) end--;
    if (first == end) continue;
    const int64_t y = row % ny, z = row / ny;
    const double at[3] = {(double)first, (double)y, (double)z};
    double start[3], step[3] = {1 / (double)factors[0], 0, 0};
    for (int i = 0; i < 3; i++) start[i] = (at[i] + 0.5) / (double)factors[i] - 0.5;
    sb_sample_row(&padded, start, step, end - first, line);
    for (int64_t i = 0; i < end - first; i++)
      values[first + i] = line[i] > 0 ? values[first + i] / line[i] : 0;
  }
cleanup:
  sb_volume_free(&mean);
  sb_padded_free(&padded);
  free(line);
  return status;
}

// Where dark (fluid, bone, air) ends and grey matter begins: halfway between the two darker of
// three classes (k-means) of the values in and around the brain, the brain's mean being 1.
static double tissue_threshold(const sb_volume *image, const uint8_t *where) {
  enum { BINS = 200, BINS_A_UNIT = BINS / 2 };
  int64_t histogram[BINS] = {0};
  const int64_t n = voxel_count(image);
  for (int64_t i = 0; i < n; i++) {
    float bin = image->voxels[i] * BINS_A_UNIT;
    if (where[i] != 0 && bin >= 0 && bin < BINS) histogram[(int)bin]++;
  }
  double centres[3] = {0.25, 0.85, 1.25};
  for (int iteration = 0; iteration < 50; iteration++) {
    double sums[3] = {0}, counts[3] = {0};
    for (int bin = 0; bin < BINS; bin++) {
      double value = (bin + 0.5) / BINS_A_UNIT, count = (double)histogram[bin];
      int k = value < (centres[0] + centres[1]) / 2   ? 0
              : value < (centres[1] + centres[2]) / 2 ? 1
                                                      : 2;
      sums[k] += value * count;
      counts[k] += count;
    }
    for (int k = 0; k < 3; k++)
      if (counts[k] > 0) centres[k] = sums[k] / counts[k];
  }
  return (centres[0] + centres[1]) / 2;
}

// ---- The mask -----------------------------------------------------------------------------------

// One closed brain: bridges are cut by shrinking, what was brain comes back by growing within the
// tissue, then sulci are closed.
//   tissue  scratch
static sb_status shape(const sb_head *head, const sb_volume *image, float threshold, uint8_t *mask,
                       uint8_t *tissue) {
  const int64_t n = voxel_count(image), *dims = image->dims;
  sb_status status;
  for (int64_t i = 0; i < n; i++) tissue[i] = head->reach[i] != 0 && image->voxels[i] > threshold;
  memcpy(mask, tissue, (size_t)n);
  SB_TRY(sb_mask_shrink(dims, mask, steps(BRIDGE_MM)));
  SB_TRY(sb_mask_keep_touching(dims, mask, head->core));
  SB_TRY(sb_mask_grow_within(dims, mask, tissue, steps(REGROW_MM)));
  SB_TRY(sb_mask_grow(dims, mask, steps(SULCUS_MM)));
  SB_TRY(sb_mask_fill_holes(dims, mask));
  SB_TRY(sb_mask_shrink(dims, mask, steps(SULCUS_MM)));
cleanup:
  return status;
}

// Of the voxels that touch the mask from outside, the share that is as bright as tissue: 0 where
// fluid or bone lies all around, more where the mask ends within something.
static sb_status edge_share(const sb_volume *image, float threshold, const uint8_t *mask,
                            uint8_t *scratch, double *share) {
  const int64_t n = voxel_count(image);
  int64_t bright = 0, all = 0;
  memcpy(scratch, mask, (size_t)n);
  sb_status status = sb_mask_grow(image->dims, scratch, 2);
  for (int64_t i = 0; i < n; i++) {
    const int rim = scratch[i] & (mask[i] ^ 1);
    all += rim;
    bright += rim != 0 && image->voxels[i] > threshold;
  }
  *share = (double)bright / fmax(1, (double)all);
  return status;
}

// ---- Judgement ----------------------------------------------------------------------------------

// Bounds between heads and what is none, and between brains and what is none.
static const double LEAST_SCALP = 0.15, LEAST_OVERLAP = 0.85, LEAST_VOLUME = 0.7, MOST_VOLUME = 1.3;

static bool in_view(const sb_volume *scan, const double to_scan[16], const sb_volume *grid,
                    int64_t voxel) {
  const int64_t nx = grid->dims[0], ny = grid->dims[1];
  const int64_t line = voxel / nx, slice = line / ny;
  double p[3] = {(double)(voxel % nx), (double)(line % ny), (double)slice};
  sb_affine_apply(to_scan, p, p);
  for (int a = 0; a < 3; a++)
    if (!(p[a] >= 0 && p[a] <= (double)(scan->dims[a] - 1))) return false;
  return true;
}

// How much of where a scalp would be, as far as the scan reaches, is not dark, the brain's mean
// being 1.
static double scalp_share(const sb_head *head, const sb_volume *scan, const double to_scan[16],
                          const sb_volume *image) {
  static const float DARK = 0.15f;
  int64_t bright = 0, all = 0;
  for (int64_t i = 0; i < voxel_count(image); i++) {
    if (head->scalp[i] == 0 || !in_view(scan, to_scan, image, i)) continue;
    all++;
    bright += image->voxels[i] > DARK;
  }
  return (double)bright / fmax(1, (double)all);
}

static void compare(const sb_head *head, const uint8_t *mask, sb_extraction *out) {
  int64_t both = 0, found = 0, expected = 0;
  for (int64_t i = 0; i < voxel_count(&head->grid); i++) {
    found += mask[i];
    expected += head->brain[i];
    both += mask[i] & head->brain[i];
  }
  out->overlap = 2 * (double)both / (double)(found + expected);
  out->volume_ratio = (double)found / (double)expected;
}

static sb_status judge(double correlation, const sb_extraction *e) {
  if (e->scalp < LEAST_SCALP)
    return sb_error(
        SB_CONTENT,
        "no whole head: only %.0f %% of where the scalp would be stands out (at least "
        "%.0f %% expected); skull-stripped already? then use --brain stripped, or give its "
        "brain mask",
        100 * e->scalp, 100 * LEAST_SCALP);
  if (e->overlap < LEAST_OVERLAP || e->volume_ratio < LEAST_VOLUME || e->volume_ratio > MOST_VOLUME)
    return sb_error(
        SB_ALIGN,
        "brain extraction failed: what was found overlaps the template's brain by %.2f "
        "(at least %.2f expected) and has %.2f of its volume (%.1f to %.1f expected), "
        "after an alignment with correlation %.2f; give a mask, or strip the skull first",
        e->overlap, LEAST_OVERLAP, e->volume_ratio, LEAST_VOLUME, MOST_VOLUME, correlation);
  return sb_ok();
}

// The brain's mask from the head resampled on the grid, which is used up: at the end it holds the
// smoothed mask, at least CUT in the brain.
static sb_status find_mask(const sb_head *head, const sb_volume *scan, const double to_scan[16],
                           double correlation, sb_volume *image, sb_extraction *figures) {
  const double wide = SMOOTH_MM / SB_HEAD_GRID_MM, sigma[3] = {wide, wide, wide};
  const int64_t n = voxel_count(image);
  uint8_t *mask = NULL, *scratch = NULL;
  sb_status status;
  SB_TRY(SB_NEW(&mask, n, "brain mask"));
  SB_TRY(SB_NEW(&scratch, n, "brain mask"));
  SB_TRY(flatten(image, head->core));
  figures->scalp = scalp_share(head, scan, to_scan, image);
  float threshold = (float)tissue_threshold(image, head->around);
  SB_TRY(shape(head, image, threshold, mask, scratch));
  SB_TRY(edge_share(image, threshold, mask, scratch, &figures->edge));
  compare(head, mask, figures);
  SB_TRY(judge(correlation, figures));
  for (int64_t i = 0; i < n; i++) image->voxels[i] = mask[i];
  SB_TRY(sb_volume_gaussian(image, sigma));
cleanup:
  free(mask);
  free(scratch);
  return status;
}

// ---- Between the scan and the template's grid ----------------------------------------------------

// The box of scan voxels that a part of the grid covers. Errors: SB_ALIGN when it is next to nothing.
//   low, high  the part's first and last grid voxels
static sb_status covered(const sb_volume *scan, const double to_scan[16], const int64_t low[3],
                         const int64_t high[3], int64_t first[3], int64_t dims[3]) {
  for (int a = 0; a < 3; a++) {
    double from = to_scan[4 * a + 3], to = from;
    for (int j = 0; j < 3; j++) {
      const double m = to_scan[4 * a + j];
      from += fmin(m * (double)low[j], m * (double)high[j]);
      to += fmax(m * (double)low[j], m * (double)high[j]);
    }
    first[a] = (int64_t)fmax(0, fmin(floor(from) - 1, (double)scan->dims[a]));
    dims[a] = (int64_t)fmax(0, fmin(ceil(to) + 2, (double)scan->dims[a])) - first[a];
    if (dims[a] < 8)
      return sb_error(SB_ALIGN, "brain extraction failed: the brain is outside the image");
  }
  return sb_ok();
}

// The scan on the head's grid, its background taken off.
//   where  0 or 1 per voxel of the grid: which are wanted
static sb_status sample(const sb_volume *scan, const double to_scan[16], float background,
                        const uint8_t *where, sb_volume *image) {
  const int64_t low[3] = {0, 0, 0},
                high[3] = {image->dims[0] - 1, image->dims[1] - 1, image->dims[2] - 1};
  int64_t first[3] = {0}, dims[3] = {0};
  double to_part[16];
  sb_padded part = {0};
  sb_status status;
  SB_TRY(covered(scan, to_scan, low, high, first, dims));
  SB_TRY(sb_padded_crop(scan, first, dims, &part));
  for (int64_t row = 0; background != 0 && row < dims[1] * dims[2]; row++) {
    float *values =
        part.voxels + 1 + part.dims[0] * (row % dims[1] + 1 + part.dims[1] * (row / dims[1] + 1));
    for (int64_t i = 0; i < dims[0]; i++) values[i] -= background;
  }
  memcpy(to_part, to_scan, sizeof to_part);
  for (int a = 0; a < 3; a++) to_part[4 * a + 3] -= (double)first[a];
  SB_TRY(sb_sample_grid(&part, to_part, 1, where, image));
cleanup:
  sb_padded_free(&part);
  return status;
}

// The smoothed mask on its way back to the scan. It is interpolated near the brain's surface alone.
typedef struct surface {
  sb_padded soft;
  const int64_t *dims;
  uint8_t *deep, *wide;    // where all around is brain; where some brain is around
  int64_t low[3], high[3]; // first and last grid voxels of the brain
} surface;

enum { AROUND_VOX = 5 }; // what "around" is, in voxels of the grid

static void surface_free(surface *s) {
  sb_padded_free(&s->soft);
  free(s->deep);
  free(s->wide);
}

static sb_status surface_create(const sb_volume *soft, surface *out) {
  static const int64_t origin[3] = {0, 0, 0};
  const int64_t n = voxel_count(soft), *d = soft->dims;
  sb_status status;
  memset(out, 0, sizeof *out);
  out->dims = d;
  SB_TRY(sb_padded_crop(soft, origin, d, &out->soft));
  SB_TRY(SB_NEW(&out->deep, n, "brain mask"));
  SB_TRY(SB_NEW(&out->wide, n, "brain mask"));
  for (int64_t i = 0; i < n; i++) out->deep[i] = out->wide[i] = soft->voxels[i] >= CUT;
  sb_mask_bounds(d, out->deep, out->low, out->high);
  for (int a = 0; a < 3; a++) out->high[a]--;
  SB_TRY(sb_mask_shrink(d, out->deep, AROUND_VOX));
  SB_TRY(sb_mask_grow(d, out->wide, AROUND_VOX));
cleanup:
  return status;
}

// Copies what is brain of `count` voxels of a row, the background taken off.
//   start, step  the grid's coordinates of the first voxel, and from one to the next
//   line         scratch, as long as the row
static void copy_brain(const surface *s, const double start[3], const double step[3], int64_t count,
                       const float *from, float background, float *line, float *to) {
  int64_t at[3];
  for (int a = 0; a < 3; a++) {
    at[a] = llround(start[a] + 0.5 * (double)(count - 1) * step[a]);
    if (at[a] < 0 || at[a] >= s->dims[a]) return; // the brain ends well before the grid does
  }
  const int64_t middle = at[0] + s->dims[0] * (at[1] + s->dims[1] * at[2]);
  if (s->wide[middle] == 0) return;
  if (s->deep[middle] != 0) {
    for (int64_t i = 0; i < count; i++) to[i] = from[i] - background;
    return;
  }
  sb_sample_row(&s->soft, start, step, count, line);
  for (int64_t i = 0; i < count; i++) to[i] = line[i] >= CUT ? from[i] - background : 0;
}

// Cuts the brain out of the scan: the box around it, 0 outside the mask.
static sb_status cut_out(const sb_volume *soft, const double to_scan[16], float background,
                         const sb_volume *scan, sb_volume *brain) {
  surface s = {0};
  float *line = NULL;
  double to_grid[16], corner[3], widest = 1e-3;
  int64_t first[3];
  sb_status status;
  if (!sb_affine_invert(to_scan, to_grid)) {
    status = sb_error(SB_ALIGN, "brain extraction failed: the alignment is singular");
    goto cleanup;
  }
  SB_TRY(surface_create(soft, &s));
  SB_TRY(covered(scan, to_scan, s.low, s.high, first, brain->dims));
  SB_TRY(SB_NEW_ZERO(&brain->voxels, voxel_count(brain), "brain"));
  SB_TRY(SB_NEW(&line, brain->dims[0], "brain"));
  memcpy(brain->affine, scan->affine, sizeof brain->affine);
  for (int a = 0; a < 3; a++) corner[a] = (double)first[a];
  sb_affine_apply(scan->affine, corner, corner);
  for (int a = 0; a < 3; a++) brain->affine[4 * a + 3] = corner[a];

  const double step[3] = {to_grid[0], to_grid[4], to_grid[8]};
  for (int a = 0; a < 3; a++) widest = fmax(widest, fabs(step[a]));
  const int64_t nx = brain->dims[0], ny = brain->dims[1];
  // Of so many voxels none is more than AROUND_VOX - 1 from the middle one.
  const int64_t piece = (int64_t)fmax(1, fmin((double)nx, 2 * (AROUND_VOX - 1.5) / widest));
  for (int64_t row = 0; row < ny * brain->dims[2]; row++) {
    const int64_t y = first[1] + row % ny, z = first[2] + row / ny;
    const float *from = scan->voxels + first[0] + scan->dims[0] * (y + scan->dims[1] * z);
    for (int64_t x = 0; x < nx; x += piece) {
      double p[3] = {(double)(first[0] + x), (double)y, (double)z};
      sb_affine_apply(to_grid, p, p);
      copy_brain(&s, p, step, piece < nx - x ? piece : nx - x, from + x, background, line,
                 brain->voxels + nx * row + x);
    }
  }
cleanup:
  surface_free(&s);
  free(line);
  return status;
}

// ---- All of it ----------------------------------------------------------------------------------

sb_status sb_head_extract(const sb_head *head, const sb_volume *scan, const sb_alignment *alignment,
                          sb_extraction *figures, sb_volume *brain) {
  sb_volume image = head->grid;
  double to_scan[16];
  float background;
  sb_status status;
  memset(brain, 0, sizeof *brain);
  memset(figures, 0, sizeof *figures);
  SB_TRY(SB_NEW(&image.voxels, voxel_count(&image), "head"));
  if (!sb_affine_invert(scan->affine, to_scan)) {
    status = sb_error(SB_FORMAT, "the header's orientation matrix is singular");
    goto cleanup;
  }
  sb_affine_multiply(to_scan, alignment->template_to_scan, to_scan);
  sb_affine_multiply(to_scan, head->grid.affine, to_scan);
  SB_TRY(sb_brain_background(scan, &background));
  SB_TRY(sample(scan, to_scan, background, head->looked_at, &image));
  SB_TRY(find_mask(head, scan, to_scan, alignment->correlation, &image, figures));
  SB_TRY(cut_out(&image, to_scan, background, scan, brain));
cleanup:
  sb_volume_free(&image);
  if (status.code != SB_OK) sb_volume_free(brain);
  return status;
}
