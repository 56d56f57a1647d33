/* file.h - reading a small file in one go, into memory of the caller's, which may be locked; files with secrets;
 * writing.
 *
 * At most `size` bytes are read: give one more than is acceptable, and *n == size means too long. Faults are
 * ERR_ENVIRONMENT and read "WHAT PATH cannot be read: REASON" (what: "the key file"); errno still tells the reason,
 * and nothing of the file stays in `out`.
 */
#ifndef ATTESTD_BASE_FILE_H
#define ATTESTD_BASE_FILE_H

#include "base/bytes.h"

/* From where fd stands to its end. */
enum err file_read(int fd, const char *what, const char *path, uint8_t *out, size_t size, size_t *n,
		   struct why *w) MUST_USE;
/* Opens `name` in the directory `dir` (or AT_FDCWD) for reading: a regular file of this user's or root's, no symbolic
 * link, that other users can neither read nor write. credential: the group may read it, as systemd hands them out.
 * `path` is what messages call it. errno is ENOENT only if there is none. */
enum err file_open_private(int dir, const char *name, const char *what, const char *path, bool credential, int *fd,
			   struct why *w) MUST_USE;
/* Opens what is at `path` and never waits for it: a regular file. piped: also a pipe that somebody opened for this
 * process (<(command) in a shell, /dev/stdin), but no FIFO, and a device, as far as it has something at once. */
enum err file_open(const char *what, const char *path, int flags, bool piped, int *fd, struct why *w) MUST_USE;
/* All of what file_open opens, piped. */
enum err file_load(const char *what, const char *path, uint8_t *out, size_t size, size_t *n, struct why *w) MUST_USE;

/* All of it. False, with errno: it cannot be. */
bool file_write(int fd, struct bytes text) MUST_USE;

#endif
