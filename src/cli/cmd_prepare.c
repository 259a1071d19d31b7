// samebrain prepare: from scans to the rows of a store.
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"

static const char *const BRAIN[] = {"auto", "stripped", "extract", NULL}; // as in sb_brain_mode
static const char *const HARMONISE[] = {"nyul", "zscore", "rank", "none",
                                        NULL};                         // as in sb_harmonise
static const char *const SPACE[] = {"native", "template", NULL};       // as in sb_space
static const char *const BIAS[] = {"auto", "n4", "gain", "off", NULL}; // as in sb_bias

// The command line, parsed.
typedef struct request {
  const char *store;
  sb_template_options template;
  sb_prepare_options prepare;
  sb_input_options input;
  sb_ingest_options ingest;
  char **labels;
  size_t label_count;
} request;

// -1 to go on, else the exit code.
static int parse(const sb_arguments *a, request *r) {
  int64_t dof = r->prepare.dof;
  int brain = (int)r->prepare.brain, space = (int)r->prepare.space;
  int harmonise = (int)r->prepare.harmonise, bias = (int)r->prepare.bias;
  r->store = sb_arg_text(a, "-o", NULL);
  r->template.image_path = sb_arg_text(a, "--template", NULL);
  r->template.mask_path = sb_arg_text(a, "--template-mask", NULL);
  r->template.head_path = sb_arg_text(a, "--template-head", NULL);
  r->input.dataset = sb_arg_text(a, "--dataset", NULL);
  r->ingest.save_images_dir = sb_arg_text(a, "--save-images", NULL);
  if (!sb_arg_double(a, "--resolution-mm", &r->template.resolution_mm) ||
      !sb_arg_int(a, "--dof", 6, 12, &dof) || !sb_arg_choice(a, "--brain", BRAIN, &brain) ||
      !sb_arg_choice(a, "--space", SPACE, &space) || !sb_arg_choice(a, "--bias", BIAS, &bias) ||
      !sb_arg_choice(a, "--harmonise", HARMONISE, &harmonise) ||
      !sb_arg_list(a, "--participant-label", &r->labels, &r->label_count) ||
      !sb_arg_shard(a, "--shard", &r->ingest.shard_index, &r->ingest.shard_count) ||
      !sb_arg_bytes(a, "--memory", &r->ingest.memory_bytes) ||
      !sb_arg_threads(a, &r->ingest.threads))
    return SB_EXIT_USAGE;
  if (r->store == NULL || r->store[0] == '\0')
    return sb_cli_usage(a->command, "-o STORE is missing: the folder that the rows go to");
  if (dof != 6 && dof != 12)
    return sb_cli_usage(a->command, "--dof: expects 12 (affine) or 6 (rigid)");
  if (r->input.dataset != NULL && r->input.dataset[0] == '\0')
    return sb_cli_usage(a->command, "--dataset: expects a name");
  r->prepare.dof = (int)dof;
  r->prepare.space = (sb_space)space;
  r->input.in_template_space = r->prepare.space == SB_SPACE_TEMPLATE;
  r->prepare.brain = (sb_brain_mode)brain;
  r->prepare.bias = (sb_bias)bias;
  r->prepare.harmonise = (sb_harmonise)harmonise;
  r->input.participant_labels = (const char *const *)r->labels;
  r->input.participant_label_count = r->label_count;
  return -1;
}

// Also of none, which cJSON_CreateStringArray takes for an error.
static cJSON *array_of(char *const *texts, size_t count) {
  return count == 0 ? cJSON_CreateArray()
                    : cJSON_CreateStringArray((const char *const *)texts, (int)count);
}

static void print_summary(const sb_arguments *a, const request *r, const sb_scan_list *list,
                          const sb_ingest_summary *s) {
  if (!a->json) {
    if (a->quiet) return;
    printf("prepared %" PRId64 " scan%s (%" PRId64 " already there, %" PRId64 " failed",
           s->prepared, s->prepared == 1 ? "" : "s", s->skipped, s->failed);
    if (list->left_out_count > 0) printf(", %zu left out", list->left_out_count);
    printf(") into %s in %.1f s\n", r->store, s->seconds);
    return;
  }
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "store", r->store);
  cJSON_AddNumberToObject(root, "scans", (double)s->scans);
  cJSON_AddNumberToObject(root, "prepared", (double)s->prepared);
  cJSON_AddNumberToObject(root, "already_there", (double)s->skipped);
  cJSON_AddNumberToObject(root, "failed", (double)s->failed);
  cJSON_AddNumberToObject(root, "conflicts", (double)s->conflicts);
  cJSON_AddItemToObject(root, "left_out", array_of(list->left_out, list->left_out_count));
  cJSON_AddItemToObject(root, "notes", array_of(list->notes, list->note_count));
  cJSON_AddItemToObject(root, "warnings", array_of(list->warnings, list->warning_count));
  cJSON_AddNumberToObject(root, "seconds", s->seconds);
  char *text = cJSON_Print(root);
  if (text != NULL) puts(text);
  cJSON_free(text);
  cJSON_Delete(root);
}

// What to do about the scans that have no row now, or not the one that was asked for.
static void print_advice(const request *r, const sb_ingest_summary *s) {
  if (s->conflicts > 0)
    fprintf(stderr,
            "samebrain: %" PRId64 " not prepared, named above: the store has scans of these names "
            "from other files or under other labels\n",
            s->conflicts);
  if (s->failed > s->conflicts)
    fprintf(stderr,
            "samebrain: %" PRId64 " failed, named above and by: samebrain info %s\n"
            "  once mended they are tried again by the same command; the others are kept\n",
            s->failed - s->conflicts, r->store);
}

static int prepare(const sb_arguments *a, const request *r) {
  sb_scan_list list = {0};
  sb_template *template = NULL;
  sb_preparer *preparer = NULL;
  sb_ingest_summary summary = {0};
  sb_progress progress = sb_cli_progress(a->quiet);
  int code;
  sb_status status = sb_scan_list_find(a->positional, a->positional_count, &r->input, &list);
  if (status.code == SB_OK) sb_cli_tell_list(&list, a->quiet);
  if (status.code == SB_OK) status = sb_template_load(&r->template, &template);
  if (status.code == SB_OK) status = sb_preparer_create(template, &r->prepare, &preparer);
  if (status.code == SB_OK)
    status = sb_ingest(r->store, template, preparer, &list, &r->ingest, &progress, &summary);
  sb_cli_progress_end();
  if (status.code != SB_OK) {
    code = sb_report(status);
    if (summary.prepared > 0)
      fprintf(stderr,
              "samebrain: %" PRId64 " scans were prepared before that and are safe; run the "
              "same command again to go on\n",
              summary.prepared);
  } else {
    code = summary.failed > 0 || list.left_out_count > 0 ? SB_EXIT_SCANS_FAILED : SB_EXIT_OK;
    print_summary(a, r, &list, &summary);
    print_advice(r, &summary);
  }
  sb_preparer_free(preparer);
  sb_template_free(template);
  sb_scan_list_free(&list);
  return code;
}

static int run(const sb_arguments *arguments) {
  request r = {.template = sb_template_options_default(),
               .prepare = sb_prepare_options_default(),
               .ingest = sb_ingest_options_default()};
  int code = parse(arguments, &r);
  if (code < 0) code = prepare(arguments, &r);
  sb_free_names(r.labels, r.label_count);
  return code;
}

static const sb_option OPTIONS[] = {
    {"-o", "STORE", "the store: a folder, made if there is none, appended to if there is"},
    {"--template", "FILE", "brain to align to ($SAMEBRAIN_TEMPLATE, else Colin27)"},
    {"--template-mask", "FILE", "its brain mask (where the template is above zero)"},
    {"--resolution-mm", "MM", "voxel size of the rows: 1, 2, 3 or 4 (2)"},
    {"--dof", "N", "alignment: 12 affine; 6 without its scales and shears (12)"},
    {"--space", "SPACE", "native, or template: scans are aligned to it already (native)"},
    {"--template-head", "FILE", "a whole head whose brain is the template (Colin27's)"},
    {"--brain", "KIND", "auto: cut out of whole heads; stripped: never; extract: always (auto)"},
    {"--bias", "KIND", "bias field: auto, n4, gain (as alignment fits it) or off (auto)"},
    {"--harmonise", "KIND", "intensities: nyul, zscore, rank or none (nyul)"},
    {"--dataset", "NAME", "dataset the scans belong to (the input folder's name)"},
    {"--participant-label", "L", "only these people, with or without sub-; repeat or use commas"},
    {"--shard", "I/N", "only every N-th scan from the I-th on; auto: from Slurm, MPI"},
    {"--threads", "N", "threads (all processors)"},
    {"--memory", "SIZE", "memory to use, e.g. 4G (4G, or a quarter of the machine's if less)"},
    {"--save-images", "DIR", "also write each prepared scan as a NIfTI image"},
    {0},
};

const sb_command sb_cmd_prepare = {
    .name = "prepare",
    .usage = "INPUT... -o STORE [options]",
    .summary = "align and harmonise scans into a store",
    .details =
        "INPUT is a NIfTI file, a BIDS folder, another folder with all NIfTI files in it and "
        "below,\n"
        "or a manifest .tsv with the columns path, participant_id, session_id, dataset, mask,\n"
        "scan_id (only path is required). How scans were labelled and what was passed over is "
        "said.\n"
        "Of whole heads the brain is cut out, by a mask where one is given or lies beside the "
        "scan\n"
        "as SCAN_desc-brain_mask.nii.gz.\n"
        "A scan is known by its dataset and its file name without _T1w and extension; one that "
        "lies\n"
        "in folders below INPUT, other than a BIDS folder's, by its path from INPUT on instead, /\n"
        "made _. Scans that the store has are skipped, so the same command again goes on where it\n"
        "was stopped. A scan that fails is recorded with its reason, and the run goes on (exit "
        "code 1).\n\n"
        "--space template takes scans that another program aligned to the template (brains, in "
        "any\n"
        "voxel size and storage order) where they lie; of a BIDS folder's files those that name a\n"
        "space-, where there are any. Each is checked: alignment may move it by 8 mm at most. "
        "Their\n"
        "rows are not compared with those of scans that were aligned here.\n\n"
        "--memory bounds the scans in work by what their headers say; one that needs more than "
        "all\n"
        "of it fails and says how much. With --shard any number of processes, on any number of\n"
        "machines, write into one store.",
    .example = "samebrain prepare oasis/ other/sub-01/anat/sub-01_T1w.nii.gz -o my.store",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .run = run,
};
