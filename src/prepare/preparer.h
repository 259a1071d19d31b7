// What preparation knows before it sees a scan: the template's side of each step, and the options.
#ifndef SB_PREPARE_PREPARER_H
#define SB_PREPARE_PREPARER_H

#include <pthread.h>

#include "prepare/align.h"
#include "prepare/harmonise.h"
#include "prepare/head.h"
#include "samebrain/prepare.h"

struct sb_preparer {
  const sb_template *tmpl;
  sb_prepare_options options;
  sb_aligner aligner;
  sb_standard_scale scale;
  float *standard_row;    // the template's own row on the standard scale
  double least_structure; // of a brain
  char parameters[256];
  // The template's head takes time to read and most runs need none: made when first asked for.
  pthread_mutex_t head_lock;
  sb_head *head;
};

// What an option that leaves the choice comes to.
sb_bias sb_chosen_bias(sb_bias bias);
sb_outside sb_chosen_outside(const sb_prepare_options *o);

// The template's head, made when it is first asked for. Errors: those of sb_head_create.
sb_status sb_preparer_head(const sb_preparer *preparer, const sb_head **out);

#endif
