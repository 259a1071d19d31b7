// Options of benchmark programs: --NAME VALUE, and --NAME alone.
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline const char *option(int argc, char **argv, const char *name, const char *otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0) return argv[i + 1];
  return otherwise;
}

static inline int64_t number(int argc, char **argv, const char *name, int64_t otherwise) {
  const char *text = option(argc, argv, name, NULL);
  return text == NULL ? otherwise : strtoll(text, NULL, 10);
}

static inline bool flag(int argc, char **argv, const char *name) {
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], name) == 0) return true;
  return false;
}

#endif
