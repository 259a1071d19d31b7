// samebrain merge: the shards of one link, joined.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/file.h"
#include "core/memory.h"
#include "samebrain/link.h"

typedef struct folder_list {
  char **paths;
  size_t count;
} folder_list;

static sb_status add(folder_list *list, char *path) {
  char **grown =
      path == NULL ? NULL : realloc((void *)list->paths, (list->count + 1) * sizeof *grown);
  if (grown == NULL) {
    free(path);
    return sb_error(SB_NO_MEMORY, "out of memory");
  }
  list->paths = grown;
  list->paths[list->count++] = path;
  return sb_ok();
}

// A shard's folder, or all of them in the folder that `link --shard` was given.
static sb_status add_folders(folder_list *list, const char *path) {
  char **names = NULL;
  size_t count = 0, before = list->count;
  sb_status status;
  SB_TRY(sb_list_folder(path, &names, &count));
  for (size_t i = 0; i < count; i++)
    if (strncmp(names[i], "shard-", 6) == 0) SB_TRY(add(list, sb_path_join(path, names[i])));
  if (list->count == before) SB_TRY(add(list, sb_strdup(path)));
cleanup:
  sb_free_names(names, count);
  return status;
}

static void print_summary(const sb_arguments *a, const char *out, size_t shards,
                          const sb_link_summary *summary) {
  if (a->json)
    printf("{\"shards\": %zu, \"gallery\": %" PRId64 ", \"probes\": %" PRId64
           ", \"measures\": %" PRId64 ", \"pairs\": %" PRId64 ", \"mated_pairs\": %" PRId64
           ", \"mirrored\": %s}\n",
           shards, summary->gallery, summary->probes, summary->measures, summary->pairs,
           summary->mated, summary->mirrored ? "true" : "false");
  else if (!a->quiet)
    printf("%zu shards: %" PRId64 " probes%s, %" PRId64 " gallery scans, %" PRId64
           " pairs, %" PRId64 " of them known to be mated. All results: %s\n",
           shards, summary->probes, summary->mirrored ? " (their mirror images)" : "",
           summary->gallery, summary->pairs, summary->mated, out);
}

static int run(const sb_arguments *a) {
  const char *out = sb_arg_text(a, "-o", NULL);
  folder_list list = {0};
  sb_cli_holds holds = {0};
  sb_link_summary summary;
  const sb_progress progress = sb_cli_progress(a->quiet);
  sb_status status = sb_ok();
  if (out == NULL) return sb_cli_usage(a->command, "-o OUT is missing: the folder for the results");
  for (size_t i = 0; i < a->positional_count; i++) SB_TRY(add_folders(&list, a->positional[i]));
  SB_TRY(sb_cli_hold_for_link(out, false, &holds));
  SB_TRY(sb_merge((const char *const *)list.paths, list.count, out, !sb_arg_flag(a, "--overwrite"),
                  &progress, &summary));
  SB_TRY(sb_cli_write_report(a, out));
  print_summary(a, out, list.count, &summary);
cleanup:
  sb_cli_release(&holds);
  sb_free_names(list.paths, list.count);
  return sb_report(status);
}

static const sb_option OPTIONS[] = {
    {"-o", "OUT", "folder for the results (required)"},
    {SB_OVERWRITE},
    {SB_NO_IMAGES},
    {0},
};

const sb_command sb_cmd_merge = {
    .name = "merge",
    .usage = "SHARDS... -o OUT",
    .summary = "join the shards of a link into what one run would have written",
    .details =
        "SHARDS is the folder that `link --shard` was given, or the folders of single shards.\n"
        "All of them must be there, each once, and of one run: the same stores and options.",
    .example = "samebrain merge links.shards -o links",
    .options = OPTIONS,
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .run = run,
};
