#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/verdict.h"
#include "attest_doc.h"
#include "base/encode.h"
#include "cert_fixture.h"
#include "json.h"

/* The chain's window, the leaf's being the shortest; documents are made in its middle. */
#define FROM (CERT_FIXTURE_FROM + CERT_FIXTURE_LEAF)
#define TO   (CERT_FIXTURE_UNTIL - CERT_FIXTURE_LEAF)
#define MADE (CERT_FIXTURE_FROM + 12 * 3600)

struct world {
	struct crypto *crypto;
	struct clock clock;
	int64_t now_ms;
	struct cert_fixture f;
	struct verify *v;
	struct doc_spec spec;
	struct verify_policy policy;
	struct verify_verdict *d; /* the last one */
};

static int64_t now(void *ctx)
{
	return ((struct world *)ctx)->now_ms;
}

static void refer(struct world *t)
{
	for (int i = 0; i < CERT_FIXTURE_CAS; i++)
		t->spec.cabundle[i] = cert_fixture_der(&t->f, i);
	t->spec.n_cabundle = CERT_FIXTURE_CAS;
	t->spec.certificate = cert_fixture_der(&t->f, CERT_FIXTURE_LEAF);
	assert_int_equal(verify_policy_root_der(&t->policy, buf_bytes(&t->f.der[0]), &(struct why){.err = ERR_OK}),
			 ERR_OK);
}

/* A document that holds, and a policy that asks for nothing but the root. */
static void start_over(struct world *t)
{
	t->now_ms = MADE * 1000 + 250;
	t->spec = doc_spec_good();
	t->spec.timestamp = (uint64_t)MADE * 1000 + 999;
	t->spec.pcr_fill[0] = 0xa0;
	t->spec.crypto = t->crypto;
	t->spec.key = t->f.key[CERT_FIXTURE_LEAF];
	verify_policy_init(&t->policy);
	refer(t);
}

static int setup(void **s)
{
	struct world *t = calloc(1, sizeof *t);
	struct why w;
	assert_int_equal(crypto_new(&t->crypto, &w), ERR_OK);
	t->clock = (struct clock){.ctx = t, .wall_ms = now};
	cert_fixture_new(&t->f, t->crypto);
	assert_int_equal(verify_new(&t->v, t->crypto, &t->clock, &w), ERR_OK);
	start_over(t);
	*s = t;
	return 0;
}

static int teardown(void **s)
{
	struct world *t = *s;
	verify_verdict_free(t->d);
	verify_free(t->v);
	cert_fixture_free(&t->f);
	crypto_free(t->crypto);
	free(t);
	return 0;
}

static void judge_bytes(struct world *t, struct bytes document)
{
	struct why w = {0};
	verify_verdict_free(t->d);
	t->d = NULL;
	if (verify_input(t->v, document, VERIFY_RAW, &t->policy, &t->d, &w) != ERR_OK)
		fail_msg("%s", w.text);
	assert_int_equal(verify_verdict_good(t->d), verify_verdict_code(t->d) == VERIFY_VERIFIED);
}

static void judge(struct world *t)
{
	struct buf doc = BUF_INIT(65536);
	doc_make(&t->spec, &doc);
	judge_bytes(t, buf_bytes(&doc));
	buf_free(&doc);
}

static void code_is(struct world *t, enum verify_code code, enum verify_check check)
{
	if (verify_verdict_code(t->d) != code)
		fail_msg("%s: %s", verify_code_name(verify_verdict_code(t->d)), verify_verdict_message(t->d));
	assert_int_equal(t->d->results[check], CHECK_FAIL);
	assert_string_equal(t->d->details[check], verify_verdict_message(t->d));
	for (int c = 0; c < (int)check; c++)
		assert_true(t->d->results[c] == CHECK_PASS || t->d->results[c] == CHECK_NOT_ASKED);
}

static void refused(struct world *t, enum verify_code code, enum verify_check check)
{
	judge(t);
	code_is(t, code, check);
}

static void accepted(struct world *t)
{
	judge(t);
	if (!verify_verdict_good(t->d))
		fail_msg("%s: %s", verify_code_name(verify_verdict_code(t->d)), verify_verdict_message(t->d));
}

static bool says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		print_message("\"%s\" does not say \"%s\"\n", text, part);
	return strstr(text, part) != NULL;
}

static bool warns(const struct world *t, const char *part)
{
	for (size_t i = 0; i < t->d->n_warnings; i++)
		if (strstr(t->d->warnings[i], part) != NULL)
			return true;
	return false;
}

static void pin(struct world *t, unsigned index, uint8_t fill)
{
	struct verify_pin *p = &t->policy.pins[t->policy.n_pins++];
	p->index = index;
	memset(p->value, fill, sizeof p->value);
}

static void want(struct verify_wanted *wanted, struct bytes x)
{
	wanted->present = true;
	wanted->n = x.n;
	memcpy(wanted->b, x.p, x.n);
}

static void wants_purpose(struct world *t, const char *purpose)
{
	(void)snprintf(t->policy.purpose, sizeof t->policy.purpose, "%s", purpose);
}

/* ---- tables ---- */

static void the_root_is_aws_g1(void **s)
{
	struct world *t = *s;
	static const char want_hex[] = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
	uint8_t digest[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	struct why w;
	assert_int_equal(crypto_sha256(t->crypto, verify_aws_root(), digest, &w), ERR_OK);
	hex_encode(bytes_of(digest, sizeof digest), hex);
	assert_memory_equal(hex, want_hex, sizeof hex);
}

static void each_code_has_a_name_of_its_own_and_a_text(void **s)
{
	(void)s;
	for (int i = 0; i < VERIFY_CODE_COUNT; i++) {
		assert_true(strlen(verify_code_text((enum verify_code)i)) > 10);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(verify_code_name((enum verify_code)i),
						verify_code_name((enum verify_code)k));
	}
	assert_string_equal(verify_code_name(VERIFY_PCR_MISMATCH), "pcr_mismatch");
}

static void formats_have_names(void **s)
{
	(void)s;
	static const char *const names[] = {"auto", "raw", "base64", "hex", "reply"};
	enum verify_format f;
	for (size_t i = 0; i < 5; i++)
		assert_true(verify_format_parse(bytes_str(names[i]), &f) && (size_t)f == i);
	assert_false(verify_format_parse(BYTES_LIT(""), &f));
	assert_false(verify_format_parse(BYTES_LIT("RAW"), &f));
	assert_false(verify_format_parse(BYTES_LIT("raw\0"), &f));
}

/* ---- what holds ---- */

static void a_document_that_holds_is_verified_and_its_facts_are_told(void **s)
{
	struct world *t = *s;
	accepted(t);
	assert_true(bytes_is(verify_verdict_user_data(t->d), "user data"));
	assert_false(t->d->debug);
	assert_int_equal(t->d->results[CHECK_REPLY], CHECK_NOT_ASKED);
	assert_int_equal(t->d->results[CHECK_NONCE], CHECK_NOT_ASKED);
	assert_true(says(t->d->details[CHECK_NONCE], "timestamp"));
	assert_true(warns(t, "not AWS's"));
	t->spec.tagged = t->spec.indefinite = true;
	accepted(t);
	verify_verdict_free(NULL);
	verify_free(NULL);
}

static void with_an_empty_policy_it_says_that_it_does_not_know_which_enclave(void **s)
{
	struct world *t = *s;
	accepted(t);
	assert_true(says(verify_verdict_message(t->d), "which one was not compared"));
	assert_true(says(t->d->details[CHECK_PCRS], "can run one of their own, and it would pass this comparison too"));
	assert_int_equal(t->d->identity, VERIFY_NOT_COMPARED);
}

static const struct json_value *member(const struct json *j, const char *name)
{
	const struct json_value *v = json_get(json_root(j), name);
	assert_non_null(v);
	return v;
}

static struct json *as_json(struct world *t)
{
	struct buf out = BUF_INIT(1 << 20);
	struct json *j = NULL;
	struct why w;
	verify_verdict_json(t->d, &out);
	assert_int_equal(buf_check(&out, &w), ERR_OK);
	if (json_parse(&j, buf_bytes(&out), &w) != ERR_OK)
		fail_msg("%s", w.text);
	buf_free(&out);
	return j;
}

static const char *const members[] = {"verified",
				      "code",
				      "message",
				      "field",
				      "checks",
				      "warnings",
				      "input",
				      "module_id",
				      "pcrs",
				      "user_data",
				      "nonce",
				      "public_key",
				      "digest",
				      "timestamp",
				      "time",
				      "age_seconds",
				      "historic",
				      "debug",
				      "certificate_not_before",
				      "certificate_not_after",
				      "root",
				      "verified_at",
				      "identity",
				      "pcrs_compared",
				      "purpose",
				      "claims"};
enum { MEMBERS = sizeof members / sizeof members[0], FIRST_FACT = 7 };

/* The i-th element, NULL if there are fewer. */
static const struct json_value *element(const struct json_value *array, size_t i)
{
	const struct json_value *v = NULL;
	do
		if (!json_next(array, NULL, &v))
			return NULL;
	while (i-- > 0);
	return v;
}

static void has_the_members(const struct json *j)
{
	struct bytes key;
	const struct json_value *v = NULL;
	for (size_t i = 0; i < MEMBERS; i++) {
		assert_true(json_next(json_root(j), &key, &v));
		assert_true(bytes_is(key, members[i]));
	}
	assert_false(json_next(json_root(j), &key, &v));
}

static void is_text(const struct json_value *v, const char *text)
{
	assert_int_equal(json_type(v), JSON_STRING);
	if (!bytes_is(json_string(v), text))
		fail_msg("%.*s", (int)json_string(v).n, (const char *)json_string(v).p);
}

static void the_verdict_as_json_tells_all_facts(void **s)
{
	struct world *t = *s;
	t->spec.user_data = BYTES_LIT("{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-01T12:00:00Z\","
				      "\"agent\":\"a\",\"guardrail\":\"g\"}");
	pin(t, 0, 0xa0);
	pin(t, 31, 0x31);
	t->now_ms += 7000;
	accepted(t);
	struct json *j = as_json(t);
	has_the_members(j);
	assert_int_equal(json_type(member(j, "verified")), JSON_TRUE);
	is_text(member(j, "code"), "verified");
	assert_int_equal(json_type(member(j, "field")), JSON_NULL);
	assert_int_equal(json_size(member(j, "checks")), CHECK_COUNT);
	is_text(json_get(element(member(j, "checks"), CHECK_CHAIN), "name"), "certificate_chain");
	is_text(json_get(element(member(j, "checks"), CHECK_CHAIN), "result"), "pass");
	is_text(json_get(element(member(j, "checks"), CHECK_NONCE), "result"), "not_asked");
	is_text(member(j, "module_id"), "i-0-enc1");
	assert_int_equal(json_size(member(j, "pcrs")), 17);
	is_text(json_get(member(j, "pcrs"), "1"), "11111111111111111111111111111111111111111111111111111111"
						  "1111111111111111111111111111111111111111");
	is_text(member(j, "nonce"), "6e6f6e6365");
	assert_int_equal(json_type(member(j, "public_key")), JSON_NULL);
	is_text(member(j, "digest"), "SHA384");
	assert_int_equal(json_int(member(j, "timestamp")), MADE * 1000 + 999);
	is_text(member(j, "time"), "2026-01-01T12:00:00Z");
	assert_int_equal(json_int(member(j, "age_seconds")), 7);
	assert_int_equal(json_type(member(j, "historic")), JSON_FALSE);
	assert_int_equal(json_type(member(j, "debug")), JSON_FALSE);
	is_text(member(j, "certificate_not_before"), "2026-01-01T00:00:04Z");
	is_text(member(j, "certificate_not_after"), "2026-01-01T23:59:56Z");
	assert_int_equal(json_string(json_get(member(j, "root"), "sha256")).n, 64);
	assert_int_equal(json_type(json_get(member(j, "root"), "aws")), JSON_FALSE);
	is_text(member(j, "verified_at"), "2026-01-01T12:00:07Z");
	is_text(member(j, "identity"), "compared");
	assert_int_equal(json_size(member(j, "pcrs_compared")), 2);
	assert_int_equal(json_int(element(member(j, "pcrs_compared"), 1)), 31);
	is_text(member(j, "purpose"), "attestation");
	is_text(json_get(member(j, "claims"), "agent"), "a");
	json_free(j);
}

static void without_a_signature_that_holds_no_fact_is_told(void **s)
{
	struct world *t = *s;
	t->spec.key = NULL;
	pin(t, 0, 1);
	refused(t, VERIFY_SIGNATURE, CHECK_SIGNATURE);
	struct json *j = as_json(t);
	has_the_members(j);
	assert_int_equal(json_type(member(j, "verified")), JSON_FALSE);
	is_text(member(j, "code"), "signature_invalid");
	for (size_t i = FIRST_FACT; i < MEMBERS; i++)
		assert_int_equal(json_type(member(j, members[i])), JSON_NULL);
	is_text(json_get(element(member(j, "checks"), CHECK_PCRS), "result"), "not_reached");
	json_free(j);
	assert_int_equal(verify_verdict_user_data(t->d).n, 0);
}

/* ---- is it genuine? ---- */

static void what_is_no_document_is_refused_by_its_kind(void **s)
{
	struct world *t = *s;
	judge_bytes(t, BYTES_LIT("\xd2\x84\x44"));
	code_is(t, VERIFY_COSE_MALFORMED, CHECK_DOCUMENT);
	assert_true(says(verify_verdict_message(t->d), "This is not a document as an NSM writes it: it is damaged, cut "
						       "off, or something else (COSE_Sign1, byte "));
	t->spec.protected_header = BYTES_LIT("\xa1\x01\x26");
	refused(t, VERIFY_ALGORITHM, CHECK_DOCUMENT);
	start_over(t);
	t->spec.twice = DOC_PCRS;
	refused(t, VERIFY_PAYLOAD_MALFORMED, CHECK_DOCUMENT);
	start_over(t);
	t->spec.pcrs_name = "nitrotpm_pcrs";
	refused(t, VERIFY_NITROTPM, CHECK_DOCUMENT);
}

static void every_bit_of_payload_and_signature_is_signed(void **s)
{
	struct world *t = *s;
	struct buf doc = BUF_INIT(65536);
	doc_make(&t->spec, &doc);
	judge_bytes(t, buf_bytes(&doc));
	assert_true(verify_verdict_good(t->d));
	for (size_t i = 0; i < CERT_SIGNATURE_SIZE; i += 5) {
		doc.p[doc.n - 1 - i] ^= 0x80;
		judge_bytes(t, buf_bytes(&doc));
		code_is(t, VERIFY_SIGNATURE, CHECK_SIGNATURE);
		doc.p[doc.n - 1 - i] ^= 0x80;
	}
	for (uint8_t *p = memmem(doc.p, doc.n, "user data", 9), *end = p + 9; p < end; p++) {
		*p ^= 1;
		judge_bytes(t, buf_bytes(&doc));
		code_is(t, VERIFY_SIGNATURE, CHECK_SIGNATURE);
		*p ^= 1;
	}
	buf_free(&doc);
}

static void without_the_root_it_is_refused(void **s)
{
	struct world *t = *s;
	t->policy.own_root = false;
	refused(t, VERIFY_CHAIN_UNTRUSTED, CHECK_CHAIN);
	assert_true(says(verify_verdict_message(t->d), "do not start at AWS's root: AWS did not vouch for it."));
	t->policy.own_root = true;
	t->policy.root_der[100] ^= 1;
	refused(t, VERIFY_CHAIN_UNTRUSTED, CHECK_CHAIN);
	assert_true(says(verify_verdict_message(t->d), "the root that you gave: its holder did not vouch for it."));
}

/* Only AWS's hardware is known to measure what it states. */
static void production_mode_is_claimed_under_awss_root_alone(void **s)
{
	struct world *t = *s;
	accepted(t);
	assert_true(says(t->d->details[CHECK_DEBUG_MODE], "but a software NSM can state anything"));
}

static void an_own_root_with_awss_subject_is_refused(void **s)
{
	struct world *t = *s;
	static const struct cert_attribute aws[] = {
		{"C", "US"}, {"O", "Amazon"}, {"OU", "AWS"}, {"CN", "aws.nitro-enclaves"}};
	t->f.spec[0].subject = aws;
	t->f.spec[0].n_subject = 4;
	cert_fixture_make(&t->f);
	start_over(t);
	accepted(t);
	t->policy.own_root = false;
	refused(t, VERIFY_CHAIN_UNTRUSTED, CHECK_CHAIN);
	/* Slipped in behind the genuine one, and put in its place in front of what it signed. */
	for (int i = CERT_FIXTURE_CAS; i > 0; i--)
		t->spec.cabundle[i] = t->spec.cabundle[i - 1];
	t->spec.cabundle[0] = verify_aws_root();
	t->spec.n_cabundle++;
	refused(t, VERIFY_CHAIN_BROKEN, CHECK_CHAIN);
	refer(t);
	t->policy.own_root = false;
	t->spec.cabundle[0] = verify_aws_root();
	refused(t, VERIFY_CHAIN_BROKEN, CHECK_CHAIN);
}

static void awss_own_root_given_by_hand_is_awss(void **s)
{
	struct world *t = *s;
	assert_int_equal(verify_policy_root_der(&t->policy, verify_aws_root(), &(struct why){.err = ERR_OK}), ERR_OK);
	judge(t);
	assert_true(t->d->aws_root);
}

static void a_self_signed_single_certificate_is_refused(void **s)
{
	struct world *t = *s;
	t->spec.certificate = t->spec.cabundle[0];
	t->spec.n_cabundle = 1;
	t->spec.key = t->f.key[0];
	refused(t, VERIFY_CHAIN_BROKEN, CHECK_CHAIN);
	t->policy.own_root = false;
	refused(t, VERIFY_CHAIN_UNTRUSTED, CHECK_CHAIN);
	/* Expired, and a leaf of its own making. */
	t->f.spec[0].path_length = CERT_NO_CA;
	t->f.spec[0].usage = CERT_DIGITAL_SIGNATURE;
	cert_fixture_remake(&t->f, 0);
	t->now_ms = (CERT_FIXTURE_UNTIL + 1) * 1000;
	t->spec.certificate = t->spec.cabundle[0] = cert_fixture_der(&t->f, 0);
	refused(t, VERIFY_CHAIN_UNTRUSTED, CHECK_CHAIN);
}

static void a_leaf_that_signs_a_leaf_is_refused(void **s)
{
	struct world *t = *s;
	t->f.spec[3].path_length = CERT_NO_CA;
	t->f.spec[3].usage = CERT_DIGITAL_SIGNATURE;
	cert_fixture_make(&t->f);
	refer(t);
	refused(t, VERIFY_CERT_CONSTRAINT, CHECK_CHAIN);
}

static void certificates_that_cannot_be_used_are_refused_by_their_fault(void **s)
{
	struct world *t = *s;
	uint8_t leaf[CERT_DER_MAX];
	size_t n = t->spec.certificate.n;
	memcpy(leaf, t->spec.certificate.p, n);
	leaf[n] = 0;
	t->spec.certificate = bytes_of(leaf, n + 1);
	refused(t, VERIFY_CERT_MALFORMED, CHECK_CHAIN);
	t->spec.certificate = bytes_of(leaf, n - 1);
	refused(t, VERIFY_CERT_MALFORMED, CHECK_CHAIN);
	/* ecdsa-with-SHA256, in both places that name the algorithm */
	t->spec.certificate = bytes_of(leaf, n);
	for (uint8_t *p = leaf; (p = memmem(p, n - (size_t)(p - leaf), "\x2a\x86\x48\xce\x3d\x04\x03\x03", 8)) != NULL;)
		p[7] = 2;
	refused(t, VERIFY_CERT_UNSUPPORTED, CHECK_CHAIN);
	refer(t);
	struct bytes second = t->spec.cabundle[1];
	t->spec.cabundle[1] = t->spec.cabundle[2];
	t->spec.cabundle[2] = second;
	refused(t, VERIFY_CHAIN_BROKEN, CHECK_CHAIN);
	refer(t);
	t->spec.n_cabundle--;
	refused(t, VERIFY_CHAIN_BROKEN, CHECK_CHAIN);
}

/* ---- does it hold at that time? ---- */

static void the_window_of_validity_has_inclusive_ends(void **s)
{
	struct world *t = *s;
	t->policy.max_age_s = -1;
	t->policy.at = VERIFY_AT_TIME;
	t->spec.timestamp = (uint64_t)FROM * 1000;
	t->policy.at_s = FROM;
	accepted(t);
	t->policy.at_s = FROM - 1;
	refused(t, VERIFY_CERT_NOT_YET_VALID, CHECK_VALIDITY);
	t->policy.at_s = TO;
	accepted(t);
	t->policy.at_s = TO + 1;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	t->policy.at_s = INT64_MAX;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	t->policy.at_s = INT64_MIN;
	refused(t, VERIFY_CERT_NOT_YET_VALID, CHECK_VALIDITY);
	t->policy.at = VERIFY_AT_NOW;
	t->now_ms = TO * 1000 + 999;
	accepted(t);
	t->now_ms++;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
}

/* Warm or cold, a chain's time is judged anew. */
static void the_cache_never_makes_a_certificate_live_longer(void **s)
{
	struct world *t = *s;
	t->policy.max_age_s = -1;
	accepted(t);
	t->now_ms = (TO + 1) * 1000;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	t->now_ms = (FROM - 1) * 1000;
	refused(t, VERIFY_CERT_NOT_YET_VALID, CHECK_VALIDITY);
}

static void one_expired_certificate_is_enough(void **s)
{
	struct world *t = *s;
	for (int i = 0; i < CERT_FIXTURE_ALL; i++) {
		const int64_t until = t->f.spec[i].not_after_s;
		t->f.spec[i].not_after_s = MADE - 1;
		cert_fixture_make(&t->f);
		start_over(t);
		refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
		t->f.spec[i].not_after_s = until;
	}
}

static void at_the_documents_own_time_age_does_not_matter(void **s)
{
	struct world *t = *s;
	t->now_ms += INT64_C(86400000) * 400;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	assert_false(t->d->historic);
	t->policy.at = VERIFY_AT_DOCUMENT;
	accepted(t);
	assert_true(t->d->historic);
	assert_int_equal(t->d->age_s, 0);
	assert_true(warns(t, "not now"));
	t->spec.timestamp = (uint64_t)TO * 1000 + 999;
	accepted(t);
	t->spec.timestamp++;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	t->spec.timestamp = (uint64_t)FROM * 1000;
	accepted(t);
	t->spec.timestamp--;
	refused(t, VERIFY_CERT_NOT_YET_VALID, CHECK_VALIDITY);
	t->spec.timestamp = INT64_MAX;
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	t->spec.timestamp = 1;
	refused(t, VERIFY_CERT_NOT_YET_VALID, CHECK_VALIDITY);
}

static void a_document_dated_outside_its_certificates_is_refused(void **s)
{
	struct world *t = *s;
	t->policy.max_age_s = -1;
	t->now_ms = FROM * 1000;
	t->spec.timestamp = (uint64_t)FROM * 1000 - 1;
	refused(t, VERIFY_TIMESTAMP_OUTSIDE, CHECK_TIMESTAMP);
	t->now_ms = TO * 1000;
	t->spec.timestamp = (uint64_t)(TO + 1) * 1000;
	refused(t, VERIFY_TIMESTAMP_OUTSIDE, CHECK_TIMESTAMP);
	t->spec.timestamp = INT64_MAX;
	refused(t, VERIFY_TIMESTAMP_OUTSIDE, CHECK_TIMESTAMP);
}

static void a_timestamp_lies_at_most_the_skew_in_the_future(void **s)
{
	struct world *t = *s;
	t->spec.timestamp = (uint64_t)(MADE + VERIFY_SKEW_S) * 1000 + 999;
	t->now_ms = MADE * 1000;
	accepted(t);
	assert_int_equal(t->d->age_s, -VERIFY_SKEW_S);
	t->spec.timestamp++;
	refused(t, VERIFY_TIMESTAMP_FUTURE, CHECK_TIMESTAMP);
	assert_true(says(verify_verdict_message(t->d), ", 61 s after the time that it is judged at; at most 60 s are "
						       "allowed."));
	t->policy.max_age_s = -1;
	refused(t, VERIFY_TIMESTAMP_FUTURE, CHECK_TIMESTAMP);
}

static void a_document_has_at_most_the_age_that_the_policy_allows(void **s)
{
	struct world *t = *s;
	t->now_ms = (MADE + VERIFY_MAX_AGE_S) * 1000 + 999;
	accepted(t);
	t->now_ms++;
	refused(t, VERIFY_TOO_OLD, CHECK_TIMESTAMP);
	assert_true(says(verify_verdict_message(t->d),
			 ", 5 minutes before the time that it is judged at (301 s); at most "
			 "300 s are allowed."));
	t->policy.max_age_s = -1;
	accepted(t);
	t->policy.max_age_s = 0;
	refused(t, VERIFY_TOO_OLD, CHECK_TIMESTAMP);
	t->now_ms = MADE * 1000 + 999;
	accepted(t);
}

/* ---- is it the one that was wanted? ---- */

static void a_debug_enclave_is_refused_unless_allowed(void **s)
{
	struct world *t = *s;
	for (size_t i = 0; i < 3; i++) {
		start_over(t);
		t->spec.pcr_fill[i] = 0;
		refused(t, VERIFY_DEBUG, CHECK_DEBUG_MODE);
		assert_true(t->d->debug);
		t->policy.allow_debug = true;
		accepted(t);
		assert_true(t->d->debug);
		assert_true(warns(t, "debug mode"));
		assert_true(says(verify_verdict_message(t->d), "debug mode"));
	}
	start_over(t);
	t->spec.pcr_fill[3] = 0;
	accepted(t);
}

static void pinned_pcrs_must_fit(void **s)
{
	struct world *t = *s;
	pin(t, 0, 0xa0);
	accepted(t);
	assert_int_equal(t->d->identity, VERIFY_COMPARED);
	assert_true(says(verify_verdict_message(t->d), "the one that was wanted"));
	t->policy.pins[0].value[47] ^= 1;
	refused(t, VERIFY_PCR_MISMATCH, CHECK_PCRS);
	assert_string_equal(t->d->field, "PCR0");
	assert_string_equal(verify_verdict_message(t->d),
			    "PCR0 is a0a0a0a0a0a0...a0a0, and a0a0a0a0a0a0...a0a1 is wanted.");
	assert_int_equal(t->d->compared, 0);
	assert_int_equal(t->d->identity, VERIFY_NOT_COMPARED);
	pin(t, 0, 0xa0);
	accepted(t);
	pin(t, 1, 0x12);
	pin(t, 1, 0x13);
	pin(t, 31, 0x30);
	pin(t, 2, 0x22);
	refused(t, VERIFY_PCR_MISMATCH, CHECK_PCRS);
	assert_string_equal(t->d->field, "PCR1");
	assert_true(says(verify_verdict_message(t->d), "one of 2 values"));
	assert_true(says(verify_verdict_message(t->d), "PCR31"));
	assert_int_equal(t->d->compared, 1u << 0 | 1u << 2);
	start_over(t);
	pin(t, 20, 1);
	pin(t, 31, 0x31);
	refused(t, VERIFY_PCR_MISSING, CHECK_PCRS);
	assert_string_equal(t->d->field, "PCR20");
}

static void pcrs_that_do_not_tell_images_apart_are_called_weak(void **s)
{
	struct world *t = *s;
	for (unsigned i = 2; i <= 4; i++) {
		start_over(t);
		pin(t, i, (uint8_t)(i * 0x11));
		accepted(t);
		assert_int_equal(t->d->identity, VERIFY_WEAK);
		assert_true(warns(t, "PCR2 is one value for all images"));
		assert_true(says(verify_verdict_message(t->d), "does not tell which one"));
	}
	start_over(t);
	pin(t, 1, 0x11);
	pin(t, 2, 0x22);
	accepted(t);
	assert_int_equal(t->d->identity, VERIFY_COMPARED);
	start_over(t);
	t->spec.pcr_fill[8] = 0;
	pin(t, 8, 0);
	accepted(t);
	assert_int_equal(t->d->identity, VERIFY_NOT_COMPARED);
	assert_true(warns(t, "all zeros"));
}

static void a_required_nonce_must_be_there_byte_for_byte(void **s)
{
	struct world *t = *s;
	const struct bytes sixteen = BYTES_LIT("0123456789abcdef");
	t->spec.nonce = sixteen;
	want(&t->policy.nonce, sixteen);
	accepted(t);
	assert_int_equal(t->d->results[CHECK_NONCE], CHECK_PASS);
	assert_false(warns(t, "nonce"));
	t->spec.nonce = BYTES_LIT("0123456789abcdeg");
	refused(t, VERIFY_NONCE_MISMATCH, CHECK_NONCE);
	t->spec.nonce = BYTES_LIT("0123456789abcdef\0");
	refused(t, VERIFY_NONCE_MISMATCH, CHECK_NONCE);
	/* Dropping what is no UTF-8 must not make it fit. */
	t->spec.nonce = BYTES_LIT("01234567\xff\xfe"
				  "89abcdef");
	refused(t, VERIFY_NONCE_MISMATCH, CHECK_NONCE);
	t->spec.nonce = BYTES_LIT("");
	refused(t, VERIFY_NONCE_MISMATCH, CHECK_NONCE);
	t->spec.nonce = bytes_of(NULL, 0);
	refused(t, VERIFY_NONCE_MISSING, CHECK_NONCE);
	want(&t->policy.nonce, BYTES_LIT(""));
	refused(t, VERIFY_NONCE_MISSING, CHECK_NONCE);
	t->spec.nonce = BYTES_LIT("0123456789abcde");
	want(&t->policy.nonce, t->spec.nonce);
	accepted(t);
	assert_true(warns(t, "15 bytes"));
	t->spec.nonce = BYTES_LIT("0");
	want(&t->policy.nonce, t->spec.nonce);
	accepted(t);
	assert_true(warns(t, "has 1 byte;"));
}

static void a_nonce_of_1024_bytes_is_compared_to_its_end(void **s)
{
	struct world *t = *s;
	uint8_t nonce[VERIFY_NONCE_MAX];
	memset(nonce, 7, sizeof nonce);
	t->spec.nonce = bytes_of(nonce, sizeof nonce);
	want(&t->policy.nonce, t->spec.nonce);
	accepted(t);
	nonce[VERIFY_NONCE_MAX - 1] ^= 1;
	refused(t, VERIFY_NONCE_MISMATCH, CHECK_NONCE);
}

static void required_user_data_must_be_there_byte_for_byte(void **s)
{
	struct world *t = *s;
	want(&t->policy.user_data, BYTES_LIT("user data"));
	accepted(t);
	assert_int_equal(t->d->results[CHECK_USER_DATA], CHECK_PASS);
	t->spec.user_data = BYTES_LIT("user dat");
	refused(t, VERIFY_USER_DATA_MISMATCH, CHECK_USER_DATA);
	t->spec.user_data = bytes_of(NULL, 0);
	refused(t, VERIFY_USER_DATA_MISMATCH, CHECK_USER_DATA);
	want(&t->policy.user_data, BYTES_LIT(""));
	refused(t, VERIFY_USER_DATA_MISMATCH, CHECK_USER_DATA);
}

static void a_required_purpose_must_be_signed(void **s)
{
	struct world *t = *s;
	wants_purpose(t, "attestation");
	refused(t, VERIFY_CLAIMS_MALFORMED, CHECK_PURPOSE);
	t->spec.user_data = BYTES_LIT("{\"purpose\":\"info\",\"timestamp\":\"2026-01-01T12:00:00Z\",\"agent\":\"a\","
				      "\"guardrail\":\"g\",\"info_digest\":"
				      "\"0000000000000000000000000000000000000000000000000000000000000000\","
				      "\"info_digest_method\":\"sha256\"}");
	refused(t, VERIFY_PURPOSE_MISMATCH, CHECK_PURPOSE);
	t->spec.user_data = BYTES_LIT("{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-01T12:00:00Z\","
				      "\"agent\":\"a\",\"guardrail\":\"g\",\"session_key_hash\":\"00\"}");
	refused(t, VERIFY_CLAIMS_FORBIDDEN, CHECK_PURPOSE);
	t->spec.user_data = BYTES_LIT("{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-01T12:00:00Z\","
				      "\"agent\":\"a\",\"guardrail\":\"g\"}");
	accepted(t);
	assert_int_equal(t->d->results[CHECK_PURPOSE], CHECK_PASS);
}

/* Whoever mends the first fault should not meet the next one only then. */
static void all_checks_after_the_signature_are_made_and_the_first_failure_is_the_code(void **s)
{
	struct world *t = *s;
	t->now_ms = (TO + 1) * 1000;
	t->spec.pcr_fill[2] = 0;
	pin(t, 0, 1);
	want(&t->policy.nonce, BYTES_LIT("another nonce of 25 bytes"));
	want(&t->policy.user_data, BYTES_LIT("x"));
	wants_purpose(t, "attestation");
	refused(t, VERIFY_CERT_EXPIRED, CHECK_VALIDITY);
	for (int c = CHECK_VALIDITY; c <= CHECK_PURPOSE; c++) {
		assert_int_equal(t->d->results[c], CHECK_FAIL);
		assert_true(t->d->details[c][0] != '\0');
	}
	assert_int_equal(t->d->results[CHECK_REPLY], CHECK_NOT_ASKED);
	assert_int_equal(t->d->codes[CHECK_PCRS], VERIFY_PCR_MISMATCH);
	assert_int_equal(t->d->codes[CHECK_PURPOSE], VERIFY_CLAIMS_MALFORMED);
}

static void a_verdict_without_one_of_its_checks_or_warnings_is_none(void **s)
{
	(void)s;
	struct verify_verdict d = {.signed_facts = true};
	struct why w = {0};
	for (int c = 0; c < CHECK_COUNT - 1; c++)
		verdict_pass(&d, (enum verify_check)c, "x");
	assert_int_equal(verdict_conclude(&d, &w), ERR_INTERNAL);
	verdict_not_asked(&d, CHECK_REPLY, "x");
	for (int i = 0; i < VERIFY_WARNINGS_MAX; i++)
		verdict_warn(&d, "%d", i);
	assert_int_equal(verdict_conclude(&d, &w), ERR_OK);
	assert_true(d.good);
	verdict_warn(&d, "one more");
	assert_int_equal(d.n_warnings, VERIFY_WARNINGS_MAX);
	assert_int_equal(verdict_conclude(&d, &w), ERR_INTERNAL);
	verdict_fail(&d, CHECK_REPLY, VERIFY_REPLY_MISMATCH, "x", "x");
	assert_int_equal(verdict_conclude(&d, &w), ERR_INTERNAL);
	/* What had to pass was not asked for. */
	d = (struct verify_verdict){.signed_facts = true};
	for (int c = 0; c < CHECK_COUNT; c++)
		verdict_not_asked(&d, (enum verify_check)c, "x");
	assert_int_equal(verdict_conclude(&d, &w), ERR_INTERNAL);
}

/* ---- replies ---- */

static enum err reply_of(struct world *t, const char *head, struct buf *text)
{
	struct buf doc = BUF_INIT(65536);
	struct why w;
	doc_make(&t->spec, &doc);
	buf_put_str(text, head);
	buf_put_base64(text, buf_bytes(&doc));
	buf_put_str(text, "\"}}");
	buf_free(&doc);
	return buf_check(text, &w);
}

static void a_reply_is_judged_the_same_as_text_and_as_json(void **s)
{
	struct world *t = *s;
	struct buf text = BUF_INIT(65536);
	struct verify_verdict *a = NULL, *b = NULL;
	struct json *j = NULL;
	struct why w = {0};
	assert_int_equal(reply_of(t, "{\"attestation_document\":{\"nonce\":\"bm9uY2U=\",\"document\":\"", &text),
			 ERR_OK);
	assert_int_equal(json_parse(&j, buf_bytes(&text), &w), ERR_OK);
	assert_int_equal(verify_input(t->v, buf_bytes(&text), VERIFY_AUTO, &t->policy, &a, &w), ERR_OK);
	assert_int_equal(verify_reply(t->v, json_root(j), &t->policy, &b, &w), ERR_OK);
	assert_string_equal(verify_verdict_message(a), verify_verdict_message(b));
	assert_int_equal(verify_verdict_code(a), verify_verdict_code(b));
	assert_true(a->signed_facts && b->signed_facts);
	verify_verdict_free(a);
	verify_verdict_free(b);
	json_free(j);
	buf_free(&text);
}

static void policy_and_reply_must_agree_on_the_purpose(void **s)
{
	struct world *t = *s;
	struct buf text = BUF_INIT(65536);
	struct why w = {0};
	t->spec.user_data = BYTES_LIT("{\"purpose\":\"info\",\"timestamp\":\"2026-01-01T12:00:00Z\",\"agent\":\"a\","
				      "\"guardrail\":\"g\",\"info_digest\":"
				      "\"0000000000000000000000000000000000000000000000000000000000000000\","
				      "\"info_digest_method\":\"sha256\"}");
	wants_purpose(t, "info");
	accepted(t);
	assert_int_equal(reply_of(t, "{\"session_id\":\"x\",\"attestation_document\":{\"document\":\"", &text), ERR_OK);
	verify_verdict_free(t->d);
	t->d = NULL;
	assert_int_equal(verify_input(t->v, buf_bytes(&text), VERIFY_REPLY, &t->policy, &t->d, &w), ERR_OK);
	code_is(t, VERIFY_PURPOSE_MISMATCH, CHECK_PURPOSE);
	assert_string_equal(verify_verdict_message(t->d),
			    "This is the reply to POST /key-exchange, and one made for info is wanted.");
	assert_string_equal(t->d->field, "user_data.purpose");
	buf_free(&text);
}

#define ZEROS_16 "0000000000000000"
#define ZEROS_64 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16

static void all_warnings_at_once_are_all_told(void **s)
{
	struct world *t = *s;
	struct buf text = BUF_INIT(65536);
	struct why w = {0};
	static const char *const all[] = {
		"not AWS's",	    "not now",	   "debug mode",    "does not tell which code runs",
		"nonce has 1 byte", "custom data", "agent metadata"};
	t->spec.user_data = BYTES_LIT(
		"{\"purpose\":\"attestation\",\"timestamp\":\"2026-01-01T12:00:00Z\",\"agent\":\"a\","
		"\"guardrail\":\"g\",\"custom_digest\":\"" ZEROS_64 "\","
		"\"custom_digest_method\":\"sha256\",\"metadata_digest\":\"" ZEROS_64 "\"}");
	t->spec.nonce = BYTES_LIT("1");
	t->spec.pcr_fill[1] = 0;
	t->policy.allow_debug = true;
	t->policy.at = VERIFY_AT_DOCUMENT;
	pin(t, 2, 0x22);
	want(&t->policy.nonce, t->spec.nonce);
	assert_int_equal(reply_of(t, "{\"attestation_document\":{\"document\":\"", &text), ERR_OK);
	assert_int_equal(verify_input(t->v, buf_bytes(&text), VERIFY_REPLY, &t->policy, &t->d, &w), ERR_OK);
	if (!verify_verdict_good(t->d))
		fail_msg("%s", verify_verdict_message(t->d));
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		assert_true(warns(t, all[i]));
	assert_int_equal(t->d->n_warnings, sizeof all / sizeof all[0]);
	assert_string_equal(t->d->details[CHECK_PURPOSE],
			    "The purpose: attestation, as this kind of reply must have. The agent "
			    "metadata in it is stated by the enclave's software, not measured.");
	buf_free(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_root_is_aws_g1),
		TEST(each_code_has_a_name_of_its_own_and_a_text),
		TEST(formats_have_names),
		TEST(a_document_that_holds_is_verified_and_its_facts_are_told),
		TEST(with_an_empty_policy_it_says_that_it_does_not_know_which_enclave),
		TEST(the_verdict_as_json_tells_all_facts),
		TEST(without_a_signature_that_holds_no_fact_is_told),
		TEST(what_is_no_document_is_refused_by_its_kind),
		TEST(every_bit_of_payload_and_signature_is_signed),
		TEST(without_the_root_it_is_refused),
		TEST(production_mode_is_claimed_under_awss_root_alone),
		TEST(an_own_root_with_awss_subject_is_refused),
		TEST(awss_own_root_given_by_hand_is_awss),
		TEST(a_self_signed_single_certificate_is_refused),
		TEST(a_leaf_that_signs_a_leaf_is_refused),
		TEST(certificates_that_cannot_be_used_are_refused_by_their_fault),
		TEST(the_window_of_validity_has_inclusive_ends),
		TEST(the_cache_never_makes_a_certificate_live_longer),
		TEST(one_expired_certificate_is_enough),
		TEST(at_the_documents_own_time_age_does_not_matter),
		TEST(a_document_dated_outside_its_certificates_is_refused),
		TEST(a_timestamp_lies_at_most_the_skew_in_the_future),
		TEST(a_document_has_at_most_the_age_that_the_policy_allows),
		TEST(a_debug_enclave_is_refused_unless_allowed),
		TEST(pinned_pcrs_must_fit),
		TEST(pcrs_that_do_not_tell_images_apart_are_called_weak),
		TEST(a_required_nonce_must_be_there_byte_for_byte),
		TEST(a_nonce_of_1024_bytes_is_compared_to_its_end),
		TEST(required_user_data_must_be_there_byte_for_byte),
		TEST(a_required_purpose_must_be_signed),
		TEST(all_checks_after_the_signature_are_made_and_the_first_failure_is_the_code),
		TEST(a_reply_is_judged_the_same_as_text_and_as_json),
		TEST(policy_and_reply_must_agree_on_the_purpose),
		TEST(all_warnings_at_once_are_all_told),
		cmocka_unit_test(a_verdict_without_one_of_its_checks_or_warnings_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
