/* input.c - what a command is given to work on, and where it shows what came of it. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { PIECE = 64 * 1024 };

static enum err too_long(const char *name, size_t max, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "%s is longer than %zu bytes", name, max);
}

static enum err read_all(int fd, const char *name, size_t max, struct buf *out, struct why *w)
{
	struct stat st;
	*out = BUF_INIT(max + PIECE);
	/* Taken at once, so that growing does not copy a long file again and again. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= max)
		(void)buf_reserve(out, (size_t)st.st_size + PIECE);
	for (;;) {
		uint8_t *p = buf_reserve(out, PIECE);
		if (p == NULL)
			return out->n > max - PIECE ? too_long(name, max, w) : buf_check(out, w);
		const ssize_t n = read(fd, p, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_set(w, ERR_ENVIRONMENT, "%s cannot be read: %s", name, strerror(errno));
		if (n == 0)
			return ERR_OK;
		out->n += (size_t)n;
		if (out->n > max)
			return too_long(name, max, w);
	}
}

enum err input_read(const char *command, const char *path, size_t max, struct buf *out, struct why *w)
{
	if (path == NULL || strcmp(path, "-") == 0) {
		if (isatty(STDIN_FILENO))
			fprintf(stderr, "attestd %s: reading from the terminal; end with Ctrl-D\n", command);
		return read_all(STDIN_FILENO, "the standard input", max, out, w);
	}
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_set(w, ERR_ENVIRONMENT, "%s cannot be read: %s", path, strerror(errno));
	const enum err e = read_all(fd, path, max, out, w);
	(void)close(fd);
	return e;
}

static enum err cannot(const char *reason, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "cannot write to the standard output: %s", reason);
}

enum err output_check(struct why *w)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
	const int flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return cannot("it is closed, or open for reading only", w);
	if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0)
		return cannot("nobody reads it any more", w);
	return ERR_OK;
}

enum err output_write(struct bytes text, struct why *w)
{
	return file_write(STDOUT_FILENO, text) ? ERR_OK : cannot(strerror(errno), w);
}

bool output_wants_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(fd) && (no == NULL || no[0] == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}
