// Intensities on one scale: a scan's row matched to the template's.
#include "prepare/harmonise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clones.h"
#include "core/memory.h"

static const double PERCENTS[SB_LANDMARKS] = {1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99};

// Floats as integers of the same order.
static uint32_t key_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key) {
  uint32_t bits = (key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Sorts by 11 bits at a time, least significant first; the result is in `other`.
static void radix_sort(int64_t count, uint32_t *keys, uint32_t *other) {
  enum { BITS = 11, BUCKETS = 1 << BITS };
  for (int shift = 0; shift < 32; shift += BITS) {
    int64_t starts[BUCKETS] = {0}, next = 0;
    for (int64_t i = 0; i < count; i++) starts[keys[i] >> shift & (BUCKETS - 1)]++;
    for (int b = 0; b < BUCKETS; b++) {
      int64_t size = starts[b];
      starts[b] = next;
      next += size;
    }
    for (int64_t i = 0; i < count; i++) other[starts[keys[i] >> shift & (BUCKETS - 1)]++] = keys[i];
    uint32_t *swap = keys;
    keys = other;
    other = swap;
  }
}

// The landmarks of the brain's intensities, interpolated between order statistics.
//   scratch  2 * length elements
// False when there are too few voxels or no spread between the outer landmarks.
static bool find_landmarks(int64_t length, const uint8_t *brain, const float *row,
                           uint32_t *scratch, double out[SB_LANDMARKS]) {
  int64_t count = 0;
  for (int64_t i = 0; i < length; i++)
    if (brain[i] != 0) scratch[count++] = key_of(row[i]);
  if (count < 2) return false;
  uint32_t *sorted = scratch + length; // three passes: the result ends up in the second half
  radix_sort(count, scratch, sorted);
  for (int p = 0; p < SB_LANDMARKS; p++) {
    double at = PERCENTS[p] / 100 * (double)(count - 1);
    int64_t below = (int64_t)at;
    double low = (double)value_of(sorted[below]);
    double high = (double)value_of(sorted[below + 1 < count ? below + 1 : below]);
    out[p] = low + (at - (double)below) * (high - low);
  }
  return out[SB_LANDMARKS - 1] > out[0];
}

static bool varies(int64_t length, const uint8_t *brain, const float *row) {
  int64_t first = 0;
  while (first < length && brain[first] == 0) first++;
  for (int64_t i = first + 1; i < length; i++)
    if (brain[i] != 0 && row[i] != row[first]) return true;
  return false;
}

static bool mean_and_deviation(int64_t length, const uint8_t *brain, const float *row, double *mean,
                               double *deviation) {
  double sum = 0, squares = 0, count = 0;
  for (int64_t i = 0; i < length; i++) {
    if (brain[i] == 0) continue;
    sum += (double)row[i];
    count++;
  }
  *mean = count > 0 ? sum / count : 0;
  for (int64_t i = 0; i < length; i++)
    if (brain[i] != 0) squares += ((double)row[i] - *mean) * ((double)row[i] - *mean);
  *deviation = count > 0 ? sqrt(squares / count) : 0;
  return *deviation > 0;
}

sb_status sb_standard_scale_create(const sb_template *t, sb_standard_scale *out) {
  const int64_t length = sb_template_row_length(t);
  const int64_t *index = sb_template_row_index(t);
  float *row = NULL;
  uint8_t *brain = NULL;
  uint32_t *scratch = NULL;
  double mean, deviation;
  sb_status status;
  SB_TRY(SB_NEW(&row, length, "template row"));
  SB_TRY(SB_NEW(&brain, length, "template row"));
  SB_TRY(SB_NEW(&scratch, 2 * length, "harmonisation"));
  memset(brain, 1, (size_t)length);
  for (int64_t i = 0; i < length; i++) row[i] = sb_template_image(t)[index[i]];
  if (!mean_and_deviation(length, brain, row, &mean, &deviation) ||
      !find_landmarks(length, brain, row, scratch, out->landmarks)) {
    status =
        sb_error(SB_CONTENT, "%s: the template is constant inside its mask", sb_template_path(t));
    goto cleanup;
  }
  for (int p = 0; p < SB_LANDMARKS; p++) out->landmarks[p] = (out->landmarks[p] - mean) / deviation;
  out->mean = mean;
  out->deviation = deviation;
cleanup:
  free(row);
  free(brain);
  free(scratch);
  return status;
}

// Linear pieces that follow each other: from low to high a value rises by `rise` a unit, from `begin` on.
typedef struct pieces {
  float low[SB_LANDMARKS - 1], high[SB_LANDMARKS - 1], begin[SB_LANDMARKS - 1],
      rise[SB_LANDMARKS - 1];
} pieces;

// `level` and what each piece adds to it.
SB_CLONES
static void add_pieces(const pieces *p, float level, int64_t length, float *restrict row) {
  for (int64_t i = 0; i < length; i++) {
    float sum = level;
    for (int k = 0; k < SB_LANDMARKS - 1; k++) {
      float part = row[i] > p->low[k] ? row[i] : p->low[k];
      part = part < p->high[k] ? part : p->high[k];
      sum += p->rise[k] * (part - p->begin[k]);
    }
    row[i] = sum;
  }
}

// Piecewise linear: from[i] goes to to[i]; beyond the ends, the end pieces continue. Landmarks of
// the scan that fall together (few grey levels) are one landmark.
static void match_landmarks(const double from[SB_LANDMARKS], const double to[SB_LANDMARKS],
                            int64_t length, float *row) {
  const double least = 1e-6 * (from[SB_LANDMARKS - 1] - from[0]);
  pieces p = {0}; // those that are left over rise by nothing
  double x = from[0], y = to[0];
  int count = 0;
  for (int i = 1; i < SB_LANDMARKS; i++) {
    if (from[i] - x <= least) continue;
    p.low[count] = p.begin[count] = (float)x;
    p.high[count] = (float)from[i];
    p.rise[count++] = (float)((to[i] - y) / (from[i] - x));
    x = from[i];
    y = to[i];
  }
  p.low[0] = -INFINITY;
  p.high[count - 1] = INFINITY;
  add_pieces(&p, (float)to[0], length, row);
}

// The standard normal distribution's quantile, to 5e-4: Abramowitz and Stegun, 26.2.23.
static double normal_quantile(double p) {
  const double tail = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(tail));
  const double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                           (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  return p < 0.5 ? -z : z;
}

// How many of `count` sorted keys are below `key`, or not above it.
static int64_t rank_of(int64_t count, const uint32_t *sorted, uint32_t key, bool or_equal) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < key || (or_equal && sorted[middle] == key))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void spread_ranks(int64_t length, const uint8_t *brain, uint32_t *scratch, float *row) {
  int64_t count = 0;
  for (int64_t i = 0; i < length; i++)
    if (brain[i] != 0) scratch[count++] = key_of(row[i]);
  uint32_t *sorted = scratch + length;
  radix_sort(count, scratch, sorted);
  const double n = (double)count;
  for (int64_t i = 0; i < length; i++) {
    const uint32_t key = key_of(row[i]);
    const double ranks =
        (double)(rank_of(count, sorted, key, false) + rank_of(count, sorted, key, true));
    row[i] = (float)normal_quantile(fmax(0.5, fmin(n - 0.5, 0.5 * ranks)) / n);
  }
}

sb_status sb_harmonise_row(sb_harmonise method, double winsor_sigma, const sb_standard_scale *scale,
                           int64_t length, const uint8_t *brain, float *row) {
  if (method == SB_HARMONISE_NONE) return sb_ok();
  sb_status status = sb_ok();
  uint32_t *scratch = NULL;
  double own[SB_LANDMARKS], mean, deviation;
  if (!varies(length, brain, row)) {
    status = sb_error(SB_CONTENT, "the brain's intensities do not vary");
    goto cleanup;
  }
  if (method == SB_HARMONISE_NYUL) {
    SB_TRY(SB_NEW(&scratch, 2 * length, "harmonisation"));
    if (!find_landmarks(length, brain, row, scratch, own)) {
      status = sb_error(SB_CONTENT, "98 %% of the brain's voxels have one value");
      goto cleanup;
    }
    match_landmarks(own, scale->landmarks, length, row);
  } else if (method == SB_HARMONISE_RANK) {
    SB_TRY(SB_NEW(&scratch, 2 * length, "harmonisation"));
    spread_ranks(length, brain, scratch, row);
  } else {
    mean_and_deviation(length, brain, row, &mean, &deviation);
    for (int64_t i = 0; i < length; i++) row[i] = (float)(((double)row[i] - mean) / deviation);
  }
  if (winsor_sigma > 0) {
    const float most = (float)winsor_sigma;
    for (int64_t i = 0; i < length; i++) {
      row[i] = row[i] > most ? most : row[i];
      row[i] = row[i] < -most ? -most : row[i];
    }
  }
cleanup:
  free(scratch);
  return status;
}
