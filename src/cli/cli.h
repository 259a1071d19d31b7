// What the subcommands share: options, progress, and how a status becomes an exit code.
#ifndef SB_CLI_CLI_H
#define SB_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/lock.h"
#include "samebrain/samebrain.h"

// Exit codes; other tools rely on them.
enum {
  SB_EXIT_OK = 0,
  SB_EXIT_SCANS_FAILED = 1, // some scans failed; each is named
  SB_EXIT_USAGE = 2,
  SB_EXIT_INPUT = 3, // input or store unusable
  SB_EXIT_RESOURCES = 4,
  SB_EXIT_GPU = 5,
  SB_EXIT_FOUND = 6 // check found something
};

typedef struct sb_arguments sb_arguments;

// An option a subcommand takes. Every value is kept as text and parsed by the getters below.
typedef struct sb_option {
  const char *name;  // "--top", or "-m"
  const char *value; // what its value is called in the help ("N"); NULL: a flag
  const char *help;
} sb_option;

typedef struct sb_command {
  const char *name;
  const char *usage;        // after "samebrain NAME "
  const char *summary;      // one line, for the list of commands
  const char *details;      // a paragraph
  const char *example;      // one or more command lines
  const sb_option *options; // ends with a zeroed entry; --help, --quiet and --json are added to all
  size_t min_arguments, max_arguments;
  int (*run)(const sb_arguments *arguments);
} sb_command;

// A parsed command line.
struct sb_arguments {
  const sb_command *command;
  const char **positional;
  size_t positional_count;
  const char **names, **values; // the options given, in order
  size_t option_count;
  bool quiet, json;
};

// Getters. An option given twice counts as its last. A bad value prints a message naming the option
// and returns false.
bool sb_arg_flag(const sb_arguments *a, const char *name);
const char *sb_arg_text(const sb_arguments *a, const char *name, const char *otherwise);
// All values of an option that may be given several times, in order; room for a->option_count. Their number.
size_t sb_arg_texts(const sb_arguments *a, const char *name, const char **values);
bool sb_arg_int(const sb_arguments *a, const char *name, int64_t min, int64_t max, int64_t *value);
bool sb_arg_double(const sb_arguments *a, const char *name, double *value);
bool sb_arg_bytes(const sb_arguments *a, const char *name, int64_t *value);         // "4G", "512M"
bool sb_arg_shard(const sb_arguments *a, const char *name, int *index, int *count); // "2/8", "auto"
bool sb_arg_choice(const sb_arguments *a, const char *name, const char *const *choices, int *value);
// The values of an option that may be given several times or as a comma-separated list. Free them
// with sb_free_names, also when this failed.
bool sb_arg_list(const sb_arguments *a, const char *name, char ***values, size_t *count);
// A list of similarity measures, each of which there is.
bool sb_arg_measures(const sb_arguments *a, const char *name, char ***values, size_t *count);
// One of them; NULL when the option is not given.
bool sb_arg_measure(const sb_arguments *a, const char *name, const char **value);

// Prints "samebrain: error: MESSAGE" to stderr and returns the exit code for the status.
int sb_report(sb_status status);
// The same for a command line that is wrong: "samebrain COMMAND: MESSAGE" (`command` may be NULL).
int sb_cli_usage(const sb_command *command, const char *format, ...) SB_PRINTF(2, 3);
// Whether these two are to tell the error as JSON on standard output too. Off again once something has
// been printed there as JSON: it is one object.
void sb_cli_owe_json(bool owed);
// Progress on stderr: a line redrawn when it is a terminal, a plain line every ten seconds when it
// is not, warnings always, nothing but warnings when `quiet`.
sb_progress sb_cli_progress(bool quiet);
// Ends a redrawn line.
void sb_cli_progress_end(void);

// What there is to say about a list of scans: notes, unless `quiet`, and warnings, such as of each that was
// left out.
void sb_cli_tell_list(const sb_scan_list *list, bool quiet);

// The columns of a terminal that a text takes, one for each UTF-8 character, and the text with
// spaces after it up to `width` of them, on standard output.
size_t sb_cli_width(const char *text);
void sb_cli_pad(const char *text, size_t width);

// Adds --threads to a command's needs: checks it against 0..4096.
bool sb_arg_threads(const sb_arguments *a, int *threads);

// OUT/report.html from what is in the folder, without pictures where --no-images says so.
#define SB_NO_IMAGES "--no-images", NULL, "leave pictures of the brains out of report.html"
sb_status sb_cli_write_report(const sb_arguments *a, const char *out);

// Whether results of another command in OUT may be replaced.
#define SB_OVERWRITE "--overwrite", NULL, "replace what another command left in OUT"

// Holds OUT (sb_hold_take) for a command that writes it anew, and what an earlier check left below it, of mirror
// images: that goes with the rest. `mirrored`: it is written anew too.
typedef struct sb_cli_holds {
  sb_hold out, mirrored;
} sb_cli_holds;
sb_status sb_cli_hold_for_link(const char *out, bool mirrored, sb_cli_holds *holds);
void sb_cli_release(sb_cli_holds *holds); // a zeroed one is fine

// Holds a folder of results for a command that needs them to be there. Where none are,
// nothing is held or made: the command will say so.
sb_status sb_cli_hold_results(const char *out, sb_hold *hold);

extern const sb_command sb_cmd_prepare, sb_cmd_link, sb_cmd_evaluate, sb_cmd_compare, sb_cmd_synth,
    sb_cmd_info, sb_cmd_measures, sb_cmd_template, sb_cmd_bench, sb_cmd_merge, sb_cmd_report,
    sb_cmd_check;

#endif
