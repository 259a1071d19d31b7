// A prepared scan as an image.
#ifndef SB_STORE_INGEST_IMAGE_H
#define SB_STORE_INGEST_IMAGE_H

#include <stdbool.h>

#include "samebrain/store.h"

// Writes a row, put back on the template's grid, as
// FOLDER/[DATASET/][sub-X/[ses-Y/]anat/]SCANID_space-template_desc-prepared_T1w.nii.gz.
//   with_dataset  whether the dataset is a part of the path
// Errors: those of sb_make_folder and sb_volume_save.
sb_status sb_save_row_image(const sb_template *t, const sb_scan *scan, const float *row,
                            const char *folder, bool with_dataset);

#endif
