/* root_out.c - a simulator's root certificate, where a verifier finds it. */
#include "root_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert.h"

static bool write_and_close(int fd, struct bytes text)
{
	FILE *f = fdopen(fd, "w");
	if (f == NULL) {
		const int error = errno;
		(void)close(fd);
		errno = error;
		return false;
	}
	const bool mode = fchmod(fd, 0644) == 0;
	const bool put = mode && fwrite(text.p, 1, text.n, f) == text.n;
	const int error = errno;
	const bool closed = fclose(f) == 0;
	if (!put)
		errno = error;
	return put && closed;
}

static enum err cannot(const char *path, const char *reason, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "the root certificate cannot be written to %s: %s", path, reason);
}

static enum err replace(const char *path, struct bytes pem, struct why *w)
{
	char temporary[PATH_MAX];
	const int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
	if (n >= (int)sizeof temporary)
		return why_set(w, ERR_ENVIRONMENT, "the path for the root certificate is too long");
	const int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return cannot(path, strerror(errno), w);
	if (write_and_close(fd, pem) && rename(temporary, path) == 0)
		return ERR_OK;
	const enum err e = cannot(path, strerror(errno), w);
	(void)unlink(temporary);
	return e;
}

/* Into what is there, such as a pipe or a terminal. Not to be waited for: a FIFO that nobody reads would never open. */
static enum err pour(const char *path, struct bytes pem, struct why *w)
{
	const int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return cannot(path, errno == ENXIO ? "nobody reads from it" : strerror(errno), w);
	const ssize_t put = write(fd, pem.p, pem.n);
	const enum err e = put == (ssize_t)pem.n ? ERR_OK : cannot(path, put < 0 ? strerror(errno) : "it is full", w);
	(void)close(fd);
	return e;
}

/* A link stays a link. */
static enum err replace_target(const char *path, struct bytes pem, struct why *w)
{
	char *target = realpath(path, NULL);
	if (target == NULL)
		return cannot(path, strerror(errno), w);
	const enum err e = replace(target, pem, w);
	free(target);
	return e;
}

/* A slip of the pen, or another spelling of a path, must not cost a key or a database. */
static enum err check_old(const char *path, struct why *w)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	char have[sizeof begin - 1];
	struct stat st;
	const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? ERR_OK : cannot(path, strerror(errno), w);
	const bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	const bool fine = !regular || st.st_size == 0 ||
			  (pread(fd, have, sizeof have, 0) == (ssize_t)sizeof have &&
			   memcmp(have, begin, sizeof have) == 0);
	(void)close(fd);
	return fine ? ERR_OK : cannot(path, "what is there is no certificate, and would be lost", w);
}

static enum err put(const char *path, struct bytes pem, struct why *w)
{
	struct stat st;
	const bool pourable = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
	const enum err e = pourable ? ERR_OK : check_old(path, w);
	if (e != ERR_OK)
		return e;
	if (lstat(path, &st) != 0 || S_ISREG(st.st_mode))
		return replace(path, pem, w);
	if (stat(path, &st) != 0)
		return cannot(path, strerror(errno), w);
	if (S_ISREG(st.st_mode))
		return replace_target(path, pem, w);
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode))
		return pour(path, pem, w);
	return cannot(path, S_ISDIR(st.st_mode) ? strerror(EISDIR) : "it is neither a file nor a pipe", w);
}

enum err root_out_write(const char *path, struct bytes der, struct why *w)
{
	struct buf pem = BUF_INIT(CERT_PEM_MAX);
	cert_pem_put(der, &pem);
	enum err e = buf_check(&pem, w);
	if (e == ERR_OK)
		e = put(path, buf_bytes(&pem), w);
	buf_free(&pem);
	return e;
}
