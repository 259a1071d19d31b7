// What a person should know before believing a result: told through progress->warn.
#ifndef SB_ENGINE_WARN_H
#define SB_ENGINE_WARN_H

#include "engine/run.h"
#include "samebrain/status.h"

// A printf-style warning; nothing where nobody listens.
void sb_warn(const sb_progress *progress, const char *format, ...) SB_PRINTF(2, 3);

// Lost rows, names that two stores use for different scans, datasets that both have. Each once.
void sb_run_warn(const sb_run *run);

#endif
