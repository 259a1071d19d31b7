// Random numbers as a function of a key and a counter: the same wherever and in whatever order they
// are asked for, so that a cohort does not depend on the number of threads.
#ifndef SB_CORE_RANDOM_H
#define SB_CORE_RANDOM_H

#include <math.h>
#include <stdint.h>

// 64 well-mixed bits (the finaliser of splitmix64).
static inline uint64_t sb_random_bits(uint64_t key, uint64_t counter) {
  uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// A key for a part of the work, e.g. one person or one field of that person.
static inline uint64_t sb_random_key(uint64_t key, uint64_t part) {
  return sb_random_bits(key ^ 0x5851f42d4c957f2du, part);
}

// Uniform in [low, high).
static inline double sb_random_uniform(uint64_t key, uint64_t counter, double low, double high) {
  return low + (high - low) * ((double)(sb_random_bits(key, counter) >> 11) * 0x1p-53);
}

// Two independent standard normal values (Box and Muller).
static inline void sb_random_normals(uint64_t key, uint64_t counter, float out[2]) {
  uint64_t bits = sb_random_bits(key, counter);
  float u = ((float)(bits >> 40) + 1.0f) * 0x1p-24f; // in (0, 1]
  float angle = (float)(bits & 0xffffffu) * (6.2831853f * 0x1p-24f);
  float radius = sqrtf(-2.0f * logf(u));
  out[0] = radius * cosf(angle);
  out[1] = radius * sinf(angle);
}

#endif
