/* output_file.c - a file that a command was told to write, and what must not be lost by that. */
#include "output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cert.h"
#include "private_file.h"
#include "tls.h"

static enum err cannot(const struct output_file *f, const char *reason, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT, "%s %s cannot be written: %s", f->what, f->path, reason);
}

/* ---- what is there ---- */

static bool begins(struct bytes text, const char *with)
{
	const struct bytes b = bytes_str(with);
	return text.n >= b.n && memcmp(text.p, b.p, b.n) == 0;
}

/* The server's own writing of a reply; a COSE_Sign1 signed with ES384 in base64, with a tag or without one. */
static bool is_attestation(struct bytes begin)
{
	return begins(begin, "{\"attestation_document\":") || begins(begin, "hEShATgi") || begins(begin, "0oREoQE4I");
}

/* And nothing else: behind a certificate there may be a key. */
static bool is_certificate(struct bytes begin)
{
	struct buf der = BUF_INIT(TLS_CERT_DER_MAX);
	struct why w = {0};
	const bool good = tls_cert_read(begin, &der, &w) == ERR_OK;
	buf_free(&der);
	return good;
}

static const struct {
	bool (*is_it)(struct bytes begin); /* at most CERT_PEM_MAX + 1 bytes of the file */
	const char *else_it_is;
} kinds[] = {
	[OUTPUT_ATTESTATION] = {is_attestation, "no attestation"},
	[OUTPUT_CERTIFICATE] = {is_certificate, "not just a certificate"},
};

static enum err check_old(const struct output_file *f, struct why *w)
{
	uint8_t begin[CERT_PEM_MAX + 1];
	struct why inner = {0};
	int fd = -1;
	size_t n = 0;
	enum err e = file_open(f->what, f->path, O_RDONLY, false, &fd, w);
	if (e != ERR_OK)
		return e;
	if (file_read(fd, f->what, f->path, begin, sizeof begin, &n, &inner) != ERR_OK)
		e = cannot(f, strerror(errno), w);
	else if (n > 0 && !kinds[f->kind].is_it(bytes_of(begin, n)))
		e = why_set(w, ERR_ENVIRONMENT, "%s %s cannot be written: what is there is %s, and would be lost%s",
			    f->what, f->path, kinds[f->kind].else_it_is, f->commanded ? "; --force replaces it" : "");
	(void)close(fd);
	mem_wipe(begin, n);
	return e;
}

static bool is_pourable(const struct stat *st)
{
	return S_ISFIFO(st->st_mode) || S_ISCHR(st->st_mode);
}

/* *is_there: st tells of it. */
static enum err look(const struct output_file *f, struct stat *st, bool *is_there, struct why *w)
{
	struct stat link;
	*is_there = stat(f->path, st) == 0;
	if (!*is_there) {
		const int error = errno;
		const bool nothing = error == ENOENT && lstat(f->path, &link) != 0;
		return nothing ? ERR_OK : cannot(f, strerror(error), w);
	}
	if (is_pourable(st))
		return ERR_OK;
	if (!S_ISREG(st->st_mode))
		return cannot(f, "it is neither a file nor a pipe", w);
	return f->force ? ERR_OK : check_old(f, w);
}

enum err output_file_check(const struct output_file *f, struct why *w)
{
	struct stat st;
	bool is_there = false;
	return look(f, &st, &is_there, w);
}

/* ---- writing ---- */

static enum err replace(const struct output_file *f, const char *path, struct bytes text, struct why *w)
{
	struct private_draft d = PRIVATE_DRAFT_NONE;
	enum err e = private_draft_write(f->what, path, f->mode, text, &d, w);
	if (e == ERR_OK)
		e = private_draft_place(f->what, &d, true, w);
	private_draft_end(&d);
	return e;
}

static enum err replace_target(const struct output_file *f, struct bytes text, struct why *w)
{
	char *target = realpath(f->path, NULL);
	if (target == NULL)
		return cannot(f, strerror(errno), w);
	const enum err e = replace(f, target, text, w);
	free(target);
	return e;
}

/* A FIFO that nobody reads would never open, and nobody is there to see that a server waits. */
static enum err pour(const struct output_file *f, struct bytes text, struct why *w)
{
	const int fd = open(f->path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return cannot(f, errno == ENXIO ? "nobody reads from it" : strerror(errno), w);
	const int flags = f->commanded ? fcntl(fd, F_GETFL) : 0;
	const bool put = flags >= 0 && (!f->commanded || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0) &&
			 file_write(fd, text);
	const enum err e = put ? ERR_OK : cannot(f, errno == EAGAIN ? "it is full" : strerror(errno), w);
	(void)close(fd);
	return e;
}

enum err output_file_write(const struct output_file *f, struct bytes text, struct why *w)
{
	struct stat st;
	bool is_there = false;
	const enum err e = look(f, &st, &is_there, w);
	if (e != ERR_OK)
		return e;
	if (!is_there)
		return replace(f, f->path, text, w);
	return is_pourable(&st) ? pour(f, text, w) : replace_target(f, text, w);
}
