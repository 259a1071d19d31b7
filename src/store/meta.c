// store.json: writing, reading and comparing what every row of a store has in common.
#include "store/meta.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/memory.h"

static const char FORMAT[] = "samebrain store";
enum { VERSION = 1 };

int64_t sb_store_meta_voxels(const sb_store_meta *meta) {
  return meta->grid_dims[0] * meta->grid_dims[1] * meta->grid_dims[2];
}

int64_t sb_store_meta_mask_bytes(const sb_store_meta *meta) {
  return (sb_store_meta_voxels(meta) + 7) / 8;
}

// ---- Writing ------------------------------------------------------------------------------------

// cJSON prints numbers to 15 digits where that is close; these must come back exactly.
static void add_number(cJSON *object, const char *name, double value) {
  char text[40];
  snprintf(text, sizeof text, "%.17g", value);
  cJSON_AddRawToObject(object, name, text);
}

static void add_numbers(cJSON *object, const char *name, const double *values, int count) {
  cJSON *array = cJSON_AddArrayToObject(object, name);
  for (int i = 0; i < count; i++) {
    char text[40];
    snprintf(text, sizeof text, "%.17g", values[i]);
    cJSON_AddItemToArray(array, cJSON_CreateRaw(text));
  }
}

static void add_text_hash(cJSON *object, const char *name, const char *text) {
  sb_sha256 hash;
  char hex[SB_SHA256_HEX];
  sb_sha256_start(&hash);
  sb_sha256_add(&hash, text, strlen(text));
  sb_sha256_end(&hash, hex);
  cJSON_AddStringToObject(object, name, hex);
}

sb_status sb_store_meta_write(const char *store, const sb_store_meta *meta) {
  sb_status status = sb_error(SB_NO_MEMORY, "%s: out of memory for store.json", store);
  char *text = NULL, *path = sb_path_join(store, "store.json");
  double dims[3] = {(double)meta->grid_dims[0], (double)meta->grid_dims[1],
                    (double)meta->grid_dims[2]};
  cJSON *root = cJSON_CreateObject();
  if (root == NULL || path == NULL) goto cleanup;
  cJSON_AddStringToObject(root, "format", FORMAT);
  cJSON_AddNumberToObject(root, "version", VERSION);
  cJSON_AddStringToObject(root, "made_by", "samebrain " SAMEBRAIN_VERSION);
  cJSON_AddStringToObject(root, "template_hash", meta->template_hash);
  cJSON_AddStringToObject(root, "template_path", meta->template_path);
  cJSON_AddStringToObject(root, "parameters", meta->parameters);
  add_text_hash(root, "parameters_sha256", meta->parameters);
  add_number(root, "resolution_mm", meta->resolution_mm);
  add_numbers(root, "grid_dims", dims, 3);
  add_numbers(root, "grid_affine", meta->grid_affine, 16);
  add_number(root, "row_length", (double)meta->row_length);
  cJSON_AddStringToObject(root, "row_type", "<f2");
  cJSON_AddStringToObject(root, "row_order", "voxels of mask.nii.gz in C order of (z, y, x)");
  cJSON_AddStringToObject(root, "row_transform",
                          "harmonised value = float16 value * scale + offset");
  cJSON_AddStringToObject(root, "template_file_sha256", meta->template_file_sha256);
  cJSON_AddStringToObject(root, "mask_file_sha256", meta->mask_file_sha256);
  text = cJSON_Print(root);
  if (text == NULL) goto cleanup;
  status = sb_write_file(path, text, strlen(text));
cleanup:
  cJSON_free(text);
  cJSON_Delete(root);
  free(path);
  return status;
}

// ---- Reading ------------------------------------------------------------------------------------

static bool get_text(const cJSON *root, const char *name, char **out) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
  if (!cJSON_IsString(item)) return false;
  *out = sb_strdup(item->valuestring);
  return *out != NULL;
}

static bool get_hash(const cJSON *root, const char *name, char out[SB_SHA256_HEX]) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
  if (!cJSON_IsString(item) || strlen(item->valuestring) != SB_SHA256_HEX - 1) return false;
  memcpy(out, item->valuestring, SB_SHA256_HEX);
  return true;
}

static bool get_number(const cJSON *item, double min, double max, double *out) {
  if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max))
    return false;
  *out = item->valuedouble;
  return true;
}

static bool get_numbers(const cJSON *root, const char *name, double limit, int count, double *out) {
  const cJSON *array = cJSON_GetObjectItemCaseSensitive(root, name);
  if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != count) return false;
  for (int i = 0; i < count; i++)
    if (!get_number(cJSON_GetArrayItem(array, i), -limit, limit, &out[i])) return false;
  return true;
}

// Everything but format and version. False when something is missing or impossible.
static bool fill(const cJSON *root, sb_store_meta *meta) {
  double dims[3], length;
  if (!get_text(root, "template_hash", &meta->template_hash) ||
      !get_text(root, "template_path", &meta->template_path) ||
      !get_text(root, "parameters", &meta->parameters) ||
      !get_hash(root, "template_file_sha256", meta->template_file_sha256) ||
      !get_hash(root, "mask_file_sha256", meta->mask_file_sha256) ||
      !get_number(cJSON_GetObjectItemCaseSensitive(root, "resolution_mm"), 1e-3, 1e3,
                  &meta->resolution_mm) ||
      !get_numbers(root, "grid_dims", 32767, 3, dims) ||
      !get_numbers(root, "grid_affine", 1e9, 16, meta->grid_affine) ||
      !get_number(cJSON_GetObjectItemCaseSensitive(root, "row_length"), 1, 0x1p45, &length))
    return false;
  for (int i = 0; i < 3; i++) meta->grid_dims[i] = (int64_t)dims[i];
  meta->row_length = (int64_t)length;
  for (int i = 0; i < 3; i++)
    if (meta->grid_dims[i] < 1) return false;
  return meta->row_length <= sb_store_meta_voxels(meta);
}

sb_status sb_store_meta_read(const char *store, sb_store_meta *meta) {
  memset(meta, 0, sizeof *meta);
  char *text = NULL, *path = sb_path_join(store, "store.json");
  size_t bytes;
  cJSON *root = NULL;
  sb_status status = sb_ok();
  if (path == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", store);
  SB_TRY(sb_read_file(path, &text, &bytes));
  root = cJSON_ParseWithLength(text, bytes);
  const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
  const cJSON *version = cJSON_GetObjectItemCaseSensitive(root, "version");
  if (!cJSON_IsString(format) || strcmp(format->valuestring, FORMAT) != 0 ||
      !cJSON_IsNumber(version))
    status = sb_error(SB_FORMAT, "%s: damaged, or not a samebrain store's", path);
  else if (version->valueint != VERSION)
    status = sb_error(SB_FORMAT, "%s: of version %d, where this samebrain knows version %d", path,
                      version->valueint, VERSION);
  else if (!fill(root, meta))
    status = sb_error(SB_FORMAT, "%s: damaged (an entry is missing or impossible)", path);
cleanup:
  if (status.code == SB_NOT_FOUND)
    status = sb_error(SB_NOT_FOUND,
                      "%s: no samebrain store here (no store.json); "
                      "samebrain prepare makes one",
                      store);
  if (status.code != SB_OK) sb_store_meta_free(meta);
  cJSON_Delete(root);
  free(text);
  free(path);
  return status;
}

void sb_store_meta_free(sb_store_meta *meta) {
  free(meta->template_hash);
  free(meta->template_path);
  free(meta->parameters);
  memset(meta, 0, sizeof *meta);
}

// ---- Comparing ----------------------------------------------------------------------------------

// The first word in which two lines of parameters differ: its place and length in each.
static void first_difference(const char **a, int *a_length, const char **b, int *b_length) {
  for (;;) {
    *a += strspn(*a, " ");
    *b += strspn(*b, " ");
    *a_length = (int)strcspn(*a, " ");
    *b_length = (int)strcspn(*b, " ");
    if (*a_length != *b_length || *a_length == 0 || strncmp(*a, *b, (size_t)*a_length) != 0) return;
    *a += *a_length;
    *b += *b_length;
  }
}

static bool same_grid(const sb_store_meta *a, const sb_store_meta *b) {
  for (int i = 0; i < 16; i++)
    if (fabs(a->grid_affine[i] - b->grid_affine[i]) > 1e-6) return false;
  return memcmp(a->grid_dims, b->grid_dims, sizeof a->grid_dims) == 0 &&
         a->row_length == b->row_length;
}

sb_status sb_store_meta_compare(const sb_store_meta *a, const char *first, const sb_store_meta *b,
                                const char *second, const char *advice) {
  if (fabs(a->resolution_mm - b->resolution_mm) > 1e-9)
    return sb_error(SB_CONFLICT, "the resolution differs: %s has %g mm, %s has %g mm; %s", first,
                    a->resolution_mm, second, b->resolution_mm, advice);
  if (strcmp(a->template_hash, b->template_hash) != 0)
    return sb_error(SB_CONFLICT,
                    "the template differs: %s has %.12s (from %s), %s has %.12s (from %s); %s",
                    first, a->template_hash, a->template_path, second, b->template_hash,
                    b->template_path, advice);
  if (!same_grid(a, b))
    return sb_error(SB_CONFLICT,
                    "the grid differs: %s has %" PRId64 " x %" PRId64 " x %" PRId64 ", %" PRId64
                    " in the mask, %s has %" PRId64 " x %" PRId64 " x %" PRId64 ", %" PRId64
                    " in the mask; %s",
                    first, a->grid_dims[0], a->grid_dims[1], a->grid_dims[2], a->row_length, second,
                    b->grid_dims[0], b->grid_dims[1], b->grid_dims[2], b->row_length, advice);
  if (strcmp(a->parameters, b->parameters) != 0) {
    const char *x = a->parameters, *y = b->parameters;
    int x_length, y_length;
    first_difference(&x, &x_length, &y, &y_length);
    return sb_error(SB_CONFLICT, "a parameter differs: %s has \"%.*s\", %s has \"%.*s\"; %s", first,
                    x_length, x, second, y_length, y, advice);
  }
  return sb_ok();
}
