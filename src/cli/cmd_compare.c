// samebrain compare: two files, every measure, and a sentence.
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/half.h"
#include "core/memory.h"
#include "image/orient.h"
#include "measure/likely.h"

static const char DECIDING_MEASURE[] = SB_LIKELY_MEASURE; // what the sentence rests on

typedef struct verdict {
  const char *word, *sentence;
} verdict;

static verdict verdict_of(double score) {
  if (score >= SB_LIKELY_SAME)
    return (verdict){"same", "as alike as two scans of one person: probably the same brain."};
  if (score <= SB_LIKELY_DIFFERENT)
    return (verdict){"different", "no more alike than scans of two people: probably different "
                                  "brains."};
  return (verdict){"unsure", "between what one person's scans and two people's usually reach: look "
                             "at both."};
}

// Prepares one file; the row goes through float16 as it does in a store, so that the scores are
// those that `link` reports.
static sb_status prepared_row(const sb_preparer *preparer, const sb_template *t, const char *path,
                              sb_prepared *out) {
  uint16_t *half = NULL;
  const size_t length = (size_t)sb_template_row_length(t);
  sb_status status;
  SB_TRY(sb_prepare_file(preparer, path, out));
  SB_TRY(SB_NEW(&half, length, "row"));
  sb_half_from_floats(length, out->row, half);
  sb_half_to_floats(length, half, out->row);
cleanup:
  free(half);
  return status;
}

static void print_text(const char *const paths[2], const sb_prepared scans[2], size_t count,
                       const double *scores, double deciding) {
  for (int i = 0; i < 2; i++)
    printf("%s  %s\n   fits the template with %.2f, outline overlap %.2f\n", i == 0 ? "A" : "B",
           paths[i], scans[i].quality.template_correlation, scans[i].quality.mask_overlap);
  printf("\n");
  for (size_t m = 0; m < count; m++) {
    const sb_measure_info *info = sb_measure_at(m);
    printf("%-10s %11.6f   (%g to %g, %s is closer)\n", info->name, scores[m], info->range_min,
           info->range_max, info->higher_is_closer ? "higher" : "lower");
  }
  verdict v = verdict_of(deciding);
  printf("\n%s %.3f: %s\n", DECIDING_MEASURE, deciding, v.sentence);
  printf("Likeness is evidence, not proof, and says nothing about who the person is.\n");
}

static void print_json(const char *const paths[2], const sb_prepared scans[2], size_t count,
                       const double *scores, double deciding) {
  static const char *const names[2] = {"a", "b"};
  cJSON *root = cJSON_CreateObject();
  for (int i = 0; i < 2; i++) {
    cJSON *scan = cJSON_AddObjectToObject(root, names[i]);
    cJSON_AddStringToObject(scan, "path", paths[i]);
    cJSON_AddNumberToObject(scan, "template_correlation", scans[i].quality.template_correlation);
    cJSON_AddNumberToObject(scan, "mask_overlap", scans[i].quality.mask_overlap);
    cJSON_AddBoolToObject(scan, "orientation_assumed", scans[i].quality.orientation == SB_ASSUMED);
    cJSON_AddBoolToObject(scan, "orientation_disputed",
                          scans[i].quality.orientation == SB_FROM_DISPUTED_SFORM);
  }
  cJSON *list = cJSON_AddObjectToObject(root, "scores");
  for (size_t m = 0; m < count; m++)
    cJSON_AddNumberToObject(list, sb_measure_at(m)->name, scores[m]);
  cJSON_AddStringToObject(root, "verdict", verdict_of(deciding).word);
  char *text = cJSON_Print(root);
  if (text != NULL) puts(text);
  cJSON_free(text);
  cJSON_Delete(root);
}

// A bit for each voxel, as measures take masks.
static sb_status pack_mask(int64_t voxels, const uint8_t *mask, uint8_t **bits) {
  sb_status status = SB_NEW_ZERO(bits, (voxels + 7) / 8, "mask");
  for (int64_t i = 0; i < voxels && status.code == SB_OK; i++)
    if (mask[i]) (*bits)[i / 8] = (uint8_t)((*bits)[i / 8] | 0x80 >> i % 8);
  return status;
}

// Every measure's score of two prepared scans; `deciding` is the one the sentence rests on.
static sb_status score_all(const sb_template *t, double voxel_mm, const sb_prepared scans[2],
                           size_t count, double *scores, double *deciding) {
  const int64_t *dims = sb_template_grid_dims(t);
  uint8_t *bits[2] = {NULL, NULL};
  sb_scan_data data[2];
  sb_status status = sb_ok();
  for (int i = 0; i < 2; i++) {
    SB_TRY(pack_mask(dims[0] * dims[1] * dims[2], scans[i].own_mask, &bits[i]));
    data[i] = (sb_scan_data){.row = scans[i].row, .own_mask = bits[i]};
  }
  for (size_t m = 0; m < count; m++) {
    const char *name = sb_measure_at(m)->name;
    SB_TRY(sb_measure_score_scans(name, dims, voxel_mm, sb_template_mask(t),
                                  sb_template_row_length(t), &data[0], &data[1], &scores[m]));
    if (strcmp(name, DECIDING_MEASURE) == 0) *deciding = scores[m];
  }
cleanup:
  free(bits[0]);
  free(bits[1]);
  return status;
}

// What a person should know about how a file was read.
static void warn(const char *path, const sb_prepared *scan) {
  char *doubt = sb_sides_doubt(scan->quality.orientation, path);
  if (doubt != NULL) fprintf(stderr, "samebrain: warning: %s\n", doubt);
  free(doubt);
  if (scan->unit_doubted)
    fprintf(
        stderr,
        "samebrain: warning: millimetres were assumed, as no brain has the size that the header "
        "of %s gives by its unit of length\n",
        path);
}

static int run(const sb_arguments *a) {
  const char *const paths[2] = {a->positional[0], a->positional[1]};
  sb_template_options template_options = sb_template_options_default();
  const sb_prepare_options options = sb_prepare_options_default();
  template_options.image_path = sb_arg_text(a, "--template", NULL);
  template_options.mask_path = sb_arg_text(a, "--template-mask", NULL);
  sb_template *t = NULL;
  sb_preparer *preparer = NULL;
  sb_prepared scans[2] = {0};
  double *scores = NULL, deciding = 0;
  size_t count = 0;
  while (sb_measure_at(count) != NULL) count++;
  sb_status status;
  SB_TRY(SB_NEW(&scores, count, "scores"));
  SB_TRY(sb_template_load(&template_options, &t));
  SB_TRY(sb_preparer_create(t, &options, &preparer));
  for (int i = 0; i < 2; i++) {
    SB_TRY(prepared_row(preparer, t, paths[i], &scans[i]));
    warn(paths[i], &scans[i]);
  }
  SB_TRY(score_all(t, template_options.resolution_mm, scans, count, scores, &deciding));
  if (a->json)
    print_json(paths, scans, count, scores, deciding);
  else
    print_text(paths, scans, count, scores, deciding);
cleanup:
  for (int i = 0; i < 2; i++) sb_prepared_free(&scans[i]);
  sb_preparer_free(preparer);
  sb_template_free(t);
  free(scores);
  return sb_report(status);
}

static const sb_option OPTIONS[] = {
    {"--template", "FILE", "brain to align to ($SAMEBRAIN_TEMPLATE, else Colin27)"},
    {"--template-mask", "FILE", "its brain mask (where the template is above zero)"},
    {0},
};

const sb_command sb_cmd_compare = {
    .name = "compare",
    .usage = "A B [options]",
    .summary = "compare two scans: every measure, and a sentence",
    .details =
        "Prepares two skull-stripped scans with the default settings and prints the score of\n"
        "each measure, the same that `link` gives (but for fused, whose parts weigh the same "
        "here),\n"
        "and what it suggests.",
    .example = "samebrain compare before.nii.gz after.nii.gz",
    .options = OPTIONS,
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};
