// The folder that a link writes. New files grow under temporary names beside the old ones and take
// their places together at the end, summary.json last: a folder with a summary.json is complete. An
// evaluation and a check add theirs in the same way, evaluation.json and check.json last.
#ifndef SB_ENGINE_RESULTS_H
#define SB_ENGINE_RESULTS_H

#include <stdio.h>

#include "core/file.h"
#include "core/npy.h"
#include "engine/json.h"
#include "samebrain/status.h"

#define SB_MATCHES_HEADER                                                                          \
  "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\trank\tscore\n"
#define SB_MATED_HEADER "probe_dataset\tprobe_id\tgallery_dataset\tgallery_id\tmeasure\tscore\n"

// Below a link's results: the parts of one that has not finished.
#define SB_PARTS_FOLDER "parts"
// Below a check's: the link of mirror images.
#define SB_MIRRORED_FOLDER "mirrored"

typedef struct sb_results {
  char *folder;
  sb_new_file *files;
  size_t count;
} sb_results;

// What a folder may be opened for.
typedef struct sb_results_use {
  const char *command;         // what is about to be done, as summary.json will tell it
  bool keep;                   // refuse what another command found; else it is replaced
  const sb_progress *progress; // told of an evaluation that will go; NULL: nobody is
} sb_results_use;

// Makes the folder, or checks that an existing one holds nothing but what link and its followers
// wrote, and nothing that is to be kept. Errors: SB_USAGE (something else is in it: what),
// SB_IO.
sb_status sb_results_open(const char *folder, const sb_results_use *use, sb_results *out);
// The folder of a finished link, to add to: what is in it stays, but for files of the same names.
sb_status sb_results_open_finished(const char *folder, sb_results *out);
// A new file in it; `file` is open until publishing.
sb_status sb_results_create(sb_results *results, const char *name, FILE **file);
// The same of an array, where its elements begin.
sb_status sb_results_create_array(sb_results *results, const char *name, const sb_npy *array,
                                  FILE **file);
// Brings every file and summary.json to disk, then removes what an earlier run left and gives them
// their names. A full disk leaves the earlier results as they were.
sb_status sb_results_publish(sb_results *results, const cJSON *summary);
// The same of what was added to a finished link: the file `last`, which holds `root`, gets its name last, and
// an earlier one goes before any other file is replaced. Where it is, all that was added belongs together.
// What killed runs had begun is removed, and an earlier file `gone` (NULL: none) that was not made again.
sb_status sb_results_publish_added(sb_results *results, const char *last, const cJSON *root,
                                   const char *gone);
// Removes a folder of such folders: what links wrote, and nothing else.
sb_status sb_results_remove(const char *path);
// Frees all, removing what was not published; a zeroed one is fine.
void sb_results_close(sb_results *results);

#endif
