// The report: text that cannot become markup, pictures that decode to what was drawn, plots that say what
// they are given, and the page of small results, also of damaged ones and of hostile names.
#include "cohort.h"

#include <png.h>

#include "report/pairs.h"
#include "report/png.h"
#include "report/slices.h"
#include "report/svg.h"
#include "report/text.h"
#include "samebrain/evaluate.h"
#include "samebrain/link.h"
#include "samebrain/report.h"

static const cohort PLAIN = {
    .people = 8, .sessions = 2, .seed = 4, .gain = 1, .duplicate_of = -1, .constant = -1};

// What a writer puts into a file.
typedef struct capture {
  FILE *file;
  char *text;
  size_t size;
} capture;

static void capture_open(capture *c) {
  *c = (capture){0};
  c->file = open_memstream(&c->text, &c->size);
  assert_non_null(c->file);
}

static char *capture_end(capture *c) {
  fclose(c->file);
  return c->text;
}

static void assert_written(void (*put)(FILE *, const char *), const char *text,
                           const char *expected) {
  capture c;
  capture_open(&c);
  put(c.file, text);
  char *got = capture_end(&c);
  assert_string_equal(got, expected);
  free(got);
}

// ---- Text ---------------------------------------------------------------------------------------

static void test_html(void **state) {
  (void)state;
  assert_written(sb_put_html, "sub-01", "sub-01");
  assert_written(sb_put_html, "<script>alert('a' & \"b\")</script>",
                 "&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;");
  assert_written(sb_put_html, "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\xa7\xa0",
                 "J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\xa7\xa0");
  assert_written(sb_put_name,
                 "\xe2\x80\xae"
                 "drawkcab",
                 "<bdi>\xe2\x80\xae"
                 "drawkcab</bdi>");
}

// What is no UTF-8 (Latin-1, overlong, a surrogate, cut short) and what controls a terminal.
static void test_bad_bytes(void **state) {
  (void)state;
  assert_written(sb_put_html, "J\xfcrgen", "J\xef\xbf\xbdrgen");
  assert_written(sb_put_html, "\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd");
  assert_written(sb_put_html, "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  assert_written(sb_put_html, "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd");
  assert_written(sb_put_html, "a\x1b[31m\x7f", "a\xef\xbf\xbd[31m\xef\xbf\xbd");
  assert_written(sb_put_html, "\xf5\x80\x80\x80",
                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void test_json(void **state) {
  (void)state;
  assert_written(sb_put_json, "a\"b\\c", "\"a\\u0022b\\u005cc\"");
  assert_written(sb_put_json, "</script><!--", "\"\\u003c/script\\u003e\\u003c!--\"");
  assert_written(sb_put_json, "\xc3\xbc\xfc\n", "\"\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void test_numbers(void **state) {
  (void)state;
  char out[SB_TEXT];
  assert_string_equal(sb_text_count(0, out), "0");
  assert_string_equal(sb_text_count(999, out), "999");
  assert_string_equal(sb_text_count(1234567, out), "1,234,567");
  assert_string_equal(sb_text_count(-1234, out), "-1,234");
  assert_string_equal(sb_text_count((double)NAN, out), "\xe2\x80\x93");
  assert_string_equal(sb_text_score(0.98313, out), "0.9831");
  assert_string_equal(sb_text_score(28.7, out), "28.7");
  assert_string_equal(sb_text_score(2e-5, out), "2e-05");
  assert_string_equal(sb_text_rate(0, out), "0 %");
  assert_string_equal(sb_text_rate(1, out), "100 %");
  assert_string_equal(sb_text_rate(0.63158, out), "63.2 %");
  assert_string_equal(sb_text_rate(0.0012, out), "0.12 %");
  assert_string_equal(sb_text_rate(2e-8, out), "2.0e-08");
  assert_string_equal(sb_text_rate(0.99999, out), "> 99.99 %"); // never rounded to "100 %"
  assert_string_equal(sb_text_rate(0.999, out), "99.90 %");
  assert_string_equal(sb_text_share(0, out), "0.0000");
  assert_string_equal(sb_text_share(1, out), "1.0000");
  assert_string_equal(sb_text_share(0.63158, out), "0.6316");
  assert_string_equal(sb_text_share(0.99994, out), "0.9999");
  assert_string_equal(sb_text_share(1 - 2.9e-5, out), "0.99997"); // never rounded to 1
  assert_string_equal(sb_text_share(4.4e-6, out), "4.4e-06");     // nor to 0
  assert_string_equal(sb_text_seconds(0.25, out), "0.250 s");
  assert_string_equal(sb_text_seconds(600, out), "10.0 min");
}

// ---- Pictures -----------------------------------------------------------------------------------

static void test_base64(void **state) {
  (void)state;
  static const char *const pairs[][2] = {// RFC 4648, section 10
                                         {"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    capture c;
    capture_open(&c);
    sb_base64_put(c.file, (const uint8_t *)pairs[i][0], strlen(pairs[i][0]));
    char *got = capture_end(&c);
    assert_string_equal(got, pairs[i][1]);
    free(got);
  }
}

static void test_png(void **state) {
  (void)state;
  enum { WIDTH = 37, HEIGHT = 19 };
  uint8_t pixels[WIDTH * HEIGHT], *bytes;
  sb_picture picture = {.width = WIDTH, .height = HEIGHT, .pixels = pixels, .colours = 200};
  for (int i = 0; i < picture.colours; i++) {
    picture.palette[i][0] = (uint8_t)i;
    picture.palette[i][1] = (uint8_t)(255 - i);
    picture.palette[i][2] = (uint8_t)(7 * i);
  }
  for (int i = 0; i < WIDTH * HEIGHT; i++) pixels[i] = (uint8_t)(i * 31 % 200);
  size_t count;
  assert_ok(sb_png_encode(&picture, &bytes, &count));
  png_image image = {.version = PNG_IMAGE_VERSION};
  assert_true(png_image_begin_read_from_memory(&image, bytes, count));
  assert_int_equal(image.width, WIDTH);
  assert_int_equal(image.height, HEIGHT);
  image.format = PNG_FORMAT_RGBA;
  uint8_t decoded[WIDTH * HEIGHT * 4];
  assert_true(png_image_finish_read(&image, NULL, decoded, 0, NULL));
  for (int i = 0; i < WIDTH * HEIGHT; i++) {
    assert_int_equal(decoded[4 * i + 3], pixels[i] == 0 ? 0 : 255); // colour 0 is transparent
    if (pixels[i] != 0) assert_memory_equal(decoded + 4 * i, picture.palette[pixels[i]], 3);
  }
  free(bytes);
}

// A store of one scan whose value is x + 100 y + 10000 z, and whose own brain is where x is below 6.
static sb_store *store_of_places(const char *folder) {
  static uint8_t mask[GRID], own[GRID];
  static float row[GRID];
  const int64_t dims[3] = {NX, NY, NZ};
  const double affine[16] = {2, 0, 0, -10, 0, 2, 0, -9, 0, 0, 2, -8, 0, 0, 0, 1};
  for (int i = 0; i < GRID; i++) {
    mask[i] = 1;
    own[i] = i % NX < 6;
    const int x = i % NX, y = i / NX % NY, z = i / NX / NY;
    row[i] = (float)(x + 100 * y + 1000 * z);
  }
  const sb_store_header header = {.grid_dims = dims,
                                  .grid_affine = affine,
                                  .resolution_mm = 2,
                                  .mask = mask,
                                  .image = row,
                                  .row_length = GRID,
                                  .template_hash = "0123",
                                  .template_path = "made-up",
                                  .parameters = "align=none"};
  sb_scan_record record = {.scan = {.dataset = (char *)"d", .scan_id = (char *)"s"}};
  char *path = sb_path_join(folder, "places");
  sb_store_writer *writer;
  sb_store *store;
  assert_ok(sb_store_writer_open(path, &header, &writer));
  assert_ok(append_scan(writer, &record, row, own));
  sb_store_writer_close(writer);
  assert_ok(sb_store_open(path, &store));
  free(path);
  return store;
}

// The slices lie where they are said to: what is right, in front and above is found right, on top and on top.
static void test_slices(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_store *store = store_of_places(folder);
  sb_slices slices;
  sb_sliced scan;
  assert_ok(sb_slices_create(store, &slices));
  assert_ok(sb_slices_take(&slices, store, 0, &scan));
  enum { GAP = 4, CORONAL = NX + GAP, SAGITTAL = 2 * (NX + GAP) };
  assert_int_equal(slices.width, SAGITTAL + NY);
  assert_int_equal(slices.height, NY);
#define AT(column, line) scan.values[(line)*slices.width + (column)]
#define PLACE(x, y, z) ((float)(x) + 100 * (float)(y) + 1000 * (float)(z))
  const int mx = (NX - 1) / 2, my = (NY - 1) / 2, mz = (NZ - 1) / 2, above = (NY - NZ) / 2;
  assert_float_equal(AT(0, 0), PLACE(0, NY - 1, mz), 4); // front left; float16 keeps 11 bits
  assert_float_equal(AT(NX - 1, NY - 1), PLACE(NX - 1, 0, mz), 4);
  assert_float_equal(AT(CORONAL, above), PLACE(0, my, NZ - 1), 4);
  assert_float_equal(AT(CORONAL + NX - 1, above + NZ - 1), PLACE(NX - 1, my, 0), 4);
  assert_float_equal(AT(SAGITTAL, above), PLACE(mx, NY - 1, NZ - 1), 4); // the front is on the left
  assert_float_equal(AT(SAGITTAL + NY - 1, above + NZ - 1), PLACE(mx, 0, 0), 4);
  assert_true(isnan(AT(NX, 0)));
  for (int x = 0; x < NX; x++) assert_int_equal(scan.own[x], x < 6);
  uint8_t *pixels = malloc((size_t)slices.count);
  const float window[2] = {0, 9999};
  sb_picture grey = sb_slices_grey(&slices, &scan, window, pixels);
  assert_int_equal(grey.pixels[NX], 0);                               // between slices
  assert_int_equal(grey.pixels[NX - 1], 0);                           // not in its own brain
  assert_true(grey.pixels[0] > grey.pixels[(NY - 1) * slices.width]); // brighter in front
  sb_picture same = sb_slices_difference(&slices, &scan, &scan, window, 0.25F, pixels);
  for (int64_t p = 0; p < slices.count; p++)
    assert_true(same.pixels[p] == 0 || same.pixels[p] == same.pixels[0]);
  assert_true(sb_slices_rms(&slices, &scan, &scan, window) == 0);
  free(pixels);
  sb_sliced_free(&scan);
  sb_slices_free(&slices);
  sb_store_close(store);
  remove_folder(folder);
  free(folder);
}

// ---- Plots --------------------------------------------------------------------------------------

static void test_plot(void **state) {
  (void)state;
  capture c;
  capture_open(&c);
  sb_plot plot = {.file = c.file,
                  .x = {.scale = SB_LINEAR, .low = 0, .high = 1, .label = "a < b"},
                  .y = {.scale = SB_LOG, .low = 1e-4, .high = 1, .label = "rate"}};
  const double x[] = {0, 0.5, (double)NAN, 0.75, 1}, y[] = {1e-4, 1e-2, 1, 1, 100};
  sb_plot_begin(&plot, "p", "<title>", "text");
  sb_plot_line(&plot, "c1", x, y, 5);
  sb_plot_end(&plot);
  char *svg = capture_end(&c);
  // From the lower left corner to the middle; a gap; along the upper edge, where 100 is cut off.
  assert_non_null(strstr(svg, "d=\"M52.0 260.0L279.0 145.0M392.5 30.0L506.0 30.0\""));
  assert_non_null(strstr(svg, "&lt;title&gt;"));
  assert_non_null(strstr(svg, "a &lt; b"));
  assert_non_null(strstr(svg, ">0.2</text>"));
  assert_non_null(strstr(svg, ">10<tspan dy=\"-5\" font-size=\"9\">-4</tspan>"));
  assert_null(strstr(svg, "nan"));
  assert_null(strstr(svg, "<style>")); // the page has it
  free(svg);
}

// A file of its own brings along what a page has once for all plots.
static void test_plot_alone(void **state) {
  (void)state;
  capture c;
  capture_open(&c);
  sb_plot plot = {.file = c.file,
                  .x = {.scale = SB_LINEAR, .low = 0, .high = 1, .label = "x"},
                  .y = {.scale = SB_LINEAR, .low = 0, .high = 1, .label = "y"},
                  .alone = true};
  sb_plot_begin(&plot, "p", "title", "text");
  sb_plot_end(&plot);
  char *svg = capture_end(&c);
  assert_ptr_equal(strstr(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\""), svg);
  assert_non_null(strstr(svg, "<style>"));
  free(svg);
}

// Normal deviates on both axes: rates that are symmetric about one half lie so in the picture.
static void test_deviates(void **state) {
  (void)state;
  capture c;
  capture_open(&c);
  sb_plot plot = {.file = c.file,
                  .x = {.scale = SB_DEVIATE, .low = 0.01, .high = 0.99, .label = "x"},
                  .y = {.scale = SB_DEVIATE, .low = 0.01, .high = 0.99, .label = "y"}};
  const double rates[] = {0.05, 0.5, 0.95};
  sb_plot_line(&plot, "c1", rates, rates, 3);
  char *svg = capture_end(&c);
  double at[6];
  assert_int_equal(sscanf(strstr(svg, "d=\"M") + 4, "%lf %lfL%lf %lfL%lf %lf", at, at + 1, at + 2,
                          at + 3, at + 4, at + 5),
                   6);
  assert_true(fabs(at[0] + at[4] - 2 * at[2]) < 0.11);
  assert_true(fabs(at[1] + at[5] - 2 * at[3]) < 0.11);
  assert_true(fabs((at[2] - at[0]) / (506 - 52) - 1.6449 / 2.3263 / 2) < 1e-3); // of the quantiles
  free(svg);
}

// ---- The page -----------------------------------------------------------------------------------

// Links a cohort with itself and evaluates it, in `folder`/out.
static char *results(const char *folder, const char *dataset, bool evaluated) {
  sb_store *store = open_cohort(folder, dataset, &PLAIN);
  char *out = sb_path_join(folder, "out");
  sb_link_options options = sb_link_options_default();
  options.threads = 1;
  options.matrix = evaluated;
  sb_link_summary summary;
  assert_ok(sb_link(store, NULL, &options, out, NULL, &summary));
  if (evaluated) {
    sb_evaluate_options how = sb_evaluate_options_default();
    sb_evaluation evaluation[4];
    size_t count;
    how.replicates = 50;
    assert_ok(sb_evaluate(out, &how, evaluation, 4, &count));
  }
  sb_store_close(store);
  return out;
}

static char *page_of(const char *out, bool images) {
  const sb_report_options options = {.images = images};
  assert_ok(sb_report_write(out, &options, NULL));
  return read_result(out, "report.html");
}

static int64_t count_of(const char *text, const char *part) {
  int64_t count = 0;
  for (const char *at = text; (at = strstr(at, part)) != NULL; at++) count++;
  return count;
}

static void test_page(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = results(folder, "made up", true);
  char *page = page_of(out, true), *again = page_of(out, true), *bare = page_of(out, false);
  assert_string_equal(page, again); // the same files, the same bytes
  assert_non_null(strstr(page, "Content-Security-Policy"));
  assert_null(strstr(page, "http:"));
  assert_null(strstr(page, "https:"));
  assert_int_equal(count_of(page, "id=\"pair-"),
                   8 + 1); // each person's two scans; one to compare with
  // Three of each pair and of one to compare with, and one of each scan: without a sharpness it is in doubt.
  assert_int_equal(count_of(page, "<img "), 3 * (8 + 1) + 16);
  assert_int_equal(count_of(bare, "<img "), 0);
  assert_int_equal(count_of(page, ">Brains</th>"), 1);
  assert_int_equal(count_of(bare, ">Brains</th>"), 0);
  assert_non_null(strstr(page, "8 pairs are so alike"));
  assert_non_null(strstr(page, "16 of the 16 scans"));
  assert_null(strstr(page, ">nan")); // "nan" alone may be in a picture's letters
  assert_null(strstr(page, " nan"));
  free(page);
  free(again);
  free(bare);
  remove_folder(folder);
  free(out);
  free(folder);
}

// Before evaluate, and after a store is gone or became another.
static void test_page_without(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = results(folder, "made-up", false);
  char *store = sb_path_join(folder, "made-up"), *page = page_of(out, true);
  assert_non_null(strstr(page, "not evaluated"));
  assert_true(count_of(page, "<img ") > 0);
  free(page);
  remove_folder(store);
  heard warned = {0};
  const sb_progress progress = {.context = &warned, .warn = hear};
  assert_ok(sb_report_write(out, NULL, &progress)); // by default with pictures
  assert_int_equal(heard_of(&warned, "made-up", "no samebrain store"), 1);
  page = read_result(out, "report.html");
  assert_int_equal(count_of(page, "<img "), 0);
  assert_non_null(strstr(page, "Pictures of the brains are left out"));
  free(page);
  cohort other = PLAIN; // the same names, of other files
  other.files = 1;
  write_cohort(store, "made-up", &other);
  assert_ok(sb_report_write(out, NULL, &progress));
  assert_int_equal(heard_of(&warned, "another store than", "sub-001_ses-1"), 1);
  page = read_result(out, "report.html");
  assert_int_equal(count_of(page, "<img "), 0);
  free(page);
  remove_folder(folder);
  free(store);
  free(out);
  free(folder);
}

// A name that would be markup, and one that would end the script it stands in.
static void test_hostile_names(void **state) {
  (void)state;
  static const char name[] = "<script>alert(1)";
  char *folder = scratch_folder(), *out = results(folder, name, true);
  write_text(
      out, "check.tsv",
      "dataset_a\tid_a\tdataset_b\tid_b\tscore\texpected\tobserved\tverdict\treason\n"
      "<script>alert(1)\tsub-001_ses-1\t<script>alert(1)\t</script><b>\t0.5\tsame\tdifferent\t"
      "suspected_swap\t<i>why</i>\n");
  write_text(out, "check.json", "{\"kind\": \"samebrain check\", \"note\": \"<u>note\"}");
  write_text(out, "groups.tsv",
             "person\tscans\tlabels\tdataset\tscan_id\tlabel\tduplicate_of\n1\t2\t2\td\t<s>\t<em>"
             "x\tn/a\n");
  char *page = page_of(out, true);
  assert_null(strstr(page, "<u>"));
  assert_null(strstr(page, "<s>"));
  assert_null(strstr(page, "<em>x"));
  assert_null(strstr(page, name));
  assert_null(strstr(page, "<b>"));
  assert_null(strstr(page, "<i>why"));
  assert_int_equal(count_of(page, "<script"), 2); // the data and the page's own
  assert_int_equal(count_of(page, "</script"), 2);
  assert_non_null(strstr(page, "&lt;script&gt;alert(1)"));
  assert_non_null(strstr(page, "\\u003cscript\\u003ealert(1)"));
  assert_non_null(strstr(page, "Suspected swaps"));
  assert_non_null(strstr(page, "1 pair needs"));
  free(page);
  remove_folder(folder);
  free(out);
  free(folder);
}

static void assert_refused(const char *out, sb_code code, const char *part) {
  const sb_report_options options = sb_report_options_default();
  sb_status status = sb_report_write(out, &options, NULL);
  assert_int_equal(status.code, code);
  assert_non_null(strstr(status.message, part));
}

static void test_damaged(void **state) {
  (void)state;
  char *folder = scratch_folder(), *out = results(folder, "made-up", true);
  assert_refused(folder, SB_NOT_FOUND, "no summary.json");
  write_text(out, "mated.tsv", "score\n1\n");
  assert_ok(sb_report_write(out, &(sb_report_options){.images = true},
                            NULL)); // evaluate's tables say it all
  write_text(out, "links.tsv", "probe_id\n");
  assert_refused(out, SB_FORMAT, "links.tsv");
  write_text(out, "evaluation.json", "{");
  assert_refused(out, SB_FORMAT, "evaluation.json");
  remove_folder(folder);
  free(out);
  free(folder);
}

// The closest of each probe: each pair once, the closest first, with the margin to the probe's next.
static void test_pairs_of_matches(void **state) {
  (void)state;
  char *folder = scratch_folder(), *path = sb_path_join(folder, "matches.tsv");
  write_text(folder, "matches.tsv",
             "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
             "d\ta\td\tb\tmse\t1\t0.5\nd\ta\td\tc\tmse\t2\t0.75\n"
             "d\tb\td\ta\tmse\t1\t0.5\nd\tb\td\tc\tmse\t2\t0.875\n"
             "d\tc\td\ta\tmse\t1\t0.25\nd\tc\td\ta\tother\t1\t9\n");
  const sb_pair_measures measures = {.names = {"mse"}, .direction = {-1}, .count = 1};
  sb_pairs pairs;
  assert_ok(sb_pairs_of_matches(path, &measures, true, &pairs));
  assert_int_equal(pairs.count, 2);
  assert_string_equal(pairs.items[0].id[0], "c");
  assert_true(isnan(pairs.items[0].margin));
  assert_string_equal(pairs.items[1].id[0], "a");
  assert_string_equal(pairs.items[1].id[1], "b");
  assert_true(pairs.items[1].score == 0.5 && pairs.items[1].margin == 0.25);
  sb_pairs_free(&pairs);
  assert_ok(sb_pairs_of_matches(path, &measures, false, &pairs));
  assert_int_equal(pairs.count, 3);
  int64_t probes;
  assert_ok(sb_pairs_count_probes(&pairs, 0, &probes));
  assert_int_equal(probes, 3);
  sb_pairs_free(&pairs);
  remove_folder(folder);
  free(path);
  free(folder);
}

// What is closest and no link, either way round.
static void test_closest_other(void **state) {
  (void)state;
  char *folder = scratch_folder(), *path = sb_path_join(folder, "matches.tsv");
  write_text(folder, "matches.tsv",
             "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
             "d\ta\td\tb\tmse\t1\t0.25\nd\tb\td\ta\tmse\t1\t0.25\nd\ta\td\tc\tmse\t2\t0.75\n"
             "d\tb\td\tc\tmse\t2\t0.5\nd\tb\td\tc\tother\t2\t0.1\n");
  const sb_pair_measures measures = {.names = {"mse"}, .direction = {-1}, .count = 1};
  sb_pair link = {.dataset = {"d", "d"}, .id = {"b", "a"}};
  const sb_pairs links = {.items = &link, .count = 1};
  sb_pairs other;
  assert_ok(sb_pairs_closest_other(path, &measures, 0, &links, &other));
  assert_int_equal(other.count, 1);
  assert_string_equal(other.items[0].id[0], "b");
  assert_string_equal(other.items[0].id[1], "c");
  assert_true(other.items[0].score == 0.5);
  sb_pairs_free(&other);
  remove_folder(folder);
  free(path);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_html),
      cmocka_unit_test(test_bad_bytes),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_base64),
      cmocka_unit_test(test_png),
      cmocka_unit_test(test_slices),
      cmocka_unit_test(test_plot),
      cmocka_unit_test(test_plot_alone),
      cmocka_unit_test(test_deviates),
      cmocka_unit_test(test_page),
      cmocka_unit_test(test_page_without),
      cmocka_unit_test(test_hostile_names),
      cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_pairs_of_matches),
      cmocka_unit_test(test_closest_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
