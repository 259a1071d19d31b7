// What is known of scans: tables of covariates and BIDS folders, good and bad.
#include "cohort.h"

#include "evaluate/covariates.h"

// ---- Tables -------------------------------------------------------------------------------------

// Three people with two sessions in dataset a, of whom the first is a name of dataset b too.
static sb_identity SCANS[] = {
    {.dataset = "a", .scan_id = "p1_s1", .participant = "sub-1", .session = "ses-1"},
    {.dataset = "a", .scan_id = "p1_s2", .participant = "sub-1", .session = "ses-2"},
    {.dataset = "a", .scan_id = "p2_s1", .participant = "sub-2", .session = "ses-1"},
    {.dataset = "a", .scan_id = "p2_s2", .participant = "sub-2", .session = "ses-2"},
    {.dataset = "a", .scan_id = "p3_s1", .participant = "sub-3", .session = ""},
    {.dataset = "b", .scan_id = "p1_s1", .participant = "sub-1", .session = "ses-1"},
};

typedef struct good_case {
  const char *text, *column; // of the table; asked for
  const char *says;          // in a warning; NULL: nothing
  double edge;               // 0: none
  double values[6];          // of the scans, -1: none
  sb_covariate_kind kind;
  bool each;
} good_case;

static const good_case GOOD[] = {
    {.text = "participant_id\tdataset\tage\n"
             "sub-1\ta\t70\n2\ta\t71.5\nsub-3\ta\tn/a\nsub-1\tb\t50\n",
     .column = "age",
     .edge = 1,
     .says = "no value for 1 of the 6 scans compared, the first p3_s1 of dataset a",
     .kind = SB_NUMBERS,
     .values = {70, 70, 71.5, 71.5, -1, 50}},
    {.text = "participant_id\tsession_id\tdataset\twhen\n"
             "1\t1\ta\t1970-01-01\n1\tses-2\ta\t1971-01-01T10:00:00\n"
             "sub-2\t2\ta\t2004-02-29\n9\t1\ta\t2000-01-01\n",
     .column = "when",
     .says = "1 of its 4 lines name no scan that is compared, the first 9 1 of dataset a",
     .kind = SB_DATES,
     .values = {1970, 1970 + 365 / 365.25, -1, 1970 + 12477 / 365.25, -1, -1}},
    {.text = "scan_id\tdataset\tfield\np1_s1\ta\t3\np1_s2\ta\t1.5\np2_s1\ta\t3.0\n"
             "p2_s2\ta\t3\np3_s1\ta\t1.50\np1_s1\tb\t3\n",
     .column = "field",
     .kind = SB_CATEGORIES,
     .values = {1, 0, 1, 1, 0, 1}},
    {.text = "scan_id\tdataset\tfield\np1_s1\ta\t3\np1_s2\ta\t1.5\np2_s1\ta\t3\n"
             "p2_s2\ta\t3\np3_s1\ta\t1.5\np1_s1\tb\t3\n",
     .column = "field",
     .edge = 1,
     .kind = SB_NUMBERS,
     .values = {3, 1.5, 3, 3, 1.5, 3}},
    {.text = "scan_id\tdataset\tage\np1_s1\ta\t70\np1_s1\ta\t70.0\n"
             "p1_s2\ta\t71\np1_s2\ta\t7.1e1\n",
     .column = "age", // one number, written in two ways
     .edge = 1,
     .says = "no value for 4 of the 6",
     .kind = SB_NUMBERS,
     .values = {70, 71, -1, -1, -1, -1}},
    {.text = "scan_id\tdataset\twhen\np1_s1\ta\t1970-01-01\n"
             "p1_s2\ta\t1971-01-01T10:30:00\np1_s2\ta\t1971-01-01T10:45:00\n",
     .column = "when", // one day
     .says = "no value for 4 of the 6",
     .kind = SB_DATES,
     .values = {1970, 1970 + 365 / 365.25, -1, -1, -1, -1}},
    {.text = "scan_id\tdataset\tsite\np1_s1\ta\t10\np1_s2\ta\t9\np2_s1\ta\t8\n"
             "p2_s2\ta\t7\np3_s1\ta\t6\np1_s1\tb\t10\n",
     .column = "site",
     .each = true,
     .kind = SB_CATEGORIES,
     .values = {0, 4, 3, 2, 1, 0}},
    {.text = "scan_id\tdataset\tage\np1_s1\ta\t70\np1_s2\ta\t71\np2_s1\ta\t89+\n"
             "p2_s2\ta\t60\np3_s1\ta\t50\np1_s1\tb\t55\n",
     .column = "age",
     .says = "1 of its 6 values are no numbers, the first \"89+\"",
     .kind = SB_CATEGORIES,
     .values = {3, 4, 5, 2, 0, 1}},
    {.text =
         "scan_id\tdataset\tAcquisitionDate\np1_s1\ta\t20041231\np1_s2\ta\t20050102\n", // as in DICOM
     .column = "AcquisitionDate",
     .edge = 1,
     .says = "no value for 4 of the 6",
     .kind = SB_DATES,
     .values = {1970 + 12783 / 365.25, 1970 + 12785 / 365.25, -1, -1, -1, -1}},
    {.text =
         "scan_id\tdataset\tvolume\np1_s1\ta\t20041331\np1_s2\ta\t20050102\n", // the first is no date
     .column = "volume",
     .edge = 1,
     .says = "no value for 4 of the 6",
     .kind = SB_NUMBERS,
     .values = {20041331, 20050102, -1, -1, -1, -1}},
    {.text = "scan_id\tdataset\tage\np1_s1\ta\t70\np1_s2\ta\t71\np2_s1\ta\t2004-01-01\n"
             "p2_s2\ta\t60\np3_s1\ta\t50\np1_s1\tb\t55\n",
     .column = "age",
     .says = "1 of its 6 values are no numbers, the first \"2004-01-01\"",
     .kind = SB_CATEGORIES,
     .values = {4, 5, 0, 3, 1, 2}},
    {.text =
         "scan_id\tdataset\twhen\np1_s1\ta\t2001-01-01\np1_s2\ta\t2002-01-01\np2_s1\ta\tspring\n"
         "p2_s2\ta\t2003-01-01\np3_s1\ta\t2004-01-01\np1_s1\tb\t2005-01-01\n",
     .column = "when",
     .says = "1 of its 6 values are no dates, the first \"spring\"",
     .kind = SB_CATEGORIES,
     .values = {0, 1, 5, 2, 3, 4}},
    {.text = "participant_id\tdataset\twhen\n1\ta\t2001-02-29\n2\ta\t2001-03-01\n", // no such day
     .column = "when",
     .says = "no value for 2 of the 6",
     .kind = SB_CATEGORIES,
     .values = {0, 0, 1, 1, -1, -1}},
};

static const struct {
  const char *text, *column;
  double edge;
  const char *says;
} BAD[] = {
    {"participant_id\tage\nsub-1\t70\nsub-2\t71.5\n", "age", 0, "two datasets, a and b"},
    {"participant_id\tage\tage\nsub-3\t70\t71\n", "age", 0, "two columns are called \"age\""},
    {"scan_id\tdataset\tage\np1_s1\ta\t70\np1_s1\ta\t71\n", "age", 0,
     "two values of age for scan p1_s1 of dataset a, 70 and 71"},
    {"participant_id\tage\nsub-7\t70\n", "age", 0,
     "none of its 1 lines names a scan that is compared; for the first of these, participant_id "
     "sub-1"},
    {"participant_id\tsession_id\tdataset\tage\n1\t7\ta\t70\n", "age", 0,
     "dataset should be a and participant_id sub-1 and session_id ses-1"},
    {"participant_id\tdataset\tage\n1\ta\t70\n", "sex", 0, "no column \"sex\""},
    {"subject\tage\n1\t70\n", "age", 0, "needs a column scan_id or participant_id"},
    {"participant_id\tdataset\tage\n1\ta\tn/a\n2\ta\t\n", "age", 0,
     "column age has no value for any scan"},
    {"participant_id\tdataset\tsex\n1\ta\tf\n2\ta\tm\n", "sex", 1, "no edges of bins"},
    {"participant_id\tdataset\tage\n1\ta\t70\n", "age", -1, "above 0 and rise"},
    {"participant_id\tage\n", "age", 0, "none of its 0 lines"},
    {"", "age", 0, "an empty table"},
};

static void assert_values(const sb_covariate *c, const double values[6], const char *what) {
  for (int k = 0; k < 6; k++)
    if (values[k] < 0 ? !isnan(c->probe[k]) : !(fabs(c->probe[k] - values[k]) < 1e-9))
      fail_msg("%s: %.9g of scan %d, not %.9g", what, c->probe[k], k, values[k]);
}

static sb_status read_text(const char *folder, const char *text, const sb_by *by, heard *h,
                           sb_covariates *out) {
  const sb_scans scans = {SCANS, SCANS, 6, 6, true};
  const sb_progress progress = {.context = h, .warn = hear};
  char *path = sb_path_join(folder, "covariates.tsv");
  const char *const paths = path;
  sb_evaluate_options options = sb_evaluate_options_default();
  options.by = by;
  options.by_count = 1;
  options.covariates = &paths;
  options.covariate_count = 1;
  options.progress = &progress;
  write_text(folder, "covariates.tsv", text);
  sb_status status = sb_covariates_read(&options, &scans, out);
  free(path);
  return status;
}

static void test_tables(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_covariates got;
  for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
    const good_case *r = GOOD + i;
    const sb_by by = {
        .column = r->column, .edges = {r->edge}, .edge_count = r->edge > 0, .categories = r->each};
    heard h = {0};
    assert_ok(read_text(folder, r->text, &by, &h, &got));
    if (r->says != NULL ? heard_of(&h, r->says, "") != 1 : h.count > 0)
      fail_msg("case %zu: %s", i, h.text[0]);
    assert_int_equal(got.items[0].kind, r->kind);
    assert_ptr_equal(got.items[0].probe, got.items[0].gallery);
    assert_values(got.items, r->values, r->text);
    sb_covariates_free(&got);
  }
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
    const sb_by by = {
        .column = BAD[i].column, .edges = {BAD[i].edge}, .edge_count = BAD[i].edge != 0};
    heard h = {0};
    sb_status status = read_text(folder, BAD[i].text, &by, &h, &got);
    if ((status.code != SB_FORMAT && status.code != SB_USAGE) ||
        strstr(status.message, BAD[i].says) == NULL)
      fail_msg("bad case %zu: %s", i, status.message);
  }
  remove_folder(folder);
  free(folder);
}

// ---- BIDS folders -------------------------------------------------------------------------------

// Skull-stripped copies: two runs; what may be an average of two; a person without sessions, scanned twice;
// somebody called alike in another dataset.
static sb_identity COPIES[] = {
    {.dataset = "a",
     .scan_id = "sub-1_ses-1_run-1_desc-brain",
     .participant = "sub-1",
     .session = "ses-1"},
    {.dataset = "a",
     .scan_id = "sub-1_ses-1_run-2_desc-brain",
     .participant = "sub-1",
     .session = "ses-1"},
    {.dataset = "a",
     .scan_id = "sub-1_ses-2_desc-brain",
     .participant = "sub-1",
     .session = "ses-2"},
    {.dataset = "a", .scan_id = "sub-2_T1w_brain", .participant = "sub-2", .session = ""},
    {.dataset = "a", .scan_id = "sub-2_acq-hi_desc-brain", .participant = "sub-2", .session = ""},
    {.dataset = "b", .scan_id = "sub-1_ses-1_run-1", .participant = "sub-1", .session = "ses-1"},
};

#define SUB "a/sub-1/ses-1/"
static const char *const FILES[][2] = {
    {"a/participants.tsv",
     "participant_id\tage\tsex\tsex\nsub-1\t60\tf\tf\nsub-2\t50\tm\tm\nsub-9\t40\tf\tf\n"},
    {"a/T1w.json", "{\"MagneticFieldStrength\": 3, \"EchoTime\": 0.003, \"Defaced\": true, "
                   "\"Gap\": null,\n \"Gain\": 1, \"Flip\": 9,"
                   " \"ImageType\": [\"ORIGINAL\"], \"global\": {\"const\": 1}}\n"},
    {"a/acq-hi_T1w.json", "{\"MagneticFieldStrength\": 7, \"Flip\": 8}"},
    {"a/task-rest_bold.json", "{\"EchoTime\": 9}"},
    {"a/sub-1/sub-1_sessions.tsv", "session_id\tage\tGain\nses-1\t60.5\t2\n2\t62\t2\n"},
    {SUB "sub-1_ses-1_scans.tsv",
     "filename\tacq_time\nanat/sub-1_ses-1_run-1_T1w.nii.gz\t1970-01-01T10:00:00\n"
     "anat/sub-1_ses-1_run-2_T1w.nii.gz\t1971-01-01T10:00:00\n"
     "func/sub-1_ses-1_run-1_bold.nii.gz\t1999-01-01T10:00:00\n"},
    {SUB "anat/sub-1_ses-1_T1w.json", "{\"EchoTime\": 0.004}"},
    {SUB "anat/sub-1_ses-1_run-2_T1w.json", "{\"EchoTime\": 0.005}"},
    {SUB "anat/sub-1_ses-1_run-1_T2w.json", "{\"EchoTime\": 9}"},
    {"a/sub-1/ses-2/anat/sub-1_ses-2_run-1_T1w.json", "{\"EchoTime\": 0.006, \"SeriesNumber\": 3}"},
    {"a/sub-1/ses-2/anat/sub-1_ses-2_run-2_T1w.json", "{\"EchoTime\": 0.006, \"SeriesNumber\": 4}"},
    {"a/sub-2/sub-2_T1w.json", "{\"Flip\": 7}"},
    {"a/sub-2/sub-2_scans.tsv", "filename\tGain\nanat/sub-2_acq-hi_T1w.nii.gz\t3\n"},
    {"a/sub-2/anat/sub-2_acq-hi_T1w.json", "{\"EchoTime\": \" 0.0070 \"}"},
    {"a/sub-9/anat/sub-9_T1w.json", "{\"EchoTime\": "}, // of nobody who is compared
    {"raw/sub-2/sub-2_sessions.tsv", "session_id\tage\nses-1\t40\n"},
    {"raw/sub-2/sub-2_scans.tsv",
     "filename\tage\nanat/sub-2_T1w.nii.gz\t50.0\nanat/sub-2_T2w.nii.gz\t40\n"},
    {"broken/sub-2/anat/sub-2_T1w.json", "{\"a\": 1,\n\"b\": \n"},
    {"tail/sub-2/anat/sub-2_T1w.json", "{\"age\": 1}\n{}"},
    {"list/sub-2/anat/sub-2_T1w.json", "[1, 2]"},
    {"unnamed/sub-2/sub-2_scans.tsv", "file\tage\nanat/sub-2_T1w.nii.gz\t50\n"},
    {"both/sub-1/sub-1_T1w.json", "{\"age\": 60}"},
    {"large/sub-2/sub-2_T1w.json", "{\"age\": 1e999, \"Serial\": 90071992547409931}"},
    {"odd/participants.tsv", "subject\tsex\nx\tf\n"},
    {"odd/sub-2/sub-2_T1w.json", "{\"age\": 50, \"Gain\": 5}"},
    {"odd/sub-2/sub-2_scans.tsv", "filename\tGain\nanat/sub-2_T1w.nii.gz\t3\n"},
    {"lost/sub-2/sub-2_T1w.json", "{\"age\": 50}"},
    {"strangers/sub-7/anat/sub-7_T1w.json", "{\"age\": 60}"},
    {"none/T1w.json", "{\"age\": 60}"},
    {"b.tsv", "dataset\tparticipant_id\tage\tEchoTime\nb\tsub-1\t70\t0.008\na\tsub-2\t50\t0.001\n"},
};

// Folders that go round, and a file whose content was not fetched.
static const char *const LINKS[][2] = {
    {"odd/sub-2/sub-2", "."}, {"odd/sub-2/anat", "."}, {"lost/participants.tsv", ".git/annex/x"}};

static const struct {
  const char *sources[2]; // below the folder; the second may be NULL
  const char *column;
  const char *says; // in a warning; NULL: nothing
  double values[6]; // of the scans, -1: none
  double edge;
  sb_covariate_kind kind;
} FOLDERS[] = {
    {{"a"}, "age", "no value for 1 of the 6", {60.5, 60.5, 62, 50, 50, -1}, 1, SB_NUMBERS},
    {{"a"},
     "MagneticFieldStrength",
     "first sub-1_ses-1_run-1 of dataset b",
     {3, 3, 3, 3, 7, -1},
     1,
     SB_NUMBERS},
    {{"a/"},
     "EchoTime",
     "no value for 1 of",
     {0.004, 0.005, 0.006, 0.003, 0.007, -1},
     1,
     SB_NUMBERS},
    {{"a"},
     "acq_time",
     "no value for 4 of",
     {1970, 1970 + 365 / 365.25, -1, -1, -1, -1},
     0,
     SB_DATES},
    {{"a"}, "Defaced", "no value for 1 of", {0, 0, 0, 0, 0, -1}, 0, SB_CATEGORIES},
    {{"a"}, "Flip", "no value for 1 of", {9, 9, 9, 7, 7, -1}, 1, SB_NUMBERS},
    {{"a"}, "Gain", "no value for 1 of", {1, 1, 1, 1, 3, -1}, 1, SB_NUMBERS},
    {{"raw"}, "age", "no value for 4 of", {-1, -1, -1, 50, 50, -1}, 1, SB_NUMBERS},
    {{"a", "b.tsv"}, "age", NULL, {60.5, 60.5, 62, 50, 50, 70}, 1, SB_NUMBERS},
    {{"b.tsv", "a"}, "age", NULL, {60.5, 60.5, 62, 50, 50, 70}, 1, SB_NUMBERS},
    {{"odd"}, "age", "no value for 4 of", {-1, -1, -1, 50, 50, -1}, 1, SB_NUMBERS},
    {{"odd"}, "Gain", "no value for 4 of", {-1, -1, -1, 3, 3, -1}, 1, SB_NUMBERS},
    {{"raw", "a"}, "age", "no value for 1 of", {60.5, 60.5, 62, 50, 50, -1}, 1, SB_NUMBERS},
};

static const struct {
  const char *sources[2], *column, *says;
} BAD_FOLDERS[] = {
    {{"a"}, "ImageType", "a/T1w.json: ImageType is a list"},
    {{"a"}, "global", "a/T1w.json: global is an object"},
    {{"a"}, "Gap", "a: column Gap has no value for any scan"},
    {{"a"}, "sex", "a/participants.tsv: two columns are called \"sex\""},
    {{"a"},
     "SeriesNumber",
     "run-2_T1w.json: two values of SeriesNumber for scan sub-1_ses-2_desc-brain"},
    {{"b.tsv", "a"},
     "EchoTime",
     "two values of EchoTime for scan sub-2_T1w_brain of dataset a, 0.001 and 0.003"},
    {{"a", "b.tsv"}, "sense", "a and others: column sense has no value"},
    {{"broken"}, "age", "broken/sub-2/anat/sub-2_T1w.json: no JSON object (read as far as line 3)"},
    {{"tail"}, "age", "tail/sub-2/anat/sub-2_T1w.json: no JSON object (read as far as line 2)"},
    {{"list"}, "age", "list/sub-2/anat/sub-2_T1w.json: no JSON object"},
    {{"unnamed"}, "age", "unnamed/sub-2/sub-2_scans.tsv: no column \"filename\""},
    {{"both"},
     "age",
     "both: its sub-1 names scans of two datasets, a and b; a folder tells only of the one"},
    {{"strangers"},
     "age",
     "strangers: none of its 1 sub-* folders names a scan that is compared; for the first of "
     "these, participant_id sub-1"},
    {{"none"}, "age", "none: no BIDS folder"},
    {{"large"}, "age", "large/sub-2/sub-2_T1w.json: age is a number too large"},
    {{"large"}, "Serial", "large/sub-2/sub-2_T1w.json: Serial is a number too large"},
    {{"lost"}, "age", "lost/participants.tsv"},
};

static sb_status read_sources(const char *folder, const char *const sources[2], const sb_by *by,
                              heard *h, sb_covariates *out) {
  const sb_scans scans = {COPIES, COPIES, 6, 6, true};
  const sb_progress progress = {.context = h, .warn = hear};
  char *paths[2] = {sb_path_join(folder, sources[0]),
                    sources[1] == NULL ? NULL : sb_path_join(folder, sources[1])};
  sb_evaluate_options options = sb_evaluate_options_default();
  options.by = by;
  options.by_count = 1;
  options.covariates = (const char *const *)paths;
  options.covariate_count = sources[1] == NULL ? 1 : 2;
  options.progress = &progress;
  sb_status status = sb_covariates_read(&options, &scans, out);
  for (int i = 0; i < 2; i++) free(paths[i]);
  return status;
}

static void test_folders(void **state) {
  (void)state;
  char *folder = scratch_folder();
  sb_covariates got;
  for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
    char *path = sb_path_join(folder, FILES[i][0]), *parent = sb_path_folder(path);
    assert_ok(sb_make_folder(parent));
    write_text(folder, FILES[i][0], FILES[i][1]);
    free(parent);
    free(path);
  }
  for (size_t i = 0; i < sizeof LINKS / sizeof *LINKS; i++) {
    char *path = sb_path_join(folder, LINKS[i][0]);
    assert_int_equal(symlink(LINKS[i][1], path), 0);
    free(path);
  }
  for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++) {
    const sb_by by = {
        .column = FOLDERS[i].column, .edges = {FOLDERS[i].edge}, .edge_count = FOLDERS[i].edge > 0};
    heard h = {0};
    assert_ok(read_sources(folder, FOLDERS[i].sources, &by, &h, &got));
    if (FOLDERS[i].says != NULL ? heard_of(&h, FOLDERS[i].says, "") != 1 : h.count > 0)
      fail_msg("folder %zu: %s", i, h.text[0]);
    assert_int_equal(got.items[0].kind, FOLDERS[i].kind);
    assert_values(got.items, FOLDERS[i].values, FOLDERS[i].column);
    sb_covariates_free(&got);
  }
  for (size_t i = 0; i < sizeof BAD_FOLDERS / sizeof *BAD_FOLDERS; i++) {
    const sb_by by = {.column = BAD_FOLDERS[i].column};
    heard h = {0};
    sb_status status = read_sources(folder, BAD_FOLDERS[i].sources, &by, &h, &got);
    if (status.code == SB_OK || strstr(status.message, BAD_FOLDERS[i].says) == NULL)
      fail_msg("bad folder %zu: %s", i, status.message);
  }
  remove_folder(folder);
  free(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tables),
      cmocka_unit_test(test_folders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
