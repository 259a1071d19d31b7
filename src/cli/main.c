// samebrain: finds the subcommand and parses its options.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/memory.h"
#include "samebrain/link.h"

static const sb_command *const COMMANDS[] = {
    &sb_cmd_prepare,  &sb_cmd_link,   &sb_cmd_merge,   &sb_cmd_evaluate,
    &sb_cmd_check,    &sb_cmd_report, &sb_cmd_compare, &sb_cmd_synth,
    &sb_cmd_template, &sb_cmd_bench,  &sb_cmd_info,    &sb_cmd_measures,
};
// NOLINTNEXTLINE(bugprone-sizeof-expression): of an array of pointers
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

static const sb_option COMMON[] = {
    {"--quiet", NULL, "no progress, only warnings and errors"},
    {"--json", NULL, "the summary as JSON on standard output"},
    {"--help", NULL, "this text"},
    {0},
};

static void print_commands(FILE *file) {
  fputs("usage: samebrain COMMAND ...\n"
        "Do two skull-stripped T1-weighted brain MRIs come from the same person?\n\n",
        file);
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    fprintf(file, "  %-10s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
  fputs(
      "\nsamebrain COMMAND --help tells more; samebrain --version which version this is.\n"
      "Linkage is not identification: a score says that two scans are alike, not whose they are.\n",
      file);
}

// The version, and what can compute here.
static void print_version(void) {
  static const char *const backends[] = {"cpu", "cuda"};
  char text[600];
  printf("samebrain %s\n", sb_version());
  for (int i = 0; i < 2; i++) {
    const sb_status status = sb_backend_probe(backends[i], text, sizeof text);
    if (status.code == SB_OK)
      printf("%s: %s\n", backends[i], text);
    else
      printf("%s: not here: %s\n", backends[i], status.message);
  }
}

static void print_options(FILE *file, const sb_option *options) {
  for (; options->name != NULL; options++) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", options->name, options->value == NULL ? "" : " ",
             options->value == NULL ? "" : options->value);
    fprintf(file, "  %-26s %s\n", left, options->help);
  }
}

static void print_help(FILE *file, const sb_command *command) {
  fprintf(file, "usage: samebrain %s %s\n%s\n\n%s\n\noptions:\n", command->name, command->usage,
          command->summary, command->details);
  print_options(file, command->options);
  print_options(file, COMMON);
  fprintf(file, "\nexample:\n  %s\n", command->example);
}

static const sb_option *find_option(const sb_option *options, const char *name, size_t length) {
  for (; options->name != NULL; options++)
    if (strlen(options->name) == length && strncmp(options->name, name, length) == 0)
      return options;
  return NULL;
}

static int usage_error(const sb_command *command, const char *problem, const char *word) {
  int code = sb_cli_usage(command, "%s%s%s", problem, word[0] == '\0' ? "" : ": ", word);
  fprintf(stderr, "  usage: samebrain %s %s\n  samebrain %s --help tells more\n", command->name,
          command->usage, command->name);
  return code;
}

// Whether JSON is asked for, in words that have not been parsed yet.
static bool asks_for_json(int count, char **words) {
  for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++)
    if (strcmp(words[i], "--json") == 0) return true;
  return false;
}

// Sorts the words into positional arguments and options. -1 to go on, else the exit code.
static int parse(const sb_command *command, int count, char **words, sb_arguments *out) {
  bool options_over = false;
  for (int i = 0; i < count; i++) {
    char *word = words[i];
    if (options_over || word[0] != '-' || word[1] == '\0') {
      out->positional[out->positional_count++] = word;
      continue;
    }
    if (strcmp(word, "--") == 0) {
      options_over = true;
      continue;
    }
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const sb_option *option = find_option(command->options, word, length);
    if (option == NULL) option = find_option(COMMON, word, length);
    if (option == NULL && strcmp(word, "-h") == 0) option = &COMMON[2];
    if (option == NULL) return usage_error(command, "no such option", word);
    if (strcmp(option->name, "--help") == 0) {
      print_help(stdout, command);
      return SB_EXIT_OK;
    }
    const char *value = "";
    if (option->value == NULL) {
      if (equals != NULL) return usage_error(command, "takes no value", word);
    } else if (equals != NULL) {
      value = equals + 1;
    } else if (i + 1 < count) {
      value = words[++i];
    } else {
      return usage_error(command, "needs a value", word);
    }
    out->quiet = out->quiet || strcmp(option->name, "--quiet") == 0;
    out->json = out->json || strcmp(option->name, "--json") == 0;
    out->names[out->option_count] = option->name;
    out->values[out->option_count++] = value;
  }
  if (out->positional_count < command->min_arguments)
    return usage_error(command, "too few arguments", "");
  if (out->positional_count > command->max_arguments)
    return usage_error(command, "one argument too many", out->positional[command->max_arguments]);
  return -1;
}

static int run(const sb_command *command, int count, char **words) {
  sb_arguments arguments = {.command = command};
  size_t room = (size_t)count + 1;
  const char **lists = calloc(3 * room, sizeof *lists);
  if (lists == NULL) return sb_report(sb_error(SB_NO_MEMORY, "out of memory"));
  arguments.positional = lists;
  arguments.names = lists + room;
  arguments.values = lists + 2 * room;
  int code = parse(command, count, words, &arguments);
  if (code < 0) code = command->run(&arguments);
  free((void *)lists);
  return code;
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    print_commands(stderr);
    return SB_EXIT_USAGE;
  }
  const char *name = argv[1];
  sb_cli_owe_json(asks_for_json(argc - 2, argv + 2));
  if (strcmp(name, "--version") == 0) {
    print_version();
    return SB_EXIT_OK;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    print_commands(stdout);
    return SB_EXIT_OK;
  }
  for (size_t i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(name, COMMANDS[i]->name) == 0) return run(COMMANDS[i], argc - 2, argv + 2);
  int code = sb_cli_usage(NULL, "no such command: %s", name);
  print_commands(stderr);
  return code;
}

// Where a parent closed standard input, output or error, the next file opened would get its number,
// and warnings would be written into a store. /dev/null takes the place, opened such that writing
// still fails. False where there is none.
static bool keep_standard_streams(void) {
  int file;
  do file = open("/dev/null", O_RDONLY);
  while (file >= 0 && file <= STDERR_FILENO);
  if (file < 0) return false;
  close(file);
  return true;
}

int main(int argc, char **argv) {
  if (!keep_standard_streams()) return SB_EXIT_INPUT;
  sb_keep_freed();
  signal(SIGXFSZ, SIG_IGN); // a limit on the size of files is then an error like a full disk
  int code = dispatch(argc, argv);
  // ferror too: a buffer that was full earlier has failed by then, and the last flush may not.
  bool written = fflush(stdout) == 0 && !ferror(stdout);
  if (written || code != SB_EXIT_OK) return code;
  fputs("samebrain: error: cannot write to standard output\n", stderr);
  return SB_EXIT_INPUT;
}
