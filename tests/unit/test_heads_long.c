// Two heads around every real scan, and some of the changes made to each.
#define EVERY 1
#define BUILDS 2
#define CHANGES_EACH 2
#define MOVED 8
#include "test_heads.c" // NOLINT(bugprone-suspicious-include): the same program, all of it
