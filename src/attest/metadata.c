/* metadata.c - what the agent says of itself. It is stated, not measured, so all that is checked is that it cannot be
 * taken for a claim of ours, and that it is the same text for whoever reads it.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "claim_table.h"

/* A file system may give two writes in quick succession the same time, so a fresh file is read again until its time of
 * change is this far away. */
enum { SETTLE_MS = 2000 };

#define MEND "Mend the file or send include_metadata=false."

static enum err unusable(struct why *w, const char *fault)
{
	return why_tell(w, ERR_METADATA, NULL, "The agent metadata file cannot be used: %s " MEND, fault);
}

static enum err refuse_reserved(const struct json_value *object, struct why *w)
{
	for (size_t i = 0; i < CLAIM_COUNT; i++)
		if (json_get(object, claim_table[i].name) != NULL)
			return why_tell(
				w, ERR_METADATA, NULL,
				"The agent metadata file cannot be used: it uses the reserved name \"%s\". " MEND,
				claim_table[i].name);
	return ERR_OK;
}

static enum err put_members(struct attest_metadata *m, const struct json_value *object, struct why *w)
{
	struct bytes key;
	const struct json_value *v = NULL;
	/* That there is too much of it is no fault. */
	struct why inner = {0};
	if (buf_reserve(&m->members, m->members.max) == NULL) /* from here on only the maximum can make it fail */
		return buf_check(&m->members, w);
	while (!m->large && json_next(object, &key, &v)) {
		buf_put_u8(&m->members, ',');
		json_put_string(&m->members, key);
		buf_put_u8(&m->members, ':');
		enum err e = json_canon_all(v, &m->members, &inner);
		m->large = m->members.failed;
		if (e != ERR_OK && !m->large) {
			*w = inner;
			return e;
		}
	}
	if (m->large)
		buf_reset(&m->members);
	return ERR_OK;
}

enum err attest_metadata_parse(struct attest_metadata *out, struct bytes text, struct crypto *crypto, struct why *w)
{
	struct attest_metadata m = ATTEST_METADATA_INIT;
	struct json *j = NULL;
	struct why inner = {0};
	enum err e;
	if (text.n > ATTEST_METADATA_MAX) {
		e = unusable(w, "it is larger than 64 KiB.");
		goto out;
	}
	e = json_parse(&j, text, &inner);
	if (e != ERR_OK) {
		if (e == ERR_INVALID || e == ERR_MALFORMED)
			e = unusable(w, inner.text);
		else
			*w = inner;
		goto out;
	}
	if (json_type(json_root(j)) != JSON_OBJECT) {
		e = unusable(w, "it is not a JSON object.");
		goto out;
	}
	e = refuse_reserved(json_root(j), w);
	if (e == ERR_OK)
		e = json_canon_all(json_root(j), &m.canonical, w);
	if (e == ERR_OK)
		e = crypto_sha256(crypto, buf_bytes(&m.canonical), m.digest, w);
	if (e == ERR_OK)
		e = put_members(&m, json_root(j), w);
	if (e != ERR_OK)
		goto out;
	attest_metadata_free(out);
	*out = m;
	m = ATTEST_METADATA_INIT;
out:
	attest_metadata_free(&m);
	json_free(j);
	return e;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

static bool is_settled(const struct stat *st, int64_t wall_ms)
{
	int64_t ctime_ms = (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000;
	return ctime_ms < wall_ms - SETTLE_MS;
}

static enum err unreadable(struct why *w, int e)
{
	if (e == ENOENT || e == ENOTDIR)
		return unusable(w, "it is missing.");
	const char *name = strerrorname_np(e);
	return why_tell(w, ERR_METADATA, NULL, "The agent metadata file cannot be used: it cannot be read (%s). " MEND,
			name != NULL ? name : "an unknown error");
}

static enum err read_all(int fd, const char *path, struct buf *text, struct why *w)
{
	uint8_t *to = buf_reserve(text, text->max);
	if (to == NULL)
		return buf_check(text, w);
	struct why inner = {0};
	if (file_read(fd, "the agent metadata file", path, to, text->max, &text->n, &inner) != ERR_OK)
		return unreadable(w, errno);
	return ERR_OK;
}

static enum err read_file(const char *path, struct stat *st, struct buf *text, struct why *w)
{
	enum err e;
	/* Not blocking on a FIFO that was put there after stat() saw a regular file. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return unreadable(w, errno);
	if (fstat(fd, st) != 0)
		e = unreadable(w, errno);
	else if (!S_ISREG(st->st_mode))
		e = unusable(w, "it is not a regular file.");
	else
		e = read_all(fd, path, text, w);
	(void)close(fd);
	return e;
}

enum err attest_metadata_refresh(struct attest_metadata *m, const char *path, struct crypto *crypto, int64_t wall_ms,
				 bool *changed, struct why *w)
{
	struct attest_metadata fresh = ATTEST_METADATA_INIT;
	struct buf text = BUF_INIT(ATTEST_METADATA_MAX + 1);
	struct stat st;
	if (stat(path, &st) != 0)
		return unreadable(w, errno);
	if (!S_ISREG(st.st_mode)) /* opening it could already do something: a FIFO, a device */
		return unusable(w, "it is not a regular file.");
	if (m->settled && same_stamp(&st, &m->stamp)) {
		*changed = false;
		return ERR_OK;
	}
	enum err e = read_file(path, &st, &text, w);
	if (e == ERR_OK)
		e = attest_metadata_parse(&fresh, buf_bytes(&text), crypto, w);
	if (e != ERR_OK)
		goto out;
	fresh.stamp = st;
	fresh.settled = is_settled(&st, wall_ms);
	*changed = !bytes_equal(buf_bytes(&m->canonical), buf_bytes(&fresh.canonical));
	attest_metadata_free(m);
	*m = fresh;
	fresh = ATTEST_METADATA_INIT;
out:
	attest_metadata_free(&fresh);
	buf_free(&text);
	return e;
}

void attest_metadata_free(struct attest_metadata *m)
{
	buf_free(&m->members);
	buf_free(&m->canonical);
	*m = ATTEST_METADATA_INIT;
}
