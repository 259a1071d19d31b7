// People's effects on their scores: some resemble everybody, others nobody. What is known of the
// distribution of these effects from the few people of a study.
//
//   family  g-and-h (Tukey 1977; Hoaglin 1985): (exp(g x) - 1) / g exp(h x^2 / 2) of a standard normal
//           x, standardised. g = h = 0 is the normal distribution; g skews it, h makes its tails
//           heavier, those of a power at last. Student's t of 5 degrees is nearly h = 0.1.
//   shape   g and h are not fitted but weighed, with location and scale, on a grid: by likelihood and
//           prior, g ~ N(0, 0.1), h ~ the positive half of N(0, 0.03), so that few people give nearly
//           the normal's tail and many their own.
#ifndef SB_EVALUATE_EFFECTS_H
#define SB_EVALUATE_EFFECTS_H

#include <stdint.h>

#include "samebrain/status.h"

enum {
  SB_EFFECT_NODES = 41, // normal quantiles at which a distribution is known: -6, -5.7, ..., 6
  SB_EFFECT_G = 11,     // -0.5 to 0.5
  SB_EFFECT_H = 9,      // 0 to 0.2
  SB_EFFECT_SCALES = 13,
  SB_EFFECT_PLACES = 9,
  SB_EFFECT_SHAPES = SB_EFFECT_G * SB_EFFECT_H,
  SB_EFFECT_CELLS = SB_EFFECT_SHAPES * SB_EFFECT_SCALES * SB_EFFECT_PLACES
};

typedef struct sb_effects {
  double sd;                                        // of the effects, by moments
  double seen_sd;                                   // of their estimates: with what chance adds
  double people;                                    // how many independent ones there are
  double shapes[SB_EFFECT_SHAPES][SB_EFFECT_NODES]; // standardised, at the nodes
  double weight[SB_EFFECT_CELLS];                   // posterior, sums to 1
} sb_effects;

// One distribution of effects: location, and standard deviation times a shape.
typedef struct sb_effect_draw {
  double place, sd;
  const double *shape; // at the nodes
} sb_effect_draw;

static inline double sb_effect_node(int i) {
  return -6 + 0.3 * i;
}

//   seen      effects as estimated, `count` of them around 0
//   people    how many people they are of
//   seen_sd   their standard deviation
//   noise     variance that chance adds to each
sb_status sb_effects_fit(const double *seen, int64_t count, double people, double seen_sd,
                         double noise, sb_effects *out);
// One drawn by its weight.
sb_effect_draw sb_effects_draw(const sb_effects *effects, double uniform);

#endif
