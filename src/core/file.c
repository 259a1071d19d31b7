#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"

char *sb_path_join(const char *folder, const char *name) {
  size_t length = strlen(folder);
  return sb_format("%s%s%s", folder, length > 0 && folder[length - 1] == '/' ? "" : "/", name);
}

char *sb_path_base(const char *path) {
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') end--;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') start--;
  return sb_format("%.*s", (int)(end - start), path + start);
}

char *sb_path_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return sb_strdup(".");
  if (slash == path) return sb_strdup("/");
  return sb_format("%.*s", (int)(slash - path), path);
}

char *sb_path_absolute(const char *path) {
  char *folder = sb_path_folder(path), *absolute = NULL;
  char *real = folder == NULL ? NULL : realpath(folder, NULL);
  const char *slash = strrchr(path, '/');
  if (real != NULL) absolute = sb_path_join(real, slash == NULL ? path : slash + 1);
  if (real == NULL && folder != NULL) absolute = sb_strdup(path);
  free(folder);
  free(real);
  return absolute;
}

char *sb_path_real(const char *path) {
  char *real = realpath(path, NULL);
  return real != NULL ? real : sb_strdup(path);
}

bool sb_ends_with(const char *text, const char *ending) {
  size_t a = strlen(text), b = strlen(ending);
  return a >= b && strcmp(text + a - b, ending) == 0;
}

sb_status sb_open_error(const char *path, int reason) {
  struct stat info;
  if (reason == ENOENT && lstat(path, &info) == 0 && S_ISLNK(info.st_mode))
    return sb_error(SB_NOT_FOUND,
                    "%s: a link, and its content is not here; in a DataLad or git-annex data set "
                    "fetch it: datalad get, or git annex get",
                    path);
  return sb_error(reason == ENOENT ? SB_NOT_FOUND : SB_IO, "%s: cannot open: %s", path,
                  strerror(reason));
}

bool sb_is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool sb_is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

sb_status sb_make_folder(const char *path) {
  if (path[0] == '\0') return sb_error(SB_USAGE, "the name of a folder is empty");
  char *partial = sb_strdup(path);
  if (partial == NULL) return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  sb_status status = sb_ok();
  for (char *at = partial + 1; status.code == SB_OK; at++) {
    if (*at != '/' && *at != '\0') continue;
    char kept = *at;
    *at = '\0';
    if (mkdir(partial, 0700) != 0 && !(errno == EEXIST && sb_is_folder(partial)))
      status = sb_error(SB_IO, "%s: cannot make the folder: %s", partial,
                        strerror(errno == EEXIST ? ENOTDIR : errno));
    *at = kept;
    if (kept == '\0') break;
  }
  free(partial);
  return status;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

sb_status sb_list_folder(const char *path, char ***names, size_t *count) {
  *names = NULL;
  *count = 0;
  DIR *folder = opendir(path);
  if (folder == NULL)
    return sb_error(errno == ENOENT ? SB_NOT_FOUND : SB_IO, "%s: cannot open the folder: %s", path,
                    strerror(errno));
  sb_status status = sb_ok();
  size_t capacity = 0;
  const struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (*count == capacity) {
      capacity = capacity == 0 ? 64 : 2 * capacity;
      char **grown = realloc(*names, capacity * sizeof *grown);
      if (grown == NULL) {
        status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
        goto cleanup;
      }
      *names = grown;
    }
    char *name = sb_strdup(entry->d_name);
    if (name == NULL) {
      status = sb_error(SB_NO_MEMORY, "%s: out of memory", path);
      goto cleanup;
    }
    (*names)[(*count)++] = name;
  }
  if (*count > 1) qsort(*names, *count, sizeof **names, compare_names);
cleanup:
  closedir(folder);
  if (status.code != SB_OK) {
    sb_free_names(*names, *count);
    *names = NULL;
    *count = 0;
  }
  return status;
}

void sb_free_names(char **names, size_t count) {
  if (names == NULL) return;
  for (size_t i = 0; i < count; i++) free(names[i]);
  free((void *)names);
}

sb_status sb_read_file(const char *path, char **data, size_t *bytes) {
  *data = NULL;
  *bytes = 0;
  FILE *file = fopen(path, "rb");
  if (file == NULL) return sb_open_error(path, errno);
  sb_status status = sb_ok();
  size_t capacity = 0, used = 0;
  char *buffer = NULL;
  for (;;) {
    if (capacity - used < 2) {
      capacity = capacity == 0 ? 1 << 16 : 2 * capacity;
      char *grown = realloc(buffer, capacity);
      if (grown == NULL) {
        status = sb_error(SB_NO_MEMORY, "%s: out of memory for %zu bytes", path, capacity);
        goto cleanup;
      }
      buffer = grown;
    }
    size_t got = fread(buffer + used, 1, capacity - used - 1, file);
    used += got;
    if (got == 0) break;
  }
  if (ferror(file)) {
    status = sb_error(SB_IO, "%s: cannot read: %s", path, strerror(errno));
    goto cleanup;
  }
  buffer[used] = '\0';
  *data = buffer;
  *bytes = used;
  buffer = NULL;
cleanup:
  free(buffer);
  fclose(file);
  return status;
}

void sb_file_expect(const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return; // reading it will tell
  posix_fadvise(file, 0, 0, POSIX_FADV_WILLNEED);
  close(file);
}

sb_status sb_sync_folder(const char *path) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return sb_error(SB_IO, "%s: cannot open the folder: %s", path, strerror(errno));
  sb_status status = sb_ok();
  // Some network file systems cannot sync a folder and say EINVAL.
  if (fsync(folder) != 0 && errno != EINVAL)
    status = sb_error(SB_IO, "%s: cannot sync the folder: %s", path, strerror(errno));
  close(folder);
  return status;
}

static sb_status sync_folder_of(const char *path) {
  char *folder = sb_path_folder(path);
  sb_status status =
      folder == NULL ? sb_error(SB_NO_MEMORY, "%s: out of memory", path) : sb_sync_folder(folder);
  free(folder);
  return status;
}

sb_status sb_file_create(const char *path, sb_new_file *out) {
  memset(out, 0, sizeof *out);
  out->path = sb_strdup(path);
  out->temporary = sb_format("%s.%ld.part", path, (long)getpid());
  if (out->path == NULL || out->temporary == NULL) {
    sb_file_abandon(out);
    return sb_error(SB_NO_MEMORY, "%s: out of memory", path);
  }
  int descriptor = open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor >= 0) {
    out->file = fdopen(descriptor, "wb");
    if (out->file == NULL) close(descriptor);
  }
  if (out->file == NULL) {
    sb_status status = sb_error(SB_IO, "%s: cannot write: %s", path, strerror(errno));
    sb_file_abandon(out);
    return status;
  }
  return sb_ok();
}

static sb_status sync_and_close(sb_new_file *file) {
  bool failed = fflush(file->file) != 0 || ferror(file->file) || fsync(fileno(file->file)) != 0;
  int reason = errno;
  if (fclose(file->file) != 0 && !failed) {
    failed = true;
    reason = errno;
  }
  file->file = NULL;
  return failed ? sb_error(SB_IO, "%s: cannot write: %s", file->path, strerror(reason)) : sb_ok();
}

sb_status sb_file_complete(sb_new_file *file) {
  if (file->file == NULL) return sb_error(SB_USAGE, "no file is open to be completed");
  sb_status status = sync_and_close(file);
  if (status.code != SB_OK) sb_file_abandon(file);
  return status;
}

sb_status sb_file_commit(sb_new_file *file) {
  if (file->temporary == NULL) return sb_error(SB_USAGE, "no file is open to be committed");
  sb_status status = file->file != NULL ? sync_and_close(file) : sb_ok();
  if (status.code == SB_OK && rename(file->temporary, file->path) != 0)
    status = sb_error(SB_IO, "%s: cannot write: %s", file->path, strerror(errno));
  if (status.code == SB_OK) {
    free(file->temporary); // it has its final name: nothing to remove
    file->temporary = NULL;
    status = sync_folder_of(file->path);
  }
  sb_file_abandon(file);
  return status;
}

void sb_file_abandon(sb_new_file *file) {
  if (file->file != NULL) fclose(file->file);
  if (file->temporary != NULL) unlink(file->temporary);
  free(file->temporary);
  free(file->path);
  memset(file, 0, sizeof *file);
}

sb_status sb_write_file(const char *path, const char *text, size_t bytes) {
  sb_new_file file;
  sb_status status = sb_file_create(path, &file);
  if (status.code != SB_OK) return status;
  fwrite(text, 1, bytes, file.file);
  return sb_file_commit(&file);
}
