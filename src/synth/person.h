// One synthetic person: how the base brain is deformed, and what is drawn into it, to become
// theirs.
#ifndef SB_SYNTH_PERSON_H
#define SB_SYNTH_PERSON_H

#include <stdint.h>

#include "samebrain/status.h"
#include "synth/base.h"
#include "synth/field.h"

enum { SB_PERSON_CHANNELS = 4 }; // displacement x, y, z in mm; factor on the intensity

// A point p of the person (mm, the base's axes) shows the base at q + displacement(q), where
// q = to_base * p; the intensity there is multiplied by the factor at q.
typedef struct sb_person {
  sb_lattice lattice; // over the base's space
  float *field;       // SB_PERSON_CHANNELS per node
  double to_base[16]; // size and shape: up to 8 % along each axis, and shear
} sb_person;

// The person that `key` stands for. Errors: SB_NO_MEMORY.
sb_status sb_person_create(const sb_base *base, uint64_t key, sb_person *out);
void sb_person_free(sb_person *person);

#endif
