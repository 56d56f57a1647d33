/* private_file.c - files that hold keys. */
#include "private_file.h"

#include <errno.h>
#include <fcntl.h>
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

static mode_t looseness(mode_t mode)
{
	return (mode & (S_IRWXG | S_IRWXO)) != 0 ? mode & 07777u : 0;
}

static enum err check_mode(const char *what, const char *path, mode_t loose, struct why *w)
{
	if (loose == 0)
		return ERR_OK;
	return why_set(
		w, ERR_ENVIRONMENT,
		"%s may be read or written by others (mode %04o). If nobody had a look at it, mend it: chmod 600 %s",
		what, (unsigned)loose, path);
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

/* Whoever held the lock before may have put another file in the place of the one that we waited for, and wiped that. */
static enum err open_locked(const char *what, const char *path, int flags, int *out, struct why *w)
{
	const bool reads = flags == O_RDONLY;
	for (;;) {
		int fd = -1, locked;
		const enum err e = file_open(what, path, flags, reads, &fd, w);
		if (e != ERR_OK)
			return e;
		while ((locked = flock(fd, reads ? LOCK_SH : LOCK_EX)) != 0 && errno == EINTR)
			;
		struct stat ours, there;
		const bool known = locked == 0 && fstat(fd, &ours) == 0 && stat(path, &there) == 0;
		/* Where files cannot be locked nobody changes them either. */
		if ((locked != 0 && reads) || (known && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)) {
			*out = fd;
			return ERR_OK;
		}
		if (!known)
			(void)fault(what, path, "locked", w);
		(void)close(fd);
		if (!known)
			return ERR_ENVIRONMENT;
	}
}

enum err private_file_look(const char *what, const char *path, size_t max, struct buf *out, mode_t *loose,
			   struct why *w)
{
	struct stat st;
	*out = BUF_INIT(max);
	*loose = 0;
	if (strcmp(path, "-") == 0)
		return read_fd(what, "on the standard input", STDIN_FILENO, max, out, w);
	int fd = -1;
	enum err e = open_locked(what, path, O_RDONLY, &fd, w);
	if (e != ERR_OK)
		return e;
	e = fstat(fd, &st) == 0 ? read_fd(what, path, fd, max, out, w) : fault(what, path, "examined", w);
	if (e == ERR_OK)
		*loose = looseness(st.st_mode);
	(void)close(fd);
	return e;
}

enum err private_file_read(const char *what, const char *path, size_t max, struct buf *out, struct why *w)
{
	mode_t loose = 0;
	const enum err e = private_file_look(what, path, max, out, &loose, w);
	return e == ERR_OK ? check_mode(what, path, loose, w) : e;
}

/* ---- changing ---- */

enum err private_file_take(const char *what, const char *path, struct private_file *f, struct why *w)
{
	struct stat st;
	*f = (struct private_file){.fd = -1, .path = realpath(path, NULL)};
	if (f->path == NULL) {
		const enum err e = fault(what, path, "opened", w);
		(void)private_sweep(path);
		return e;
	}
	enum err e = open_locked(what, f->path, O_RDWR, &f->fd, w);
	if (e == ERR_OK && fstat(f->fd, &st) != 0)
		e = fault(what, path, "examined", w);
	if (e != ERR_OK) {
		private_file_unlock(f);
		return e;
	}
	f->mode = st.st_mode;
	f->size = st.st_size;
	(void)private_sweep(f->path);
	return ERR_OK;
}

enum err private_file_get(const char *what, const struct private_file *f, size_t max, struct buf *out, struct why *w)
{
	return read_fd(what, f->path, f->fd, max, out, w);
}

enum err private_file_lock(const char *what, const char *path, size_t max, struct private_file *f, struct buf *out,
			   struct why *w)
{
	*out = BUF_INIT(max);
	enum err e = private_file_take(what, path, f, w);
	if (e == ERR_OK)
		e = check_mode(what, path, looseness(f->mode), w);
	if (e == ERR_OK)
		e = private_file_get(what, f, max, out, w);
	if (e != ERR_OK)
		private_file_unlock(f);
	return e;
}

enum err private_file_destroy(const char *what, struct private_file *f, struct why *w)
{
	const enum err e = private_wipe(f->fd) ? ERR_OK : fault(what, f->path, "overwritten", w);
	if (unlink(f->path) != 0 || !private_sync_folder(f->path))
		return fault(what, f->path, "removed", w);
	return e;
}

void private_file_unlock(struct private_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	free(f->path);
	*f = (struct private_file){.fd = -1};
}
