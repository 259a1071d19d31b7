// Smooth random fields on a regular grid, and looking such fields up between the grid's nodes.
#ifndef SB_SYNTH_FIELD_H
#define SB_SYNTH_FIELD_H

#include <stdint.h>

#include "samebrain/status.h"

// Nodes at origin + step * (i, j, k) millimetres; a field's value c of node (i,j,k) is
// values[channels * (i + dims[0] * (j + dims[1] * k)) + c].
typedef struct sb_lattice {
  int64_t dims[3];
  double origin[3], step_mm;
} sb_lattice;

int64_t sb_lattice_nodes(const sb_lattice *lattice);

// Adds to channel `channel` a random field of zero mean, standard deviation `amplitude` and the
// smoothness of white noise under a Gaussian of `sigma_mm`: a cubic B-spline whose coefficients are
// independent normal values. Errors: SB_NO_MEMORY.
sb_status sb_field_add(const sb_lattice *lattice, double sigma_mm, double amplitude, uint64_t key,
                       int channels, int channel, float *values);

// All channels (at most 8) at a point in millimetres, trilinear; the edge's value beyond the grid.
void sb_field_sample(const sb_lattice *lattice, int channels, const float *values,
                     const double point_mm[3], float *out);

#endif
