// Pairs side by side: three middle slices of both brains, and what differs.
#ifndef SB_REPORT_CARDS_H
#define SB_REPORT_CARDS_H

#include "report/page.h"
#include "report/slices.h"

// What drawing takes, made once for a page.
typedef struct sb_easel {
  sb_page *page;
  sb_slices slices; // no pixels: nothing can be drawn
  uint8_t *pixels;
} sb_easel;

// Errors: SB_NO_MEMORY. A page without stores or images gets one that draws nothing.
sb_status sb_easel_open(sb_page *page, sb_easel *out);
void sb_easel_close(sb_easel *easel);

// Whether the page shows brains: not where they are left out, or no store is at hand.
bool sb_has_pictures(const sb_page *page);
// Gives the pairs that are to be shown their numbers, from 1 on: check's findings, then the links of the first measure.
// Without pictures none is shown.
void sb_choose_cards(sb_page *page);
// The pictures of a scan alone, or nothing where there is no room for it. `width` in CSS pixels.
sb_status sb_put_scan_picture(sb_easel *easel, const sb_store *store, int64_t i);

#endif
