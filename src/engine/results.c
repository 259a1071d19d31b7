#include "engine/results.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/memory.h"
#include "engine/warn.h"

static bool starts_with(const char *text, const char *beginning) {
  return strncmp(text, beginning, strlen(beginning)) == 0;
}

// Whether link, or what builds on it, writes files of this name.
static bool known_name(const char *name, size_t length) {
  static const char *const names[] = {
      "summary.json", "matches.tsv", "mated.tsv",   "probes.tsv",      "gallery.tsv",
      "links.tsv",    "check.tsv",   "report.html", "evaluation.json", "thresholds.tsv",
      "groups.tsv",   "check.json",  "strata.tsv"};
  static const char *const curves[] = {"roc-", "tar-", "cmc-", "search-", "density-", "forecast-"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == length && strncmp(name, names[i], length) == 0) return true;
  bool table = length > 4 && strncmp(name + length - 4, ".tsv", 4) == 0;
  for (size_t i = 0; table && i < sizeof curves / sizeof *curves; i++)
    if (starts_with(name, curves[i])) return true;
  bool array = length > 4 && strncmp(name + length - 4, ".npy", 4) == 0;
  return array && (starts_with(name, "nonmated-") || starts_with(name, "scores-"));
}

// The same for a file that was being written when its run was killed: NAME.PID.part
static bool known_file(const char *name) {
  size_t length = strlen(name);
  if (sb_ends_with(name, ".part")) {
    length -= strlen(".part");
    while (length > 0 && name[length - 1] >= '0' && name[length - 1] <= '9') length--;
    if (length > 0 && name[length - 1] == '.') length--;
  }
  return known_name(name, length);
}

// The folder of one shard of a link: "shard-0001-of-0002".
static bool is_shard(const char *name) {
  return starts_with(name, "shard-") && strstr(name, "-of-") != NULL;
}

static bool may_be_there(const char *name) {
  static const char *const others[] = {SB_PARTS_FOLDER, SB_MIRRORED_FOLDER, SB_HOLD_FILE};
  bool found = known_file(name);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    found = found || strcmp(name, others[i]) == 0;
  return found;
}

// The command whose results these are, "" where that is not told; free() it. NULL: unfinished.
static sb_status read_command(const char *folder, char **command) {
  char *path = sb_path_join(folder, "summary.json"), *text = NULL;
  size_t bytes;
  *command = NULL;
  if (path == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  sb_status status = sb_read_file(path, &text, &bytes);
  free(path);
  if (status.code == SB_NOT_FOUND) return sb_ok();
  if (status.code != SB_OK) return status;
  cJSON *root = cJSON_Parse(text);
  *command = sb_strdup(sb_json_text(root, "command"));
  cJSON_Delete(root);
  free(text);
  return *command != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
}

// Results of the same command are replaced by those of its newest run; what took somebody another
// command, and perhaps days, only when that is wanted.
static sb_status check_earlier(const char *folder, const sb_results_use *use) {
  char *command = NULL, *evaluation = sb_path_join(folder, "evaluation.json");
  sb_status status = evaluation == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", folder)
                                        : read_command(folder, &command);
  if (status.code == SB_OK && command != NULL && use->keep &&
      (*command == '\0' || strcmp(command, use->command) != 0))
    status = sb_error(SB_USAGE,
                      "%s: holds what another run found (%s); name another folder, or have all of "
                      "it replaced (--overwrite)",
                      folder, *command != '\0' ? command : "by another version of samebrain");
  if (status.code == SB_OK && command != NULL && sb_is_file(evaluation))
    sb_warn(use->progress,
            "%s: the evaluation there is of the earlier results and goes with them: evaluate again",
            folder);
  free(command);
  free(evaluation);
  return status;
}

sb_status sb_results_open(const char *folder, const sb_results_use *use, sb_results *out) {
  memset(out, 0, sizeof *out);
  char **names = NULL;
  size_t count = 0;
  sb_status status = sb_ok();
  out->folder = sb_strdup(folder);
  if (out->folder == NULL) status = sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  SB_TRY(status);
  SB_TRY(sb_make_folder(folder));
  SB_TRY(sb_list_folder(folder, &names, &count));
  for (size_t i = 0; i < count; i++)
    if (!may_be_there(names[i])) {
      status = sb_error(SB_USAGE, "%s: holds %s, %s; give an empty or a new folder for the results",
                        folder, names[i],
                        is_shard(names[i]) ? "one of a link's shards, which are to be merged"
                                           : "which a link did not write");
      break;
    }
  SB_TRY(status);
  SB_TRY(check_earlier(folder, use));
cleanup:
  sb_free_names(names, count);
  if (status.code != SB_OK) sb_results_close(out);
  return status;
}

sb_status sb_results_open_finished(const char *folder, sb_results *out) {
  *out = (sb_results){.folder = sb_strdup(folder)};
  return out->folder != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
}

sb_status sb_results_create(sb_results *results, const char *name, FILE **file) {
  *file = NULL;
  sb_new_file *grown = realloc(results->files, (results->count + 1) * sizeof *grown);
  if (grown == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", results->folder);
  results->files = grown;
  char *path = sb_path_join(results->folder, name);
  if (path == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", results->folder);
  sb_status status = sb_file_create(path, grown + results->count);
  if (status.code == SB_OK) *file = grown[results->count++].file;
  free(path);
  return status;
}

sb_status sb_results_create_array(sb_results *results, const char *name, const sb_npy *array,
                                  FILE **file) {
  char header[SB_NPY_HEADER];
  sb_status status = sb_results_create(results, name, file);
  if (status.code != SB_OK) return status;
  sb_npy_format(array, header);
  fwrite(header, 1, sizeof header, *file);
  return status;
}

static sb_status remove_file(const char *folder, const char *name) {
  char *path = sb_path_join(folder, name);
  if (path == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  sb_status status = sb_ok();
  if (unlink(path) != 0 && errno != ENOENT)
    status = sb_error(SB_IO, "%s: cannot remove: %s", path, strerror(errno));
  free(path);
  return status;
}

// summary.json first: when this is killed, what is left must not look like a finished link.
static sb_status remove_known_files(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  sb_status status;
  SB_TRY(remove_file(folder, "summary.json"));
  SB_TRY(sb_list_folder(folder, &names, &count));
  for (size_t i = 0; i < count; i++)
    if (known_file(names[i])) SB_TRY(remove_file(folder, names[i]));
  rmdir(folder); // stays where it holds something else
cleanup:
  sb_free_names(names, count);
  return status;
}

sb_status sb_results_remove(const char *path) {
  char **names = NULL;
  size_t count = 0;
  sb_status status;
  SB_TRY(sb_list_folder(path, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *folder = sb_path_join(path, names[i]);
    status = folder == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", path)
                            : remove_known_files(folder);
    free(folder);
    SB_TRY(status);
  }
  rmdir(path);
cleanup:
  sb_free_names(names, count);
  return status;
}

// What an earlier check found of mirror images.
static sb_status remove_mirrored(const char *results) {
  char *folder = sb_path_join(results, SB_MIRRORED_FOLDER);
  char *parts = sb_format("%s/" SB_MIRRORED_FOLDER "/" SB_PARTS_FOLDER, results);
  sb_status status = sb_ok();
  if (folder == NULL || parts == NULL)
    status = sb_error(SB_NO_MEMORY, "%s: out of memory", results);
  else if (sb_is_folder(parts))
    status = sb_results_remove(parts);
  if (status.code == SB_OK && folder != NULL && sb_is_folder(folder))
    status = remove_known_files(folder);
  free(folder);
  free(parts);
  return status;
}

// Whether the file is one that is about to be published.
static bool is_new(const sb_results *results, const char *name) {
  for (size_t i = 0; i < results->count; i++) {
    const char *slash = strrchr(results->files[i].temporary, '/');
    if (strcmp(slash + 1, name) == 0) return true;
  }
  return false;
}

// Nothing old goes before all that is new is on disk, also the file that gets its name last: then that of the
// same name goes first.
static sb_status complete(sb_results *results, const char *last, const cJSON *root) {
  FILE *file = NULL;
  char *text = cJSON_Print(root);
  sb_status status =
      text != NULL ? sb_ok() : sb_error(SB_NO_MEMORY, "%s: out of memory", results->folder);
  SB_TRY(status);
  SB_TRY(sb_results_create(results, last, &file));
  fprintf(file, "%s\n", text);
  for (size_t i = 0; i < results->count; i++) SB_TRY(sb_file_complete(results->files + i));
  SB_TRY(remove_file(results->folder, last));
cleanup:
  cJSON_free(text);
  return status;
}

// What is in the folder of the files that are known and not about to be published: all of them, or what killed
// runs had begun.
static sb_status remove_others(const sb_results *results, bool all) {
  char **names = NULL;
  size_t count = 0;
  sb_status status;
  SB_TRY(sb_list_folder(results->folder, &names, &count));
  for (size_t i = 0; i < count; i++)
    if (known_file(names[i]) && (all || sb_ends_with(names[i], ".part")) &&
        !is_new(results, names[i]))
      SB_TRY(remove_file(results->folder, names[i]));
cleanup:
  sb_free_names(names, count);
  return status;
}

sb_status sb_results_publish_added(sb_results *results, const char *last, const cJSON *root,
                                   const char *gone) {
  sb_status status;
  SB_TRY(complete(results, last, root));
  if (gone != NULL) SB_TRY(remove_file(results->folder, gone));
  SB_TRY(remove_others(results, false));
  for (size_t i = 0; i < results->count; i++) SB_TRY(sb_file_commit(results->files + i));
cleanup:
  return status;
}

sb_status sb_results_publish(sb_results *results, const cJSON *summary) {
  sb_status status;
  SB_TRY(complete(results, "summary.json", summary));
  SB_TRY(remove_others(results, true));
  SB_TRY(remove_mirrored(results->folder));
  for (size_t i = 0; i < results->count; i++) SB_TRY(sb_file_commit(results->files + i));
cleanup:
  return status;
}

void sb_results_close(sb_results *results) {
  for (size_t i = 0; i < results->count; i++) sb_file_abandon(results->files + i);
  free(results->files);
  free(results->folder);
  memset(results, 0, sizeof *results);
}
