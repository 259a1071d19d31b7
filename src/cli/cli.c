// Option values, exit codes and progress.
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/order.h"
#include "core/utf8.h"
#include "engine/results.h"

// ---- Errors -------------------------------------------------------------------------------------

// Whether an error is owed as JSON: asked for, and nothing has been told so yet.
static bool json_owed;

void sb_cli_owe_json(bool owed) {
  json_owed = owed;
}

static void put_json_error(sb_code code, int exit_code, const char *message) {
  if (!json_owed) return;
  json_owed = false;
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "error", sb_code_name(code));
  cJSON_AddNumberToObject(root, "exit_code", exit_code);
  cJSON_AddStringToObject(root, "message", message);
  char *text = cJSON_Print(root);
  if (text != NULL) puts(text);
  cJSON_free(text);
  cJSON_Delete(root);
}

static int exit_code_of(sb_code code) {
  switch (code) {
  case SB_OK:
    return SB_EXIT_OK;
  case SB_USAGE:
    return SB_EXIT_USAGE;
  case SB_NO_MEMORY:
    return SB_EXIT_RESOURCES;
  case SB_BACKEND:
    return SB_EXIT_GPU;
  default:
    return SB_EXIT_INPUT;
  }
}

int sb_report(sb_status status) {
  const int code = exit_code_of(status.code);
  if (status.code == SB_OK) return code;
  sb_cli_progress_end();
  char *shown =
      sb_utf8_visible(status.message); // it may hold any bytes of a table or a file's name
  const char *message = shown != NULL ? shown : status.message;
  fprintf(stderr, "samebrain: error: %s\n", message);
  put_json_error(status.code, code, message);
  free(shown);
  return code;
}

int sb_cli_usage(const sb_command *command, const char *format, ...) {
  char text[1020];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  char *shown = sb_utf8_visible(text);
  const char *message = shown != NULL ? shown : text;
  if (command == NULL)
    fprintf(stderr, "samebrain: %s\n", message);
  else
    fprintf(stderr, "samebrain %s: %s\n", command->name, message);
  put_json_error(SB_USAGE, SB_EXIT_USAGE, message);
  free(shown);
  return SB_EXIT_USAGE;
}

// ---- Option values ------------------------------------------------------------------------------

const char *sb_arg_text(const sb_arguments *a, const char *name, const char *otherwise) {
  for (size_t i = a->option_count; i > 0; i--)
    if (strcmp(a->names[i - 1], name) == 0) return a->values[i - 1];
  return otherwise;
}

size_t sb_arg_texts(const sb_arguments *a, const char *name, const char **values) {
  size_t count = 0;
  for (size_t i = 0; i < a->option_count; i++)
    if (strcmp(a->names[i], name) == 0) values[count++] = a->values[i];
  return count;
}

bool sb_arg_flag(const sb_arguments *a, const char *name) {
  return sb_arg_text(a, name, NULL) != NULL;
}

static bool bad_value(const sb_arguments *a, const char *name, const char *text,
                      const char *expects) {
  sb_cli_usage(a->command, "%s %s: expects %s", name, text, expects);
  return false;
}

bool sb_arg_int(const sb_arguments *a, const char *name, int64_t min, int64_t max, int64_t *value) {
  const char *text = sb_arg_text(a, name, NULL);
  if (text == NULL) return true;
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || number < min || number > max) {
    char expects[80];
    snprintf(expects, sizeof expects, "a whole number from %lld to %lld", (long long)min,
             (long long)max);
    return bad_value(a, name, text, expects);
  }
  *value = number;
  return true;
}

bool sb_arg_double(const sb_arguments *a, const char *name, double *value) {
  const char *text = sb_arg_text(a, name, NULL);
  if (text == NULL) return true;
  char *end;
  double number = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(number)) return bad_value(a, name, text, "a number");
  *value = number;
  return true;
}

bool sb_arg_bytes(const sb_arguments *a, const char *name, int64_t *value) {
  const char *text = sb_arg_text(a, name, NULL);
  if (text == NULL) return true;
  char *end;
  double number = strtod(text, &end);
  static const char units[] = "KMGT";
  const char *unit = *end == '\0' ? NULL : strchr(units, *end);
  bool valid = end != text && isfinite(number) && number > 0 &&
               (*end == '\0' || (unit != NULL && (end[1] == '\0' || strcmp(end + 1, "B") == 0)));
  if (valid && unit != NULL) number *= pow(1024, (double)(unit - units + 1));
  if (!valid || number > 0x1p60) return bad_value(a, name, text, "a size such as 512M or 4G");
  *value = (int64_t)number;
  return true;
}

// One of several processes that a scheduler or launcher started; index from 0, count 0: not told.
typedef struct rank {
  int64_t index, count;
} rank;

// A whole number from 0 on in the environment; -1: none.
static int64_t environment(const char *name) {
  const char *text = getenv(name);
  const long long value =
      text != NULL && *text >= '0' && *text <= '9' ? strtoll(text, NULL, 10) : -1;
  return value <= INT_MAX ? value : -1;
}

// This process among those that one launcher started. An mpirun within a Slurm job comes before Slurm, whose variables
// its processes have too. A batch script, of which there is one however many tasks its job has, is SLURM_PROCID 0 as
// well, but of no step: srun starts those.
static rank rank_in_launch(void) {
  static const char *const variables[][2] = {
      {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
      {"PMI_RANK", "PMI_SIZE"},
      {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
  };
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const rank found = {environment(variables[i][0]), environment(variables[i][1])};
    if (found.index >= 0 && found.count > found.index) return found;
  }
  return (rank){0, 0};
}

// This task among those of a Slurm job array: of "--array=1-7:2" number 5 is the third of four. Not told where the
// numbers are not evenly spaced.
static rank rank_in_array(void) {
  const int64_t past_first =
      environment("SLURM_ARRAY_TASK_ID") - environment("SLURM_ARRAY_TASK_MIN");
  const int64_t span = environment("SLURM_ARRAY_TASK_MAX") - environment("SLURM_ARRAY_TASK_MIN");
  const int64_t step = sb_larger(environment("SLURM_ARRAY_TASK_STEP"), 1);
  const bool even =
      span / step + 1 == environment("SLURM_ARRAY_TASK_COUNT") && past_first % step == 0;
  return even ? (rank){past_first / step, span / step + 1} : (rank){0, 0};
}

// The processes of a job array are those of all its tasks.
static bool shard_from_environment(const sb_arguments *a, const char *name, int64_t *index,
                                   int64_t *count) {
  const bool array = environment("SLURM_ARRAY_TASK_ID") >= 0;
  rank launch = rank_in_launch(), task = {0, 1};
  if (array) {
    task = rank_in_array();
    if (task.count == 0)
      return bad_value(
          a, name, "auto",
          "a job array with evenly spaced numbers, such as --array=1-16; else name the shard, I/N");
    if (launch.count == 0) launch.count = 1;
  }
  if (launch.count == 0)
    return bad_value(a, name, "auto",
                     "to be started by srun or mpirun, or in a Slurm job array, and was not; name "
                     "the shard, I/N");
  *index = task.index * launch.count + launch.index + 1;
  *count = task.count * launch.count;
  return true;
}

bool sb_arg_shard(const sb_arguments *a, const char *name, int *index, int *count) {
  const char *text = sb_arg_text(a, name, NULL);
  int64_t i = 0, n = 0;
  if (text == NULL) return true;
  if (strcmp(text, "auto") == 0) {
    if (!shard_from_environment(a, name, &i, &n)) return false;
  } else {
    char *end;
    i = strtoll(text, &end, 10);
    n = *end == '/' && end != text ? strtoll(end + 1, &end, 10) : 0;
    if (*end != '\0') n = 0;
  }
  if (i < 1 || i > n || n > INT_MAX)
    return bad_value(a, name, text, "I/N with 1 <= I <= N, or auto");
  *index = (int)i;
  *count = (int)n;
  return true;
}

bool sb_arg_choice(const sb_arguments *a, const char *name, const char *const *choices,
                   int *value) {
  const char *text = sb_arg_text(a, name, NULL);
  if (text == NULL) return true;
  char expects[200] = "one of";
  for (int i = 0; choices[i] != NULL; i++) {
    if (strcmp(text, choices[i]) == 0) {
      *value = i;
      return true;
    }
    size_t used = strlen(expects);
    snprintf(expects + used, sizeof expects - used, "%s %s", i == 0 ? "" : ",", choices[i]);
  }
  return bad_value(a, name, text, expects);
}

bool sb_arg_list(const sb_arguments *a, const char *name, char ***values, size_t *count) {
  *values = NULL;
  *count = 0;
  for (size_t i = 0; i < a->option_count; i++) {
    if (strcmp(a->names[i], name) != 0) continue;
    const char *at = a->values[i];
    for (;;) {
      size_t length = strcspn(at, ",");
      char *part = sb_format("%.*s", (int)length, at);
      char **grown = realloc((void *)*values, (*count + 1) * sizeof *grown);
      if (grown != NULL) *values = grown;
      if (part == NULL || grown == NULL) {
        free(part);
        sb_report(sb_error(SB_NO_MEMORY, "out of memory"));
        return false;
      }
      grown[(*count)++] = part;
      if (length == 0) return bad_value(a, name, a->values[i], "names between its commas");
      if (at[length] == '\0') break;
      at += length + 1;
    }
  }
  return true;
}

static bool is_measure(const sb_arguments *a, const char *name, const char *value) {
  if (sb_measure_find(value) != NULL) return true;
  char expects[400] = "one of";
  const sb_measure_info *measure;
  for (size_t m = 0; (measure = sb_measure_at(m)) != NULL; m++) {
    size_t used = strlen(expects);
    snprintf(expects + used, sizeof expects - used, "%s %s", m == 0 ? "" : ",", measure->name);
  }
  return bad_value(a, name, value, expects);
}

bool sb_arg_measures(const sb_arguments *a, const char *name, char ***values, size_t *count) {
  if (!sb_arg_list(a, name, values, count)) return false;
  for (size_t i = 0; i < *count; i++)
    if (!is_measure(a, name, (*values)[i])) return false;
  return true;
}

bool sb_arg_measure(const sb_arguments *a, const char *name, const char **value) {
  *value = sb_arg_text(a, name, NULL);
  return *value == NULL || is_measure(a, name, *value);
}

bool sb_arg_threads(const sb_arguments *a, int *threads) {
  int64_t value = 0;
  if (!sb_arg_int(a, "--threads", 0, 4096, &value)) return false;
  *threads = (int)value;
  return true;
}

sb_status sb_cli_write_report(const sb_arguments *a, const char *out) {
  sb_report_options options = sb_report_options_default();
  const sb_progress progress = sb_cli_progress(a->quiet);
  options.images = !sb_arg_flag(a, "--no-images");
  return sb_report_write(out, &options, &progress);
}

static bool holds_something(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  const bool something = sb_list_folder(folder, &names, &count).code == SB_OK && count > 0;
  sb_free_names(names, count);
  return something;
}

sb_status sb_cli_hold_for_link(const char *out, bool mirrored, sb_cli_holds *holds) {
  char *folder = sb_path_join(out, SB_MIRRORED_FOLDER);
  sb_status status = folder == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", out) : sb_ok();
  SB_TRY(status);
  SB_TRY(sb_hold_take(out, &holds->out));
  if (!mirrored && !sb_is_folder(folder)) goto cleanup;
  const bool filled = holds_something(folder);
  SB_TRY(sb_hold_take(folder, &holds->mirrored));
  if (filled) holds->mirrored.made = true; // an earlier check's: it goes when it was emptied
cleanup:
  free(folder);
  return status;
}

void sb_cli_release(sb_cli_holds *holds) {
  sb_hold_release(&holds->mirrored);
  sb_hold_release(&holds->out);
}

sb_status sb_cli_hold_results(const char *out, sb_hold *hold) {
  char *summary = sb_path_join(out, "summary.json");
  memset(hold, 0, sizeof *hold);
  if (summary == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", out);
  const bool finished = sb_is_file(summary);
  free(summary);
  return finished ? sb_hold_take(out, hold) : sb_ok();
}

void sb_cli_tell_list(const sb_scan_list *list, bool quiet) {
  for (size_t i = 0; i < list->note_count && !quiet; i++)
    fprintf(stderr, "samebrain: %s\n", list->notes[i]);
  for (size_t i = 0; i < list->warning_count; i++)
    fprintf(stderr, "samebrain: warning: %s\n", list->warnings[i]);
  for (size_t i = 0; i < list->left_out_count; i++)
    fprintf(stderr, "samebrain: warning: left out: %s\n", list->left_out[i]);
}

// ---- Aligned tables -----------------------------------------------------------------------------

size_t sb_cli_width(const char *text) {
  size_t characters = 0;
  for (; *text != '\0'; text++) characters += ((unsigned char)*text & 0xC0) != 0x80;
  return characters;
}

void sb_cli_pad(const char *text, size_t width) {
  size_t characters = sb_cli_width(text);
  printf("%s%*s", text, characters < width ? (int)(width - characters) : 0, "");
}

// ---- Progress -----------------------------------------------------------------------------------

// One program, one progress line: what is on the terminal now.
static struct {
  bool line_open;
  char stage[64];
  double started_s, printed_s;
} progress_line;

void sb_cli_progress_end(void) {
  if (progress_line.line_open) fputc('\n', stderr);
  progress_line.line_open = false;
}

static void format_time(double seconds, char text[32]) {
  if (seconds < 90)
    snprintf(text, 32, "%.0f s", seconds);
  else if (seconds < 5400)
    snprintf(text, 32, "%.0f min", seconds / 60);
  else
    snprintf(text, 32, "%.1f h", seconds / 3600);
}

static void advance(void *context, const char *stage, long long done, long long total) {
  (void)context;
  bool terminal = isatty(STDERR_FILENO) != 0;
  double now = sb_now_s();
  if (strcmp(stage, progress_line.stage) != 0) {
    sb_cli_progress_end();
    snprintf(progress_line.stage, sizeof progress_line.stage, "%s", stage);
    progress_line.started_s = progress_line.printed_s = now;
    if (!terminal) return;
  }
  bool last = done >= total;
  if (now - progress_line.printed_s < (terminal ? 0.1 : 10) && !(terminal && last)) return;
  progress_line.printed_s = now;
  char left[32] = "";
  double elapsed = now - progress_line.started_s;
  if (done > 0 && !last) format_time(elapsed * (double)(total - done) / (double)done, left);
  fprintf(stderr, "%s%s: %lld of %lld%s%s%s", terminal ? "\r\033[K" : "", stage, done, total,
          left[0] == '\0' ? "" : ", about ", left, left[0] == '\0' ? "" : " left");
  if (terminal) {
    progress_line.line_open = true;
    if (last) sb_cli_progress_end();
    fflush(stderr);
  } else {
    fputc('\n', stderr);
  }
}

static void warn(void *context, const char *text) {
  (void)context;
  sb_cli_progress_end();
  char *shown = sb_utf8_visible(text); // it may hold any bytes of a table or a file's name
  fprintf(stderr, "samebrain: warning: %s\n", shown != NULL ? shown : text);
  free(shown);
}

sb_progress sb_cli_progress(bool quiet) {
  return (sb_progress){.advance = quiet ? NULL : advance, .warn = warn};
}
