// samebrain: do two skull-stripped T1-weighted MRIs come from the same person?
// This header includes the whole public interface.
//
// NULL may be given for `options` (the defaults are taken), for `progress` (nobody is told), and to functions
// that close or free. Other pointers may not be NULL where no comment says what it means: nothing looks for it.
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
