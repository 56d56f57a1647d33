/* file.c - the one loop that reads a small file, and the one judgement of files with secrets. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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

static enum err check_private(int fd, const char *what, const char *path, bool credential, struct why *w)
{
	const mode_t refused = credential ? S_IWGRP | S_IRWXO : S_IRWXG | S_IRWXO;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fault(what, path, "examined", w);
	if (!S_ISREG(st.st_mode))
		return why_set(w, ERR_ENVIRONMENT, "%s %s is not a regular file", what, path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return why_set(w, ERR_ENVIRONMENT, "%s %s belongs to user %u; give it to the server's own user (chown)",
			       what, path, (unsigned)st.st_uid);
	if ((st.st_mode & refused) != 0)
		return why_set(w, ERR_ENVIRONMENT,
			       "%s %s can be reached by other users (mode %04o); restrict it with chmod 600", what,
			       path, (unsigned)(st.st_mode & 07777));
	return ERR_OK;
}

enum err file_open_private(int dir, const char *name, const char *what, const char *path, bool credential, int *out,
			   struct why *w)
{
	/* Without O_NONBLOCK a FIFO in its place would hang the start. */
	const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ELOOP)
		return why_set(w, ERR_ENVIRONMENT, "%s %s is a symbolic link; name the file itself", what, path);
	if (fd < 0)
		return fault(what, path, "opened", w);
	errno = 0;
	const enum err e = check_private(fd, what, path, credential, w);
	if (e != ERR_OK) {
		const int error = errno;
		close(fd);
		errno = error;
		return e;
	}
	*out = fd;
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
