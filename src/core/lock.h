// Locks between processes, also on different machines that share a file system.
//
// They are open-file-description locks (F_OFD_SETLK). Like classic record locks they die with the
// process (the kernel closes its files) and work over NFS. Unlike those they belong to one opened
// file, not to the process: two holders in one process exclude each other, and a reader in the same
// process that closes the file does not drop the lock.
#ifndef SB_CORE_LOCK_H
#define SB_CORE_LOCK_H

#include <stdbool.h>

#include "samebrain/status.h"

// Locks an open file for as long as it stays open. Errors: SB_BUSY (somebody else has it, and `wait`
// is false), SB_IO (the file system has no such locks).
sb_status sb_lock_file(int file, const char *path, bool wait);

// In a folder that is held: who holds it, as "process PID on HOST since TIME".
#define SB_HOLD_FILE ".results.lock"

// A folder held for writing. Zeroed: none is.
typedef struct sb_hold {
  char *folder, *path;
  int file;
  bool made; // the folder was not there before
} sb_hold;

// Makes the folder, where it is not there, and holds it until sb_hold_release or the end of the
// process. Only the lock counts: a file that a killed process left holds nothing and is taken over.
// Errors: SB_BUSY (who holds it, and what to do), SB_IO.
sb_status sb_hold_take(const char *folder, sb_hold *out);
// Removes the file, and a folder that was made and is empty. Fine on a zeroed one.
void sb_hold_release(sb_hold *hold);

#endif
