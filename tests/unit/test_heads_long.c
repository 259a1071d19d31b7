// A head around every real scan.
#define EVERY 1
#define MOVED 12
#include "test_heads.c" // NOLINT(bugprone-suspicious-include): the same program, all of it
