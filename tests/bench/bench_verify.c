/* bench_verify.c - documents verified a second, warm and cold, beside raw P-384 verifications in the same run.
 *
 * One line a case: name, median a second over the rounds, ratio to the raw verifications. The three take turns within
 * each round, so that whatever else the machine does hits all of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cborio.h"
#include "cose.h"
#include "nsm/ops.h"
#include "verify.h"

enum { ROUNDS = 7, WARM_UP = 50, ROUND_MS = 300 };

struct bench {
	struct crypto *crypto;
	struct clock clock;
	struct nsm *nsm;
	struct verify *warm;
	struct verify_policy policy;
	struct buf document;
	struct cert_chain *chain;
	struct buf to_be_signed;
	uint8_t signature[CERT_SIGNATURE_SIZE];
};

static void must(enum err e, const struct why *w)
{
	if (e == ERR_OK)
		return;
	fprintf(stderr, "bench_verify: %s\n", w->text);
	exit(1);
}

static void verify_with(struct bench *b, struct verify *v)
{
	struct verify_verdict *d = NULL;
	struct why w = {0};
	must(verify_input(v, buf_bytes(&b->document), VERIFY_RAW, &b->policy, &d, &w), &w);
	if (!verify_verdict_good(d)) {
		fprintf(stderr, "bench_verify: %s\n", verify_verdict_message(d));
		exit(1);
	}
	verify_verdict_free(d);
}

static void raw(struct bench *b)
{
	if (!cert_chain_signed(b->crypto, b->chain, buf_bytes(&b->to_be_signed), b->signature))
		exit(1);
}

static void warm(struct bench *b)
{
	verify_with(b, b->warm);
}

/* A verifier that has seen no chain yet. */
static void cold(struct bench *b)
{
	struct verify *v = NULL;
	struct why w = {0};
	must(verify_new(&v, b->crypto, &b->clock, &w), &w);
	verify_with(b, v);
	verify_free(v);
}

static double a_second(struct bench *b, void (*once)(struct bench *b))
{
	const int64_t from = b->clock.mono_us(b->clock.ctx), until = from + ROUND_MS * 1000;
	int64_t now = from;
	double n = 0;
	for (; now < until; now = b->clock.mono_us(b->clock.ctx), n++)
		once(b);
	return n * 1e6 / (double)(now - from);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The parts of the document that raw() needs, read without judging them. */
static void take_apart(struct bench *b)
{
	struct bytes bundle[CERT_BUNDLE_MAX], leaf = {NULL, 0}, payload;
	struct cborio_reader r;
	struct why w = {0};
	enum cert_fault fault;
	size_t n = 0;
	cborio_reader_init(&r, buf_bytes(&b->document));
	uint64_t parts = cborio_array(&r), headers;
	(void)cborio_more(&r, &parts);
	const struct bytes protected_header = cborio_bytes(&r);
	(void)cborio_more(&r, &parts);
	headers = cborio_map(&r);
	(void)cborio_more(&r, &headers);
	(void)cborio_more(&r, &parts);
	payload = cborio_bytes(&r);
	(void)cborio_more(&r, &parts);
	const struct bytes signature = cborio_bytes(&r);
	if (signature.n != sizeof b->signature)
		exit(1);
	for (size_t i = 0; i < signature.n; i++)
		b->signature[i] = signature.p[i];

	cose_to_be_signed(protected_header, payload, &b->to_be_signed);

	cborio_reader_init(&r, payload);
	for (uint64_t left = cborio_map(&r); cborio_more(&r, &left);) {
		const struct bytes name = cborio_text(&r);
		if (bytes_is(name, "certificate")) {
			leaf = cborio_bytes(&r);
		} else if (bytes_is(name, "cabundle")) {
			for (uint64_t more = cborio_array(&r); cborio_more(&r, &more) && n < CERT_BUNDLE_MAX;)
				bundle[n++] = cborio_bytes(&r);
		} else if (bytes_is(name, "pcrs")) {
			for (uint64_t more = cborio_map(&r); cborio_more(&r, &more);) {
				(void)cborio_uint(&r);
				(void)cborio_bytes(&r);
			}
		} else if (cborio_peek(&r) == CBORIO_TEXT) {
			(void)cborio_text(&r);
		} else if (cborio_peek(&r) == CBORIO_UINT) {
			(void)cborio_uint(&r);
		} else if (cborio_peek(&r) == CBORIO_BYTES) {
			(void)cborio_bytes(&r);
		} else {
			cborio_null(&r);
		}
	}
	must(cborio_done(&r, &w), &w);
	must(cert_chain_check(nsm_root(b->nsm), bundle, n, leaf, &b->chain, &fault, &w), &w);
}

int main(void)
{
	static const struct {
		const char *name;
		void (*once)(struct bench *b);
	} cases[] = {{"raw_p384_verify", raw}, {"verify_warm", warm}, {"verify_cold", cold}};
	enum { CASES = sizeof cases / sizeof cases[0] };
	struct bench b = {
		.clock = clock_system(), .document = BUF_INIT(NSM_REPLY_MAX), .to_be_signed = BUF_INIT(NSM_REPLY_MAX)};
	double rates[CASES][ROUNDS];
	bool fell_back;
	struct why w = {0};

	must(crypto_new(&b.crypto, &w), &w);
	const struct nsm_env env = {NSM_DEVICE_PATH, b.crypto, &b.clock, crypto_random(b.crypto), 0};
	must(nsm_open(&b.nsm, "simulator", &env, &fell_back, &w), &w);
	const struct nsm_attestation ask = {.user_data = BYTES_LIT("user data"),
					    .nonce = BYTES_LIT("0123456789abcdef")};
	must(nsm_attest(b.nsm, &ask, &b.document, &w), &w);
	take_apart(&b);
	verify_policy_init(&b.policy);
	must(verify_policy_root_der(&b.policy, nsm_root(b.nsm), &w), &w);
	must(verify_new(&b.warm, b.crypto, &b.clock, &w), &w);

	for (size_t c = 0; c < CASES; c++)
		for (size_t i = 0; i < WARM_UP; i++)
			cases[c].once(&b);
	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t c = 0; c < CASES; c++)
			rates[c][round] = a_second(&b, cases[c].once);
	for (size_t c = 0; c < CASES; c++) {
		qsort(rates[c], ROUNDS, sizeof rates[c][0], by_value);
		printf("%-16s %8.0f a second %6.2f of raw\n", cases[c].name, rates[c][ROUNDS / 2],
		       rates[c][ROUNDS / 2] / rates[0][ROUNDS / 2]);
	}

	verify_free(b.warm);
	cert_chain_free(b.chain);
	buf_free(&b.document);
	buf_free(&b.to_be_signed);
	nsm_close(b.nsm);
	crypto_free(b.crypto);
	return 0;
}
