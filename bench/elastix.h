// elastix, the tool that alignment is measured beside: its parameters, a run of it, the map it found.
#ifndef SB_BENCH_ELASTIX_H
#define SB_BENCH_ELASTIX_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/geometry.h"
#include "samebrain/status.h"

static const char ELASTIX_PARAMETERS[] =
    "(FixedInternalImagePixelType \"float\")\n(MovingInternalImagePixelType \"float\")\n"
    "(FixedImageDimension 3)\n(MovingImageDimension 3)\n(UseDirectionCosines \"true\")\n"
    "(Registration \"MultiResolutionRegistration\")\n(Interpolator \"LinearInterpolator\")\n"
    "(ResampleInterpolator \"FinalBSplineInterpolator\")\n(Resampler \"DefaultResampler\")\n"
    "(FixedImagePyramid \"FixedRecursiveImagePyramid\")\n"
    "(MovingImagePyramid \"MovingRecursiveImagePyramid\")\n"
    "(Optimizer \"AdaptiveStochasticGradientDescent\")\n(Transform \"AffineTransform\")\n"
    "(Metric \"AdvancedMattesMutualInformation\")\n(AutomaticScalesEstimation \"true\")\n"
    "(AutomaticTransformInitialization \"true\")\n(HowToCombineTransforms \"Compose\")\n"
    "(NumberOfHistogramBins 32)\n(ErodeMask \"false\")\n(NumberOfResolutions 4)\n"
    "(MaximumNumberOfIterations 250)\n(NumberOfSpatialSamples 2048)\n"
    "(NewSamplesEveryIteration \"true\")\n(ImageSampler \"Random\")\n(BSplineInterpolationOrder "
    "1)\n"
    "(FinalBSplineInterpolationOrder 1)\n(DefaultPixelValue 0)\n(WriteResultImage \"false\")\n"
    "(ResultImagePixelType \"float\")\n(ResultImageFormat \"nii\")\n";

static inline bool elastix_there(const char *program) {
  char command[256];
  snprintf(command, sizeof command, "%s --version >/dev/null 2>&1", program);
  return system(command) == 0; // NOLINT(cert-env33-c): a benchmark, run by hand
}

// Wall time, and processor time of all threads: the same on a machine that is otherwise idle, and the
// one to compare on a machine that is not.
typedef struct run_time {
  double wall_s, cpu_s;
} run_time;

// Runs a program, its standard output thrown away. Errors: SB_IO.
static inline sb_status run_timed(const char *const *arguments, run_time *taken) {
  const double started = sb_now_s();
  struct rusage used;
  int code = -1;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    if (freopen("/dev/null", "w", stdout) == NULL) _exit(127);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
  }
  if (child < 0 || wait4(child, &code, 0, &used) < 0 || code != 0)
    return sb_error(SB_IO, "%s failed", arguments[0]);
  taken->wall_s = sb_now_s() - started;
  taken->cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  return sb_ok();
}

// Aligns `image` to `fixed` in one thread, its results in `folder`: the whole process. Needs
// ELASTIX_PARAMETERS as `folder`/affine.txt; leaves `folder`/TransformParameters.0.txt.
static inline sb_status elastix_run(const char *program, const char *fixed, const char *image,
                                    const char *folder, run_time *taken) {
  char parameters[128];
  snprintf(parameters, sizeof parameters, "%s/affine.txt", folder);
  const char *const arguments[] = {program,    "-f",   fixed,  "-m",       image, "-p",
                                   parameters, "-out", folder, "-threads", "1",   NULL};
  return run_timed(arguments, taken);
}

static inline int numbers_after(const char *text, const char *key, int most, double *numbers) {
  const char *at = strstr(text, key);
  int count = 0;
  if (at == NULL) return 0;
  for (at += strlen(key); count < most; count++) {
    char *end;
    numbers[count] = strtod(at, &end);
    if (end == at) break;
    at = end;
  }
  return count;
}

// elastix's affine maps fixed to moving points in LPS: A (x - centre) + t + centre.
static inline sb_status elastix_read(const char *path, double map[16]) {
  char *text;
  size_t bytes;
  double p[12], centre[3];
  sb_status status = sb_read_file(path, &text, &bytes);
  if (status.code != SB_OK) return status;
  if (numbers_after(text, "(TransformParameters ", 12, p) != 12 ||
      numbers_after(text, "(CenterOfRotationPoint ", 3, centre) != 3)
    status = sb_error(SB_FORMAT, "%s: no affine transform in it", path);
  free(text);
  if (status.code != SB_OK) return status;
  sb_affine_identity(map);
  static const double lps[3] = {-1, -1, 1};
  for (int i = 0; i < 3; i++) {
    double shift = p[9 + i] + centre[i];
    for (int j = 0; j < 3; j++) {
      shift -= p[3 * i + j] * centre[j];
      map[4 * i + j] = lps[i] * p[3 * i + j] * lps[j];
    }
    map[4 * i + 3] = lps[i] * shift;
  }
  return status;
}

#endif
