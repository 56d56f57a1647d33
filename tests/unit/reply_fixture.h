/* reply_fixture.h - documents of a simulator, a verifier that trusts its root, and how replies show documents. For unit
 * tests and fuzz targets: what goes wrong here ends the program.
 */
#ifndef ATTESTD_TESTS_REPLY_FIXTURE_H
#define ATTESTD_TESTS_REPLY_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/internal.h"
#include "base/encode.h"

struct reply_fixture {
	int64_t now_ms; /* the wall clock stands still */
	struct clock clock;
	struct crypto *crypto;
	struct nsm *nsm;
	struct verify *verify;
	struct verify_policy policy; /* trusts the simulator */
	struct why w;
};

struct reply_document {
	struct buf cose;
	struct attest_view view;
};

#define REPLY_OK(call)                                       \
	do {                                                 \
		if ((call) != ERR_OK) {                      \
			fprintf(stderr, "%s failed", #call); \
			abort();                             \
		}                                            \
	} while (0)

static inline int64_t reply_fixture_wall(void *ctx)
{
	return ((struct reply_fixture *)ctx)->now_ms;
}

static inline void reply_fixture_open(struct reply_fixture *f)
{
	*f = (struct reply_fixture){.now_ms = INT64_C(1769774400123)}; /* 2026-01-30T12:00:00.123Z */
	f->clock = (struct clock){.ctx = f, .wall_ms = reply_fixture_wall};
	REPLY_OK(crypto_new(&f->crypto, &f->w));
	const struct nsm_env env = {
		.crypto = f->crypto, .clock = &f->clock, .random = crypto_random(f->crypto), .device_path = ""};
	bool fell_back = false;
	REPLY_OK(nsm_open(&f->nsm, "simulator", &env, &fell_back, &f->w));
	REPLY_OK(verify_new(&f->verify, f->crypto, &f->clock, &f->w));
	verify_policy_init(&f->policy);
	REPLY_OK(verify_policy_root_der(&f->policy, nsm_root(f->nsm), &f->w));
}

static inline void reply_fixture_close(struct reply_fixture *f)
{
	verify_free(f->verify);
	nsm_close(f->nsm);
	crypto_free(f->crypto);
}

static inline void reply_document_make(struct reply_fixture *f, const struct nsm_attestation *a,
				       struct reply_document *out)
{
	enum verify_code fault;
	out->cose = BUF_INIT(NSM_REPLY_MAX);
	REPLY_OK(nsm_attest(f->nsm, a, &out->cose, &f->w));
	REPLY_OK(attest_view_parse(buf_bytes(&out->cose), &out->view, &fault, &f->w));
}

static inline void reply_document_free(struct reply_document *d)
{
	buf_free(&d->cose);
}

/* The members of attestation_document, each given to `put` as JSON. */
static inline void reply_document_show(const struct reply_document *d,
				       void (*put)(void *ctx, const char *name, const struct buf *value), void *ctx)
{
	const struct attest_view *v = &d->view;
	const struct {
		const char *name;
		struct bytes value;
	} base64[] = {{"certificate", v->certificate},
		      {"public_key", v->public_key},
		      {"user_data", v->user_data},
		      {"nonce", v->nonce},
		      {"document", buf_bytes(&d->cose)}};
	struct buf b = BUF_INIT(32 * 1024);
	json_put_string(&b, v->module_id);
	put(ctx, "module_id", &b);
	buf_reset(&b);
	json_put_int(&b, v->timestamp_ms);
	put(ctx, "timestamp", &b);
	buf_reset(&b);
	json_put_string(&b, v->digest);
	put(ctx, "digest", &b);
	buf_reset(&b);
	for (unsigned i = 0; i < NSM_PCRS_MAX; i++) {
		if (v->pcr[i].p == NULL)
			continue;
		buf_printf(&b, "%s\"%u\":", b.n == 0 ? "{" : ",", i);
		json_put_hex(&b, v->pcr[i]);
	}
	buf_put_u8(&b, '}');
	put(ctx, "pcrs", &b);
	buf_reset(&b);
	for (size_t i = 0; i < v->n_cabundle; i++) {
		buf_put_u8(&b, i == 0 ? '[' : ',');
		json_put_base64(&b, v->cabundle[i]);
	}
	buf_put_u8(&b, ']');
	put(ctx, "cabundle", &b);
	for (size_t i = 0; i < sizeof base64 / sizeof base64[0]; i++) {
		buf_reset(&b);
		json_put_base64(&b, base64[i].value);
		put(ctx, base64[i].name, &b);
	}
	REPLY_OK(buf_check(&b, &(struct why){.err = ERR_OK}));
	buf_free(&b);
}

#endif
