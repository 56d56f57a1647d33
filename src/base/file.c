/* file.c - the one loop that reads a small file. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static enum err fault(const char *what, const char *path, const char *done, struct why *w)
{
	const int error = errno;
	const enum err e = why_set(w, ERR_ENVIRONMENT, "%s %s cannot be %s: %s", what, path, done, strerror(error));
	errno = error;
	return e;
}

enum err file_read(int fd, const char *what, const char *path, uint8_t *out, size_t size, size_t *n, struct why *w)
{
	size_t have = 0;
	while (have < size) {
		const ssize_t got = read(fd, out + have, size - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			mem_wipe(out, have); /* leaves errno alone */
			return fault(what, path, "read", w);
		}
		if (got == 0)
			break;
		have += (size_t)got;
	}
	*n = have;
	return ERR_OK;
}

enum err file_load(const char *what, const char *path, uint8_t *out, size_t size, size_t *n, struct why *w)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fault(what, path, "opened", w);
	const enum err e = file_read(fd, what, path, out, size, n, w);
	const int error = errno;
	close(fd);
	errno = error;
	return e;
}
