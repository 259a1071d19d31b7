// What a score suggests where there are no other scans to compare it with: of the default measure, from
// the scores of real pairs (docs/linking.md). Round numbers, not error rates. Sharp scans of two people
// stay far below the lower limit; blurred ones, alike in what is left of them, reach 0.8.
#ifndef SB_MEASURE_LIKELY_H
#define SB_MEASURE_LIKELY_H

#define SB_LIKELY_MEASURE "bandpass"
static const double SB_LIKELY_SAME = 0.85, SB_LIKELY_DIFFERENT = 0.45;
// One person's scans of which one is mirrored, seen through the template's mirror image: less than two that
// lie alike, as no brain is as asymmetric as the template.
static const double SB_LIKELY_MIRRORED = 0.5;

#endif
