#include "core/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/memory.h"

sb_status sb_lock_file(int file, const char *path, bool wait) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  int result;
  do result = fcntl(file, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
  while (result != 0 && errno == EINTR);
  if (result == 0) return sb_ok();
  if (errno == EAGAIN || errno == EACCES)
    return sb_error(SB_BUSY, "%s: another process is writing it", path);
  return sb_error(SB_IO, "%s: cannot lock: %s (a file system with fcntl locks is needed)", path,
                  strerror(errno));
}

// ---- Holding a folder ---------------------------------------------------------------------------

static sb_status say_busy(const sb_hold *hold) {
  char who[200];
  const ssize_t bytes = pread(hold->file, who, sizeof who - 1, 0);
  who[bytes > 0 ? bytes : 0] = '\0';
  who[strcspn(who, "\n")] = '\0';
  return sb_error(SB_BUSY,
                  "%s: another run writes its results there (%s); wait until it has ended, or name "
                  "another folder",
                  hold->folder, who[0] != '\0' ? who : "a process that has just begun");
}

// Over NFS others see it once it is synced.
static sb_status say_who(const sb_hold *hold) {
  char host[100] = "", since[40] = "", who[200];
  const time_t now = time(NULL);
  struct tm utc;
  gethostname(host, sizeof host - 1);
  if (gmtime_r(&now, &utc) != NULL) strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", &utc);
  const int length =
      snprintf(who, sizeof who, "process %ld on %s since %s\n", (long)getpid(), host, since);
  if (ftruncate(hold->file, 0) != 0 || pwrite(hold->file, who, (size_t)length, 0) != length ||
      fdatasync(hold->file) != 0)
    return sb_error(SB_IO, "%s: cannot write: %s", hold->path, strerror(errno));
  return sb_ok();
}

// Opens and locks the file. What its holder removed between the two holds nothing: *gone.
static sb_status lock_path(sb_hold *hold, bool *gone) {
  struct stat about;
  *gone = false;
  hold->file = open(hold->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (hold->file < 0) return sb_error(SB_IO, "%s: cannot write: %s", hold->path, strerror(errno));
  sb_status status = sb_lock_file(hold->file, hold->path, false);
  if (status.code == SB_BUSY) status = say_busy(hold);
  *gone = status.code == SB_OK && (fstat(hold->file, &about) != 0 || about.st_nlink == 0);
  if (status.code == SB_OK && !*gone) return status;
  close(hold->file);
  hold->file = -1;
  return status;
}

sb_status sb_hold_take(const char *folder, sb_hold *out) {
  bool gone = true;
  *out = (sb_hold){.folder = sb_strdup(folder),
                   .path = sb_path_join(folder, SB_HOLD_FILE),
                   .file = -1,
                   .made = !sb_is_folder(folder)};
  if (out->folder == NULL || out->path == NULL) {
    free(out->folder);
    free(out->path);
    memset(out, 0, sizeof *out);
    return sb_error(SB_NO_MEMORY, "%s: out of memory", folder);
  }
  sb_status status;
  SB_TRY(sb_make_folder(folder));
  while (gone) SB_TRY(lock_path(out, &gone));
  SB_TRY(say_who(out));
cleanup:
  if (status.code != SB_OK) sb_hold_release(out);
  return status;
}

void sb_hold_release(sb_hold *hold) {
  if (hold->folder == NULL) return;
  if (hold->file >= 0) {
    unlink(hold->path); // before the lock is dropped: afterwards it may be somebody else's
    close(hold->file);
  }
  if (hold->made) rmdir(hold->folder); // stays where it holds something
  free(hold->folder);
  free(hold->path);
  memset(hold, 0, sizeof *hold);
}
