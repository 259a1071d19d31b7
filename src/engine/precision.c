// The precisions of a screen, by name. Compiled into modules, too.
#include <math.h>
#include <string.h>

#include "engine/backend.h"

static const struct {
  const char *name;
  double unit;
} PRECISION[SB_PRECISIONS] = {
    [SB_FP32] = {"fp32", 0x1p-24}, [SB_TF32] = {"tf32", 0x1p-11}, [SB_FP16] = {"fp16", 0x1p-11},
    [SB_BF16] = {"bf16", 0x1p-8},  [SB_INT8] = {"int8", NAN},
};

sb_status sb_precision_of(const char *name, sb_precision *out) {
  for (int p = 0; p < SB_PRECISIONS; p++)
    if (strcmp(name, PRECISION[p].name) == 0) {
      *out = (sb_precision)p;
      return sb_ok();
    }
  return sb_error(SB_USAGE,
                  "there is no precision \"%s\"; there are: auto, fp32, tf32, fp16, bf16, int8",
                  name);
}

const char *sb_precision_name(sb_precision precision) {
  return PRECISION[precision].name;
}

double sb_precision_unit(sb_precision precision) {
  return PRECISION[precision].unit;
}
