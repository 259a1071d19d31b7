// Which scans an input names: BIDS folders, plain folders, files and manifests, made in a scratch
// folder as empty files, since only names count.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/memory.h"
#include "samebrain/store.h"
#include "scratch.h"

static char *scratch, *home;

static int make_scratch(void **state) {
  (void)state;
  home = getcwd(NULL, 0);
  scratch = scratch_folder();
  return scratch == NULL || chdir(scratch) != 0 ? -1 : 0;
}

static int remove_scratch(void **state) {
  (void)state;
  if (chdir(home) != 0) return -1;
  const int result = remove_folder(scratch);
  free(scratch);
  free(home);
  return result;
}

static void put(const char *path, const char *text) {
  char *folder = sb_path_folder(path);
  assert_int_equal(sb_make_folder(folder).code, SB_OK);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
  free(folder);
}

static void touch(const char *path) {
  put(path, "");
}

static sb_status find(const char *const *inputs, const sb_input_options *options,
                      sb_scan_list *list) {
  size_t count = 0;
  while (inputs[count] != NULL) count++;
  return sb_scan_list_find(inputs, count, options, list);
}

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_fails(sb_status status, sb_code code, const char *part) {
  if (status.code != code || strstr(status.message, part) == NULL)
    fail_msg("expected %s with \"%s\", got %s: %s", sb_code_name(code), part,
             sb_code_name(status.code), status.message);
}

// The list is exactly `expected`: "dataset|scan_id|participant|session|source_path|mask_path"
// lines.
static void assert_finds(const char *const *inputs, const sb_input_options *options,
                         const char *expected) {
  sb_scan_list list;
  sb_status status = find(inputs, options, &list);
  if (status.code != SB_OK) fail_msg("%s", status.message);
  char *text = NULL;
  size_t bytes;
  FILE *out = open_memstream(&text, &bytes);
  for (size_t i = 0; i < list.count; i++) {
    const sb_scan *s = &list.scans[i];
    fprintf(out, "%s|%s|%s|%s|%s|%s\n", s->dataset, s->scan_id, s->participant, s->session,
            s->source_path, s->mask_path);
  }
  assert_int_equal(fclose(out), 0);
  assert_string_equal(text, expected);
  free(text);
  sb_scan_list_free(&list);
}

// What the list says beside its scans: "left out: ...", and notes. Each must be there, and no other.
static void assert_tells(const char *const *inputs, const sb_input_options *options,
                         const char *left_out, const char *const *notes) {
  sb_scan_list list;
  sb_status status = find(inputs, options, &list);
  if (status.code != SB_OK) fail_msg("%s", status.message);
  if (list.left_out_count != (left_out != NULL))
    fail_msg("%zu left out, such as %s", list.left_out_count,
             list.left_out_count > 0 ? list.left_out[0] : "none");
  if (left_out != NULL && strstr(list.left_out[0], left_out) == NULL)
    fail_msg("expected \"%s\", got \"%s\"", left_out, list.left_out[0]);
  size_t count = 0;
  while (notes[count] != NULL) count++;
  assert_int_equal(list.note_count, count);
  for (size_t i = 0; i < count; i++)
    if (strstr(list.notes[i], notes[i]) == NULL)
      fail_msg("expected \"%s\", got \"%s\"", notes[i], list.notes[i]);
  sb_scan_list_free(&list);
}

// The one warning of the list; NULL: there is none.
static void assert_warns(const char *const *inputs, const char *warning) {
  sb_scan_list list;
  assert_int_equal(find(inputs, NULL, &list).code, SB_OK);
  assert_int_equal(list.warning_count, warning != NULL);
  if (warning != NULL && strstr(list.warnings[0], warning) == NULL)
    fail_msg("expected \"%s\", got \"%s\"", warning, list.warnings[0]);
  sb_scan_list_free(&list);
}

static void make_bids(void) {
  put("study/dataset_description.json", "{}");
  put("study/participants.tsv", "participant_id\nsub-01\n");
  touch("study/sub-02/ses-b/anat/sub-02_ses-b_T1w.nii.gz");
  touch("study/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii");
  touch("study/sub-02/ses-a/anat/sub-02_ses-a_T1w.json");
  touch("study/sub-02/ses-a/anat/sub-02_ses-a_T2w.nii.gz");
  touch("study/sub-02/ses-a/func/sub-02_ses-a_T1w.nii.gz");
  touch("study/sub-01/anat/sub-01_run-2_T1w.nii.gz");
  touch("study/sub-01/anat/sub-01_T1w.nii.gz");
  touch("study/sub-01/anat/._sub-01_T1w.nii.gz");
  touch("study/sub-03/ses-1/anat/sub-03_ses-1_desc-brain_T1w.nii.gz");
  touch("study/sub-04/ses-1/anat/sub-04_ses-1_t1w.nii.gz");
  touch("study/derivatives/x/sub-01/anat/sub-01_T1w.nii.gz");
  touch("study/sub-05.txt");
}

static void test_bids(void **state) {
  (void)state;
  make_bids();
  const char *all =
      "study|sub-01|sub-01||study/sub-01/anat/sub-01_T1w.nii.gz|\n"
      "study|sub-01_run-2|sub-01||study/sub-01/anat/sub-01_run-2_T1w.nii.gz|\n"
      "study|sub-02_ses-a|sub-02|ses-a|study/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii|\n"
      "study|sub-02_ses-b|sub-02|ses-b|study/sub-02/ses-b/anat/sub-02_ses-b_T1w.nii.gz|\n"
      "study|sub-03_ses-1_desc-brain|sub-03|ses-1|"
      "study/sub-03/ses-1/anat/sub-03_ses-1_desc-brain_T1w.nii.gz|\n";
  assert_finds(INPUTS("study"), NULL, all);
  assert_finds(INPUTS("study", "study"), NULL, all);
  const char *one = "study|sub-02_ses-a|sub-02|ses-a|study/sub-02/ses-a/anat/"
                    "sub-02_ses-a_T1w.nii|\n";
  assert_finds(INPUTS("study/sub-02/ses-a"), NULL, one);
  assert_finds(INPUTS("study/sub-02/ses-a/anat"), NULL, one);
  assert_finds(INPUTS("study/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii"), NULL, one);
  assert_finds(INPUTS("study/sub-01/"), NULL,
               "study|sub-01|sub-01||study/sub-01/anat/sub-01_T1w.nii.gz|\n"
               "study|sub-01_run-2|sub-01||study/sub-01/anat/sub-01_run-2_T1w.nii.gz|\n");
  assert_int_equal(chdir("study/sub-02/ses-b"), 0);
  assert_finds(INPUTS("."), NULL,
               "study|sub-02_ses-b|sub-02|ses-b|./anat/sub-02_ses-b_T1w.nii.gz|\n");
  assert_finds(INPUTS("anat/sub-02_ses-b_T1w.nii.gz"), &(sb_input_options){.dataset = "other"},
               "other|sub-02_ses-b|sub-02|ses-b|anat/sub-02_ses-b_T1w.nii.gz|\n");
}

// Only sub-*, ses-* and anat folders are opened: what else there is may be huge, or locked.
static void test_bids_opens_nothing_else(void **state) {
  (void)state;
  if (geteuid() == 0) {
    print_message("skipped: root may open locked folders\n");
    skip();
  }
  make_bids();
  static const char *const locked[] = {"study/derivatives", "study/sub-02/ses-a/func"};
  for (size_t i = 0; i < 2; i++) assert_int_equal(chmod(locked[i], 0), 0);
  assert_finds(INPUTS("study/sub-02"), NULL,
               "study|sub-02_ses-a|sub-02|ses-a|study/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii|\n"
               "study|sub-02_ses-b|sub-02|ses-b|study/sub-02/ses-b/anat/"
               "sub-02_ses-b_T1w.nii.gz|\n");
  for (size_t i = 0; i < 2; i++) assert_int_equal(chmod(locked[i], 0700), 0); // to be removed
}

// A mask beside a scan is its mask, and no scan of its own.
static void test_masks_beside(void **state) {
  (void)state;
  touch("masked/sub-01/anat/sub-01_T1w.nii.gz");
  touch("masked/sub-01/anat/sub-01_desc-brain_mask.nii.gz");
  touch("masked/sub-02/anat/sub-02_desc-preproc_T1w.nii.gz");
  touch("masked/sub-02/anat/sub-02_desc-brain_mask.nii");
  touch("masked/sub-03/anat/sub-03_T1w.nii.gz");
  touch("masked/sub-03/anat/sub-03_label-CSF_mask.nii.gz");
  assert_finds(INPUTS("masked"), NULL,
               "masked|sub-01|sub-01||masked/sub-01/anat/sub-01_T1w.nii.gz|"
               "masked/sub-01/anat/sub-01_desc-brain_mask.nii.gz\n"
               "masked|sub-02_desc-preproc|sub-02||masked/sub-02/anat/"
               "sub-02_desc-preproc_T1w.nii.gz|masked/sub-02/anat/sub-02_desc-brain_mask.nii\n"
               "masked|sub-03|sub-03||masked/sub-03/anat/sub-03_T1w.nii.gz|\n");
  touch("flat/a.nii.gz");
  touch("flat/a_desc-brain_mask.nii.gz");
  assert_finds(INPUTS("flat"), NULL, "flat|a|||flat/a.nii.gz|flat/a_desc-brain_mask.nii.gz\n");
  // A manifest's own mask comes first.
  put("list.tsv", "path\tmask\tscan_id\nflat/a.nii.gz\tother.nii\t1\n"
                  "masked/sub-01/anat/sub-01_T1w.nii.gz\tn/a\t2\n");
  assert_finds(INPUTS("list.tsv"), &(sb_input_options){.dataset = "d"},
               "d|1|||./flat/a.nii.gz|./other.nii\n"
               "d|2|sub-01||./masked/sub-01/anat/sub-01_T1w.nii.gz|"
               "./masked/sub-01/anat/sub-01_desc-brain_mask.nii.gz\n");
}

static void test_participants(void **state) {
  (void)state;
  make_bids();
  const char *labels[] = {"sub-01", "03"};
  sb_input_options options = {.participant_labels = labels, .participant_label_count = 2};
  assert_finds(INPUTS("study"), &options,
               "study|sub-01|sub-01||study/sub-01/anat/sub-01_T1w.nii.gz|\n"
               "study|sub-01_run-2|sub-01||study/sub-01/anat/sub-01_run-2_T1w.nii.gz|\n"
               "study|sub-03_ses-1_desc-brain|sub-03|ses-1|"
               "study/sub-03/ses-1/anat/sub-03_ses-1_desc-brain_T1w.nii.gz|\n");
  sb_scan_list list;
  labels[1] = "sub-0";
  assert_fails(find(INPUTS("study"), &options, &list), SB_NOT_FOUND, "participant \"sub-0\"");
  labels[1] = "04"; // has a folder, but no scan
  assert_fails(find(INPUTS("study"), &options, &list), SB_NOT_FOUND, "participant \"04\"");
  options.participant_label_count = 1;
  labels[0] = "04";
  assert_fails(find(INPUTS("study"), &options, &list), SB_NOT_FOUND, "participant \"04\"");
  assert_int_equal(list.count, 0);
}

static void test_plain_folder(void **state) {
  (void)state;
  touch("my scans/Zoë.nii.gz");
  touch("my scans/a_T1w.nii");
  touch("my scans/b.hdr");
  touch("my scans/b.img");
  touch("my scans/c.hdr");
  touch("my scans/c.img.gz");
  touch("my scans/b-2.nii");
  touch("my scans/notes.txt");
  touch("my scans/.hidden.nii");
  touch("my scans/deeper/d.nii");
  assert_finds(INPUTS("my scans/"), NULL,
               "my scans|Zoë|||my scans/Zoë.nii.gz|\n"
               "my scans|a|||my scans/a_T1w.nii|\n"
               "my scans|b|||my scans/b.img|\n"
               "my scans|b-2|||my scans/b-2.nii|\n"
               "my scans|c|||my scans/c.img.gz|\n"
               "my scans|deeper_d|sub-deeper||my scans/deeper/d.nii|\n");
  assert_finds(INPUTS("my scans/b.hdr", "my scans/b.img", "my scans/a_T1w.nii"), NULL,
               "my scans|b|||my scans/b.hdr|\n"
               "my scans|a|||my scans/a_T1w.nii|\n");
  assert_int_equal(chdir("my scans/deeper"), 0);
  assert_finds(INPUTS("d.nii", "../b-2.nii"), NULL,
               "deeper|d|||d.nii|\nmy scans|b-2|||../b-2.nii|\n");
}

static void test_uppercase_endings(void **state) {
  (void)state;
  touch("loud/a_T1w.NII.GZ");
  touch("loud/b.HDR");
  touch("loud/b.IMG");
  touch("loud/c.Nii");
  assert_finds(INPUTS("loud"), NULL,
               "loud|a|||loud/a_T1w.NII.GZ|\nloud|b|||loud/b.IMG|\nloud|c|||loud/c.Nii|\n");
  assert_finds(INPUTS("loud/b.HDR", "loud/b.IMG"), NULL, "loud|b|||loud/b.HDR|\n");
  touch("bids/sub-1/anat/sub-1_T1w.NII.GZ");
  touch("bids/sub-1/anat/sub-1_T2w.NII.GZ");
  assert_finds(INPUTS("bids"), NULL, "bids|sub-1|sub-1||bids/sub-1/anat/sub-1_T1w.NII.GZ|\n");
}

static void test_manifest(void **state) {
  (void)state;
  make_bids();
  touch("lists/x.nii");
  put("lists/all.tsv", "path\tsession_id\tparticipant_id\tmask\tdataset\tscan_id\n"
                       "x.nii\t2\tp7\tmasks/x.nii\tD\tn/a\n"
                       "../study/sub-01/anat/sub-01_T1w.nii.gz\tn/a\tn/a\tn/a\tn/a\tn/a\n"
                       "/abs/sub-9_ses-3_T1w.nii.gz\tn/a\tsub-9\t/m.nii\tn/a\tnine\n");
  assert_finds(INPUTS("lists/all.tsv"), NULL,
               "D|x|sub-p7|ses-2|lists/x.nii|lists/masks/x.nii\n"
               "lists|nine|sub-9|ses-3|/abs/sub-9_ses-3_T1w.nii.gz|/m.nii\n"
               "study|sub-01|sub-01||lists/../study/sub-01/anat/sub-01_T1w.nii.gz|\n");
  assert_finds(INPUTS("lists/all.tsv"), &(sb_input_options){.dataset = "given"},
               "D|x|sub-p7|ses-2|lists/x.nii|lists/masks/x.nii\n"
               "given|nine|sub-9|ses-3|/abs/sub-9_ses-3_T1w.nii.gz|/m.nii\n"
               "given|sub-01|sub-01||lists/../study/sub-01/anat/sub-01_T1w.nii.gz|\n");
  put("lists/short.tsv", "path\r\nx.nii\r\n");
  assert_finds(INPUTS("lists/short.tsv"), NULL, "lists|x|||lists/x.nii|\n");
  const char *label = "p7";
  assert_finds(INPUTS("lists/all.tsv"),
               &(sb_input_options){.participant_labels = &label, .participant_label_count = 1},
               "D|x|sub-p7|ses-2|lists/x.nii|lists/masks/x.nii\n");

  sb_scan_list list;
  assert_fails(find(INPUTS("study/participants.tsv"), NULL, &list), SB_FORMAT,
               "no column \"path\"");
  put("lists/bad.tsv", "path\nx.nii\nnotes.txt\n");
  assert_finds(INPUTS("lists/bad.tsv"), NULL, "lists|x|||lists/x.nii|\n");
  assert_tells(INPUTS("lists/bad.tsv"), NULL, "scan 2: \"notes.txt\"", INPUTS(NULL));
  put("lists/bad.tsv", "path\tscan_id\nn/a\t1\n");
  assert_fails(find(INPUTS("lists/bad.tsv"), NULL, &list), SB_FORMAT, "scan 1: has no path");
  put("lists/ragged.tsv", "path\tmask\nx.nii\n");
  assert_fails(find(INPUTS("lists/ragged.tsv"), NULL, &list), SB_FORMAT, "line 2");
  put("lists/empty.tsv", "path\n");
  assert_fails(find(INPUTS("lists/empty.tsv"), NULL, &list), SB_USAGE, "lists no scans");
}

// Tables as people type them, and as old spreadsheets end their lines.
static void test_manifest_forms(void **state) {
  (void)state;
  put("m.tsv", "\xef\xbb\xbfpath \tparticipant_id\tscan_id\textra\r\n"
               " a.nii\tA \t 1\t\r\nb.nii\t A\t2\tmore\r\n");
  assert_finds(INPUTS("m.tsv"), &(sb_input_options){.dataset = "d"},
               "d|1|sub-A||./a.nii|\nd|2|sub-A||./b.nii|\n");
  put("cr.tsv", "path\tparticipant_id\ra.nii\tA\r\rb.nii\tB\r");
  assert_finds(INPUTS("cr.tsv"), &(sb_input_options){.dataset = "d"},
               "d|a|sub-A||./a.nii|\nd|b|sub-B||./b.nii|\n");
  put("twice.tsv", "path\tscan_id\nb.nii\t2\na.nii\t1\nb.nii\t3\n");
  assert_finds(INPUTS("twice.tsv"), &(sb_input_options){.dataset = "d"},
               "d|1|||./a.nii|\nd|2|||./b.nii|\nd|3|||./b.nii|\n");
  assert_tells(INPUTS("twice.tsv"), &(sb_input_options){.dataset = "d"}, NULL,
               INPUTS("b.nii: is two scans, \"2\" of dataset \"d\" and \"3\" of dataset \"d\""));
}

static void test_duplicates(void **state) {
  (void)state;
  make_bids();
  touch("other/study/sub-01/anat/sub-01_T1w.nii.gz");
  touch("copy/sub-01/anat/sub-01_T1w.nii.gz");
  touch("copy/sub-01/anat/sub-01_T1w.nii");
  // The others go on.
  assert_finds(INPUTS("study/sub-01", "other/study"), NULL,
               "study|sub-01_run-2|sub-01||study/sub-01/anat/sub-01_run-2_T1w.nii.gz|\n");
  assert_tells(INPUTS("study/sub-01", "other/study"), NULL,
               "dataset \"study\", scan \"sub-01\" is two files", INPUTS(NULL));
  sb_scan_list list;
  const char *file = "study/sub-01/anat/sub-01_T1w.nii.gz";
  sb_status status = find(INPUTS(file, "other/study"), NULL, &list);
  assert_fails(status, SB_CONFLICT, "dataset \"study\", scan \"sub-01\"");
  assert_fails(status, SB_CONFLICT,
               "study/sub-01/anat/sub-01_T1w.nii.gz and other/study/sub-01/anat/sub-01_T1w.nii.gz");
  assert_fails(status, SB_CONFLICT, "--dataset");
  assert_fails(find(INPUTS("copy"), NULL, &list), SB_CONFLICT, "sub-01_T1w.nii and ");
  // The same file under two names is one scan, and the first name counts.
  assert_int_equal(symlink("study", "linked"), 0);
  assert_finds(INPUTS("linked/sub-03", "study/sub-03"), NULL,
               "study|sub-03_ses-1_desc-brain|sub-03|ses-1|"
               "linked/sub-03/ses-1/anat/sub-03_ses-1_desc-brain_T1w.nii.gz|\n");
  // But not under the labels of two people.
  put("both.tsv", "path\tparticipant_id\nx.nii\tp1\nx.nii\tp2\n");
  assert_fails(find(INPUTS("both.tsv"), NULL, &list), SB_CONFLICT,
               "x.nii: listed twice, as \"sub-p1\" \"\" and as \"sub-p2\" \"\"");
  // The same names in two datasets are two scans.
  assert_finds(INPUTS("other/study/sub-01", "copy/sub-01/anat/sub-01_T1w.nii"), NULL,
               "study|sub-01|sub-01||other/study/sub-01/anat/sub-01_T1w.nii.gz|\n"
               "copy|sub-01|sub-01||copy/sub-01/anat/sub-01_T1w.nii|\n");
}

// Two folders of one name are one dataset, and people called alike in both one person.
static void test_namesakes(void **state) {
  (void)state;
  const sb_input_options named = {.dataset = "one"};
  touch("A/rawdata/sub-1/ses-a/anat/sub-1_ses-a_T1w.nii");
  touch("A/rawdata/sub-2/ses-a/anat/sub-2_ses-a_T1w.nii");
  touch("A/rawdata/sub-3/ses-a/anat/sub-3_ses-a_T1w.nii");
  touch("B/rawdata/sub-2/ses-b/anat/sub-2_ses-b_T1w.nii");
  touch("B/rawdata/sub-3/ses-b/anat/sub-3_ses-b_T1w.nii");
  touch("B/rawdata/sub-4/ses-b/anat/sub-4_ses-b_T1w.nii");
  touch("C/rawdata/sub-5/ses-a/anat/sub-5_ses-a_T1w.nii");
  assert_warns(INPUTS("A/rawdata", "B/rawdata"),
               "A/rawdata and B/rawdata are taken as one dataset, \"rawdata\", and people called "
               "alike in both "
               "as one person (2 of them, e.g. sub-2)");
  assert_warns(
      INPUTS("C/rawdata", "A/rawdata/sub-3", "B/rawdata/sub-3/ses-b/anat/sub-3_ses-b_T1w.nii"),
      "A/rawdata/sub-3 and B/rawdata/sub-3/ses-b/anat/sub-3_ses-b_T1w.nii are taken as one "
      "dataset, "
      "\"rawdata\", and people called alike in both as one person (1 of them, e.g. sub-3)");
  // Nobody is in both, or it is one folder, or the datasets are told apart, or said to be one.
  assert_warns(INPUTS("A/rawdata", "C/rawdata"), NULL);
  assert_warns(INPUTS("A/rawdata/sub-1", "A/rawdata/sub-2", "A/rawdata"), NULL);
  assert_warns(INPUTS("."), NULL);
  put("table.tsv", "path\tdataset\nB/rawdata/sub-2/ses-b/anat/sub-2_ses-b_T1w.nii\trawdata\n");
  assert_warns(INPUTS("A/rawdata", "table.tsv"), NULL);
  sb_scan_list list;
  assert_int_equal(find(INPUTS("A/rawdata", "B/rawdata"), &named, &list).code, SB_OK);
  assert_int_equal(list.warning_count, 0);
  sb_scan_list_free(&list);
}

// DataLad keeps files as links into .git/annex; labels come from where the link lies.
static void test_linked_files(void **state) {
  (void)state;
  touch("data/.git/annex/objects/MD5E-s1.nii.gz");
  touch("data/sub-1/anat/sub-1_T1w.json");
  assert_int_equal(
      symlink("../../.git/annex/objects/MD5E-s1.nii.gz", "data/sub-1/anat/sub-1_T1w.nii.gz"), 0);
  assert_int_equal(symlink("not/fetched", "data/sub-1/anat/sub-1_run-2_T1w.nii.gz"), 0);
  assert_finds(INPUTS("data"), NULL,
               "data|sub-1|sub-1||data/sub-1/anat/sub-1_T1w.nii.gz|\n"
               "data|sub-1_run-2|sub-1||data/sub-1/anat/sub-1_run-2_T1w.nii.gz|\n");
  assert_finds(INPUTS("data/sub-1/anat/sub-1_T1w.nii.gz"), NULL,
               "data|sub-1|sub-1||data/sub-1/anat/sub-1_T1w.nii.gz|\n");
  sb_scan_list list;
  assert_fails(find(INPUTS("data/sub-1/anat/sub-1_run-2_T1w.nii.gz"), NULL, &list), SB_NOT_FOUND,
               "its content is not here");
}

static void test_nothing_usable(void **state) {
  (void)state;
  make_bids();
  sb_scan_list list;
  assert_fails(find(INPUTS("absent"), NULL, &list), SB_NOT_FOUND, "absent: no such file");
  assert_fails(find(INPUTS("study/sub-05.txt"), NULL, &list), SB_USAGE, "sub-05.txt: no input");
  assert_int_equal(mkdir("empty", 0700), 0);
  assert_fails(find(INPUTS("empty"), NULL, &list), SB_USAGE, "empty: no scans found");
  assert_fails(find(INPUTS("empty", "study/sub-05.txt"), NULL, &list), SB_USAGE,
               "none of 2 can be used; the first: empty: no scans found");
  touch("surfer/a/mri/T1.mgz");
  assert_fails(find(INPUTS("surfer"), NULL, &list), SB_USAGE, "such as T1.mgz: convert them");
  touch("masks/a/brain_mask.nii");
  assert_fails(find(INPUTS("masks"), NULL, &list), SB_USAGE, "such as brain_mask.nii");
  touch("tabs/a\tb.nii");
  assert_fails(find(INPUTS("tabs"), NULL, &list), SB_USAGE,
               "\"tabs/a\\x09b.nii\": a name with a tab, a newline");
  touch("lines/a\nb.nii");
  assert_fails(find(INPUTS("lines"), NULL, &list), SB_USAGE,
               "\"lines/a\\x0ab.nii\": a name with a tab, a newline");
  touch("latin/Bj\xf6rn.nii");
  assert_fails(find(INPUTS("latin"), NULL, &list), SB_USAGE, "\"latin/Bj\\xf6rn.nii\": a name");
  assert_int_equal(list.count, 0);
}

// One input or name that is of no use does not end the run.
static void test_the_rest_goes_on(void **state) {
  (void)state;
  touch("some/a\tb.nii");
  touch("some/c.nii");
  put("some.txt", "notes");
  assert_finds(INPUTS("some"), NULL, "some|c|||some/c.nii|\n");
  assert_tells(INPUTS("some"), NULL, "\"some/a\\x09b.nii\"", INPUTS(NULL));
  assert_finds(INPUTS("some.txt", "some/c.nii"), NULL, "some|c|||some/c.nii|\n");
  assert_tells(INPUTS("some/c.nii", "some.txt"), NULL, "some.txt: no input", INPUTS(NULL));
  assert_int_equal(symlink("not/fetched", "link.nii"), 0);
  assert_finds(INPUTS("link.nii", "some/c.nii"), NULL, "some|c|||some/c.nii|\n");
  assert_tells(INPUTS("link.nii", "some/c.nii"), NULL, "link.nii: a link", INPUTS(NULL));
  assert_int_equal(mkdir("empty", 0700), 0);
  assert_tells(INPUTS("empty", "some/c.nii"), NULL, "empty: no scans found", INPUTS(NULL));
  if (geteuid() == 0) return; // root may open locked folders
  touch("some/locked/d.nii");
  touch("bids/sub-1/anat/sub-1_T1w.nii");
  touch("bids/sub-2/anat/sub-2_T1w.nii");
  assert_int_equal(chmod("some/locked", 0), 0);
  assert_int_equal(chmod("bids/sub-1/anat", 0), 0);
  assert_finds(INPUTS("some/c.nii", "bids"), NULL,
               "some|c|||some/c.nii|\nbids|sub-2|sub-2||bids/sub-2/anat/sub-2_T1w.nii|\n");
  assert_tells(INPUTS("bids"), NULL, "bids/sub-1/anat: cannot open", INPUTS(NULL));
  assert_int_equal(chmod("some/locked", 0700), 0); // to be removed
  assert_int_equal(chmod("bids/sub-1/anat", 0700), 0);
}

// ---- Trees --------------------------------------------------------------------------------------

#define ADNI "MPR__GradWarp__N3"

static void test_adni(void **state) {
  (void)state;
  const char *one = "ADNI/941_S_1202/" ADNI "/2006-08-11_00_00_00.0/S123/ADNI_941_S_1202_MR_a.nii";
  const char *two = "ADNI/005_S_0222/" ADNI "/2007-01-02_00_00_00.0/S124/ADNI_005_S_0222_MR_b.nii";
  touch(one);
  touch(two);
  touch("ADNI/941_S_1202/MT1__Mask/2006-08-11_00_00_00.0/S125/ADNI_941_S_1202_MR_Brain_Mask_c.nii");
  const char *expected =
      "ADNI|005_S_0222_" ADNI "_2007-01-02_00_00_00.0_S124_ADNI_005_S_0222_MR_b|sub-005_S_0222|"
      "ses-2007-01-02|ADNI/005_S_0222/" ADNI
      "/2007-01-02_00_00_00.0/S124/ADNI_005_S_0222_MR_b.nii|\n"
      "ADNI|941_S_1202_" ADNI "_2006-08-11_00_00_00.0_S123_ADNI_941_S_1202_MR_a|sub-941_S_1202|"
      "ses-2006-08-11|ADNI/941_S_1202/" ADNI
      "/2006-08-11_00_00_00.0/S123/ADNI_941_S_1202_MR_a.nii|\n";
  assert_finds(INPUTS("ADNI"), NULL, expected);
  assert_tells(INPUTS("ADNI"), NULL, NULL,
               INPUTS("ADNI: participants of 2 images in its folders: 2 told by names",
                      "ADNI: 1 image passed over, no T1-weighted scan by its name, e.g. "
                      "ADNI_941_S_1202_MR_Brain_Mask_c.nii"));
  // A file alone tells as much as its name does; one person's folder is no other person's.
  assert_finds(INPUTS(one), NULL,
               "S123|ADNI_941_S_1202_MR_a|sub-941_S_1202||ADNI/941_S_1202/" ADNI
               "/2006-08-11_00_00_00.0/S123/ADNI_941_S_1202_MR_a.nii|\n");
  const char *label = "941_S_1202";
  sb_input_options options = {.participant_labels = &label, .participant_label_count = 1};
  assert_finds(INPUTS("ADNI"), &options, strstr(expected, "ADNI|941"));
}

static void test_oasis(void **state) {
  (void)state;
  touch("disc1/OAS1_0001_MR1/PROCESSED/MPRAGE/T88_111/OAS1_0001_MR1_mpr_t88_gfc.hdr");
  touch("disc1/OAS1_0001_MR1/PROCESSED/MPRAGE/T88_111/OAS1_0001_MR1_mpr_t88_gfc.img");
  touch("disc1/OAS1_0001_MR1/FSL_SEG/OAS1_0001_MR1_mpr_t88_gfc_fseg.img");
  touch("disc1/OAS1_0002_MR2/RAW/OAS1_0002_MR2_mpr-1_anon.img");
  assert_int_equal(mkdir("all", 0700), 0);
  assert_int_equal(rename("disc1", "all/disc1"), 0);
  assert_finds(INPUTS("all"), NULL,
               "all|disc1_OAS1_0001_MR1_PROCESSED_MPRAGE_T88_111_OAS1_0001_MR1_mpr_t88_gfc|"
               "sub-OAS1_0001|ses-MR1|"
               "all/disc1/OAS1_0001_MR1/PROCESSED/MPRAGE/T88_111/OAS1_0001_MR1_mpr_t88_gfc.img|\n"
               "all|disc1_OAS1_0002_MR2_RAW_OAS1_0002_MR2_mpr-1_anon|sub-OAS1_0002|ses-MR2|"
               "all/disc1/OAS1_0002_MR2/RAW/OAS1_0002_MR2_mpr-1_anon.img|\n");
  touch("three/OAS30001_MR_d0129/anat1/x.nii.gz");
  assert_finds(INPUTS("three"), NULL,
               "three|OAS30001_MR_d0129_anat1_x|sub-OAS30001|ses-MR_d0129|"
               "three/OAS30001_MR_d0129/anat1/x.nii.gz|\n");
}

// Whose a scan is, where no name on the way is known: the first folder's, unless that is a group.
static void test_first_folder(void **state) {
  (void)state;
  touch("tree/ann/visit 1/t1.nii.gz");
  touch("tree/ann/visit 2/t1.nii.gz");
  touch("tree/ann/visit 2/._t1.nii.gz");
  touch("tree/ann/visit 2/t1_desc-brain_mask.nii.gz");
  touch("tree/bob/bob_1.nii");
  touch("tree/bob/bob_2.nii");
  touch("tree/controls/x.nii");
  touch("tree/controls/y.nii");
  touch("tree/.hidden/t1.nii");
  touch("tree/derivatives/t1.nii");
  touch("tree/top.nii");
  assert_finds(
      INPUTS("tree"), NULL,
      "tree|ann_visit 1_t1|sub-ann||tree/ann/visit 1/t1.nii.gz|\n"
      "tree|ann_visit 2_t1|sub-ann||tree/ann/visit 2/t1.nii.gz|"
      "tree/ann/visit 2/t1_desc-brain_mask.nii.gz\n"
      "tree|bob_bob_1|sub-bob||tree/bob/bob_1.nii|\ntree|bob_bob_2|sub-bob||tree/bob/bob_2.nii|\n"
      "tree|controls_x|||tree/controls/x.nii|\ntree|controls_y|||tree/controls/y.nii|\n"
      "tree|top|||tree/top.nii|\n");
  assert_tells(INPUTS("tree"), NULL, NULL,
               INPUTS("participants of 6 images in its folders: 0 told by names on the way (sub-, "
                      "ADNI, OASIS), 4 by the first folder, 2 unknown",
                      "folders such as controls are not taken as one person's"));
  assert_warns(INPUTS("tree"),
               "tree: participants of 4 images are a guess: folders such as ann are each "
               "taken as one person's");
  char path[60];
  for (int i = 0; i < 21; i++) {
    snprintf(path, sizeof path, "many/site/p%02d/t1.nii", i);
    touch(path);
  }
  assert_tells(INPUTS("many"), NULL, NULL,
               INPUTS(" 0 by the first folder, 21 unknown", "folders such as site are not"));
  // Visits side by side are one person's; what may be people is not, whatever its number.
  touch("grown/ann/visit1.nii.gz");
  touch("grown/ann/visit2.nii.gz");
  touch("grown/bob/Baseline_T1w.nii");
  touch("grown/bob/follow-up_2_T1w.nii");
  touch("grown/controls/visit1_7.nii");
  touch("grown/controls/visitor1.nii");
  touch("grown/patients/scan1.nii");
  touch("grown/patients/scan2.nii");
  assert_finds(INPUTS("grown"), NULL,
               "grown|ann_visit1|sub-ann||grown/ann/visit1.nii.gz|\n"
               "grown|ann_visit2|sub-ann||grown/ann/visit2.nii.gz|\n"
               "grown|bob_Baseline|sub-bob||grown/bob/Baseline_T1w.nii|\n"
               "grown|bob_follow-up_2|sub-bob||grown/bob/follow-up_2_T1w.nii|\n"
               "grown|controls_visit1_7|||grown/controls/visit1_7.nii|\n"
               "grown|controls_visitor1|||grown/controls/visitor1.nii|\n"
               "grown|patients_scan1|||grown/patients/scan1.nii|\n"
               "grown|patients_scan2|||grown/patients/scan2.nii|\n");
  assert_warns(INPUTS("many"), NULL);
  // Names on the way come first.
  touch("mixed/site/sub-7/ses-b/T1.nii");
  assert_finds(INPUTS("mixed"), NULL,
               "mixed|site_sub-7_ses-b_T1|sub-7|ses-b|mixed/site/sub-7/ses-b/T1.nii|\n");
}

// Links to folders are followed, but to nothing that the walk sees anyway, and round no circle.
static void test_links_in_trees(void **state) {
  (void)state;
  touch("tree/b/t1.nii");
  touch("elsewhere/p/t1.nii");
  assert_int_equal(symlink("../b", "tree/b/again"), 0);
  assert_int_equal(symlink("..", "tree/b/up"), 0);
  assert_int_equal(symlink("b", "tree/a"), 0);
  assert_int_equal(symlink("../elsewhere", "tree/c"), 0);
  assert_int_equal(symlink("../elsewhere/p", "tree/d"), 0);
  assert_int_equal(symlink("../tree", "elsewhere/back"), 0);
  assert_finds(INPUTS("tree"), NULL,
               "tree|b_t1|sub-b||tree/b/t1.nii|\ntree|c_p_t1|sub-c||tree/c/p/t1.nii|\n");
  const char *deep = "deep/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/x/t1.nii"; // 17 folders
  touch(deep);
  touch("deep/x/t1.nii");
  assert_tells(INPUTS("deep"), NULL, NULL,
               INPUTS(" 1 by the first folder", "1 folder not looked into, as it lies too deep"));
}

// A link to a folder above what another leads to: all of it is seen, and nothing twice.
static void test_links_above_links(void **state) {
  (void)state;
  touch("else/A/a.nii.gz");
  touch("else/B/b.nii.gz");
  assert_int_equal(mkdir("in1", 0700), 0);
  assert_int_equal(symlink("../else/A", "in1/l1"), 0);
  assert_int_equal(symlink("../else", "in1/l2"), 0);
  const char *both = "in1|l1_a|sub-l1||in1/l1/a.nii.gz|\nin1|l2_B_b|sub-l2||in1/l2/B/b.nii.gz|\n";
  assert_finds(INPUTS("in1"), NULL, both);
  assert_int_equal(symlink("..", "else/B/up"), 0); // circles
  assert_int_equal(symlink("../..", "else/A/out"), 0);
  assert_finds(INPUTS("in1"), NULL, both);
  touch("study/sub-1/anat/sub-1_T1w.nii");
  touch("study/sub-2/anat/sub-2_T1w.nii");
  assert_int_equal(mkdir("in2", 0700), 0);
  assert_int_equal(symlink("../study/sub-1", "in2/l1"), 0);
  assert_int_equal(symlink("../study", "in2/l2"), 0);
  assert_finds(INPUTS("in2"), NULL,
               "in2|l1_anat_sub-1|sub-1||in2/l1/anat/sub-1_T1w.nii|\n"
               "l2|sub-2|sub-2||in2/l2/sub-2/anat/sub-2_T1w.nii|\n");
}

// What is no T1-weighted scan where the scanner put it is passed over, and that is said.
static void test_other_images(void **state) {
  (void)state;
  static const char *const others[] = {
      "p/T1_seg.nii", "p/aparc+aseg.nii.gz",     "p/FLAIR.nii.gz",
      "p/x_T2w.nii",  "p/sub-1_task-a_bold.nii", "p/sub-1_label-GM_probseg.nii",
      "p/Rest.nii",   "p/brainmask.hdr",         "p/sub-1_part-phase_T1w.nii"};
  char path[80];
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    snprintf(path, sizeof path, "flat/%s", others[i] + 2);
    touch(path);
  }
  touch("flat/T1.nii");
  touch("flat/PD_T2_EPI_7.nii"); // words that people and visits are called by as well
  touch("flat/sub-rest_x.nii");
  touch("flat/T1-mask.nii");
  touch("flat/Bj\xf6rn_mask.nii");
  assert_finds(INPUTS("flat"), NULL,
               "flat|PD_T2_EPI_7|||flat/PD_T2_EPI_7.nii|\nflat|T1|||flat/T1.nii|\n"
               "flat|sub-rest_x|sub-rest||flat/sub-rest_x.nii|\n");
  assert_tells(
      INPUTS("flat"), NULL, NULL,
      INPUTS(
          "flat: 11 images passed over, no T1-weighted scans by their names, e.g. Bj\\xf6rn_mask"));
  // A file that is named is taken.
  assert_finds(INPUTS("flat/FLAIR.nii.gz"), NULL, "flat|FLAIR|||flat/FLAIR.nii.gz|\n");
}

// fMRIPrep's folder: each scan once, native or in the template's space, with its mask.
static void test_derivatives(void **state) {
  (void)state;
  touch("d/fmriprep/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz");
  touch("d/fmriprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz");
  touch("d/fmriprep/sub-1/anat/sub-1_dseg.nii.gz");
  touch("d/fmriprep/sub-1/anat/sub-1_space-MNI_desc-preproc_T1w.nii.gz");
  touch("d/fmriprep/sub-1/anat/sub-1_space-MNI_desc-brain_mask.nii.gz");
  touch("d/fmriprep/sub-2/anat/sub-2_space-MNI_desc-preproc_T1w.nii.gz");
  touch("d/fmriprep/sub-3/func/sub-3_bold.nii.gz");
  const char *native =
      "fmriprep|sub-1_desc-preproc|sub-1||d/fmriprep/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz|"
      "d/fmriprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz\n"
      "fmriprep|sub-2_space-MNI_desc-preproc|sub-2||"
      "d/fmriprep/sub-2/anat/sub-2_space-MNI_desc-preproc_T1w.nii.gz|\n";
  assert_finds(INPUTS("d/fmriprep"), NULL, native);
  assert_tells(INPUTS("d/fmriprep"), NULL, NULL,
               INPUTS("1 image passed over that is in a template's space, as others are not, e.g. "
                      "sub-1_space-MNI_desc-preproc_T1w.nii.gz",
                      "1 sub-* folder has no anat/*_T1w.nii[.gz], e.g. d/fmriprep/sub-3"));
  // Below another folder it is a dataset of its own.
  assert_finds(INPUTS("d"), NULL, native);
  assert_finds(INPUTS("d"), &(sb_input_options){.in_template_space = true},
               "fmriprep|sub-1_space-MNI_desc-preproc|sub-1||"
               "d/fmriprep/sub-1/anat/sub-1_space-MNI_desc-preproc_T1w.nii.gz|"
               "d/fmriprep/sub-1/anat/sub-1_space-MNI_desc-brain_mask.nii.gz\n"
               "fmriprep|sub-2_space-MNI_desc-preproc|sub-2||"
               "d/fmriprep/sub-2/anat/sub-2_space-MNI_desc-preproc_T1w.nii.gz|\n");
  // Two of one name are two datasets.
  touch("studies/A/rawdata/sub-01/anat/sub-01_T1w.nii");
  touch("studies/B/rawdata/sub-01/anat/sub-01_T1w.nii");
  assert_finds(INPUTS("studies"), NULL,
               "A_rawdata|sub-01|sub-01||studies/A/rawdata/sub-01/anat/sub-01_T1w.nii|\n"
               "B_rawdata|sub-01|sub-01||studies/B/rawdata/sub-01/anat/sub-01_T1w.nii|\n");
  assert_finds(INPUTS("studies/A/rawdata"), NULL,
               "rawdata|sub-01|sub-01||studies/A/rawdata/sub-01/anat/sub-01_T1w.nii|\n");
  // What samebrain wrote is no scan, unless it is to be taken as it lies.
  touch("mine/scans/a/t1.nii");
  put("mine/store/store.json", "{}");
  touch("mine/store/template.nii.gz");
  touch("mine/images/sub-a/anat/a_t1_space-template_desc-prepared_T1w.nii.gz");
  assert_finds(INPUTS("mine"), NULL, "mine|scans_a_t1|sub-scans||mine/scans/a/t1.nii|\n");
  sb_scan_list list;
  assert_fails(find(INPUTS("mine/images"), NULL, &list), SB_USAGE,
               "images in a template's space, such as a_t1_space-template_desc-prepared_T1w");
  assert_finds(INPUTS("mine/images"), &(sb_input_options){.in_template_space = true},
               "images|a_t1_space-template_desc-prepared|||"
               "mine/images/sub-a/anat/a_t1_space-template_desc-prepared_T1w.nii.gz|\n");
  // sub-* folders that are not laid out as BIDS has them are looked through all the same.
  touch("loose/sub-1/T1.nii");
  touch("loose/sub-1/sub-1_mask.nii");
  assert_finds(INPUTS("loose"), NULL, "loose|sub-1_T1|sub-1||loose/sub-1/T1.nii|\n");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)
  const struct CMUnitTest tests[] = {
      TEST(test_bids),
      TEST(test_bids_opens_nothing_else),
      TEST(test_masks_beside),
      TEST(test_participants),
      TEST(test_plain_folder),
      TEST(test_uppercase_endings),
      TEST(test_manifest),
      TEST(test_duplicates),
      TEST(test_namesakes),
      TEST(test_linked_files),
      TEST(test_nothing_usable),
      TEST(test_adni),
      TEST(test_oasis),
      TEST(test_first_folder),
      TEST(test_links_in_trees),
      TEST(test_other_images),
      TEST(test_derivatives),
      TEST(test_manifest_forms),
      TEST(test_the_rest_goes_on),
      TEST(test_links_above_links),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
