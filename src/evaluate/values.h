// What a text of a table says: a number, a date, or only itself.
#ifndef SB_EVALUATE_VALUES_H
#define SB_EVALUATE_VALUES_H

#include <stdbool.h>

bool sb_value_number(const char *text, double *value); // finite
// "2004-07-31", with or without a time of day, which does not count, or "20040731" as in DICOM.
//   years  out: days since 1970 / 365.25 + 1970
bool sb_value_date(const char *text, double *years);
// Whether two texts say one value: "70" and "70.0", one day at two times.
bool sb_value_same(const char *a, const char *b);

#endif
