/* private_write.c - how files that hold keys come to be on the disk, and old ones leave it. */
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

enum { TRIES = 16 };

static enum err fault(const char *what, const char *path, const char *done, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "%s %s cannot be %s: %s", what, path, done, strerror(errno));
}

/* ---- bytes on the disk ---- */

bool private_wipe(int fd)
{
	static const uint8_t zeros[4096];
	struct stat st = {.st_size = 0};
	bool wiped = fstat(fd, &st) == 0 && lseek(fd, 0, SEEK_SET) == 0;
	for (off_t left = st.st_size; wiped && left > 0; left -= (off_t)sizeof zeros)
		wiped = file_write(fd, bytes_of(zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros));
	return wiped && fsync(fd) == 0;
}

/* The name of a file lasts once its folder is on the disk. Some file systems know no such thing, which is as good. */
bool private_sync_folder(const char *path)
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

bool private_is_at(int fd, const char *path)
{
	struct stat ours, there;
	return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
	       ours.st_ino == there.st_ino;
}

/* ---- the name beside the file's own ---- */

static char *name_temporary(const char *path)
{
	const char *slash = strrchr(path, '/');
	const size_t n = slash == NULL ? 0 : (size_t)(slash + 1 - path);
	char *name = NULL;
	if (n > PATH_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return asprintf(&name, "%.*s.%s.new", (int)n, path, path + n) < 0 ? NULL : name;
}

/* What was replaced kept its mode, which may keep its owner out, too. One with another name keeps it, as in
 * discard_old. */
static int open_leftover(const char *temporary)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	const int fd = open(temporary, O_RDWR | flags);
	if (fd >= 0 || errno != EACCES || lstat(temporary, &st) != 0)
		return fd;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		errno = EEXIST;
		return -1;
	}
	if (st.st_nlink > 1)
		return open(temporary, O_RDONLY | flags);
	return fchmodat(AT_FDCWD, temporary, PRIVATE_MODE, AT_SYMLINK_NOFOLLOW) == 0 ? open(temporary, O_RDWR | flags)
										     : -1;
}

/* Of any mode: what was replaced may have been anybody's to write. A file of somebody else's is none of ours. */
static bool is_leftover(int fd, bool *only_name)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return false;
	const bool ours = S_ISREG(st.st_mode) && st.st_uid == geteuid();
	if (!ours)
		errno = EEXIST;
	*only_name = st.st_nlink == 1;
	return ours;
}

/* False: a writer has it. Where files cannot be locked nobody has. */
static bool lock(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return true;
	errno = EBUSY;
	return false;
}

static bool sweep(const char *temporary)
{
	const int fd = open_leftover(temporary);
	if (fd < 0) {
		if (errno == ELOOP || errno == EISDIR || errno == ENXIO)
			errno = EEXIST;
		return errno == ENOENT;
	}
	bool only_name = false, good = is_leftover(fd, &only_name) && lock(fd);
	/* Else who had it locked has removed or placed it. */
	if (good && private_is_at(fd, temporary))
		good = (!only_name || private_wipe(fd)) && unlink(temporary) == 0; /* as discard_old */
	const int error = errno;
	(void)close(fd);
	errno = error;
	return good;
}

bool private_sweep(const char *path)
{
	char *temporary = name_temporary(path);
	const bool good = temporary != NULL && sweep(temporary);
	const int error = errno;
	free(temporary);
	errno = error;
	return good;
}

/* Locked, so that nobody takes it for a left-over. */
static int make_temporary(const char *temporary)
{
	for (int i = 0; i < TRIES; i++) {
		const int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, PRIVATE_MODE);
		if (fd < 0 && (errno != EEXIST || !sweep(temporary)))
			return -1;
		if (fd < 0)
			continue;
		if (lock(fd) && private_is_at(fd, temporary))
			return fd;
		(void)close(fd);
	}
	errno = EBUSY;
	return -1;
}

/* ---- a draft ---- */

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

enum err private_file_replaceable(const char *what, const char *path, struct why *w)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? ERR_OK : fault(what, path, "made", w);
	if (S_ISREG(st.st_mode))
		return ERR_OK;
	return why_set(w, ERR_ENVIRONMENT, "%s %s cannot be replaced: what is there is no regular file", what, path);
}

enum err private_draft_write(const char *what, const char *path, mode_t mode, struct bytes text,
			     struct private_draft *d, struct why *w)
{
	*d = (struct private_draft){.fd = -1, .path = strdup(path), .temporary = name_temporary(path)};
	if (d->path == NULL || d->temporary == NULL)
		return fault(what, path, "written", w);
	d->fd = make_temporary(d->temporary);
	if (d->fd < 0 && errno == EBUSY)
		return why_set(w, ERR_ENVIRONMENT, "%s %s is just being written by another command", what, path);
	if (d->fd < 0 && errno == EEXIST)
		return why_set(
			w, ERR_ENVIRONMENT,
			"%s %s cannot be written: %s is in the way, which is no file of yours, so it is left alone. Move "
			"it elsewhere",
			what, path, d->temporary);
	if (d->fd < 0 || fchmod(d->fd, mode) != 0 || !file_write(d->fd, text) || fsync(d->fd) != 0)
		return fault(what, path, "written", w);
	return ERR_OK;
}

static bool is_unknown(int error)
{
	return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

static bool rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return true;
	return is_unknown(errno) && link(from, to) == 0 && unlink(from) == 0;
}

/* Swapped, what was replaced keeps a name by which it is found and wiped, and may come back. */
static bool rename_over(struct private_draft *d)
{
	if (renameat2(AT_FDCWD, d->temporary, AT_FDCWD, d->path, RENAME_EXCHANGE) == 0) {
		d->placed = DRAFT_SWAPPED;
		return true;
	}
	if (errno == ENOENT && rename_new(d->temporary, d->path)) {
		d->placed = DRAFT_NEW;
		return true;
	}
	if (is_unknown(errno) && rename(d->temporary, d->path) == 0) {
		d->placed = DRAFT_OVER;
		return true;
	}
	return false;
}

enum err private_draft_place(const char *what, struct private_draft *d, bool force, struct why *w)
{
	enum err e;
	if (force && (e = private_file_replaceable(what, d->path, w)) != ERR_OK)
		return e;
	if (force ? !rename_over(d) : !rename_new(d->temporary, d->path))
		return errno == EEXIST ? exists(what, d->path, w) : fault(what, d->path, "written", w);
	if (!force)
		d->placed = DRAFT_NEW;
	if (private_sync_folder(d->path))
		return ERR_OK;
	e = fault(what, d->path, "written to the disk", w);
	private_draft_undo(d);
	return e;
}

void private_draft_undo(struct private_draft *d)
{
	bool undone = false;
	if (d->placed == DRAFT_SWAPPED)
		undone = renameat2(AT_FDCWD, d->temporary, AT_FDCWD, d->path, RENAME_EXCHANGE) == 0;
	else if (d->placed == DRAFT_NEW)
		undone = rename(d->path, d->temporary) == 0;
	if (undone)
		d->placed = DRAFT_BESIDE;
}

/* What it holds is not known here: another name of it may be somebody's wish to keep it. Another writer may have swept
 * it away meanwhile, and have its own draft under that name, locked. */
static void discard_old(const char *temporary)
{
	struct stat st;
	const int fd = open_leftover(temporary);
	const bool ours = fd < 0 || (lock(fd) && private_is_at(fd, temporary));
	if (fd >= 0 && ours && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		(void)!private_wipe(fd);
	if (ours)
		(void)unlink(temporary);
	if (fd >= 0)
		(void)close(fd);
}

void private_draft_end(struct private_draft *d)
{
	if (d->fd >= 0 && d->placed == DRAFT_BESIDE) {
		(void)!private_wipe(d->fd);
		(void)unlink(d->temporary);
	}
	/* Unlocked first: it may have been replaced in its turn, and then is what is to be discarded. */
	if (d->fd >= 0)
		(void)close(d->fd);
	if (d->placed == DRAFT_SWAPPED)
		discard_old(d->temporary);
	free(d->path);
	free(d->temporary);
	*d = PRIVATE_DRAFT_NONE;
}

/* ---- whole files ---- */

/* That the old file cannot be wiped is no reason to fail: the new one is in its place, and what it holds is counted.
 * Unlike in discard_old, its other names do not spare it: it was read, so it is a session, and as it was before it
 * would open messages once more. */
enum err private_file_replace(const char *what, const struct private_file *f, struct bytes text, struct why *w)
{
	struct private_draft d = PRIVATE_DRAFT_NONE;
	enum err e = private_draft_write(what, f->path, PRIVATE_MODE, text, &d, w);
	if (e == ERR_OK)
		e = private_draft_place(what, &d, true, w);
	if (e == ERR_OK)
		(void)!private_wipe(f->fd);
	if (d.placed == DRAFT_SWAPPED && unlink(d.temporary) == 0)
		d.placed = DRAFT_NEW;
	private_draft_end(&d);
	return e;
}

/* ---- signals ---- */

static void ending(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGHUP);
	(void)sigaddset(set, SIGQUIT);
}

void private_signals_hold(sigset_t *before)
{
	sigset_t set;
	ending(&set);
	(void)sigprocmask(SIG_BLOCK, &set, before);
}

void private_signals_release(const sigset_t *before)
{
	(void)sigprocmask(SIG_SETMASK, before, NULL);
}

bool private_signals_wait(void)
{
	sigset_t came, set;
	ending(&set);
	return sigpending(&came) == 0 && sigandset(&set, &set, &came) == 0 && !sigisemptyset(&set);
}
