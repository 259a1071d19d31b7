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

static char *scratch, *home;

static int make_scratch(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  home = getcwd(NULL, 0);
  scratch = sb_format("%s/samebrain-inputs-XXXXXX", tmp == NULL ? "/tmp" : tmp);
  return scratch == NULL || mkdtemp(scratch) == NULL || chdir(scratch) != 0 ? -1 : 0;
}

static int remove_scratch(void **state) {
  (void)state;
  if (chdir(home) != 0) return -1;
  char *command = sb_format("chmod -R u+rwx '%s' && rm -rf '%s'", scratch, scratch);
  int result = command == NULL ? -1 : system(command);
  free(command);
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
               "my scans|c|||my scans/c.img.gz|\n");
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
  assert_fails(find(INPUTS("lists/bad.tsv"), NULL, &list), SB_FORMAT, "scan 2: \"notes.txt\"");
  put("lists/ragged.tsv", "path\tmask\nx.nii\n");
  assert_fails(find(INPUTS("lists/ragged.tsv"), NULL, &list), SB_FORMAT, "line 2");
  put("lists/empty.tsv", "path\n");
  assert_fails(find(INPUTS("lists/empty.tsv"), NULL, &list), SB_USAGE, "lists no scans");
}

static void test_duplicates(void **state) {
  (void)state;
  make_bids();
  touch("other/study/sub-01/anat/sub-01_T1w.nii.gz");
  touch("copy/sub-01/anat/sub-01_T1w.nii.gz");
  touch("copy/sub-01/anat/sub-01_T1w.nii");
  sb_scan_list list;
  sb_status status = find(INPUTS("study", "other/study"), NULL, &list);
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
  assert_fails(find(INPUTS("study", "study/sub-04"), NULL, &list), SB_USAGE,
               "study/sub-04: no scans found");
  touch("tabs/a\tb.nii");
  assert_fails(find(INPUTS("tabs"), NULL, &list), SB_USAGE, "tab or newline");
  touch("lines/a\nb.nii");
  assert_fails(find(INPUTS("lines"), NULL, &list), SB_USAGE, "tab or newline");
  assert_int_equal(list.count, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_scratch, remove_scratch)
  const struct CMUnitTest tests[] = {
      TEST(test_bids),         TEST(test_bids_opens_nothing_else),
      TEST(test_masks_beside), TEST(test_participants),
      TEST(test_plain_folder), TEST(test_uppercase_endings),
      TEST(test_manifest),     TEST(test_duplicates),
      TEST(test_linked_files), TEST(test_nothing_usable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
