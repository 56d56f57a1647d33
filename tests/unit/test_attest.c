#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "attest/internal.h"
#include "attest_doc.h"
#include "base/encode.h"
#include "fake_nsm.h"
#include "simulator_fixture.h"

static int64_t noon(void *ctx)
{
	(void)ctx;
	return INT64_C(1769774400000); /* 2026-01-30T12:00:00Z */
}

static const struct clock fixed = {NULL, noon, noon, noon};

struct world {
	struct crypto *crypto;
	struct log *log;
	struct fake fake;
	struct doc_spec spec;
	struct buf reply;
	struct nsm *dummy, *real;
	struct verify *verify;
	struct simulator_fixture simulator;
	struct bytes spoil; /* a bit of it changes on its way from the NSM; empty: of the signature; NULL: none */
};

/* The NSM's reply: a document made after the spec, whatever was asked. */
static struct bytes answer(void *ctx, struct bytes request)
{
	struct world *t = ctx;
	struct buf doc = BUF_INIT(NSM_REPLY_MAX);
	(void)request;
	doc_make(&t->spec, &doc);
	buf_reset(&t->reply);
	cborio_put_map(&t->reply, 1);
	cborio_put_cstr(&t->reply, "Attestation");
	cborio_put_map(&t->reply, 1);
	cborio_put_cstr(&t->reply, "document");
	cborio_put_bytes(&t->reply, buf_bytes(&doc));
	buf_free(&doc);
	return buf_bytes(&t->reply);
}

static int setup(void **s)
{
	struct world *t = calloc(1, sizeof(*t));
	struct why w;
	bool fell;
	t->reply = BUF_INIT(NSM_REPLY_MAX);
	t->spec = doc_spec_good();
	t->fake.answer = answer;
	t->fake.ctx = t;
	t->real = fake_nsm(&t->fake);
	assert_int_equal(crypto_new(&t->crypto, &w), ERR_OK);
	assert_int_equal(log_new(&t->log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR, LOG_TEXT, &fixed, &w),
			 ERR_OK);
	assert_int_equal(nsm_open(&t->dummy, "dummy", &(struct nsm_env){.device_path = ""}, &fell, &w), ERR_OK);
	assert_int_equal(verify_new(&t->verify, t->crypto, &fixed, &w), ERR_OK);
	*s = t;
	return 0;
}

static int teardown(void **s)
{
	struct world *t = *s;
	nsm_close(t->dummy);
	nsm_close(t->real);
	verify_free(t->verify);
	simulator_fixture_close(&t->simulator);
	log_free(t->log);
	crypto_free(t->crypto);
	buf_free(&t->reply);
	free(t);
	return 0;
}

static struct attest *attester_under(struct world *t, struct nsm *n, const char *build, struct bytes root)
{
	const struct attest_options o = {"OpenClaw", "LLM Proxy with Guardrails", "", "attestd", "0.1.0", build, root};
	struct attest *a = NULL;
	struct why w;
	assert_int_equal(attest_new(&a, &o, n, t->crypto, t->verify, &fixed, t->log, &w), ERR_OK);
	return a;
}

static struct attest *attester(struct world *t, struct nsm *n, const char *build)
{
	return attester_under(t, n, build, verify_aws_root());
}

static struct attest_nonce nonce_of(const char *text)
{
	struct attest_nonce n = {.present = true, .encoding = ATTEST_TEXT, .n = strlen(text)};
	memcpy(n.b, text, n.n);
	return n;
}

/* ---- GET /info ---- */

static void info_is_one_byte_string_and_its_digest(void **s)
{
	struct world *t = *s;
	struct attest *a = attester(t, t->dummy, "");
	uint8_t digest[SHA256_SIZE];
	struct why w;
	assert_true(bytes_is(attest_info(a), "{\"version\":\"0.1.0\",\"name\":\"attestd\",\"build_info\":null}"));
	assert_int_equal(crypto_sha256(t->crypto, attest_info(a), digest, &w), ERR_OK);
	assert_memory_equal(attest_info_digest(a), digest, SHA256_SIZE);
	attest_free(a);
	a = attester(t, t->dummy, "git \"abc\"");
	assert_true(bytes_is(attest_info(a),
			     "{\"version\":\"0.1.0\",\"name\":\"attestd\",\"build_info\":\"git \\\"abc\\\"\"}"));
	attest_free(a);
	attest_free(NULL);
}

/* ---- the dummy's documents ---- */

#define DIGITS_12(d) d d d d d d d d d d d d
#define PCR(d)	     DIGITS_12(d) DIGITS_12(d) DIGITS_12(d) DIGITS_12(d) DIGITS_12(d) DIGITS_12(d) DIGITS_12(d) DIGITS_12(d)

static void a_dummy_document_shows_its_pcrs_and_warns(void **s)
{
	struct world *t = *s;
	struct attest *a = attester(t, t->dummy, "");
	struct attest_nonce nonce = nonce_of("test nonce");
	struct attest_doc *d = NULL;
	struct buf out = BUF_INIT(16384);
	struct why w;
	assert_int_equal(attest_doc_make(a, BYTES_LIT("{}"), &nonce, bytes_of(NULL, 0), &d, &w), ERR_OK);
	attest_doc_json(d, &out);
	assert_string_equal(
		buf_cstr(&out),
		"{\"module_id\":\"dummy\",\"timestamp\":1769774400000,\"digest\":\"SHA384\",\"pcrs\":{"
		"\"0\":\"" PCR("0") "\",\"1\":\"" PCR("1") "\",\"2\":\"" PCR("2") "\",\"3\":\"" PCR("3") "\",\"4\":\"" PCR(
			"4") "\",\"8\":\"" PCR("8") "\"},\"certificate\":null,\"cabundle\":[],\"public_key\":null,"
						    "\"user_data\":\"e30=\",\"nonce\":\"dGVzdCBub25jZQ==\","
						    "\"_warning\":\"DUMMY ATTESTATION: /dev/nsm is not available. "
						    "This document is not cryptographically valid and proves nothing; "
						    "for development only.\"}");
	assert_int_equal(attest_doc_cose(d).n, 0);
	assert_non_null(attest_doc_warning(d));
	assert_false(attest_doc_verified(d));
	assert_int_equal(attest_doc_pcr(d, 2).n, NSM_PCR_SIZE);
	assert_int_equal(attest_doc_pcr(d, 2).p[47], 0x22);
	assert_int_equal(attest_doc_pcr(d, 5).n, 0);
	assert_int_equal(attest_doc_pcr(d, 31).n, 0);
	assert_int_equal(attest_doc_pcr(d, 32).n, 0);
	buf_free(&out);
	attest_doc_free(d);
	attest_doc_free(NULL);
	attest_free(a);
}

static void what_is_attested_is_limited_in_every_back_end(void **s)
{
	struct world *t = *s;
	static const uint8_t zeros[NSM_USER_DATA_MAX + 1];
	struct attest_nonce nonce = {.present = true, .n = NSM_NONCE_MAX};
	struct nsm *const nsms[] = {t->dummy, t->real};
	t->spec.user_data = bytes_of(zeros, NSM_USER_DATA_MAX);
	t->spec.nonce = bytes_of(zeros, NSM_NONCE_MAX);
	for (size_t i = 0; i < 2; i++) {
		struct attest *a = attester(t, nsms[i], "");
		struct attest_doc *d = NULL;
		struct why w;
		assert_int_equal(
			attest_doc_make(a, bytes_of(zeros, NSM_USER_DATA_MAX), &nonce, bytes_of(NULL, 0), &d, &w),
			ERR_OK);
		attest_doc_free(d);
		d = NULL;
		assert_int_equal(
			attest_doc_make(a, bytes_of(zeros, NSM_USER_DATA_MAX + 1), &nonce, bytes_of(NULL, 0), &d, &w),
			ERR_INTERNAL);
		nonce.n++;
		assert_int_equal(attest_doc_make(a, bytes_of(zeros, 1), &nonce, bytes_of(NULL, 0), &d, &w),
				 ERR_INTERNAL);
		nonce.n--;
		assert_null(d);
		attest_free(a);
	}
}

/* ---- the NSM's documents ---- */

static void a_document_is_shown_as_the_nsm_gave_it(void **s)
{
	struct world *t = *s;
	struct attest *a = attester(t, t->real, "");
	struct attest_nonce nonce = nonce_of("nonce");
	struct attest_doc *d = NULL;
	struct buf out = BUF_INIT(16384), want = BUF_INIT(16384), cose = BUF_INIT(NSM_REPLY_MAX);
	struct why w;
	assert_int_equal(attest_doc_make(a, BYTES_LIT("user data"), &nonce, bytes_of(NULL, 0), &d, &w), ERR_OK);
	doc_make(&t->spec, &cose);
	assert_true(bytes_equal(attest_doc_cose(d), buf_bytes(&cose)));
	buf_put_str(&want, "{\"module_id\":\"i-0-enc1\",\"timestamp\":1706198400000,\"digest\":\"SHA384\",\"pcrs\":{");
	for (size_t i = 0; i < t->spec.n_pcrs; i++) {
		uint8_t pcr[NSM_PCR_SIZE];
		memset(pcr, t->spec.pcr_fill[i], sizeof(pcr));
		buf_printf(&want, "%s\"%d\":\"", i == 0 ? "" : ",", (int)t->spec.pcr_index[i]);
		buf_put_hex(&want, bytes_of(pcr, sizeof(pcr)));
		buf_put_str(&want, "\"");
	}
	buf_put_str(&want,
		    "},\"certificate\":\"Y2VydA==\",\"cabundle\":[\"cm9vdA==\",\"em9uZQ==\"],\"public_key\":null,"
		    "\"user_data\":\"dXNlciBkYXRh\",\"nonce\":\"bm9uY2U=\",\"document\":\"");
	buf_put_base64(&want, buf_bytes(&cose));
	buf_put_str(&want,
		    "\",\"_warning\":\"UNVERIFIED ATTESTATION: this server's own verifier does not accept the "
		    "document (chain_untrusted). The document's certificates do not start at AWS's root: AWS did not "
		    "vouch for it.\"}");
	attest_doc_json(d, &out);
	assert_string_equal(buf_cstr(&out), buf_cstr(&want));
	assert_false(attest_doc_verified(d));
	assert_int_equal(attest_doc_pcr(d, 10).p[0], 0xaa);
	assert_int_equal(attest_doc_pcr(d, 16).n, 0);
	buf_free(&out);
	buf_free(&want);
	buf_free(&cose);
	attest_doc_free(d);
	attest_free(a);
}

static enum err ask(struct world *t, const char *nonce, struct why *w)
{
	struct attest *a = attester(t, t->real, "");
	struct attest_nonce n = {.present = false};
	struct attest_doc *d = NULL;
	if (nonce != NULL)
		n = nonce_of(nonce);
	enum err e = attest_doc_make(a, BYTES_LIT("user data"), &n, bytes_of(NULL, 0), &d, w);
	assert_int_equal(d != NULL, e == ERR_OK);
	attest_doc_free(d);
	attest_free(a);
	return e;
}

static void an_answer_to_another_question_is_refused(void **s)
{
	struct world *t = *s;
	struct why w;
	assert_int_equal(ask(t, "nonce", &w), ERR_OK);
	assert_int_equal(ask(t, "noncf", &w), ERR_NSM);
	assert_int_equal(ask(t, "nonce2", &w), ERR_NSM);
	assert_int_equal(ask(t, NULL, &w), ERR_NSM);
	t->spec.nonce = bytes_of(NULL, 0);
	assert_int_equal(ask(t, NULL, &w), ERR_OK);
	assert_int_equal(ask(t, "nonce", &w), ERR_NSM);
	assert_string_equal(w.text, "the NSM's document does not hold the nonce that was to be attested");
	t->spec.nonce = BYTES_LIT("");
	assert_int_equal(ask(t, NULL, &w), ERR_NSM);
	t->spec = doc_spec_good();
	t->spec.user_data = BYTES_LIT("user dat4");
	assert_int_equal(ask(t, "nonce", &w), ERR_NSM);
	assert_string_equal(w.text, "the NSM's document does not hold the user data that was to be attested");
	t->spec.user_data = bytes_of(NULL, 0);
	assert_int_equal(ask(t, "nonce", &w), ERR_NSM);
	t->spec = doc_spec_good();
	t->spec.public_key = BYTES_LIT("key");
	assert_int_equal(ask(t, "nonce", &w), ERR_NSM);
	assert_string_equal(w.text, "the NSM's document holds a public key, and none was to be attested");
}

static void what_is_no_document_is_refused(void **s)
{
	struct world *t = *s;
	struct why w;
	t->spec.n_pcrs = 15;
	assert_int_equal(ask(t, "nonce", &w), ERR_NSM);
	assert_non_null(
		strstr(w.text, "the NSM's document is not understood: This is not a document as an NSM writes it"));
	assert_false(w.tell);
}

static void an_nsm_that_refuses_is_told_by_name(void **s)
{
	struct world *t = *s;
	struct why w;
	t->fake.answer = NULL;
	t->fake.replies[0] = BYTES_LIT("\xa1\x65"
				       "Error\x6dInternalError");
	assert_int_equal(ask(t, "nonce", &w), ERR_NSM_REFUSED);
	assert_string_equal(w.text, "the NSM refused Attestation with InternalError");
}

/* ---- tee_verified ---- */

static struct bytes simulate(void *ctx, struct bytes request)
{
	struct world *t = ctx;
	struct why w;
	buf_reset(&t->reply);
	assert_int_equal(simulator_call(t->simulator.s, request, &t->reply, &w), ERR_OK);
	if (t->spoil.p != NULL) {
		uint8_t *at = t->spoil.n == 0 ? &t->reply.p[t->reply.n - 1]
					      : memmem(t->reply.p, t->reply.n, t->spoil.p, t->spoil.n);
		assert_non_null(at);
		at[t->spoil.n / 2] ^= 1;
	}
	return buf_bytes(&t->reply);
}

/* The simulator behind a name that is not its own, as a device would be. */
static void open_device(struct world *t, const struct simulator_options *o)
{
	simulator_fixture_close(&t->simulator);
	simulator_fixture_open(&t->simulator, o);
	t->fake.answer = simulate;
}

static struct attest *attest_device(struct world *t)
{
	return attester_under(t, t->real, "", simulator_root(t->simulator.s));
}

static void verified(struct attest *a, bool want, const char *warning)
{
	struct attest_doc *d = NULL;
	struct buf out = BUF_INIT(65536);
	struct why w = {.text = ""};
	if (attest_doc_make(a, BYTES_LIT("user data"), NULL, bytes_of(NULL, 0), &d, &w) != ERR_OK)
		fail_msg("%s", w.text);
	const char *says = attest_doc_warning(d);
	assert_int_equal(attest_doc_verified(d), want);
	assert_int_equal(attest_verified(a), want);
	assert_int_equal(says == NULL, want);
	if (!want && strstr(says, warning) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", says, warning);
	attest_doc_json(d, &out);
	assert_int_equal(strstr(buf_cstr(&out), "\"_warning\"") == NULL, want);
	buf_free(&out);
	attest_doc_free(d);
}

static void a_document_under_the_root_is_verified(void **s)
{
	struct world *t = *s;
	open_device(t, NULL);
	struct attest *a = attest_device(t);
	assert_false(attest_verified(a));
	verified(a, true, NULL);
	verified(a, true, NULL);
	attest_free(a);
	a = attester(t, t->real, "");
	verified(a, false, "(chain_untrusted)");
	attest_free(a);
}

static void a_renewed_leaf_is_verified(void **s)
{
	struct world *t = *s;
	open_device(t, NULL);
	struct attest *a = attest_device(t);
	verified(a, true, NULL);
	t->simulator.now_ms += 5 * 3600 * 1000;
	verified(a, true, NULL);
	attest_free(a);
}

/* That its leaf was in a document that held says nothing of the next one. */
static void a_known_leaf_does_not_vouch_for_a_document(void **s)
{
	struct world *t = *s;
	open_device(t, NULL);
	struct attest *a = attest_device(t);
	struct attest_doc *d = NULL;
	struct attest_view v;
	enum verify_code fault;
	struct why w;
	verified(a, true, NULL);
	assert_int_equal(attest_doc_make(a, BYTES_LIT("user data"), NULL, bytes_of(NULL, 0), &d, &w), ERR_OK);
	assert_int_equal(attest_view_parse(attest_doc_cose(d), &v, &fault, &w), ERR_OK);
	const struct {
		struct bytes spoil;
		const char *code;
	} lies[] = {{BYTES_LIT(""), "(signature_invalid)"},
		    {v.pcr[0], "(signature_invalid)"},
		    {v.cabundle[0], "(chain_untrusted)"},
		    {v.cabundle[3], "(c"}}; /* which byte it is decides for which fault it is refused */
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		t->spoil = lies[i].spoil;
		verified(a, false, lies[i].code);
	}
	t->spoil = bytes_of(NULL, 0);
	verified(a, true, NULL);
	attest_doc_free(d);
	attest_free(a);
}

static void a_document_that_does_not_hold_is_not_verified(void **s)
{
	struct world *t = *s;
	static const struct {
		struct simulator_options o;
		const char *code;
	} faults[] = {{{.fault = SIMULATOR_EXPIRED}, "(certificate_expired)"},
		      {{.fault = SIMULATOR_BAD_SIGNATURE}, "(signature_invalid)"},
		      {{.debug_mode = true}, "(debug_mode)"}};
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		open_device(t, &faults[i].o);
		struct attest *a = attest_device(t);
		verified(a, false, faults[i].code);
		attest_free(a);
	}
}

/* Of an NSM that gives none any more nothing is known, whatever it gave before. */
static void what_is_known_of_the_enclave_comes_from_the_last_document(void **s)
{
	struct world *t = *s;
	struct attest_doc *d = NULL;
	struct why w;
	open_device(t, NULL);
	struct attest *a = attest_device(t);
	assert_int_equal(attest_debug(a), ATTEST_DEBUG_UNKNOWN);
	verified(a, true, NULL);
	assert_int_equal(attest_debug(a), ATTEST_DEBUG_OFF);
	t->fake.answer = NULL;
	t->fake.replies[0] = BYTES_LIT("\xa1\x65"
				       "Error\x6dInternalError");
	assert_int_equal(attest_doc_make(a, BYTES_LIT("user data"), NULL, bytes_of(NULL, 0), &d, &w), ERR_NSM_REFUSED);
	assert_false(attest_verified(a));
	assert_int_equal(attest_debug(a), ATTEST_DEBUG_UNKNOWN);
	t->fake.answer = simulate;
	verified(a, true, NULL);
	attest_free(a);

	const struct simulator_options debug = {.debug_mode = true};
	open_device(t, &debug);
	a = attest_device(t);
	verified(a, false, "(debug_mode)");
	assert_int_equal(attest_debug(a), ATTEST_DEBUG_ON);
	attest_free(a);

	a = attester(t, t->dummy, "");
	verified(a, false, "DUMMY");
	assert_int_equal(attest_debug(a), ATTEST_DEBUG_UNKNOWN);
	attest_free(a);
}

static void a_dummy_is_not_verified(void **s)
{
	struct world *t = *s;
	struct attest *a = attester(t, t->dummy, "");
	verified(a, false, "DUMMY ATTESTATION: ");
	attest_free(a);
}

static void a_simulator_is_called_one(void **s)
{
	struct world *t = *s;
	struct nsm *n = NULL;
	struct why w;
	bool fell;
	const struct nsm_env env = {
		.device_path = "", .crypto = t->crypto, .clock = &fixed, .random = crypto_random(t->crypto)};
	assert_int_equal(nsm_open(&n, "simulator", &env, &fell, &w), ERR_OK);
	struct attest *a = attester(t, n, "");
	verified(a, false, "SIMULATED ATTESTATION: ");
	attest_free(a);
	nsm_close(n);
}

static void the_root_has_the_size_of_a_certificate(void **s)
{
	struct world *t = *s;
	static const uint8_t zeros[CERT_DER_MAX + 1];
	struct attest_options o = {"OpenClaw", "LLM Proxy with Guardrails", "", "attestd", "0.1.0", "", {NULL, 0}};
	struct attest *a = NULL;
	struct why w;
	assert_int_equal(attest_new(&a, &o, t->real, t->crypto, t->verify, &fixed, t->log, &w), ERR_INTERNAL);
	o.root = bytes_of(zeros, sizeof(zeros));
	assert_int_equal(attest_new(&a, &o, t->real, t->crypto, t->verify, &fixed, t->log, &w), ERR_INTERNAL);
	assert_null(a);
	attest_free(attester_under(t, t->real, "", bytes_of(zeros, CERT_DER_MAX)));
}

/* ---- seeding ---- */

static struct bytes random_reply(void *ctx, struct bytes request)
{
	struct world *t = ctx;
	(void)request;
	buf_reset(&t->reply);
	cborio_put_map(&t->reply, 1);
	cborio_put_cstr(&t->reply, "GetRandom");
	cborio_put_map(&t->reply, 1);
	cborio_put_cstr(&t->reply, "random");
	cborio_put_bytes(&t->reply, BYTES_LIT("0123456789abcdef0123456789abcdef"));
	return buf_bytes(&t->reply);
}

static void the_generators_are_seeded_from_the_nsm(void **s)
{
	struct world *t = *s;
	struct why w;
	t->fake.answer = random_reply;
	assert_int_equal(attest_seed(t->real, t->crypto, &w), ERR_OK);
	assert_int_equal(t->fake.calls, 8);
}

static void without_the_nsms_randomness_seeding_fails(void **s)
{
	struct world *t = *s;
	struct why w;
	assert_int_equal(attest_seed(t->dummy, t->crypto, &w), ERR_NSM_REFUSED);
	assert_int_equal(attest_seed(t->real, t->crypto, &w), ERR_NSM);
}

/* ---- instructions ---- */

static void instructions_are_json_and_fit_the_purpose(void **s)
{
	(void)s;
	static const char *const words[ATTEST_PURPOSES] = {"\\\"purpose\\\":\\\"attestation\\\"", "rsa_oaep_md:sha256",
							   "GET /info", "\\\"purpose\\\":\\\"tls\\\"",
							   "\\\"purpose\\\":\\\"peer\\\""};
	for (enum attest_purpose p = 0; p < ATTEST_PURPOSES; p++) {
		for (int custom = 0; custom < 2; custom++) {
			struct buf out = BUF_INIT(8192);
			struct json *j = NULL;
			struct why w;
			attest_instructions(p, custom != 0, &out);
			assert_int_equal(buf_check(&out, &w), ERR_OK);
			assert_int_equal(json_parse(&j, buf_bytes(&out), &w), ERR_OK);
			assert_int_equal(json_type(json_get(json_root(j), "summary")), JSON_STRING);
			assert_true(json_size(json_get(json_root(j), "steps")) >= 7);
			for (int q = 0; q < ATTEST_PURPOSES; q++)
				assert_int_equal(strstr(buf_cstr(&out), words[q]) != NULL, q == (int)p);
			assert_int_equal(strstr(buf_cstr(&out), "jq -j .custom_data_canonical") != NULL, custom);
			/* The others attest no metadata. */
			assert_int_equal(strstr(buf_cstr(&out), "etadata") != NULL,
					 p == ATTEST_ATTESTATION || p == ATTEST_INFO);
			json_free(j);
			buf_free(&out);
		}
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(info_is_one_byte_string_and_its_digest),
		TEST(a_dummy_document_shows_its_pcrs_and_warns),
		TEST(what_is_attested_is_limited_in_every_back_end),
		TEST(a_document_is_shown_as_the_nsm_gave_it),
		TEST(a_document_under_the_root_is_verified),
		TEST(a_renewed_leaf_is_verified),
		TEST(a_known_leaf_does_not_vouch_for_a_document),
		TEST(a_document_that_does_not_hold_is_not_verified),
		TEST(what_is_known_of_the_enclave_comes_from_the_last_document),
		TEST(a_dummy_is_not_verified),
		TEST(a_simulator_is_called_one),
		TEST(the_root_has_the_size_of_a_certificate),
		TEST(what_is_no_document_is_refused),
		TEST(an_answer_to_another_question_is_refused),
		TEST(an_nsm_that_refuses_is_told_by_name),
		TEST(the_generators_are_seeded_from_the_nsm),
		TEST(without_the_nsms_randomness_seeding_fails),
		TEST(instructions_are_json_and_fit_the_purpose),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
