// What an object says under a name, or what to take where it does not.
#ifndef SB_ENGINE_JSON_H
#define SB_ENGINE_JSON_H

#include <math.h>

#include <cjson/cJSON.h>

static inline const cJSON *sb_json_at(const cJSON *object, const char *name) {
  return cJSON_GetObjectItemCaseSensitive(object, name);
}

static inline double sb_json_number_or(const cJSON *object, const char *name, double otherwise) {
  const cJSON *item = sb_json_at(object, name);
  return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

// NaN where it is no number.
static inline double sb_json_number(const cJSON *object, const char *name) {
  return sb_json_number_or(object, name, (double)NAN);
}

// "" where it is no text.
static inline const char *sb_json_text(const cJSON *object, const char *name) {
  const cJSON *item = sb_json_at(object, name);
  return cJSON_IsString(item) ? item->valuestring : "";
}

#endif
