/* requests.c - the NSM's requests and replies (AWS nitro-enclaves-nsm-api: serde's externally tagged enums in CBOR).
 *
 * Replies are read as if a stranger had sent them: each member exactly once, of its type and size, and nothing else. A
 * reply that was misread would end up in a claim or in a generator.
 */
#include "nsm.h"

#include <string.h>

#include "cborio.h"
#include "ops.h"

const char *const nsm_error_names[] = {
	"Success",	    "InvalidArgument", "InvalidIndex",	"InvalidResponse", "ReadOnlyIndex",
	"InvalidOperation", "BufferTooSmall",  "InputTooLarge", "InternalError",   NULL};

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
	struct bytes name = cborio_text(&x->r);
	struct why unused = {0};
	(void)cborio_more(&x->r, &x->outer);
	if (cborio_done(&x->r, &unused) != ERR_OK)
		return misunderstood(x, w);
	for (const char *const *known = nsm_error_names; *known != NULL; known++)
		if (bytes_is(name, *known))
			return why_set(w, ERR_NSM_REFUSED, "the NSM refused %s with %s", x->name, *known);
	return why_set(w, ERR_NSM_REFUSED, "the NSM refused %s with an error of unknown name", x->name);
}

static enum err send_request(struct nsm *n, struct exchange *x, struct why *w)
{
	enum err e = buf_check(&x->request, w);
	if (e == ERR_OK)
		e = n->ops->call(n->state, buf_bytes(&x->request), &x->reply, w);
	if (e == ERR_OK)
		cborio_reader_init(&x->r, buf_bytes(&x->reply));
	return e;
}

/* Enters the map of the reply's members. */
static enum err enter(struct exchange *x, struct why *w)
{
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

static enum err ask(struct nsm *n, struct exchange *x, struct why *w)
{
	const enum err e = send_request(n, x, w);
	return e != ERR_OK ? e : enter(x, w);
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
static enum err only_bytes(struct exchange *x, const char *member, size_t min, size_t max, struct bytes *out,
			   struct why *w)
{
	struct bytes got = {NULL, 0};
	while (next_member(x, &member, 1) == 0) {
		got = cborio_bytes(&x->r);
		cborio_check(&x->r, got.n >= min && got.n <= max, "a byte string is too short or too long");
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

/* The head of a request with members. */
static void put_call(struct exchange *x, uint64_t members)
{
	cborio_put_map(&x->request, 1);
	cborio_put_cstr(&x->request, x->name);
	cborio_put_map(&x->request, members);
}

static void put_number(struct exchange *x, const char *member, unsigned value)
{
	cborio_put_cstr(&x->request, member);
	cborio_put_uint(&x->request, value);
}

enum err nsm_pcr(struct nsm *n, unsigned index, struct buf *value, bool *locked, struct why *w)
{
	enum { LOCK, DATA, MEMBERS };
	static const char *const names[MEMBERS] = {"lock", "data"};
	struct exchange x = exchange_new("DescribePCR");
	struct bytes data = {NULL, 0};
	bool lock = false;
	put_call(&x, 1);
	put_number(&x, "index", index);
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

enum err nsm_extend(struct nsm *n, unsigned index, struct bytes data, struct buf *value, struct why *w)
{
	if (data.n == 0 || data.n > NSM_EXTEND_MAX)
		return why_set(w, ERR_INTERNAL, "a PCR was to be extended with %zu bytes, which must be 1 to %d",
			       data.n, (int)NSM_EXTEND_MAX);
	struct exchange x = exchange_new("ExtendPCR");
	struct bytes got = {NULL, 0};
	put_call(&x, 2);
	put_number(&x, "index", index);
	cborio_put_cstr(&x.request, "data");
	cborio_put_bytes(&x.request, data);
	enum err e = ask(n, &x, w);
	if (e == ERR_OK)
		e = only_bytes(&x, "data", NSM_PCR_SIZE, NSM_PCR_SIZE, &got, w);
	if (e == ERR_OK) {
		buf_put_bytes(value, got);
		e = buf_check(value, w);
	}
	exchange_free(&x);
	return e;
}

/* What has nothing to tell is answered with the request's name alone; only an error comes as a map. */
static enum err lock(struct nsm *n, const char *name, const char *member, unsigned value, struct why *w)
{
	struct exchange x = exchange_new(name);
	struct why unused = {0};
	put_call(&x, 1);
	put_number(&x, member, value);
	enum err e = send_request(n, &x, w);
	if (e != ERR_OK)
		goto out;
	if (cborio_peek(&x.r) != CBORIO_TEXT && (e = enter(&x, w)) != ERR_OK)
		goto out;
	if (!bytes_is(cborio_text(&x.r), name))
		cborio_fail(&x.r, "it answers another request");
	if (cborio_done(&x.r, &unused) != ERR_OK)
		e = misunderstood(&x, w);
out:
	exchange_free(&x);
	return e;
}

enum err nsm_lock(struct nsm *n, unsigned index, struct why *w)
{
	return lock(n, "LockPCR", "index", index, w);
}

enum err nsm_lock_below(struct nsm *n, unsigned index, struct why *w)
{
	return lock(n, "LockPCRs", "range", index, w);
}

static enum err some_random(struct nsm *n, uint8_t *out, size_t max, size_t *got, struct why *w)
{
	struct exchange x = exchange_new("GetRandom");
	struct bytes random = {NULL, 0};
	cborio_put_cstr(&x.request, x.name);
	enum err e = ask(n, &x, w);
	if (e == ERR_OK)
		e = only_bytes(&x, "random", 1, NSM_RANDOM_MAX, &random, w);
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
	put_call(&x, 3);
	put_optional(&x.request, "user_data", a->user_data);
	put_optional(&x.request, "nonce", a->nonce);
	put_optional(&x.request, "public_key", a->public_key);
	enum err e = ask(n, &x, w);
	if (e == ERR_OK)
		e = only_bytes(&x, "document", 1, NSM_REPLY_MAX, &got, w);
	if (e == ERR_OK) {
		buf_put_bytes(document, got);
		e = buf_check(document, w);
	}
	exchange_free(&x);
	return e;
}
