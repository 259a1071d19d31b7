// The page's style sheet and script: page.css and page.js beside this file, made into strings by CMake.
#ifndef SB_REPORT_ASSETS_H
#define SB_REPORT_ASSETS_H

extern const char sb_page_css[], sb_page_js[];

#endif
