/* private_file.h - files that hold keys: theirs is a mode that lets nobody else read them, from their first byte on.
 * Private to src/cmd. Faults are ERR_ENVIRONMENT with what to do; `what` is "the key file".
 */
#ifndef ATTESTD_CMD_PRIVATE_FILE_H
#define ATTESTD_CMD_PRIVATE_FILE_H

#include <sys/types.h>

#include "base/bytes.h"

enum { PRIVATE_MODE = 0600, PUBLIC_MODE = 0644 };

/* At most `max` bytes into *out, which is made here and freed by the caller in any case. A file that group or others
 * may read or write is refused, with the command that mends it. path "-": the standard input, whatever its mode. */
enum err private_file_read(const char *what, const char *path, size_t max, struct buf *out, struct why *w) MUST_USE;

/* There is nothing at `path`, not even a link that leads nowhere. */
enum err private_file_absent(const char *what, const char *path, struct why *w) MUST_USE;
/* A new file, whatever the umask; an existing one is never touched. Written to the disk, or not there. */
enum err private_file_create(const char *what, const char *path, mode_t mode, struct bytes text,
			     struct why *w) MUST_USE;
/* A new file takes the place of what is at `path`, all at once and lastingly. */
enum err private_file_replace(const char *what, const char *path, mode_t mode, struct bytes text,
			      struct why *w) MUST_USE;

/* A private file that nobody else reads to change it before it is closed. */
struct private_file {
	int fd;
	char *path; /* without symbolic links */
};
/* Waits for others. The file at `path` when this returns is the one that was read. */
enum err private_file_lock(const char *what, const char *path, size_t max, struct private_file *f, struct buf *out,
			   struct why *w) MUST_USE;
/* Overwrites and removes it. */
enum err private_file_destroy(const char *what, struct private_file *f, struct why *w) MUST_USE;
void private_file_unlock(struct private_file *f); /* also of one that was never locked: {-1, NULL} */

#endif
