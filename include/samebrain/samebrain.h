// samebrain: do two skull-stripped T1-weighted MRIs come from the same person?
// This header includes the whole public interface. Throughout:
//   options   NULL stands for what sb_..._options_default gives, and so does NULL for a string in them
//   progress, summary   may be NULL
//   what a function makes is NULL or empty where it fails, and can be freed all the same
//   freeing   what is NULL or empty does nothing
//   else      pointers may not be NULL where no comment says what it means: nothing looks for it
//   strings and arrays   of a store, template or preparer are its own, and last as long as it does
#ifndef SAMEBRAIN_SAMEBRAIN_H
#define SAMEBRAIN_SAMEBRAIN_H

#include "samebrain/check.h"
#include "samebrain/evaluate.h"
#include "samebrain/link.h"
#include "samebrain/measure.h"
#include "samebrain/prepare.h"
#include "samebrain/report.h"
#include "samebrain/status.h"
#include "samebrain/store.h"
#include "samebrain/synth.h"
#include "samebrain/volume.h"

#endif
