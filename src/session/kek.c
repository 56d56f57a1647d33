/* kek.c - the key-encryption key: read from where it was configured, or made in the runtime directory. */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

static const char kek_name[] = "kek";
static const char kek_temporary[] = "kek.new";

static enum err read_key(int fd, const char *path, struct secret *key, struct why *w)
{
	size_t n = 0;

	/* One byte more than a key, to see whether there is more. */
	enum err e = file_read(fd, "the key file", path, key->b, SESSION_KEK_SIZE + 1, &n, w);
	if (e != ERR_OK)
		goto out;
	if (n != SESSION_KEK_SIZE) {
		e = why_set(w, ERR_ENVIRONMENT,
			    "the key file %s has %s bytes than the %d of a key; make one with "
			    "`head -c %d /dev/urandom`",
			    path, n < SESSION_KEK_SIZE ? "fewer" : "more", SESSION_KEK_SIZE, SESSION_KEK_SIZE);
		goto out;
	}
	if (bytes_is_zero(bytes_of(key->b, n))) {
		e = why_set(w, ERR_ENVIRONMENT, "the key file %s holds zeros only, which is no key", path);
		goto out;
	}
	key->n = n;
out:
	if (e != ERR_OK)
		secret_wipe(key);
	return e;
}

/* A file that is not there is only a fault where it had to be: *found tells. */
static enum err read_file(int dir, const char *name, const char *path, bool credential, struct secret *key, bool *found,
			  struct why *w)
{
	int fd = -1;
	enum err e = file_open_private(dir, name, "the key file", path, credential, &fd, w);

	*found = e == ERR_OK || errno != ENOENT;
	if (e != ERR_OK)
		return *found ? e : ERR_OK;
	e = read_key(fd, path, key, w);
	close(fd);
	return e;
}

static bool write_all(int fd, struct bytes x)
{
	while (x.n > 0) {
		ssize_t put = write(fd, x.p, x.n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		x.p += put;
		x.n -= (size_t)put;
	}
	return true;
}

static enum err make_file(int dir, const char *path, const struct random *random, struct secret *key, struct why *w)
{
	enum err e = ERR_OK;
	int fd = -1;

	/* What a crash left half done. */
	(void)unlinkat(dir, kek_temporary, 0);
	fd = openat(dir, kek_temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		e = why_set(w, ERR_ENVIRONMENT, "the key file %s cannot be made: %s", path, strerror(errno));
		goto out;
	}
	key->n = SESSION_KEK_SIZE;
	e = random_fill(random, key->b, key->n, w);
	if (e != ERR_OK)
		goto out;
	if (!write_all(fd, secret_view(key)) || fsync(fd) != 0 || renameat(dir, kek_temporary, dir, kek_name) != 0 ||
	    fsync(dir) != 0)
		e = why_set(w, ERR_ENVIRONMENT, "the key file %s cannot be written: %s", path, strerror(errno));
out:
	if (fd >= 0)
		close(fd);
	if (e != ERR_OK) {
		(void)unlinkat(dir, kek_temporary, 0);
		secret_wipe(key);
	}
	return e;
}

static enum err join(char out[PATH_MAX], const char *dir, struct why *w)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, kek_name);

	return n > 0 && n < PATH_MAX ? ERR_OK : why_set(w, ERR_ENVIRONMENT, "the path of the key file is too long");
}

static enum err read_or_make(const char *runtime_dir, const struct random *random, struct secret *key, struct why *w)
{
	char path[PATH_MAX];
	bool found;
	int dir = -1;

	if (runtime_dir[0] == '\0')
		return why_set(
			w, ERR_ENVIRONMENT,
			"there is no key for sessions at rest and no place to keep a generated one: set kek_file, give "
			"the systemd credential `kek`, or set runtime_dir to memory-backed storage (RuntimeDirectory= "
			"in the unit does)");
	enum err e = join(path, runtime_dir, w);
	if (e != ERR_OK)
		return e;
	dir = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Two servers that start at once must not each make a key: the loser's would be lost with its sessions. */
	if (dir < 0 || flock(dir, LOCK_EX) != 0) {
		e = why_set(
			w, ERR_ENVIRONMENT,
			"the runtime directory %s, where the generated key is kept, cannot be used: %s; make it, or set "
			"runtime_dir or kek_file",
			runtime_dir, strerror(errno));
		goto out;
	}
	e = read_file(dir, kek_name, path, false, key, &found, w);
	if (e == ERR_OK && !found)
		e = make_file(dir, path, random, key, w);
out:
	if (dir >= 0)
		close(dir);
	return e;
}

enum err session_kek_open(struct session_kek *out, const char *file, const char *credential_dir,
			  const char *runtime_dir, const struct random *random, struct why *w)
{
	struct session_kek k = {0};
	bool found = false;
	char path[PATH_MAX];
	enum err e = secret_new_locked(&k.key, w);

	if (e != ERR_OK)
		return e;
	if (file[0] != '\0') {
		e = read_file(AT_FDCWD, file, file, false, k.key, &found, w);
		if (e == ERR_OK && !found)
			e = why_set(w, ERR_ENVIRONMENT, "the key file %s (kek_file) does not exist", file);
	} else if (credential_dir != NULL) {
		e = join(path, credential_dir, w);
		if (e == ERR_OK)
			e = read_file(AT_FDCWD, path, path, true, k.key, &found, w);
	}
	if (e == ERR_OK && !found) {
		k.generated = true;
		e = read_or_make(runtime_dir, random, k.key, w);
	}
	if (e != ERR_OK) {
		session_kek_close(&k);
		return e;
	}
	*out = k;
	return ERR_OK;
}

void session_kek_close(struct session_kek *k)
{
	secret_free_locked(k->key);
	k->key = NULL;
}
