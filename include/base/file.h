/* file.h - reading a small file in one go, into memory of the caller's, which may be locked.
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
/* The whole file at `path`. */
enum err file_load(const char *what, const char *path, uint8_t *out, size_t size, size_t *n, struct why *w) MUST_USE;

#endif
