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

enum err root_out_write(const char *path, struct bytes der, struct why *w)
{
	struct buf pem = BUF_INIT(CERT_PEM_MAX);
	char temporary[PATH_MAX];
	enum err e = ERR_OK;
	const int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);

	cert_pem_put(der, &pem);
	if ((e = buf_check(&pem, w)) != ERR_OK)
		goto out;
	if (n >= (int)sizeof temporary) {
		e = why_set(w, ERR_ENVIRONMENT, "the path for the root certificate is too long");
		goto out;
	}
	const int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		e = why_set(w, ERR_ENVIRONMENT, "the root certificate cannot be written to %s: %s", path,
			    strerror(errno));
		goto out;
	}
	if (!write_and_close(fd, buf_bytes(&pem)) || rename(temporary, path) != 0) {
		e = why_set(w, ERR_ENVIRONMENT, "the root certificate cannot be written to %s: %s", path,
			    strerror(errno));
		(void)unlink(temporary);
	}
out:
	buf_free(&pem);
	return e;
}
