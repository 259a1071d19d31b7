// link: every probe against every gallery scan, and what is written of it.
#ifndef SAMEBRAIN_LINK_H
#define SAMEBRAIN_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/store.h"

// Who is who. A pair of scans of one person is mated, of two people non-mated:
//   NULL   a person is (dataset, participant), also across two stores: a dataset that both have is
//          taken for one, and warned of unless the gallery has all of its probe scans. All other
//          pairs are non-mated, those of two datasets or with an unknown participant too
//   path   a TSV (dataset, scan_id, person); lines for scans that are not compared are warned of. A
//          scan without a line has an unknown person: its pairs are listed among the matches like
//          all others, but left out of both the mated and the non-mated statistics
//   "none" all labels are ignored, and every pair is non-mated
typedef struct sb_link_options {
  const char *const *measures; // names; NULL with count 0: the default measure, bandpass
  size_t measure_count;
  const char *refine;     // a further measure, of the pairs alone that the others list; NULL: none
  int64_t top;            // gallery scans listed per probe and measure; default 10
  bool has_threshold;     // also list every pair at least this close
  double threshold;       // in the measure's own direction
  const char *identities; // see above
  bool mirrored;          // compare the probes' mirror images: left and right exchanged
  bool matrix;            // write the dense scores-MEASURE.npy
  const char *backend;    // "auto", "cpu" or "cuda"
  const char
      *precision; // of the screen: "auto", "fp32"; on the CPU "int8", on a GPU "tf32", "fp16",
                  // "bf16"
  int64_t memory_bytes;         // 0: the smaller of 4 GiB and a quarter of RAM
  int threads;                  // 0: all processors
  int shard_index, shard_count; // this run compares every shard_count-th part of the pairs, the
                                // shard_index-th (from 1); sb_merge joins them. 0, 0: all pairs
  int64_t parts; // into which the work is cut, so that a run that was killed goes on from the last
                 // one that was finished when it is run again. 0: as many as it is long
  bool keep;     // refuse a folder with what another command found; else that is replaced
  const char
      *command; // what this run is part of, as summary.json tells it and a later run compares
                // it; NULL: `samebrain link` with these options
} sb_link_options;

SB_API sb_link_options sb_link_options_default(void);

// Whether a backend ("cpu", "cuda") can be used here: SB_OK and what computes, in words; or the
// error says why not.
SB_API sb_status sb_backend_probe(const char *name, char *text, size_t size);

typedef struct sb_link_summary {
  int64_t gallery, probes, measures;
  int64_t pairs; // compared, per measure
  int64_t mated; // mated pairs known
  bool mirrored; // the probes' mirror images were compared
  double seconds;
} sb_link_summary;

// Compares each probe with each gallery scan and writes matches.tsv, mated.tsv, probes.tsv,
// gallery.tsv, nonmated-MEASURE.npy with its edges, summary.json, and with `matrix` the dense
// scores into the folder `out` (made 0700; files 0600).
//   probe  NULL: the gallery against itself. Scans of two stores with the same (dataset, scan_id)
//          and the same file (source_sha256) are one scan, never matched with itself; namesakes
//          from different files are compared like any other two, with a warning
//   options->mirrored  each probe is compared as its mirror image, with every gallery scan but itself; of a gallery
//          against itself all ordered pairs are compared then, as the mirror image of one scan beside the
//          other is not what the other's is beside it
//   progress  told of these, of rows that a store has lost, and of what `identities` leaves open
//   options->refine  its lines come last in matches.tsv: a probe's candidates, which are all that any
//          of the other measures lists for it, ranked anew
// Reported scores are canonical: the same bytes for any backend, thread count and tile size.
// Histograms and matrix are the screen's; summary.json gives the bound of their error. A folder
// with earlier results gets the new ones in their place once these are complete (but see `keep`);
// nobody else may write there meanwhile: the program holds a lock on it. Errors: SB_CONFLICT (stores
// that cannot be compared; names what differs), SB_NOT_FOUND (measure), SB_USAGE (an option; `out`
// holds something else; `keep`), SB_FORMAT (identities), SB_CONTENT (no
// scans; a row that cannot be compared, with its scan), SB_BACKEND, SB_IO, SB_NO_MEMORY.
SB_API sb_status sb_link(const sb_store *gallery, const sb_store *probe,
                         const sb_link_options *options, const char *out,
                         const sb_progress *progress, sb_link_summary *summary);

// Joins the folders that all shards of one link wrote, in any order, into what one run would have
// written: the same bytes in matches.tsv, mated.tsv, probes.tsv and gallery.tsv; histograms are added
// up; in summary.json stages' seconds are those of all shards together. `out` may not be one of them.
//   keep  as in sb_link_options
// Errors: SB_USAGE (a shard is missing: which; a folder is a whole link; `out` holds something else),
// SB_CONFLICT (shards of different runs; one twice), SB_NOT_FOUND (an unfinished one), SB_FORMAT
// (damaged: which file), SB_IO, SB_NO_MEMORY.
SB_API sb_status sb_merge(const char *const *folders, size_t count, const char *out, bool keep,
                          const sb_progress *progress, sb_link_summary *summary);

#endif
