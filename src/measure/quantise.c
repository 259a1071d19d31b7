#include "measure/quantise.h"

#include <string.h>

#include "core/select.h"
#include "measure/row.h"
#include "measure/vector.h"

SB_VECTOR_CLONES static void to_levels(int64_t count, const float *row, double low, double factor,
                                       int levels, uint8_t *out) {
  const double last = levels - 1;
  for (int64_t i = 0; i < count; i++) {
    double level = ((double)row[i] - low) * factor;
    level = level > 0 ? level : 0;
    out[i] = (uint8_t)(int)(level < last ? level : last);
  }
}

sb_status sb_quantise(int64_t count, const float *row, int levels, uint8_t *out, float *scratch) {
  sb_row_facts facts;
  sb_status status = sb_row_examine(count, row, &facts);
  if (status.code != SB_OK) return status;
  memcpy(scratch, row, (size_t)count * sizeof *row);
  int64_t tail = (count - 1) / 200;
  double low = (double)sb_select(scratch, count, tail);
  double high = (double)sb_select(scratch, count, (count - 1) * 199 / 200);
  if (!(low < high)) {
    low = (double)facts.min;
    high = (double)facts.max;
  }
  to_levels(count, row, low, levels / (high - low), levels, out);
  return status;
}
