// A C++ program outside the project: the functions of the installed headers link, and work.
#include <samebrain/samebrain.h>

#include <cstdio>
#include <cstring>

int main() {
  int measures = 0;
  for (const sb_measure_info *info; (info = sb_measure_at(std::size_t(measures))) != nullptr;
       measures++)
    if (sb_measure_find(info->name) != info) return 1;
  sb_template_options options = sb_template_options_default();
  options.image_path = "no-such-file.nii";
  sb_template *t = nullptr;
  sb_status status = sb_template_load(&options, &t);
  if (measures == 0 || t != nullptr || std::strcmp(sb_code_name(status.code), "not_found") != 0) {
    std::fprintf(stderr, "consumer: %d measures; %s\n", measures, status.message);
    return 1;
  }
  return 0;
}
