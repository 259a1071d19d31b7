// Every real scan through every damage and non-brain.
#define EVERY 1
#define SHARE 1
#include "test_damages.c" // NOLINT(bugprone-suspicious-include): the same program, all of it
