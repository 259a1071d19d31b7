// Simulated scores of a study with known truth, straight into what evaluate works on.
//
// A non-mated pair scores a_i + a_j + e, with an effect a of each scan's person, altogether of
// variance 1 around 0; a mated pair scores `distance` + a_i + e, of variance 1 too. So d-prime is
// `distance`, whatever the effects. `spread` and `families` come on top.
#ifndef TESTS_SIMULATE_H
#define TESTS_SIMULATE_H

#include "evaluate/study.h"

typedef enum sim_shape {
  SIM_NORMAL, // everything normal
  SIM_SKEWED, // e is a sum of squares (chi-square of 60 degrees, standardised): a heavier upper tail
  SIM_HEAVY   // e is Tukey's h = 0.05, standardised: 4.9 sigma become 8.3
} sim_shape;

typedef enum sim_effects {
  SIM_EFFECTS_NORMAL,
  SIM_EFFECTS_SKEWED, // chi-square of 8 degrees, standardised: its skewness is 1
  SIM_EFFECTS_HEAVY   // Student's t of 5 degrees, standardised
} sim_effects;

typedef struct simulation {
  int64_t people;
  int64_t mated_people; // of these, with a second scan
  bool self;            // one store with all scans; else second scans are probes of the first ones
  double distance;
  double effect; // variance of a person's effect, below 0.5
  sim_shape shape;
  sim_effects effects;
  double spread;    // sd of the logarithm of a person's factor: e is multiplied by both people's
  int64_t families; // into which people fall at random; 0: none
  double likeness;  // what two people of one family score more
  int64_t top;      // matches listed per probe
  int64_t bins;
  double scale; // of the scores: a normal score of 1 becomes this closeness
  uint64_t seed;
} simulation;

simulation sim_default(void);
sb_status sim_study(const simulation *s, sb_study *out);

// The closest other person's score of everybody, one scan each. A study of fewer people, of the same
// seed and without second scans, is a part of this cohort.
sb_status sim_closest(const simulation *s, double *best);

// Truths. Of a search among `others` people: the threshold at which FPIR is as given (closeness),
// for normal scores; and what follows.
double sim_true_auc(const simulation *s);
double sim_true_fpir(const simulation *s, double others, double threshold);
double sim_true_threshold(const simulation *s, double others, double fpir);
// P(none of `others` people is closer than the mate).
double sim_true_rank1(const simulation *s, double others);
double sim_true_fnmr(const simulation *s, double threshold);

#endif
