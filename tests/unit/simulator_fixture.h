/* simulator_fixture.h - a simulator whose clock stands still until the test moves it, and its documents. */
#ifndef ATTESTD_TESTS_SIMULATOR_FIXTURE_H
#define ATTESTD_TESTS_SIMULATOR_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cborio.h"
#include "simulator.h"

struct simulator_fixture {
	int64_t now_ms; /* the wall clock; the test may change it at any time */
	struct clock clock;
	struct crypto *crypto;
	struct simulator *s;
	struct why w;
};

/* 2026-01-30T12:00:00.123Z */
#define SIMULATOR_NOW_MS INT64_C(1769774400123)

static inline int64_t simulator_fixture_wall(void *ctx)
{
	return ((struct simulator_fixture *)ctx)->now_ms;
}

/* options: may be NULL; its crypto, clock and random are set here. */
static inline void simulator_fixture_open(struct simulator_fixture *f, const struct simulator_options *options)
{
	struct simulator_options o = {.fault = SIMULATOR_SOUND};
	if (options != NULL)
		o = *options;
	*f = (struct simulator_fixture){.now_ms = SIMULATOR_NOW_MS};
	f->clock = (struct clock){.ctx = f, .wall_ms = simulator_fixture_wall};
	assert_int_equal(crypto_new(&f->crypto, &f->w), ERR_OK);
	o.crypto = f->crypto;
	o.clock = &f->clock;
	o.random = crypto_random(f->crypto);
	if (simulator_new(&f->s, &o, &f->w) != ERR_OK)
		fail_msg("%s", f->w.text);
}

static inline void simulator_fixture_close(struct simulator_fixture *f)
{
	simulator_free(f->s);
	crypto_free(f->crypto);
}

static inline void simulator_fixture_put(struct buf *b, const char *name, struct bytes x)
{
	cborio_put_cstr(b, name);
	if (x.p == NULL)
		cborio_put_null(b);
	else
		cborio_put_bytes(b, x);
}

/* Appends the whole reply to an Attestation. */
static inline void simulator_fixture_attest(struct simulator_fixture *f, const struct nsm_attestation *a,
					    struct buf *reply)
{
	struct buf request = BUF_INIT(NSM_REQUEST_MAX);
	cborio_put_map(&request, 1);
	cborio_put_cstr(&request, "Attestation");
	cborio_put_map(&request, 3);
	simulator_fixture_put(&request, "user_data", a->user_data);
	simulator_fixture_put(&request, "nonce", a->nonce);
	simulator_fixture_put(&request, "public_key", a->public_key);
	assert_int_equal(buf_check(&request, &f->w), ERR_OK);
	if (simulator_call(f->s, buf_bytes(&request), reply, &f->w) != ERR_OK)
		fail_msg("%s", f->w.text);
	buf_free(&request);
}

/* Appends the document alone; the simulator must not refuse. */
static inline void simulator_fixture_document(struct simulator_fixture *f, const struct nsm_attestation *a,
					      struct buf *document)
{
	struct buf reply = BUF_INIT(NSM_REPLY_MAX);
	struct cborio_reader r;
	simulator_fixture_attest(f, a, &reply);
	cborio_reader_init(&r, buf_bytes(&reply));
	assert_int_equal(cborio_map(&r), 1);
	assert_true(bytes_is(cborio_text(&r), "Attestation"));
	assert_int_equal(cborio_map(&r), 1);
	assert_true(bytes_is(cborio_text(&r), "document"));
	buf_put_bytes(document, cborio_bytes(&r));
	assert_int_equal(cborio_done(&r, &f->w), ERR_OK);
	assert_int_equal(buf_check(document, &f->w), ERR_OK);
	buf_free(&reply);
}

#endif
