// How much memory the preparation of one scan takes: brains on grids of 128 to 512 voxels a side,
// in several datatypes, compressed and not, each prepared in a process of its own.
//
//   bench_memory [--full]     --full: also 512 x 512 x 512, which takes minutes and 2 GB of disk
//
// Prints the most that was resident beyond the template and what is made of it once, and what
// sb_prepare_memory says beforehand.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tests/unit/registration_cases.h"
#include "core/memory.h"
#include "image/nifti_save.h"

static void must(sb_status status) {
  if (status.code == SB_OK) return;
  fprintf(stderr, "bench_memory: %s\n", status.message);
  exit(1);
}

// The template's brain in the middle of a cube of `side` voxels, 256 mm wide, with noise where it is
// brain, and all around when `noisy`.
static void make_scan(const sb_template *t, int64_t side, bool noisy, sb_volume *out) {
  sb_volume brain;
  uint64_t seed = 3;
  double to_voxels[16];
  must(sb_volume_load(sb_template_path(t), &brain, NULL));
  *out = (sb_volume){.dims = {side, side, side}};
  const int64_t n = side * side * side;
  sb_affine_identity(out->affine);
  for (int i = 0; i < 3; i++) {
    out->affine[5 * i] = 256.0 / (double)side;
    out->affine[4 * i + 3] = -128;
  }
  must(SB_NEW(&out->voxels, n, "scan"));
  if (!sb_affine_invert(brain.affine, to_voxels)) exit(1);
  sb_affine_multiply(to_voxels, out->affine, to_voxels);
  resample(&brain, to_voxels, sb_sample_linear, out);
  for (int64_t i = 0; i < n; i++)
    if (noisy || out->voxels[i] > 0) out->voxels[i] += (float)uniform(&seed, 0, 4);
  sb_volume_free(&brain);
}

typedef struct kind {
  const char *name, *ending;
  sb_save_type type;
} kind;

static const kind KINDS[] = {{"int16", "nii.gz", SB_SAVE_INT16},
                             {"float32", "nii.gz", SB_SAVE_FLOAT32},
                             {"float32", "nii", SB_SAVE_FLOAT32},
                             {"float64", "nii.gz", SB_SAVE_FLOAT64}};

// What is done in a process of its own, so that nothing it held stays behind in this one.
typedef struct task {
  const sb_template *t;
  const sb_preparer *preparer;
  const kind *kind;
  char path[128];
  int64_t side;
  bool noisy;
} task;

static void write_scan(const task *k) {
  sb_volume scan;
  make_scan(k->t, k->side, k->noisy, &scan);
  must(sb_volume_save_as(&scan, k->path, k->kind->type, 1, 0));
}

static void prepare_scan(const task *k) {
  sb_prepared prepared;
  must(sb_prepare_file(k->preparer, k->path, &prepared));
}

static void do_nothing(const task *k) {
  (void)k;
}

// The most that was resident, in bytes.
static int64_t peak_bytes(void (*work)(const task *), const task *k) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    work(k);
    _exit(0);
  }
  int code = -1;
  struct rusage used;
  if (child < 0 || wait4(child, &code, 0, &used) < 0 || code != 0) exit(1);
  return (int64_t)used.ru_maxrss * 1024;
}

static void measure(task k, const char *folder) {
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
    int64_t expected;
    k.kind = &KINDS[i];
    snprintf(k.path, sizeof k.path, "%s/scan.%s", folder, k.kind->ending);
    peak_bytes(write_scan, &k);
    must(sb_prepare_memory(k.preparer, k.path, &expected));
    const int64_t at_rest = peak_bytes(do_nothing, &k), at_work = peak_bytes(prepare_scan, &k);
    printf("%lld x %lld x %lld  %-8s %-7s %-14s %6.0f MB, %6.0f MB expected\n", (long long)k.side,
           (long long)k.side, (long long)k.side, k.kind->name, k.kind->ending,
           k.noisy ? "noise around" : "0 around", (double)(at_work - at_rest) / 1e6,
           (double)expected / 1e6);
    fflush(stdout);
    unlink(k.path);
  }
}

int main(int argc, char **argv) {
  char folder[] = "/tmp/samebrain-bench-XXXXXX";
  sb_template *t;
  sb_preparer *preparer;
  sb_keep_freed(); // as the program does
  const bool full = argc > 1 && strcmp(argv[1], "--full") == 0;
  const sb_template_options options = sb_template_options_default();
  const sb_prepare_options prepare = sb_prepare_options_default();
  must(sb_template_load(&options, &t));
  must(sb_preparer_create(t, &prepare, &preparer));
  sb_release_freed(); // as the program does
  if (mkdtemp(folder) == NULL) return 1;
  task k = {.t = t, .preparer = preparer};
  printf("at rest %.0f MB\n", (double)peak_bytes(do_nothing, &k) / 1e6);
  for (k.side = 128; k.side <= (full ? 512 : 256); k.side *= 2)
    for (int noisy = 0; noisy < 2; noisy++) {
      k.noisy = noisy != 0;
      measure(k, folder);
    }
  rmdir(folder);
  sb_preparer_free(preparer);
  sb_template_free(t);
  return 0;
}
