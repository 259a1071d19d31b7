// From a scan to a row: alignment to a template brain, harmonised intensities, quality figures.
#ifndef SAMEBRAIN_PREPARE_H
#define SAMEBRAIN_PREPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samebrain/status.h"
#include "samebrain/volume.h"

// A template brain: the image that scans are aligned to, and the grid and mask that rows live on.
// Immutable after loading and safe to share between threads.
typedef struct sb_template sb_template;

// Where the template comes from and how fine the grid of the rows is.
typedef struct sb_template_options {
  const char *image_path; // NULL: $SAMEBRAIN_TEMPLATE, else Colin27 as Debian's mricron-data has it
  const char *mask_path;  // NULL: where the template's image is above zero
  const char *head_path;  // the template's whole head, on its grid, for scans that are not
                          // skull-stripped; NULL: Colin27's head and brain, where installed
  double resolution_mm;   // of the rows' grid: 1, 2, 3 or 4
} sb_template_options;

SB_API sb_template_options sb_template_options_default(void);

// Loads a template. Errors: those of sb_volume_load; SB_NOT_FOUND says where it looked;
// SB_CONFLICT when image and mask have different grids; SB_USAGE for another resolution.
SB_API sb_status sb_template_load(const sb_template_options *options, sb_template **out);
SB_API void sb_template_free(sb_template *t);

// The grid of the rows: dims[3] and the row-major 4x4 voxel-to-RAS-mm affine.
SB_API const int64_t *sb_template_grid_dims(const sb_template *t);
SB_API const double *sb_template_grid_affine(const sb_template *t);
// The mask on that grid (0 or 1, x fastest), dims[0] * dims[1] * dims[2] bytes.
SB_API const uint8_t *sb_template_mask(const sb_template *t);
// The template's own intensities on that grid, same order.
SB_API const float *sb_template_image(const sb_template *t);
// Number of voxels in the mask: the length V of a row.
SB_API int64_t sb_template_row_length(const sb_template *t);
// The index into the grid of each of the V row elements, ascending (C order of z, y, x).
SB_API const int64_t *sb_template_row_index(const sb_template *t);
// SHA-256 in hexadecimal of everything above: image, mask, grid, resolution.
SB_API const char *sb_template_hash(const sb_template *t);
// The path the image was read from.
SB_API const char *sb_template_path(const sb_template *t);

typedef struct sb_template_build_options {
  int rounds;  // of aligning and averaging; default 4
  int threads; // 0: all processors
} sb_template_build_options;

SB_API sb_template_build_options sb_template_build_options_default(void);

// Makes an average brain of skull-stripped scans, for sites without Colin27 or with other brains:
// FOLDER/template.nii.gz, 1 mm, 0 outside the brain, to be given to sb_template_load. The first
// scan sets the axes; size and shape are the cohort's mean. The same bytes for any thread count.
// The file appears when it is done; until then FOLDER/unfinished.nii.gz has the average so far.
//   used  out: how many scans are in the average; the others are named through `progress`
// Errors: SB_USAGE (no scans, or a template is there already), SB_BUSY (another run is making one
// there), SB_ALIGN (none could be used), those of sb_volume_load and sb_volume_save.
SB_API sb_status sb_template_build(const char *const *paths, size_t count,
                                   const sb_template_build_options *options,
                                   const sb_progress *progress, const char *folder, int64_t *used);

// How the scan's bias field (the coil's uneven gain) is taken off.
typedef enum sb_bias {
  SB_BIAS_AUTO = 0, // the one that links best; sb_preparer_parameters says which
  SB_BIAS_N4,       // histogram sharpening and a smooth spline (Tustison et al. 2010)
  SB_BIAS_GAIN,     // the quadratic gain that the alignment fits between scan and template
  SB_BIAS_OFF
} sb_bias;

typedef enum sb_harmonise {
  SB_HARMONISE_NYUL = 0, // landmarks matched to the template's (Nyul, Udupa and Zhang 2000)
  SB_HARMONISE_ZSCORE,   // mean 0, standard deviation 1 in the mask
  SB_HARMONISE_RANK,     // ranks, spread like a normal distribution (van der Waerden 1952)
  SB_HARMONISE_NONE
} sb_harmonise;

// What a row holds where the template's mask leaves the scan's own brain: stripping cuts
// differently each time.
typedef enum sb_outside {
  SB_OUTSIDE_SCAN = 0, // what the scan has there, harmonised like the rest
  SB_OUTSIDE_MEAN,     // 0, the mean of the standard scale
  SB_OUTSIDE_TEMPLATE, // what the template has there
  SB_OUTSIDE_FALLOFF   // the scan's values, fading to 0 over the edge of its brain
} sb_outside;

// Where scans are: wherever the scanner put them, or aligned to the template already.
typedef enum sb_space { SB_SPACE_NATIVE = 0, SB_SPACE_TEMPLATE } sb_space;

// What is done about the skull.
typedef enum sb_brain_mode {
  SB_BRAIN_AUTO = 0, // the brain is cut out where the scan is a whole head
  SB_BRAIN_STRIPPED, // scans are taken as skull-stripped
  SB_BRAIN_EXTRACT   // scans are taken as whole heads
} sb_brain_mode;

typedef struct sb_prepare_options {
  sb_space space;         // SB_SPACE_TEMPLATE: taken where they lie, after a check that they fit
  sb_brain_mode brain;    // default SB_BRAIN_AUTO; in SB_SPACE_TEMPLATE scans are stripped
  int dof;                // 12 (affine), or 6: of the affine map only rotation and shift are kept
  sb_bias bias;           // default SB_BIAS_AUTO
  double smooth_mm;       // sigma of a Gaussian before sampling; 0: a row's voxel averages its box
  sb_harmonise harmonise; // default SB_HARMONISE_NYUL
  sb_outside
      outside; // default SB_OUTSIDE_FALLOFF; SB_HARMONISE_NONE leaves it at what the scan has
  double winsor_sigma; // intensities beyond this many robust sigmas are pulled in; 0: none
} sb_prepare_options;

SB_API sb_prepare_options sb_prepare_options_default(void);

// How the brain was told from the rest of the scan.
typedef enum sb_brain_source {
  SB_BRAIN_WAS_STRIPPED = 0, // the scan came skull-stripped
  SB_BRAIN_WAS_MASKED,       // by a mask given with it
  SB_BRAIN_WAS_EXTRACTED     // here, out of a whole head
} sb_brain_source;

// How well a scan was placed; written beside its row.
typedef struct sb_quality {
  // Pearson correlation of row and template, before the row is filled outside the brain.
  double template_correlation;
  double mask_overlap;    // Dice of the scan's own brain and the template's mask
  double scale;           // cube root of the determinant of the template-to-scan matrix
  double rotation_deg;    // angle of its rotation part
  double translation_mm;  // distance of the brain's centre from where the header puts it
  double noise;           // standard deviation of the noise over the brain's mean intensity
  double handedness;      // NCC minus the NCC of the mirrored scan (below 0: maybe mirrored)
  double fit;             // NCC of scan and template at 2 mm, well inside the brain
  double lead;            // NCC of the best place minus that of the next best, at 4 mm
  double stretch;         // largest over smallest singular value of the matrix's 3x3 part
  double structure;       // correlation with the template between 4 and 10 mm, third worst octant
  double structure_whole; // the same over the whole brain
  double sharpness; // strength of that band over the template's: 1 when sharp, less when blurred
  int starts;       // places the search began from; 0: aligned elsewhere
  double off_mm;    // SB_SPACE_TEMPLATE: how far alignment would move it; else NaN
  sb_brain_source brain;
  // Of an extracted brain, else NaN: Dice with the template's, as the head was aligned, and the
  // share of the voxels around it that are as bright as tissue (more where the cut may be wrong).
  double extraction_overlap, extraction_edge;
  sb_orientation_source orientation;
  int64_t nonfinite_voxels;
} sb_quality;

// Whether there is a doubt about a scan that was taken, and which: `text` says so to a person.
SB_API bool sb_quality_doubt(const sb_quality *quality, char *text, size_t size);

// Processor time of each step of preparing one scan, which one thread does. Steps that were repeated for a second look count as
// often as they ran.
typedef struct sb_step_seconds {
  double load, brain, align, resample, bias, harmonise, check, outside;
} sb_step_seconds;

// One prepared scan. Arrays belong to it; free with sb_prepared_free.
typedef struct sb_prepared {
  float *row;                  // V harmonised intensities, the template mask's voxels in row order
  uint8_t *own_mask;           // the scan's own brain on the template grid, 0 or 1 per grid voxel
  double template_to_scan[16]; // row-major 4x4, template RAS mm to scan RAS mm
  sb_quality quality;
  bool unit_doubted; // of a file: see sb_volume_info
  double seconds;    // wall time
  sb_step_seconds steps;
} sb_prepared;

// Precomputed state for preparing many scans against one template; read-only after creation,
// so any number of threads may share it. The template must outlive it.
typedef struct sb_preparer sb_preparer;

SB_API sb_status sb_preparer_create(const sb_template *t, const sb_prepare_options *options,
                                    sb_preparer **out);
SB_API void sb_preparer_free(sb_preparer *preparer);

// A line that names every step and parameter that shapes a row, e.g.
// "align=affine12 resample=... harmonise=nyul winsor=2.5"; rows are comparable when these are
// equal.
SB_API const char *sb_preparer_parameters(const sb_preparer *preparer);

// Prepares one scan: load, find the brain (cut it out where the scan is a whole head), align,
// resample once from the original voxels, harmonise. The result depends on the file, template and
// options alone. Errors: those of sb_volume_load; SB_UNSUPPORTED for a whole head where there is no
// head to align it to, or that was to be taken as stripped; SB_ALIGN when no plausible alignment is
// found, or what was cut out is not like a brain (with its figures); SB_CONTENT when too little of
// the image is brain, or what was to be taken as a head is none.
SB_API sb_status sb_prepare_file(const sb_preparer *preparer, const char *path, sb_prepared *out);

// The same for a volume in memory (RAS order, as sb_volume_load gives it). Errors: also SB_USAGE (an
// empty volume, an affine that is singular, values that are not finite).
SB_API sb_status sb_prepare_volume(const sb_preparer *preparer, const sb_volume *volume,
                                   sb_prepared *out);

// The same for a scan whose brain is known: where `mask`, on the scan's grid, is above 0. The rest is
// taken away, in `volume` itself, and what is left is taken as stripped, whatever the options say.
// Errors: also SB_CONFLICT when the mask is on another grid.
SB_API sb_status sb_prepare_masked(const sb_preparer *preparer, sb_volume *volume,
                                   const sb_volume *mask, sb_prepared *out);

// The most memory that preparing a file holds at one time, beyond the template and the preparer: from
// its header, for the largest brain that the image can hold. Errors: as sb_volume_cost.
SB_API sb_status sb_prepare_memory(const sb_preparer *preparer, const char *path, int64_t *bytes);

SB_API void sb_prepared_free(sb_prepared *prepared);

#endif
