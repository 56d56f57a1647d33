/* simulator.c - the NSM's requests, PCRs and documents in software.
 *
 * How AWS's NSM names its errors is written nowhere. What is here agrees with the documentation of its request set,
 * with the checks that come with AWS's client library, and otherwise with QEMU's model of the device.
 */
#include "simulator.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cborio.h"
#include "cose.h"
#include "simulator_ca.h"

struct simulator {
	struct simulator_options o;
	pthread_mutex_t lock; /* of all below, but for the names and the root in ca, which never change */
	struct simulator_ca ca;
	uint8_t pcr[NSM_PCRS_MAX][NSM_PCR_SIZE];
	uint32_t locked; /* bit i: PCR i */
};

static enum err refuse(const char *error, struct buf *reply, struct why *w)
{
	cborio_put_map(reply, 1);
	cborio_put_cstr(reply, "Error");
	cborio_put_cstr(reply, error);
	return buf_check(reply, w);
}

static void put_head(struct buf *reply, const char *name, uint64_t members)
{
	cborio_put_map(reply, 1);
	cborio_put_cstr(reply, name);
	cborio_put_map(reply, members);
}

static void put_number(struct buf *b, const char *name, uint64_t v)
{
	cborio_put_cstr(b, name);
	cborio_put_uint(b, v);
}

static void put_data(struct buf *b, const char *name, struct bytes x)
{
	cborio_put_cstr(b, name);
	if (x.p == NULL)
		cborio_put_null(b);
	else
		cborio_put_bytes(b, x);
}

static void put_word(struct buf *b, const char *name, const char *value)
{
	cborio_put_cstr(b, name);
	cborio_put_cstr(b, value);
}

/* ---- requests ---- */

enum member { INDEX, RANGE, DATA, USER_DATA, NONCE, PUBLIC_KEY, MEMBERS };

static const char *const members[MEMBERS] = {"index", "range", "data", "user_data", "nonce", "public_key"};

struct request {
	uint64_t number;	     /* of INDEX or RANGE */
	struct bytes bytes[MEMBERS]; /* of the others; p == NULL: null or not there */
};

static bool is_locked(const struct simulator *s, uint64_t index)
{
	return (s->locked >> index & 1) != 0;
}

static struct bytes pcr(const struct simulator *s, uint64_t index)
{
	return bytes_of(s->pcr[index], NSM_PCR_SIZE);
}

static enum err describe_nsm(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	(void)q;
	put_head(reply, "DescribeNSM", 7);
	put_number(reply, "version_major", 1);
	put_number(reply, "version_minor", 0);
	put_number(reply, "version_patch", 0);
	put_word(reply, "module_id", s->ca.module_id);
	put_number(reply, "max_pcrs", NSM_PCRS_MAX);
	cborio_put_cstr(reply, "locked_pcrs");
	cborio_put_array(reply, (unsigned)__builtin_popcount(s->locked));
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++)
		if (is_locked(s, i))
			cborio_put_uint(reply, i);
	put_word(reply, "digest", "SHA384");
	return buf_check(reply, w);
}

static enum err describe_pcr(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	if (q->number >= NSM_PCRS_MAX)
		return refuse("InvalidIndex", reply, w);
	put_head(reply, "DescribePCR", 2);
	cborio_put_cstr(reply, "lock");
	cborio_put_bool(reply, is_locked(s, q->number));
	put_data(reply, "data", pcr(s, q->number));
	return buf_check(reply, w);
}

static enum err extend_pcr(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	const struct bytes data = q->bytes[DATA];
	if (q->number >= NSM_PCRS_MAX)
		return refuse("InvalidIndex", reply, w);
	if (is_locked(s, q->number))
		return refuse("ReadOnlyIndex", reply, w);
	if (data.n > NSM_EXTEND_MAX)
		return refuse("InputTooLarge", reply, w);
	uint8_t both[NSM_PCR_SIZE + NSM_EXTEND_MAX];
	memcpy(both, s->pcr[q->number], NSM_PCR_SIZE);
	memcpy(both + NSM_PCR_SIZE, data.p, data.n);
	enum err e = crypto_sha384(s->o.crypto, bytes_of(both, NSM_PCR_SIZE + data.n), s->pcr[q->number], w);
	if (e != ERR_OK)
		return e;
	put_head(reply, "ExtendPCR", 1);
	put_data(reply, "data", pcr(s, q->number));
	return buf_check(reply, w);
}

static enum err lock_pcr(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	if (q->number >= NSM_PCRS_MAX)
		return refuse("InvalidIndex", reply, w);
	if (is_locked(s, q->number))
		return refuse("ReadOnlyIndex", reply, w);
	s->locked |= UINT32_C(1) << q->number;
	cborio_put_cstr(reply, "LockPCR");
	return buf_check(reply, w);
}

static enum err lock_pcrs(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	if (q->number > NSM_PCRS_MAX)
		return refuse("InvalidIndex", reply, w);
	s->locked |= (uint32_t)((UINT64_C(1) << q->number) - 1);
	cborio_put_cstr(reply, "LockPCRs");
	return buf_check(reply, w);
}

static enum err get_random(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	uint8_t random[NSM_RANDOM_MAX];
	(void)q;
	enum err e = random_fill(&s->o.random, random, sizeof random, w);
	if (e != ERR_OK)
		return e;
	put_head(reply, "GetRandom", 1);
	put_data(reply, "random", bytes_of(random, sizeof random));
	mem_wipe(random, sizeof random);
	return buf_check(reply, w);
}

/* ---- documents ---- */

static int64_t now_ms(const struct simulator_options *o)
{
	return clock_wall(o->clock) + o->clock_offset_s * 1000;
}

/* The order and the open map are those of AWS's NSM since August 2025. */
static void put_payload(const struct simulator *s, const struct request *q, int64_t timestamp_ms, struct buf *b)
{
	const struct simulator_certificate *level = s->ca.level;
	cborio_put_map_indefinite(b);
	put_word(b, "module_id", s->ca.module_id);
	put_word(b, "digest", "SHA384");
	put_number(b, "timestamp", (uint64_t)timestamp_ms);
	cborio_put_cstr(b, "pcrs");
	cborio_put_map(b, (unsigned)__builtin_popcount(s->locked));
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if (!is_locked(s, i))
			continue;
		cborio_put_uint(b, i);
		cborio_put_bytes(b, pcr(s, i));
	}
	put_data(b, "certificate", buf_bytes(&level[SIMULATOR_LEAF].der));
	cborio_put_cstr(b, "cabundle");
	cborio_put_array(b, SIMULATOR_LEAF);
	for (size_t i = 0; i < SIMULATOR_LEAF; i++)
		cborio_put_bytes(b, buf_bytes(&level[i].der));
	put_data(b, "public_key", q->bytes[PUBLIC_KEY]);
	put_data(b, "user_data", q->bytes[USER_DATA]);
	const bool other = s->o.fault == SIMULATOR_OTHER_NONCE;
	put_data(b, "nonce", other ? BYTES_LIT("not the nonce that was asked for") : q->bytes[NONCE]);
	cborio_put_break(b);
}

/* COSE_Sign1 (RFC 9052), untagged as AWS leaves it. */
static enum err put_document(struct simulator *s, struct bytes payload, struct buf *document, struct why *w)
{
	const struct bytes protected = BYTES_LIT(COSE_ES384_HEADER);
	uint8_t signature[CERT_SIGNATURE_SIZE];
	struct buf message = BUF_INIT(NSM_REPLY_MAX);
	cose_to_be_signed(protected, payload, &message);
	enum err e = buf_check(&message, w);
	if (e == ERR_OK)
		e = cert_key_sign(s->o.crypto, s->ca.level[SIMULATOR_LEAF].key, buf_bytes(&message), signature, w);
	buf_free(&message);
	if (e != ERR_OK)
		return e;
	if (s->o.fault == SIMULATOR_BAD_SIGNATURE)
		signature[CERT_SIGNATURE_SIZE - 1] ^= 1;
	cborio_put_array(document, 4);
	cborio_put_bytes(document, protected);
	cborio_put_map(document, 0);
	cborio_put_bytes(document, payload);
	cborio_put_bytes(document, bytes_of(signature, sizeof signature));
	return buf_check(document, w);
}

static enum err attest(struct simulator *s, const struct request *q, struct buf *reply, struct why *w)
{
	if (q->bytes[USER_DATA].n > NSM_USER_DATA_MAX || q->bytes[NONCE].n > NSM_NONCE_MAX ||
	    q->bytes[PUBLIC_KEY].n > NSM_PUBLIC_KEY_MAX)
		return refuse("InputTooLarge", reply, w);
	const int64_t ms = now_ms(&s->o);
	const size_t before = reply->n;
	struct buf payload = BUF_INIT(NSM_REPLY_MAX), document = BUF_INIT(NSM_REPLY_MAX);
	enum err e = simulator_ca_renew(&s->ca, ms / 1000, w);
	if (e != ERR_OK)
		goto out;
	put_payload(s, q, ms, &payload);
	e = buf_check(&payload, w);
	if (e == ERR_OK)
		e = put_document(s, buf_bytes(&payload), &document, w);
	if (e != ERR_OK)
		goto out;
	put_head(reply, "Attestation", 1);
	put_data(reply, "document", buf_bytes(&document));
	if (s->o.fault == SIMULATOR_SHORT)
		reply->n = before + (reply->n - before) / 2;
	e = buf_check(reply, w);
out:
	buf_free(&payload);
	buf_free(&document);
	return e;
}

/* ---- reading requests ---- */

static const struct operation {
	const char *name;
	uint32_t members; /* bit i: members[i]; none: the name alone is the request */
	bool optional;	  /* the members, each of them */
	enum err (*answer)(struct simulator *s, const struct request *q, struct buf *reply, struct why *w);
} operations[] = {
	{"DescribeNSM", 0, false, describe_nsm},
	{"DescribePCR", 1u << INDEX, false, describe_pcr},
	{"ExtendPCR", 1u << INDEX | 1u << DATA, false, extend_pcr},
	{"LockPCR", 1u << INDEX, false, lock_pcr},
	{"LockPCRs", 1u << RANGE, false, lock_pcrs},
	{"GetRandom", 0, false, get_random},
	{"Attestation", 1u << USER_DATA | 1u << NONCE | 1u << PUBLIC_KEY, true, attest},
};

static void read_member(struct cborio_reader *r, int m, struct request *q)
{
	if (m == INDEX || m == RANGE) {
		q->number = cborio_uint(r);
		cborio_check(r, q->number <= UINT16_MAX, "a number has more than 16 bits");
	} else if (m != DATA && cborio_peek(r) == CBORIO_NULL) {
		cborio_null(r);
	} else {
		q->bytes[m] = cborio_bytes(r);
	}
}

/* NULL when it is no request of the NSM's. */
static const struct operation *read_request(struct bytes in, struct request *q)
{
	const struct operation *op = NULL;
	struct cborio_reader r;
	struct why unused = {0};
	uint64_t outer = 0;
	uint32_t seen = 0;
	cborio_reader_init(&r, in);
	const bool alone = cborio_peek(&r) == CBORIO_TEXT;
	if (!alone) {
		outer = cborio_map(&r);
		cborio_check(&r, cborio_more(&r, &outer), "no request");
	}
	const struct bytes name = cborio_text(&r);
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
		if (bytes_is(name, operations[i].name))
			op = &operations[i];
	if (op == NULL || alone != (op->members == 0))
		return NULL;
	if (!alone) {
		for (uint64_t left = cborio_map(&r); cborio_more(&r, &left);) {
			const int m = cborio_member(&r, members, MEMBERS, &seen);
			if (m >= 0)
				read_member(&r, m, q);
		}
		cborio_check(&r, !cborio_more(&r, &outer), "more than one request");
	}
	cborio_check(&r, op->optional ? (seen & ~op->members) == 0 : seen == op->members, "other members");
	return cborio_done(&r, &unused) == ERR_OK ? op : NULL;
}

enum err simulator_call(struct simulator *s, struct bytes request, struct buf *reply, struct why *w)
{
	if (s->o.fault == SIMULATOR_ERROR)
		return refuse(s->o.error, reply, w);
	if (s->o.fault == SIMULATOR_GARBAGE) {
		buf_put_str(reply, "\xff no CBOR");
		return buf_check(reply, w);
	}
	if (request.n > NSM_REQUEST_MAX)
		return refuse("InputTooLarge", reply, w);
	struct request q = {.number = 0};
	const struct operation *op = read_request(request, &q);
	if (op == NULL)
		return refuse("InvalidOperation", reply, w);
	(void)pthread_mutex_lock(&s->lock);
	const enum err e = op->answer(s, &q, reply, w);
	(void)pthread_mutex_unlock(&s->lock);
	return e;
}

/* ---- one simulator ---- */

static enum err check(const struct simulator_options *o, struct why *w)
{
	for (size_t i = 0; i < NSM_PCRS_MAX; i++)
		if (o->pcr[i].p != NULL && o->pcr[i].n != NSM_PCR_SIZE)
			return why_tell(w, ERR_CONFIG, NULL, "PCR%zu is given with %zu bytes instead of %d.", i,
					o->pcr[i].n, NSM_PCR_SIZE);
	if (o->clock_offset_s < -SIMULATOR_OFFSET_MAX_S || o->clock_offset_s > SIMULATOR_OFFSET_MAX_S)
		return why_tell(w, ERR_CONFIG, NULL, "The clock offset is beyond %d seconds (20 years).",
				SIMULATOR_OFFSET_MAX_S);
	/* The root is valid from an hour ago, and certificates know no time before 1950, documents none before 1970. */
	if (now_ms(o) < INT64_C(3600) * 1000)
		return why_tell(w, ERR_ENVIRONMENT, NULL, "The clock, with its offset, is before 1970: set it.");
	return ERR_OK;
}

static void set_pcrs(struct simulator *s)
{
	static const uint8_t measured[] = {0, 1, 2, 4};
	for (size_t i = 0; i < sizeof measured; i++)
		for (size_t at = 0; at < NSM_PCR_SIZE; at += 4)
			memcpy(&s->pcr[measured[i]][at], (uint8_t[]){0xa7, 0x7e, 0x57, 0xd0 | measured[i]}, 4);
	for (size_t i = 0; i < NSM_PCRS_MAX; i++)
		if (s->o.pcr[i].p != NULL)
			memcpy(s->pcr[i], s->o.pcr[i].p, NSM_PCR_SIZE);
	if (s->o.debug_mode)
		memset(s->pcr, 0, 3 * sizeof s->pcr[0]);
	s->locked = UINT32_C(0xffff); /* 0 to 15 are never the enclave's to extend */
}

enum err simulator_new(struct simulator **out, const struct simulator_options *o, struct why *w)
{
	enum err e = check(o, w);
	if (e != ERR_OK)
		return e;
	struct simulator *s = calloc(1, sizeof *s);
	if (s == NULL || pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return why_set(w, ERR_MEMORY, "no memory for the NSM simulator");
	}
	s->o = *o;
	set_pcrs(s);
	memset(s->o.pcr, 0, sizeof s->o.pcr); /* only borrowed for this call */
	s->ca = (struct simulator_ca){
		.crypto = o->crypto, .random = o->random, .expired = o->fault == SIMULATOR_EXPIRED};
	e = simulator_ca_init(&s->ca, now_ms(o), w);
	if (e == ERR_OK)
		*out = s;
	else
		simulator_free(s);
	return e;
}

void simulator_free(struct simulator *s)
{
	if (s == NULL)
		return;
	simulator_ca_clear(&s->ca);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

struct bytes simulator_root(const struct simulator *s)
{
	return buf_bytes(&s->ca.level[SIMULATOR_ROOT].der);
}
