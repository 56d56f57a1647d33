/* simulator_ask.h - asks a simulator by the bytes, and takes its documents apart. */
#ifndef ATTESTD_TESTS_SIMULATOR_ASK_H
#define ATTESTD_TESTS_SIMULATOR_ASK_H

#include "simulator_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "cert.h"

enum { HEX_MAX = 2 * NSM_REPLY_MAX };

static struct simulator_fixture f;

static inline int setup(void **state)
{
	(void)state;
	simulator_fixture_open(&f, NULL);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	simulator_fixture_close(&f);
	return 0;
}

static inline void reopen(const struct simulator_options *o)
{
	simulator_fixture_close(&f);
	simulator_fixture_open(&f, o);
}

/* ---- asking ---- */

static inline void put(struct buf *b, const char *hex)
{
	uint8_t *to = buf_reserve(b, strlen(hex) / 2);
	size_t n;
	assert_true(hex_decode(bytes_str(hex), to, &n));
	b->n += n;
}

static inline struct buf ask_bytes(struct bytes request)
{
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	if (simulator_call(f.s, request, &reply, &f.w) != ERR_OK)
		fail_msg("%s", f.w.text);
	return reply;
}

/* `text` as a CBOR text, then `rest` in hex. */
static inline struct buf ask(const char *before, const char *text, const char *rest)
{
	struct buf request = BUF_INIT(2 * NSM_REQUEST_MAX);
	put(&request, before);
	cborio_put_cstr(&request, text);
	put(&request, rest);
	struct buf reply = ask_bytes(buf_bytes(&request));
	buf_free(&request);
	return reply;
}

#define INDEX "a165696e646578" /* {"index": */
#define RANGE "a16572616e6765" /* {"range": */

static inline void assert_bytes(struct bytes got, struct bytes want)
{
	if (bytes_equal(got, want))
		return;
	char a[HEX_MAX], b[HEX_MAX];
	hex_encode(got, a);
	hex_encode(want, b);
	fail_msg("%.*s is not %.*s", (int)(2 * got.n), a, (int)(2 * want.n), b);
}

static inline void assert_text(struct buf reply, const char *text)
{
	struct buf want = BUF_INIT(64);
	cborio_put_cstr(&want, text);
	assert_bytes(buf_bytes(&reply), buf_bytes(&want));
	buf_free(&want);
	buf_free(&reply);
}

static inline void assert_error(struct buf reply, const char *name)
{
	struct buf want = BUF_INIT(64);
	put(&want, "a1654572726f72"); /* {"Error": */
	cborio_put_cstr(&want, name);
	assert_bytes(buf_bytes(&reply), buf_bytes(&want));
	buf_free(&want);
	buf_free(&reply);
}

static inline void pcr(unsigned index, bool *locked, uint8_t value[NSM_PCR_SIZE])
{
	char rest[sizeof INDEX + 4];
	(void)snprintf(rest, sizeof rest, INDEX "18%02x", index);
	if (index < 24)
		(void)snprintf(rest, sizeof rest, INDEX "%02x", index);
	struct buf reply = ask("a1", "DescribePCR", rest);
	struct buf want = BUF_INIT(128);
	put(&want, "a16b446573637269626550435"
		   "2a2646c6f636bf56464617461"
		   "5830");
	assert_int_equal(reply.n, want.n + NSM_PCR_SIZE);
	*locked = reply.p[19] == 0xf5;
	want.p[19] = reply.p[19];
	assert_true(*locked || reply.p[19] == 0xf4);
	assert_memory_equal(reply.p, want.p, want.n);
	memcpy(value, reply.p + want.n, NSM_PCR_SIZE);
	buf_free(&want);
	buf_free(&reply);
}

static inline struct buf extend(unsigned index, size_t n)
{
	struct buf request = BUF_INIT(2 * NSM_REQUEST_MAX);
	put(&request, "a169457874656e64504352a265696e646578");
	cborio_put_uint(&request, index);
	put(&request, "6464617461");
	uint8_t data[NSM_REQUEST_MAX] = {1};
	cborio_put_bytes(&request, bytes_of(data, n));
	struct buf reply = ask_bytes(buf_bytes(&request));
	buf_free(&request);
	return reply;
}

/* ---- documents ---- */

struct document {
	struct buf whole;
	struct bytes payload, signature, module_id, pcr[NSM_PCRS_MAX], certificate, cabundle[4];
	struct bytes public_key, user_data, nonce;
	uint64_t timestamp;
	unsigned pcrs;
};

static inline struct bytes optional(struct cborio_reader *r, const char *name)
{
	assert_true(bytes_is(cborio_text(r), name));
	if (cborio_peek(r) != CBORIO_NULL)
		return cborio_bytes(r);
	cborio_null(r);
	return bytes_of(NULL, 0);
}

static inline void read_payload(struct document *d)
{
	struct cborio_reader r;
	cborio_reader_init(&r, d->payload);
	uint64_t left = cborio_map(&r);
	assert_true(left == CBORIO_INDEFINITE);
	assert_true(bytes_is(cborio_text(&r), "module_id"));
	d->module_id = cborio_text(&r);
	assert_true(bytes_is(cborio_text(&r), "digest"));
	assert_true(bytes_is(cborio_text(&r), "SHA384"));
	assert_true(bytes_is(cborio_text(&r), "timestamp"));
	d->timestamp = cborio_uint(&r);
	assert_true(bytes_is(cborio_text(&r), "pcrs"));
	for (uint64_t n = cborio_map(&r); cborio_more(&r, &n); d->pcrs++)
		d->pcr[cborio_uint(&r) % NSM_PCRS_MAX] = cborio_bytes(&r);
	d->certificate = optional(&r, "certificate");
	assert_true(bytes_is(cborio_text(&r), "cabundle"));
	assert_int_equal(cborio_array(&r), 4);
	for (size_t i = 0; i < 4; i++)
		d->cabundle[i] = cborio_bytes(&r);
	d->public_key = optional(&r, "public_key");
	d->user_data = optional(&r, "user_data");
	d->nonce = optional(&r, "nonce");
	assert_false(cborio_more(&r, &left));
	if (cborio_done(&r, &f.w) != ERR_OK)
		fail_msg("%s", f.w.text);
}

static inline struct document attest_with(struct bytes user_data, struct bytes nonce, struct bytes public_key)
{
	struct document d = {.whole = BUF_INIT(NSM_REPLY_MAX)};
	const struct nsm_attestation a = {.user_data = user_data, .nonce = nonce, .public_key = public_key};
	struct cborio_reader r;
	simulator_fixture_document(&f, &a, &d.whole);
	cborio_reader_init(&r, buf_bytes(&d.whole));
	assert_int_equal(cborio_array(&r), 4);
	assert_true(bytes_equal(cborio_bytes(&r), BYTES_LIT("\xa1\x01\x38\x22")));
	assert_int_equal(cborio_map(&r), 0);
	d.payload = cborio_bytes(&r);
	d.signature = cborio_bytes(&r);
	assert_int_equal(d.signature.n, CERT_SIGNATURE_SIZE);
	assert_int_equal(cborio_done(&r, &f.w), ERR_OK);
	read_payload(&d);
	return d;
}

static inline struct document attest(void)
{
	return attest_with(bytes_of(NULL, 0), bytes_of(NULL, 0), bytes_of(NULL, 0));
}

static inline struct cert_chain *chain_of(const struct document *d)
{
	struct cert_chain *chain = NULL;
	enum cert_fault fault;
	if (cert_chain_check(simulator_root(f.s), d->cabundle, 4, d->certificate, &chain, &fault, &f.w) != ERR_OK)
		fail_msg("fault %d: %s", (int)fault, f.w.text);
	return chain;
}

static inline bool is_signed(const struct document *d)
{
	struct cert_chain *chain = chain_of(d);
	struct buf message = BUF_INIT(NSM_REPLY_MAX);
	put(&message, "846a5369676e61747572653144a101382240");
	cborio_put_bytes(&message, d->payload);
	bool good = cert_chain_signed(f.crypto, chain, buf_bytes(&message), d->signature.p);
	buf_free(&message);
	cert_chain_free(chain);
	return good;
}

/* Chain, signature and time. */
static inline void assert_sound(const struct document *d)
{
	struct cert_chain *chain = chain_of(d);
	const int64_t now_s = (int64_t)(d->timestamp / 1000);
	int64_t from, to;
	cert_chain_window(chain, &from, &to);
	assert_true(from <= now_s && now_s <= to);
	assert_true(is_signed(d));
	cert_chain_free(chain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
