#include "evaluate/resampled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/cholesky.h"
#include "core/geometry.h"
#include "core/memory.h"
#include "image/resample.h"

// Voxels by which the map is refined, and by which the scans are compared in the end.
enum { REFINED_BY = 2000, COMPARED_BY = 20000 };
// The map's twelve numbers; with a factor and a constant for the contrast, the unknowns of a step.
enum { MOTIONS = 12, UNKNOWNS = MOTIONS + 2, MOST_STEPS = 8 };
// The map's 3x3 part acts on voxels as far from the centre as a brain reaches: in these units its nine
// numbers move voxels about as far as the three of a shift do.
static const double REACH = 50;
// Of a derivative, and the most that a step may move; voxels.
static const double SMALL = 0.1, MOST_STEP = 0.5;
// Where the alignment gives so much, it is right to less than a voxel.
static const double PLACED = 0.5;
// A step that gains less is the last.
static const double LEAST_GAIN = 0.002;
// The variance of what is left the second time, of that the first: below this, a fraction of what scans have that were
// not smoothed, it is anatomy.
static const double LEAST_GRAIN = 0.1;

// ---- What is left of a voxel --------------------------------------------------------------------

// A voxel less the mean of its six neighbours, done twice.
enum { PLACES = 25, MARGIN = 2 };
typedef struct stencil {
  int at[PLACES][3];
  double weight[PLACES];
} stencil;

static stencil make_stencil(void) {
  stencil s;
  int used = 0;
  for (int i = 0; i < 125; i++) {
    const int at[3] = {i % 5 - 2, i / 5 % 5 - 2, i / 25 - 2};
    const int away = abs(at[0]) + abs(at[1]) + abs(at[2]);
    if (away > 2) continue;
    const bool straight = abs(at[0]) == 2 || abs(at[1]) == 2 || abs(at[2]) == 2;
    memcpy(s.at[used], at, sizeof at);
    s.weight[used++] = away == 0 ? 1 + 1.0 / 6 : away == 1 ? -1.0 / 3 : (straight ? 1.0 : 2.0) / 36;
  }
  return s;
}

static double left_at(const sb_volume *v, const stencil *s, const int32_t at[3]) {
  double sum = 0;
  for (int p = 0; p < PLACES; p++)
    sum +=
        s->weight[p] *
        (double)v->voxels[at[0] + s->at[p][0] +
                          v->dims[0] * (at[1] + s->at[p][1] + v->dims[1] * (at[2] + s->at[p][2]))];
  return sum;
}

// How much of what is left is left again: the ratio of variances over the brain.
static double grain(const sb_volume *v, const stencil *s, const sb_brain_voxels *voxels) {
  const int64_t step = voxels->count / COMPARED_BY + 1;
  double once = 0, twice = 0;
  for (int64_t i = 0; i < voxels->count; i += step) {
    const int32_t *at = voxels->at[i];
    const int64_t here[3] = {at[0], at[1], at[2]};
    const double left = sb_residual(v, here), again = left_at(v, s, at);
    once += left * left;
    twice += again * again;
  }
  return once > 0 ? twice / once : 0;
}

// ---- One scan at the other's voxels -------------------------------------------------------------

typedef struct sampling {
  const sb_volume *from;
  const stencil *stencil;
  double map[16]; // voxels of the other scan to those of `from`, to begin with
  const sb_brain_voxels *voxels;
  int64_t step, count; // every step-th of the voxels
  double *wanted;      // what is left of the other scan there
} sampling;

// What is left of the sampled scan, by the map as `motions` change it: a shift, and three rows about the
// voxels' centre. NaN outside of the image.
static void sample(const sampling *s, const double motions[MOTIONS], double *left) {
  const int64_t *dims = s->from->dims;
  double linear[3][3], centre[3], move[PLACES][3];
  sb_affine_apply(s->map, s->voxels->centre, centre);
  for (int r = 0; r < 3; r++) {
    centre[r] += motions[r];
    for (int c = 0; c < 3; c++) linear[r][c] = s->map[4 * r + c] + motions[3 + 3 * r + c] / REACH;
  }
  for (int p = 0; p < PLACES; p++)
    for (int r = 0; r < 3; r++)
      move[p][r] = linear[r][0] * s->stencil->at[p][0] + linear[r][1] * s->stencil->at[p][1] +
                   linear[r][2] * s->stencil->at[p][2];
  for (int64_t i = 0; i < s->count; i++) {
    const int32_t *at = s->voxels->at[i * s->step];
    double place[3], sum = 0;
    for (int r = 0; r < 3; r++) {
      place[r] = centre[r];
      for (int c = 0; c < 3; c++) place[r] += linear[r][c] * ((double)at[c] - s->voxels->centre[c]);
    }
    bool inside = true;
    for (int r = 0; r < 3; r++)
      inside = inside && place[r] >= 2 * MARGIN && place[r] < (double)(dims[r] - 2 * MARGIN);
    for (int p = 0; p < PLACES && inside; p++)
      sum += s->stencil->weight[p] * (double)sb_sample_linear(s->from, place[0] + move[p][0],
                                                              place[1] + move[p][1],
                                                              place[2] + move[p][2], 0);
    left[i] = inside ? sum : (double)NAN;
  }
}

static double agreement(const sampling *s, const double *left) {
  sb_sums sums = {0};
  for (int64_t i = 0; i < s->count; i++) {
    sums.tried++;
    if (!isnan(left[i])) sb_sums_add(&sums, left[i], s->wanted[i]);
  }
  return sb_sums_correlation(&sums);
}

// The step of Gauss and Newton for wanted = factor * left(motions) + constant. False where there is none.
//   slopes  per motion, s->count: of `left`
static bool find_step(const sampling *s, const double *left, const double *slopes,
                      double step[MOTIONS]) {
  double normal[UNKNOWNS * UNKNOWNS] = {0}, right[UNKNOWNS] = {0}, largest = 0;
  for (int64_t i = 0; i < s->count; i++) {
    double row[UNKNOWNS], sum = 0;
    for (int m = 0; m < MOTIONS; m++) row[m] = slopes[m * s->count + i];
    row[MOTIONS] = left[i];
    row[MOTIONS + 1] = 1;
    for (int u = 0; u < UNKNOWNS; u++) sum += row[u];
    if (isnan(sum)) continue;
    for (int u = 0; u < UNKNOWNS; u++) {
      right[u] += row[u] * s->wanted[i];
      for (int w = 0; w <= u; w++) normal[u * UNKNOWNS + w] += row[u] * row[w];
    }
  }
  if (!sb_cholesky(UNKNOWNS, normal)) return false;
  sb_cholesky_solve(UNKNOWNS, normal, right);
  if (!(right[MOTIONS] > 0)) return false;
  for (int m = 0; m < MOTIONS; m++) {
    step[m] = right[m] / right[MOTIONS];
    largest = fmax(largest, fabs(step[m]));
  }
  for (int m = 0; m < MOTIONS && largest > MOST_STEP; m++) step[m] *= MOST_STEP / largest;
  return isfinite(largest);
}

// Takes a step, or half of it, and so on, where that gains anything; how much.
//   left  of the motions as they come out
static double take_step(const sampling *s, const double step[MOTIONS], double motions[MOTIONS],
                        double *left, double *tried) {
  const double before = agreement(s, left);
  for (int halved = 0; halved < 4; halved++) {
    const double part = 1.0 / (1 << halved);
    double moved[MOTIONS];
    for (int m = 0; m < MOTIONS; m++) moved[m] = motions[m] + part * step[m];
    sample(s, moved, tried);
    const double gain = agreement(s, tried) - before;
    if (!(gain > 0)) continue;
    memcpy(motions, moved, sizeof moved);
    memcpy(left, tried, (size_t)s->count * sizeof *left);
    return gain;
  }
  return 0;
}

// The motions with which both scans agree best, from the place that the alignment gives or one voxel from it.
static sb_status refine(const sampling *s, double motions[MOTIONS]) {
  double *left = NULL, *tried = NULL, *slopes = NULL, best = -INFINITY;
  sb_status status = sb_ok();
  SB_TRY(SB_NEW(&left, s->count, "samples"));
  SB_TRY(SB_NEW(&tried, s->count, "samples"));
  SB_TRY(SB_NEW(&slopes, s->count * MOTIONS, "samples"));
  for (int i = 0; i < 27 && !(best >= PLACED); i++) {
    const int place = (i + 13) % 27; // unmoved first
    const int shift[3] = {place % 3 - 1, place / 3 % 3 - 1, place / 9 - 1};
    const double moved[MOTIONS] = {shift[0], shift[1], shift[2]};
    sample(s, moved, tried);
    const double found = agreement(s, tried);
    if (!(found > best)) continue;
    best = found;
    memcpy(motions, moved, sizeof moved);
    memcpy(left, tried, (size_t)s->count * sizeof *left);
  }
  for (int round = 0; round < MOST_STEPS && isfinite(best); round++) {
    double step[MOTIONS];
    for (int m = 0; m < MOTIONS; m++) {
      double moved[MOTIONS], *slope = slopes + m * s->count;
      memcpy(moved, motions, sizeof moved);
      moved[m] += SMALL;
      sample(s, moved, slope);
      moved[m] -= 2 * SMALL;
      sample(s, moved, tried);
      for (int64_t i = 0; i < s->count; i++) slope[i] = (slope[i] - tried[i]) / (2 * SMALL);
    }
    if (!find_step(s, left, slopes, step)) break;
    if (take_step(s, step, motions, left, tried) < LEAST_GAIN) break;
  }
cleanup:
  free(left);
  free(tried);
  free(slopes);
  return status;
}

// ---- Both directions ----------------------------------------------------------------------------

// About `most` of the voxels, spread evenly.
static sb_status choose_voxels(sampling *s, const sb_volume *other, int64_t most) {
  s->step = s->voxels->count / most + 1;
  s->count = (s->voxels->count + s->step - 1) / s->step;
  free(s->wanted);
  sb_status status = SB_NEW(&s->wanted, s->count, "samples");
  if (status.code != SB_OK) return status;
  for (int64_t i = 0; i < s->count; i++)
    s->wanted[i] = left_at(other, s->stencil, s->voxels->at[i * s->step]);
  return status;
}

// `from` sampled at the voxels of `to`.
static sb_status compare(const sb_placed *from, const sb_placed *to, const sb_brain_voxels *voxels,
                         const stencil *st, double *correlation) {
  sampling s = {.from = from->volume, .stencil = st, .voxels = voxels};
  double motions[MOTIONS] = {0}, *left = NULL;
  sb_status status = sb_ok();
  if (!sb_voxel_map(to, from, s.map)) return status;
  SB_TRY(choose_voxels(&s, to->volume, REFINED_BY));
  SB_TRY(refine(&s, motions));
  SB_TRY(choose_voxels(&s, to->volume, COMPARED_BY));
  SB_TRY(SB_NEW(&left, s.count, "samples"));
  sample(&s, motions, left);
  *correlation = agreement(&s, left);
cleanup:
  free(left);
  free(s.wanted);
  return status;
}

sb_status sb_resampled_agreement(const sb_placed *a, const sb_placed *b,
                                 const sb_common_brain *brain, double *correlation) {
  const sb_placed *scans[2] = {a, b};
  const stencil st = make_stencil();
  sb_brain_voxels voxels[2] = {0};
  sb_status status = sb_ok();
  *correlation = (double)NAN;
  if (!sb_is_fine(a->volume) || !sb_is_fine(b->volume)) return status;
  for (int i = 0; i < 2; i++) SB_TRY(sb_list_brain(scans[i], brain, MARGIN, &voxels[i]));
  for (int i = 0; i < 2; i++) {
    double one_way = (double)NAN;
    if (voxels[0].count == 0 || voxels[1].count == 0) continue;
    if (grain(scans[i]->volume, &st, &voxels[i]) < LEAST_GRAIN) continue;
    SB_TRY(compare(scans[i], scans[1 - i], &voxels[1 - i], &st, &one_way));
    *correlation = fmax(*correlation, one_way); // a NaN gives way
  }
cleanup:
  free(voxels[0].at);
  free(voxels[1].at);
  return status;
}
