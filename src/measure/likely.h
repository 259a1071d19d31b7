// What a score suggests where there are no other scans to compare it with: of the default measure, from
// the scores of real pairs (docs/linking.md). Round numbers, not error rates. Sharp scans of two people
// stay far below the lower limit; blurred ones, alike in what is left of them, reach 0.8.
#ifndef SB_MEASURE_LIKELY_H
#define SB_MEASURE_LIKELY_H

#define SB_LIKELY_MEASURE "bandpass"
static const double SB_LIKELY_SAME = 0.85, SB_LIKELY_DIFFERENT = 0.45;

#endif
