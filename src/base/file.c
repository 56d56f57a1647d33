/* file.c - the loops that read and write a small file, and the judgement of what is opened. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
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

bool file_write(int fd, struct bytes text)
{
	while (text.n > 0) {
		const ssize_t n = write(fd, text.p, text.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text = bytes_of(text.p + n, text.n - (size_t)n);
	}
	return true;
}

/* A socket, or a folder to be written. */
static enum err not_opened(const char *what, const char *path, struct why *w)
{
	if (errno == ENXIO || errno == EISDIR)
		return why_set(w, ERR_ENVIRONMENT, "%s %s is not a regular file", what, path);
	return fault(what, path, "opened", w);
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
		return not_opened(what, path, w);
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

/* It has no name in any folder, so whoever gave it to us had opened both of its ends: it ends when the writer does, and
 * what is behind a FIFO's name may never come. */
static bool is_open_pipe(int fd, const struct stat *st)
{
	struct statfs fs;
	return S_ISFIFO(st->st_mode) && fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

static enum err check_kind(int fd, const char *what, const char *path, bool piped, struct why *w)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fault(what, path, "examined", w);
	if (S_ISREG(st.st_mode) || (piped && S_ISCHR(st.st_mode)))
		return ERR_OK;
	errno = EINVAL;
	if (!piped)
		return why_set(w, ERR_ENVIRONMENT, "%s %s is not a regular file", what, path);
	if (!is_open_pipe(fd, &st))
		return why_set(
			w, ERR_ENVIRONMENT,
			"%s %s is not a regular file, and no pipe that is open already, as the one of <(command) in a shell is",
			what, path);
	const int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0 ? ERR_OK : fault(what, path, "read", w);
}

enum err file_open(const char *what, const char *path, int flags, bool piped, int *out, struct why *w)
{
	const int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return not_opened(what, path, w);
	const enum err e = check_kind(fd, what, path, piped, w);
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
	int fd = -1;
	enum err e = file_open(what, path, O_RDONLY, true, &fd, w);
	if (e != ERR_OK)
		return e;
	e = file_read(fd, what, path, out, size, n, w);
	const int error = errno;
	close(fd);
	errno = error;
	return e;
}
