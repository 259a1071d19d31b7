#include "evaluate/values.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool sb_value_number(const char *text, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && isfinite(*value);
}

static int digits(const char *text) {
  int count = 0;
  while (isdigit((unsigned char)text[count])) count++;
  return count;
}

// By the civil calendar, whose years begin in March here.
bool sb_value_date(const char *text, double *years) {
  static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year, month, day;
  if (digits(text) == 8 && text[8] == '\0') {
    const int whole = atoi(text);
    year = whole / 10000;
    month = whole / 100 % 100;
    day = whole % 100;
    if (year < 1900 || year > 2100) return false; // a number
  } else {
    if (digits(text) != 4 || text[4] != '-' || digits(text + 5) != 2 || text[7] != '-' ||
        digits(text + 8) != 2)
      return false;
    year = atoi(text);
    month = atoi(text + 5);
    day = atoi(text + 8);
    const char *time = text + 10;
    if (*time != '\0' && ((*time != 'T' && *time != ' ') || digits(time + 1) == 0)) return false;
  }
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1]) return false;
  if (month == 2 && day == 29 && !leap) return false;
  int from_march = year - (month <= 2);
  int days = 365 * from_march + from_march / 4 - from_march / 100 + from_march / 400 +
             (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719468;
  *years = 1970 + days / 365.25;
  return true;
}

bool sb_value_same(const char *a, const char *b) {
  double x, y;
  if (strcmp(a, b) == 0) return true;
  if (sb_value_date(a, &x)) return sb_value_date(b, &y) && x == y;
  return sb_value_number(a, &x) && sb_value_number(b, &y) && x == y;
}
