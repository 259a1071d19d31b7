// Affine alignment of a whole head, to find the brain in it.
#include <string.h>

#include "core/geometry.h"
#include "core/memory.h"
#include "prepare/align_starts.h"

// Places of a head that are looked at more closely. Its outline and what surrounds the brain (fat,
// muscle, a face that was cut off) differ from head to head, so the right place need not be the
// best one at 8 mm.
enum { HEAD_KEPT = 6, HEAD_KEPT_THOROUGH = 24 };

// The best of these starts, by how well the brain alone fits: the right place (0.57 to 0.83 in the
// heads at hand) leads all others, while with its surroundings it often does not.
static void try_head_starts(sb_align_search *s, const sb_brain *brain, const sb_align_start *starts,
                            int count, bool thorough, sb_align_place best[SB_ALIGN_PLACES],
                            int *kept) {
  sb_align_place coarse[HEAD_KEPT_THOROUGH];
  const int most = thorough ? HEAD_KEPT_THOROUGH : HEAD_KEPT;
  int coarse_kept = 0;
  for (int i = 0; i < count; i++) {
    sb_align_place c;
    sb_align_start_map(s->aligner, brain, starts[i].rotation, starts[i].scale, starts[i].centre_mm,
                       c.map);
    sb_align_descend(s, SB_HEAD_COARSE, SB_SIMILARITY, thorough ? 16 : 8, 1, &c);
    if (c.ncc > 0) sb_align_keep_of(s->aligner, &c, most, coarse, &coarse_kept);
  }
  for (int i = 0; i < coarse_kept; i++) {
    sb_align_descend(s, SB_HEAD_COARSE, SB_AFFINE, 12, 0.5, &coarse[i]);
    sb_align_descend(s, SB_HEAD_FINE, SB_AFFINE, 4, 0.5, &coarse[i]);
    sb_align_descend(s, SB_HEAD_BRAIN, SB_AFFINE, 6, 0.5, &coarse[i]);
    if (coarse[i].ncc > 0) sb_align_keep(s->aligner, &coarse[i], best, kept);
  }
}

// Takes a place of a head to the end. False when it comes to nothing.
static bool finish_head(sb_align_search *s, const sb_brain *brain, sb_align_place *c,
                        sb_alignment *out) {
  memset(out, 0, sizeof *out);
  sb_align_polish(s, SB_HEAD_BRAIN, SB_AFFINE, 12, 0.1, c);
  out->correlation = c->ncc;
  sb_affine_multiply(brain->image.affine, c->map, out->template_to_scan);
  sb_affine_multiply(out->template_to_scan, s->aligner->ras_to_frame, out->template_to_scan);
  return c->ncc > 0;
}

sb_status sb_align_head(const sb_aligner *aligner, const sb_brain *brain,
                        const sb_align_start *starts, int start_count, int likely, bool thorough,
                        sb_alignment places[SB_ALIGN_PLACES], int *count) {
  static const double CLEAR = 0.6;
  sb_align_search s;
  sb_align_place best[SB_ALIGN_PLACES];
  int kept = 0, tried = likely;
  sb_status status;
  *count = 0;
  SB_TRY(sb_align_search_open(aligner, brain, true, &s));
  try_head_starts(&s, brain, starts, likely, thorough, best, &kept);
  if (thorough || kept == 0 || best[0].ncc < CLEAR) {
    try_head_starts(&s, brain, starts + likely, start_count - likely, thorough, best, &kept);
    tried = start_count;
  }
  const double ahead = kept > 0 ? sb_align_lead(best, kept) : 0;
  for (int i = 0; i < (thorough ? kept : 1) && i < kept; i++) {
    sb_alignment *place = &places[*count];
    if (!finish_head(&s, brain, &best[i], place)) continue;
    place->next_correlation = i == 0 ? ahead : place->correlation - places[0].correlation;
    place->starts = tried;
    (*count)++;
  }
  if (*count == 0) status = sb_error(SB_ALIGN, "no alignment to the template's head fits");
cleanup:
  sb_align_search_close(&s);
  return status;
}
