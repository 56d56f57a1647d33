/* private_file.c - files that hold keys. */
#include "private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static enum err fault(const char *what, const char *path, const char *done, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "%s %s cannot be %s: %s", what, path, done, strerror(errno));
}

/* ---- reading ---- */

static enum err check_mode(const char *what, const char *path, int fd, struct why *w)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return fault(what, path, "examined", w);
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return why_set(
			w, ERR_ENVIRONMENT,
			"%s %s may be read or written by others than you (mode %04o), so it may not be secret any "
			"more. If nobody had a look at it, mend it: chmod 600 %s",
			what, path, (unsigned)st.st_mode & 07777u, path);
	return ERR_OK;
}

static enum err read_fd(const char *what, const char *path, int fd, size_t max, struct buf *out, struct why *w)
{
	*out = BUF_INIT(max + 1);
	uint8_t *p = buf_reserve(out, max + 1);
	size_t n = 0;
	if (p == NULL)
		return buf_check(out, w);
	const enum err e = file_read(fd, what, path, p, max + 1, &n, w);
	if (e != ERR_OK)
		return e;
	out->n = n;
	if (n > max)
		return why_set(w, ERR_ENVIRONMENT, "%s %s is longer than %zu bytes", what, path, max);
	return ERR_OK;
}

enum err private_file_read(const char *what, const char *path, size_t max, struct buf *out, struct why *w)
{
	*out = BUF_INIT(max);
	if (strcmp(path, "-") == 0)
		return read_fd(what, "on the standard input", STDIN_FILENO, max, out, w);
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fault(what, path, "opened", w);
	enum err e = check_mode(what, path, fd, w);
	if (e == ERR_OK)
		e = read_fd(what, path, fd, max, out, w);
	(void)close(fd);
	return e;
}

/* ---- writing ---- */

static bool write_all(int fd, struct bytes text)
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

/* Closes fd in any case; errno is of the first fault. */
static bool finish(int fd, mode_t mode, struct bytes text)
{
	const bool good = fchmod(fd, mode) == 0 && write_all(fd, text) && fsync(fd) == 0;
	const int error = errno;
	const bool closed = close(fd) == 0;
	if (!good)
		errno = error;
	return good && closed;
}

/* The name of a file lasts once its folder is on the disk. Some file systems know no such thing, which is as good. */
static bool sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
	if (n >= sizeof folder) {
		errno = ENAMETOOLONG;
		return false;
	}
	(void)snprintf(folder, sizeof folder, "%.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : path);
	const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES; /* may be written, not read */
	const bool good = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
	const int error = errno;
	(void)close(fd);
	errno = error;
	return good;
}

static enum err exists(const char *what, const char *path, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "%s %s cannot be made: there is a file of that name, which is left alone",
		       what, path);
}

enum err private_file_absent(const char *what, const char *path, struct why *w)
{
	struct stat st;
	if (lstat(path, &st) == 0)
		return exists(what, path, w);
	return errno == ENOENT ? ERR_OK : fault(what, path, "made", w);
}

enum err private_file_create(const char *what, const char *path, mode_t mode, struct bytes text, struct why *w)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, PRIVATE_MODE);
	if (fd < 0)
		return errno == EEXIST ? exists(what, path, w) : fault(what, path, "made", w);
	if (finish(fd, mode, text) && sync_folder(path))
		return ERR_OK;
	const enum err e = fault(what, path, "written", w);
	(void)unlink(path);
	return e;
}

enum err private_file_replace(const char *what, const char *path, mode_t mode, struct bytes text, struct why *w)
{
	char temporary[PATH_MAX];
	const int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
	if (n < 0 || n >= (int)sizeof temporary)
		return why_set(w, ERR_ENVIRONMENT, "the path of %s is too long", what);
	const int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fault(what, path, "written anew", w);
	if (finish(fd, mode, text) && rename(temporary, path) == 0)
		return sync_folder(path) ? ERR_OK : fault(what, path, "written to the disk", w);
	const enum err e = fault(what, path, "written anew", w);
	(void)unlink(temporary);
	return e;
}

/* ---- changing ---- */

static bool is_at(const struct private_file *f, bool *same)
{
	struct stat ours, there;
	if (fstat(f->fd, &ours) != 0 || stat(f->path, &there) != 0)
		return false;
	*same = ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
	return true;
}

/* Whoever held the lock before may have put another file in the place of the one that we waited for. */
static enum err lock(const char *what, struct private_file *f, struct why *w)
{
	for (;;) {
		bool same = false;
		f->fd = open(f->path, O_RDWR | O_CLOEXEC);
		if (f->fd < 0)
			return fault(what, f->path, "opened", w);
		int locked;
		while ((locked = flock(f->fd, LOCK_EX)) != 0 && errno == EINTR)
			;
		if (locked != 0 || !is_at(f, &same))
			return fault(what, f->path, "locked", w);
		if (same)
			return ERR_OK;
		(void)close(f->fd);
		f->fd = -1;
	}
}

enum err private_file_lock(const char *what, const char *path, size_t max, struct private_file *f, struct buf *out,
			   struct why *w)
{
	*out = BUF_INIT(max);
	*f = (struct private_file){-1, realpath(path, NULL)};
	if (f->path == NULL)
		return fault(what, path, "opened", w);
	enum err e = lock(what, f, w);
	if (e == ERR_OK)
		e = check_mode(what, path, f->fd, w);
	if (e == ERR_OK)
		e = read_fd(what, path, f->fd, max, out, w);
	if (e != ERR_OK)
		private_file_unlock(f);
	return e;
}

enum err private_file_destroy(const char *what, struct private_file *f, struct why *w)
{
	static const uint8_t zeros[4096];
	struct stat st = {.st_size = 0};
	bool wiped = fstat(f->fd, &st) == 0 && lseek(f->fd, 0, SEEK_SET) == 0;
	for (off_t left = st.st_size; wiped && left > 0; left -= (off_t)sizeof zeros)
		wiped = write_all(f->fd, bytes_of(zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros));
	wiped = wiped && fsync(f->fd) == 0;
	const enum err e = wiped ? ERR_OK : fault(what, f->path, "overwritten", w);
	if (unlink(f->path) != 0 || !sync_folder(f->path))
		return fault(what, f->path, "removed", w);
	return e;
}

void private_file_unlock(struct private_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	free(f->path);
	*f = (struct private_file){-1, NULL};
}
