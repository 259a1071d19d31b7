// What a link cannot do without, each timed alone: reading its rows, embedding them, and the matrix
// product.
#ifndef BENCH_FLOORS_H
#define BENCH_FLOORS_H

#include <stdbool.h>
#include <stdint.h>

#include "clocks.h"
#include "engine/backend.h"
#include "samebrain/store.h"

// Asks the system to forget the files of a store's rows; returns the share that it still holds.
sb_status floor_forget(const char *store, double *held);
// Reads them from end to end into one small buffer; the system keeps what was read, as it does of its own accord, or
// is told to forget it on the way.
sb_status floor_read(const char *store, bool keep, clocks *out);
// Embeds `rows` rows, timed on some that the system holds already, into memory that is at hand.
sb_status floor_embed(const char *store, const char *measure, int threads, int64_t rows,
                      clocks *out);
// oneDNN's products of the screen's precision and chunk, of up to m x n vectors in memory, scaled to so
// many operations (an addition and a multiplication are two).
sb_status floor_gemm(sb_precision precision, int64_t chunk, int64_t m, int64_t n, int threads,
                     double operations, clocks *out);

#endif
