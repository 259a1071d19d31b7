#include "report/cards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "report/text.h"

enum { MOST_FINDINGS = 24, MOST_LINKS = 40, OPEN_AT_ONCE = 6 };
static const float FULL = 0.25F; // the difference, of the grey scale's width, that has full colour

// ---- Which pairs --------------------------------------------------------------------------------

// Where there are too many links, the closest half and the least close half of those that fit.
static bool is_chosen(int64_t place, int64_t count) {
  return count <= MOST_LINKS || place < MOST_LINKS / 2 || place >= count - MOST_LINKS / 2;
}

static int64_t links_of_first_measure(const sb_page *page) {
  int64_t count = 0;
  for (int64_t i = 0; i < page->links.count; i++) count += page->links.items[i].measure == 0;
  return count;
}

bool sb_has_pictures(const sb_page *page) {
  return page->images && (page->gallery != NULL || page->probe != NULL);
}

void sb_choose_cards(sb_page *page) {
  int next = 1;
  int64_t place = 0, links = links_of_first_measure(page);
  if (!sb_has_pictures(page)) return;
  for (int unsure = 0; unsure < 2; unsure++) // what calls for action first
    for (int64_t i = 0; i < page->checks.count; i++) {
      sb_pair *pair = page->checks.items + i;
      bool wanted = unsure == 0 ? sb_is_finding(pair) : strcmp(pair->verdict, "unsure") == 0;
      if (wanted && next <= MOST_FINDINGS) pair->card = next++;
    }
  for (int64_t i = 0; i < page->links.count; i++) {
    if (page->links.items[i].measure != 0) continue;
    if (is_chosen(place, links)) page->links.items[i].card = next++;
    place++;
  }
}

// ---- Drawing ------------------------------------------------------------------------------------

sb_status sb_easel_open(sb_page *page, sb_easel *out) {
  *out = (sb_easel){.page = page};
  if (!sb_has_pictures(page)) return sb_ok();
  const sb_store *store = page->gallery != NULL ? page->gallery : page->probe;
  sb_status status = sb_slices_create(store, &out->slices);
  if (status.code == SB_OK) status = SB_NEW(&out->pixels, out->slices.count, "pictures");
  if (status.code != SB_OK) sb_easel_close(out);
  return status;
}

void sb_easel_close(sb_easel *easel) {
  sb_slices_free(&easel->slices);
  free(easel->pixels);
  memset(easel, 0, sizeof *easel);
}

// Whether there is room for `count` more pictures; where not, the page will say how many were left out.
static bool has_room(sb_easel *easel, int count) {
  if (easel->slices.count == 0) return false;
  bool room = easel->page->picture_bytes_left >= count * 4 * easel->slices.count / 3;
  if (!room) easel->page->pictures_left_out += count;
  return room;
}

static sb_status put_picture(sb_easel *easel, const sb_picture *picture, const char *alt) {
  int64_t written = 0;
  FILE *file = easel->page->file;
  fprintf(file, "<img width=\"%d\" height=\"%d\" alt=\"", picture->width, picture->height);
  sb_put_html(file, alt);
  fputs("\" src=\"", file);
  sb_status status = sb_png_put(file, picture, &written);
  easel->page->picture_bytes_left -= written;
  fputs("\">", file);
  return status;
}

sb_status sb_put_scan_picture(sb_easel *easel, const sb_store *store, int64_t i) {
  sb_sliced scan = {0};
  float window[2];
  sb_status status = sb_ok();
  if (!has_room(easel, 1)) return status;
  SB_TRY(sb_slices_take(&easel->slices, store, i, &scan));
  SB_TRY(sb_slices_window(&easel->slices, &scan, NULL, window));
  sb_picture picture = sb_slices_grey(&easel->slices, &scan, window, easel->pixels);
  SB_TRY(put_picture(easel, &picture, "Axial, coronal and sagittal middle slice"));
cleanup:
  sb_sliced_free(&scan);
  return status;
}

static sb_status put_three(sb_easel *easel, const sb_pair *pair, const sb_sliced scans[2]) {
  FILE *file = easel->page->file;
  float window[2];
  char text[200];
  sb_status status = sb_slices_window(&easel->slices, &scans[0], &scans[1], window);
  if (status.code != SB_OK) return status;
  fputs("<div class=\"brains\">\n", file);
  for (int side = 0; side < 2 && status.code == SB_OK; side++) {
    fputs("<figure>", file);
    snprintf(text, sizeof text, "%.150s: axial, coronal and sagittal middle slice", pair->id[side]);
    sb_picture picture = sb_slices_grey(&easel->slices, &scans[side], window, easel->pixels);
    status = put_picture(easel, &picture, text);
    fputs("<figcaption>", file);
    sb_put_scan(file, pair->dataset[side], pair->id[side]);
    if (side == 0 && easel->page->mirrored) fputs(", mirrored", file);
    fputs("</figcaption></figure>\n", file);
  }
  if (status.code != SB_OK) return status;
  double rms = sb_slices_rms(&easel->slices, &scans[0], &scans[1], window);
  snprintf(text, sizeof text, "Difference, RMS %.1f %% of grey scale", 100 * rms);
  sb_picture picture =
      sb_slices_difference(&easel->slices, &scans[0], &scans[1], window, FULL, easel->pixels);
  fputs("<figure>", file);
  status = put_picture(easel, &picture, text);
  fputs("<figcaption>", file);
  sb_put_html(file, text);
  fputs("</figcaption></figure>\n</div>\n", file);
  return status;
}

// Nothing is drawn of a pair one of whose scans is not in its store any more.
static sb_status put_brains(sb_easel *easel, const sb_pair *pair) {
  const sb_store *stores[2] = {easel->page->probe, easel->page->gallery};
  int64_t place[2];
  sb_sliced scans[2] = {{0}, {0}};
  sb_status status = sb_ok();
  for (int side = 0; side < 2; side++)
    place[side] = sb_store_find(stores[side], pair->dataset[side], pair->id[side]);
  if (place[0] < 0 || place[1] < 0 || !has_room(easel, 3)) {
    fputs("<p class=\"note\">No picture: ", easel->page->file);
    fputs(place[0] < 0 || place[1] < 0 ? "a scan is not in its store any more.</p>\n"
                                       : "left out to keep the page small.</p>\n",
          easel->page->file);
    return status;
  }
  for (int side = 0; side < 2; side++)
    SB_TRY(sb_slices_take(&easel->slices, stores[side], place[side], &scans[side]));
  SB_TRY(put_three(easel, pair, scans));
cleanup:
  sb_sliced_free(&scans[0]);
  sb_sliced_free(&scans[1]);
  return status;
}

// ---- Cards --------------------------------------------------------------------------------------

// In words, and as a class for its colour.
static void put_verdict(FILE *file, const char *verdict) {
  char words[40];
  snprintf(words, sizeof words, "%s", verdict);
  for (char *at = words; *at != '\0'; at++)
    if (*at == '_') *at = ' ';
  fputs("<span class=\"verdict ", file);
  sb_put_html(file, verdict);
  fputs("\">", file);
  sb_put_html(file, words);
  fputs("</span>", file);
}

static sb_status put_card(sb_easel *easel, const sb_pair *pair) {
  FILE *file = easel->page->file;
  char text[SB_TEXT];
  if (pair->card > 0)
    fprintf(file,
            "<article class=\"card\" id=\"pair-%d\" tabindex=\"-1\">\n<h3><span "
            "class=\"place\">%d</span> ",
            pair->card, pair->card);
  else
    fputs("<article class=\"card\" id=\"pair-other\">\n<p class=\"note\">For comparison, the "
          "closest pair that is not "
          "proposed:</p>\n<h3>",
          file);
  sb_put_scan(file, pair->dataset[0], pair->id[0]);
  fputs(" <span class=\"with\">and</span> ", file);
  sb_put_scan(file, pair->dataset[1], pair->id[1]);
  fputs("</h3>\n<p class=\"facts\">", file);
  fprintf(file, "<span>score <strong>%s</strong></span>", sb_text_score(pair->score, text));
  if (!isnan(pair->margin))
    fprintf(file, "<span>margin %s</span>", sb_text_score(pair->margin, text));
  if (!isnan(pair->false_probability))
    fprintf(file, "<span>chance of a false link %s</span>",
            sb_text_small(pair->false_probability, text));
  if (*pair->verdict != '\0') put_verdict(file, pair->verdict);
  if (*pair->reason != '\0') {
    fputs("<span>", file);
    sb_put_html(file, pair->reason);
    fputs("</span>", file);
  }
  fputs("</p>\n", file);
  sb_status status = put_brains(easel, pair);
  fputs("</article>\n", file);
  return status;
}

static sb_status put_other(sb_easel *easel) {
  const sb_pairs *other = &easel->page->other;
  return other->count > 0 ? put_card(easel, other->items) : sb_ok();
}

// In the order of their numbers.
static sb_status put_all_cards(sb_easel *easel) {
  const sb_page *page = easel->page;
  const sb_pairs *lists[2] = {&page->checks, &page->links};
  const sb_pair *cards[MOST_FINDINGS + MOST_LINKS + 2] = {NULL};
  int shown = 0;
  sb_status status = sb_ok();
  for (int list = 0; list < 2; list++)
    for (int64_t i = 0; i < lists[list]->count; i++)
      cards[lists[list]->items[i].card] = lists[list]->items + i;
  for (; cards[shown + 1] != NULL; shown++) {
    if (shown == OPEN_AT_ONCE) {
      SB_TRY(put_other(easel));
      fputs("<details class=\"more\" id=\"more-pairs\"><summary>More pairs</summary>\n",
            page->file);
    }
    SB_TRY(put_card(easel, cards[shown + 1]));
  }
  if (shown > OPEN_AT_ONCE)
    fputs("</details>\n", page->file);
  else
    SB_TRY(put_other(easel));
  if (shown + page->other.count == 0) fputs("<p>There is no pair to show.</p>\n", page->file);
cleanup:
  return status;
}

static void put_choice(const sb_page *page) {
  char text[2][SB_TEXT];
  int64_t links = links_of_first_measure(page);
  if (links <= MOST_LINKS) return;
  fprintf(page->file,
          "<p class=\"note\">Of %s pairs the %d closest and the %d least close are shown.</p>\n",
          sb_text_count((double)links, text[0]), MOST_LINKS / 2, MOST_LINKS / 2);
}

sb_status sb_put_cards(sb_page *page) {
  sb_easel easel = {0};
  sb_status status = sb_easel_open(page, &easel);
  if (status.code != SB_OK) return status;
  fputs("<section id=\"pairs\"><h2>Side by side</h2>\n", page->file);
  if (easel.slices.count == 0) {
    fputs("<p>Pictures of the brains are left out", page->file);
    if (page->images) {
      fputs(": ", page->file);
      sb_put_html(page->file, page->why_no_store);
    } else {
      fputs(", as asked for", page->file);
    }
    fputs(".</p>\n", page->file);
  } else {
    fputs(
        "<p>Middle slices in the template's space as the rows hold them: axial (seen from above), "
        "coronal (from behind), sagittal (facing left); left is left. Both scans of a pair share "
        "one "
        "grey scale. In the difference, orange is where the first scan is brighter, blue where the "
        "second is; full colour is a quarter of the grey scale.</p>\n",
        page->file);
    put_choice(page);
    status = put_all_cards(&easel);
  }
  fputs("</section>\n", page->file);
  sb_easel_close(&easel);
  return status;
}
