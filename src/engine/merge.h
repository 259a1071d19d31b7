// What shares of a run wrote, joined into what one run would have written.
#ifndef SB_ENGINE_MERGE_H
#define SB_ENGINE_MERGE_H

#include <stddef.h>

#include "engine/share.h"
#include "samebrain/link.h"

// As sb_merge, of folders that together are `share` of a run.
sb_status sb_merge_shares(const char *const *folders, size_t count, sb_share share, const char *out,
                          bool keep, const sb_progress *progress, sb_link_summary *summary);

#endif
