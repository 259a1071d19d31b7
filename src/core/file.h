// Paths, folders and whole files.
#ifndef SB_CORE_FILE_H
#define SB_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "samebrain/status.h"

// "folder/name"; free() it; NULL only when memory is short.
char *sb_path_join(const char *folder, const char *name);
// The part after the last '/', trailing slashes ignored ("/a/b/" gives "b"); free() it.
char *sb_path_base(const char *path);
// The folder a path is in ("a/b" gives "a", "b" gives "."); free() it.
char *sb_path_folder(const char *path);
// The path from '/' on, links among its folders followed. The name itself stays as it is: a link that
// DataLad or git-annex keeps there points to where the content happens to be. free() it; the path
// as given where its folder cannot be found.
char *sb_path_absolute(const char *path);
// The path with all links followed, "x/" being "x"; free() it; as given where it cannot be found.
char *sb_path_real(const char *path);
bool sb_ends_with(const char *text, const char *ending);

// Why a file could not be opened, in words: SB_NOT_FOUND or SB_IO. `reason` is errno's value. A link
// to nothing is what DataLad and git-annex leave for content that was not fetched.
sb_status sb_open_error(const char *path, int reason);

bool sb_is_folder(const char *path);
bool sb_is_file(const char *path);

// Makes a folder and its missing parents, each 0700. An existing folder is fine.
sb_status sb_make_folder(const char *path);
// Names in a folder without "." and "..", in byte order. Free each and the array
// (sb_free_names). Errors: SB_NOT_FOUND, SB_IO.
sb_status sb_list_folder(const char *path, char ***names, size_t *count);
void sb_free_names(char **names, size_t count);

// A whole file, with a NUL after its last byte. free() it.
sb_status sb_read_file(const char *path, char **data, size_t *bytes);

// Asks the system to read a file ahead, without waiting for it; only a hint.
void sb_file_expect(const char *path);

// Brings the names in a folder to disk, so that a new or renamed file survives a power cut.
sb_status sb_sync_folder(const char *path);

// Writes a file so that it appears under its name only when complete: into a temporary name beside
// it, synced, then renamed, then the folder synced. Mode 0600.
//   sb_file_create   opens; `file` is a stdio stream
//   sb_file_complete syncs and closes: all of it is on disk, under its temporary name still
//   sb_file_commit   completes what is open, and renames
//   sb_file_abandon  closes and removes the temporary file; fine after commit and on a zeroed struct
// Where completing or committing fails the temporary file is removed. Files that replace others
// together are all completed before the first is committed: a full disk then costs nothing old.
typedef struct sb_new_file {
  FILE *file;
  char *path, *temporary;
} sb_new_file;

sb_status sb_file_create(const char *path, sb_new_file *out);
sb_status sb_file_complete(sb_new_file *file);
sb_status sb_file_commit(sb_new_file *file);
void sb_file_abandon(sb_new_file *file);

// All of `text` in one such file.
sb_status sb_write_file(const char *path, const char *text, size_t bytes);

#endif
