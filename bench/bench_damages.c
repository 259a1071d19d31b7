// What preparation makes of damaged scans and of images that are no brain.
//
//   bench_damages [--every N] [--first N] [--from CASE] [--to CASE] [--raw] FOLDER
//
// FOLDER holds BIDS datasets of skull-stripped scans. Every N-th scan (default every one) goes
// through every damage and non-brain; a table of each case follows, then the rates of false rejects
// (a damaged brain refused) and false accepts (a non-brain taken, or a damaged brain whose row is
// nearer to another person's). --raw prints a line a case instead.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/damages.h"

typedef struct options {
  int every, first, from, to;
  bool raw;
  const char *folder;
} options;

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_damages: %s\n", status.message);
  exit(1);
}

static const char *case_name(int which) {
  return which < damage_count() ? damage_name(which) : non_brain_name(which - damage_count());
}

// All outcomes: count scans by cases.
typedef struct study {
  const gallery *g;
  const options *o;
  outcome *outcomes;
  int cases;
} study;

static void print_raw(const study *s, int scan, int which, const outcome *o) {
  const sb_quality *q = &o->quality;
  printf("%s\t%s\t%d\t%.3f\t%.3f\t%.2f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f\t%.3f\t%d\t%.3f\t%"
         ".3f\t%.3f\n",
         strrchr(s->g->scans[scan].path, '/') + 1, case_name(which), o->status.code != SB_OK,
         o->own, o->other, o->error_mm, q->template_correlation, q->mask_overlap, q->scale, q->fit,
         q->lead, q->noise, q->stretch, o->seconds, q->starts, q->structure_whole, q->structure,
         q->sharpness);
  if (o->status.code != SB_OK) printf("#\t%s\n", o->status.message);
}

static void run(study *s) {
  for (int scan = s->o->first; scan < s->g->count; scan += s->o->every) {
    sb_volume volume;
    must(sb_volume_load(s->g->scans[scan].path, &volume, NULL));
#pragma omp parallel for schedule(dynamic, 1)
    for (int which = s->o->from; which < s->o->to; which++) {
      outcome *o = &s->outcomes[scan * s->cases + which];
      sb_status status = gallery_case(s->g, scan, &volume, which, o);
#pragma omp critical
      {
        must(status);
        if (s->o->raw) print_raw(s, scan, which, o);
      }
    }
    sb_volume_free(&volume);
  }
}

static void print_table(const study *s) {
  int brains = 0, refused = 0, wrong = 0, others = 0, taken = 0;
  printf("%-36s %5s %8s %7s %7s %9s %8s\n", "case", "scans", "refused", "own", "other", "error mm",
         "seconds");
  for (int which = s->o->from; which < s->o->to; which++) {
    const bool brain = which < damage_count();
    int count = 0, no = 0, lost = 0;
    double own = INFINITY, other = -1, error = 0, seconds = 0;
    for (int scan = s->o->first; scan < s->g->count; scan += s->o->every) {
      const outcome *o = &s->outcomes[scan * s->cases + which];
      count++;
      seconds += o->seconds;
      if (o->status.code != SB_OK) {
        no++;
        continue;
      }
      lost += brain && !outcome_links(o);
      own = fmin(own, o->own);
      other = fmax(other, o->other);
      error = fmax(error, o->error_mm);
    }
    printf("%-36s %5d %8d ", case_name(which), count, no);
    if (no == count)
      printf("%7s %7s %9s", "-", "-", "-");
    else if (brain)
      printf("%7.3f %7.3f %9.2f", own, other, error);
    else
      printf("%7s %7.3f %9s", "-", other, "-");
    printf(" %8.3f%s\n", seconds / count, lost > 0 ? "  nearer to another person" : "");
    *(brain ? &brains : &others) += count;
    *(brain ? &refused : &taken) += brain ? no : count - no;
    wrong += lost;
  }
  printf("damaged brains: %d; refused %d (false rejects %.2f %%); taken, but nearer to another "
         "person %d (%.2f %%)\n",
         brains, refused, 100.0 * refused / fmax(1, brains), wrong,
         100.0 * wrong / fmax(1, brains));
  printf("not a brain: %d; taken %d (false accepts %.2f %%)\n", others, taken,
         100.0 * taken / fmax(1, others));
}

int main(int argc, char **argv) {
  options o = {.every = 1, .to = damage_count() + non_brain_count()};
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "0";
    if (strcmp(argv[i], "--raw") == 0)
      o.raw = true;
    else if (strcmp(argv[i], "--every") == 0)
      o.every = atoi(value), i++;
    else if (strcmp(argv[i], "--first") == 0)
      o.first = atoi(value), i++;
    else if (strcmp(argv[i], "--from") == 0)
      o.from = atoi(value), i++;
    else if (strcmp(argv[i], "--to") == 0)
      o.to = atoi(value), i++;
    else
      o.folder = argv[i];
  }
  if (o.folder == NULL || o.every < 1) {
    fprintf(stderr, "usage: bench_damages [--every N] [--first N] [--from CASE] [--to CASE] "
                    "[--raw] FOLDER\n");
    return 2;
  }
  gallery g;
  must(gallery_open(o.folder, &g));
  study s = {.g = &g, .o = &o, .cases = damage_count() + non_brain_count()};
  s.outcomes = calloc((size_t)(g.count * s.cases), sizeof *s.outcomes);
  if (s.outcomes == NULL) return 1;
  run(&s);
  if (!o.raw) print_table(&s);
  free(s.outcomes);
  gallery_close(&g);
  return 0;
}
