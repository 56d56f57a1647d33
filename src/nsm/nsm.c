/* nsm.c - the NSM's requests and replies (AWS nitro-enclaves-nsm-api: serde's externally tagged enums in CBOR).
 *
 * Replies are read as if a stranger had sent them: each member exactly once, of its type and size, and nothing else. A
 * reply that was misread would end up in a claim or in a generator.
 */
#include "nsm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cborio.h"
#include "ops.h"

struct nsm {
	const struct nsm_ops *ops;
	void *state;
};

enum err nsm_open_ops(struct nsm **out, const struct nsm_ops *ops, const char *path, struct why *w)
{
	struct nsm *n = malloc(sizeof *n);
	if (n == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the NSM");
	*n = (struct nsm){ops, NULL};
	enum err e = ops->open(&n->state, path, w);
	if (e != ERR_OK) {
		free(n);
		return e;
	}
	*out = n;
	return ERR_OK;
}

/* Only a path that is truly absent counts: a device that is there and cannot be reached must not turn into a dummy. */
static bool is_missing(const char *path)
{
	struct stat st;
	return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

enum err nsm_open(struct nsm **out, const char *spec, const char *path, bool *fell_back, struct why *w)
{
	const struct nsm_ops *ops;
	bool fall = false;
	if (strcmp(spec, "device") == 0) {
		ops = &nsm_device;
	} else if (strcmp(spec, "dummy") == 0) {
		ops = &nsm_dummy;
	} else if (strcmp(spec, "auto") == 0) {
		fall = is_missing(path);
		ops = fall ? &nsm_dummy : &nsm_device;
	} else {
		return why_set(w, ERR_CONFIG, "nsm = %s is not known: say auto, device or dummy", spec);
	}
	enum err e = nsm_open_ops(out, ops, path, w);
	if (e == ERR_OK)
		*fell_back = fall;
	return e;
}

void nsm_close(struct nsm *n)
{
	if (n == NULL)
		return;
	n->ops->close(n->state);
	free(n);
}

const char *nsm_name(const struct nsm *n)
{
	return n->ops->name;
}

bool nsm_is_dummy(const struct nsm *n)
{
	return n->ops == &nsm_dummy;
}

bool nsm_is_device(const struct nsm *n)
{
	return n->ops == &nsm_device;
}

/* ---- reading replies ---- */

/* One exchange: `r` walks `reply`, and `name` is both the request's and the reply's. */
struct exchange {
	const char *name;
	struct buf request, reply;
	struct cborio_reader r;
	uint64_t outer, inner; /* members left */
	uint32_t seen;
};

static void exchange_free(struct exchange *x)
{
	buf_free(&x->request);
	buf_free(&x->reply);
}

static struct exchange exchange_new(const char *name)
{
	return (struct exchange){.name = name, .request = BUF_INIT(NSM_REQUEST_MAX), .reply = BUF_INIT(NSM_REPLY_MAX)};
}

static enum err misunderstood(struct exchange *x, struct why *w)
{
	return why_set(w, ERR_NSM, "the NSM's reply to %s is not understood: byte %zu of %zu: %s", x->name,
		       x->r.err_pos, x->reply.n, x->r.err_text);
}

static enum err nsm_error(struct exchange *x, struct why *w)
{
	static const char *const names[] = {"Success",	       "InvalidArgument", "InvalidIndex",
					    "InvalidResponse", "ReadOnlyIndex",	  "InvalidOperation",
					    "BufferTooSmall",  "InputTooLarge",	  "InternalError"};
	struct bytes name = cborio_text(&x->r);
	struct why unused = {0};
	(void)cborio_more(&x->r, &x->outer);
	if (cborio_done(&x->r, &unused) != ERR_OK)
		return misunderstood(x, w);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (bytes_is(name, names[i]))
			return why_set(w, ERR_NSM, "the NSM refused %s with %s", x->name, names[i]);
	return why_set(w, ERR_NSM, "the NSM refused %s with an error of unknown name", x->name);
}

/* Sends the request and enters the map of the reply's members. */
static enum err ask(struct nsm *n, struct exchange *x, struct why *w)
{
	enum err e = buf_check(&x->request, w);
	if (e == ERR_OK)
		e = n->ops->call(n->state, buf_bytes(&x->request), &x->reply, w);
	if (e != ERR_OK)
		return e;
	cborio_reader_init(&x->r, buf_bytes(&x->reply));
	x->outer = cborio_map(&x->r);
	if (cborio_more(&x->r, &x->outer)) {
		struct bytes name = cborio_text(&x->r);
		if (bytes_is(name, "Error"))
			return nsm_error(x, w);
		if (!bytes_is(name, x->name))
			cborio_fail(&x->r, "it answers another request");
	} else {
		cborio_fail(&x->r, "it is empty");
	}
	x->inner = cborio_map(&x->r);
	return x->r.err != ERR_OK ? misunderstood(x, w) : ERR_OK;
}

/* The place in `names` of the next member, -1 when there is none or it is one that may not come here. */
static int next_member(struct exchange *x, const char *const *names, unsigned n)
{
	return cborio_more(&x->r, &x->inner) ? cborio_member(&x->r, names, n, &x->seen) : -1;
}

/* Behind the last member: all `n` were there, and nothing follows. */
static enum err complete(struct exchange *x, unsigned n, struct why *w)
{
	struct why unused = {0};
	if (x->seen != (1u << n) - 1)
		cborio_fail(&x->r, "a member is missing");
	if (cborio_more(&x->r, &x->outer))
		cborio_fail(&x->r, "it answers more than was asked");
	return cborio_done(&x->r, &unused) != ERR_OK ? misunderstood(x, w) : ERR_OK;
}

static unsigned number(struct exchange *x, uint64_t max)
{
	uint64_t v = cborio_uint(&x->r);
	cborio_check(&x->r, v <= max, "a number is out of range");
	return v <= max ? (unsigned)v : 0;
}

/* The one byte string that is the whole of a reply. */
static enum err only_bytes(struct exchange *x, const char *member, size_t max, struct bytes *out, struct why *w)
{
	struct bytes got = {NULL, 0};
	while (next_member(x, &member, 1) == 0) {
		got = cborio_bytes(&x->r);
		cborio_check(&x->r, got.n >= 1 && got.n <= max, "a byte string is empty or too long");
	}
	enum err e = complete(x, 1, w);
	if (e == ERR_OK)
		*out = got;
	return e;
}

/* ---- the requests ---- */

static void read_text(struct exchange *x, char *out, size_t size)
{
	struct bytes t = cborio_text(&x->r);
	bool good = t.n >= 1 && t.n < size && memchr(t.p, 0, t.n) == NULL;
	cborio_check(&x->r, good, "a text is empty, too long or holds a NUL");
	if (good)
		memcpy(out, t.p, t.n);
}

static uint32_t read_locked(struct exchange *x)
{
	uint32_t locked = 0;
	for (uint64_t left = cborio_array(&x->r); cborio_more(&x->r, &left);) {
		uint32_t bit = UINT32_C(1) << number(x, NSM_PCRS_MAX - 1);
		cborio_check(&x->r, (locked & bit) == 0, "a PCR is listed twice");
		locked |= bit;
	}
	return locked;
}

enum err nsm_describe(struct nsm *n, struct nsm_description *out, struct why *w)
{
	enum { MAJOR, MINOR, PATCH, MODULE_ID, MAX_PCRS, LOCKED_PCRS, DIGEST, MEMBERS };
	static const char *const names[MEMBERS] = {"version_major", "version_minor", "version_patch", "module_id",
						   "max_pcrs",	    "locked_pcrs",   "digest"};
	struct exchange x = exchange_new("DescribeNSM");
	struct nsm_description d = {.max_pcrs = 0};
	cborio_put_cstr(&x.request, x.name);
	enum err e = ask(n, &x, w);
	if (e != ERR_OK)
		goto out;
	for (int m; (m = next_member(&x, names, MEMBERS)) >= 0;) {
		if (m == MAJOR)
			d.version_major = number(&x, UINT16_MAX);
		else if (m == MINOR)
			d.version_minor = number(&x, UINT16_MAX);
		else if (m == PATCH)
			d.version_patch = number(&x, UINT16_MAX);
		else if (m == MODULE_ID)
			read_text(&x, d.module_id, sizeof d.module_id);
		else if (m == MAX_PCRS)
			d.max_pcrs = number(&x, NSM_PCRS_MAX);
		else if (m == LOCKED_PCRS)
			d.locked_pcrs = read_locked(&x);
		else
			read_text(&x, d.digest, sizeof d.digest);
	}
	e = complete(&x, MEMBERS, w);
	if (e == ERR_OK && strcmp(d.digest, "SHA384") != 0)
		e = why_set(w, ERR_NSM, "the NSM measures with a digest other than SHA384");
	if (e == ERR_OK)
		*out = d;
out:
	exchange_free(&x);
	return e;
}

enum err nsm_pcr(struct nsm *n, unsigned index, struct buf *value, bool *locked, struct why *w)
{
	enum { LOCK, DATA, MEMBERS };
	static const char *const names[MEMBERS] = {"lock", "data"};
	struct exchange x = exchange_new("DescribePCR");
	struct bytes data = {NULL, 0};
	bool lock = false;
	cborio_put_map(&x.request, 1);
	cborio_put_cstr(&x.request, x.name);
	cborio_put_map(&x.request, 1);
	cborio_put_cstr(&x.request, "index");
	cborio_put_uint(&x.request, index);
	enum err e = ask(n, &x, w);
	if (e != ERR_OK)
		goto out;
	for (int m; (m = next_member(&x, names, MEMBERS)) >= 0;) {
		if (m == LOCK) {
			lock = cborio_bool(&x.r);
		} else {
			data = cborio_bytes(&x.r);
			cborio_check(&x.r, data.n == NSM_PCR_SIZE, "a PCR's value is not 48 bytes");
		}
	}
	e = complete(&x, MEMBERS, w);
	if (e != ERR_OK)
		goto out;
	buf_put_bytes(value, data);
	e = buf_check(value, w);
	if (e == ERR_OK)
		*locked = lock;
out:
	exchange_free(&x);
	return e;
}

static enum err some_random(struct nsm *n, uint8_t *out, size_t max, size_t *got, struct why *w)
{
	struct exchange x = exchange_new("GetRandom");
	struct bytes random = {NULL, 0};
	cborio_put_cstr(&x.request, x.name);
	enum err e = ask(n, &x, w);
	if (e == ERR_OK)
		e = only_bytes(&x, "random", NSM_RANDOM_MAX, &random, w);
	if (e == ERR_OK) {
		*got = random.n < max ? random.n : max;
		memcpy(out, random.p, *got);
	}
	exchange_free(&x);
	return e;
}

enum err nsm_random(struct nsm *n, uint8_t *out, size_t len, struct why *w)
{
	for (size_t done = 0, got = 0; done < len; done += got) {
		enum err e = some_random(n, out + done, len - done, &got, w);
		if (e != ERR_OK) {
			mem_wipe(out, done);
			return e;
		}
	}
	return ERR_OK;
}

static void put_optional(struct buf *b, const char *name, struct bytes x)
{
	cborio_put_cstr(b, name);
	if (x.p == NULL)
		cborio_put_null(b);
	else
		cborio_put_bytes(b, x);
}

enum err nsm_attest(struct nsm *n, const struct nsm_attestation *a, struct buf *document, struct why *w)
{
	if (a->user_data.n > NSM_USER_DATA_MAX || a->nonce.n > NSM_NONCE_MAX || a->public_key.n > NSM_PUBLIC_KEY_MAX)
		return why_set(
			w, ERR_INTERNAL,
			"an attestation was asked for with %zu bytes of user data, %zu of nonce and %zu of public "
			"key; at most %d, %d and %d can be attested",
			a->user_data.n, a->nonce.n, a->public_key.n, NSM_USER_DATA_MAX, NSM_NONCE_MAX,
			NSM_PUBLIC_KEY_MAX);
	struct exchange x = exchange_new("Attestation");
	struct bytes got = {NULL, 0};
	cborio_put_map(&x.request, 1);
	cborio_put_cstr(&x.request, x.name);
	cborio_put_map(&x.request, 3);
	put_optional(&x.request, "user_data", a->user_data);
	put_optional(&x.request, "nonce", a->nonce);
	put_optional(&x.request, "public_key", a->public_key);
	enum err e = ask(n, &x, w);
	if (e == ERR_OK)
		e = only_bytes(&x, "document", NSM_REPLY_MAX, &got, w);
	if (e == ERR_OK) {
		buf_put_bytes(document, got);
		e = buf_check(document, w);
	}
	exchange_free(&x);
	return e;
}
