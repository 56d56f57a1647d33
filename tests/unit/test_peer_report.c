#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "fake_nsm.h"
#include "peer.h"
#include "simulator_fixture.h"

struct fixture {
	struct simulator_fixture simulator, other; /* `other` is under another root */
	struct fake fake;
	struct nsm *nsm, *dummy;
	struct verify *verify;
	struct log *log;
	struct attest *attest;
	struct verify_policy policy;
	struct buf reply, document;
	struct peer_claims claims;
	uint8_t challenge[PEER_CHALLENGE_SIZE];
	struct why w;
};

#define OK(call) assert_int_equal((call), ERR_OK)

static struct bytes answer(void *ctx, struct bytes request)
{
	struct fixture *f = ctx;
	buf_reset(&f->reply);
	OK(simulator_call(f->simulator.s, request, &f->reply, &f->w));
	return buf_bytes(&f->reply);
}

static void open_with(struct fixture *f, const struct simulator_options *o)
{
	const struct attest_options claims = {.agent = "OpenClaw",
					      .guardrail = "LLM Proxy with Guardrails",
					      .metadata_file = "",
					      .info_name = "attestd",
					      .info_version = "0.1.0",
					      .info_build = "",
					      .root = verify_aws_root()};
	bool fell_back = false;
	simulator_fixture_open(&f->simulator, o);
	simulator_fixture_open(&f->other, NULL);
	f->fake.answer = answer;
	f->fake.ctx = f;
	f->nsm = fake_nsm(&f->fake);
	f->reply = f->document = BUF_INIT(NSM_REPLY_MAX);
	OK(nsm_open(&f->dummy, "dummy", &(struct nsm_env){.device_path = ""}, &fell_back, &f->w));
	OK(verify_new(&f->verify, f->simulator.crypto, &f->simulator.clock, &f->w));
	OK(log_new(&f->log, open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR, LOG_TEXT, &f->simulator.clock, &f->w));
	OK(attest_new(&f->attest, &claims, f->nsm, f->simulator.crypto, f->verify, &f->simulator.clock, f->log, &f->w));
	verify_policy_init(&f->policy);
	OK(verify_policy_root_der(&f->policy, simulator_root(f->simulator.s), &f->w));
	f->claims.role = PEER_CLIENT;
	memset(f->claims.key_hash, 0x11, SHA256_SIZE);
	memset(f->claims.peer_key_hash, 0x22, SHA256_SIZE);
	memset(f->claims.config_digest, 0x33, SHA256_SIZE);
	memset(f->challenge, 0x44, sizeof f->challenge);
}

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){.nsm = NULL};
	open_with(&f, NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	buf_free(&f->reply);
	buf_free(&f->document);
	attest_free(f->attest);
	log_free(f->log);
	verify_free(f->verify);
	nsm_close(f->dummy);
	nsm_close(f->nsm);
	simulator_fixture_close(&f->other);
	simulator_fixture_close(&f->simulator);
	return 0;
}

static void open_again(struct fixture *f, const struct simulator_options *o)
{
	void *state = f;
	(void)teardown(&state);
	*f = (struct fixture){.nsm = NULL};
	open_with(f, o);
}

/* A document over these bytes, by f->simulator. */
static void attest_bytes(struct fixture *f, struct simulator_fixture *by, struct bytes user_data)
{
	const struct nsm_attestation a = {.user_data = user_data, .nonce = bytes_of(f->challenge, sizeof f->challenge)};
	buf_reset(&f->document);
	simulator_fixture_document(by, &a, &f->document);
}

static void report_by(struct fixture *f, struct simulator_fixture *by)
{
	struct attest_claims made;
	OK(peer_claims_make(f->attest, &f->claims, &made, &f->w));
	attest_bytes(f, by, buf_bytes(&made.user_data));
	attest_claims_free(&made);
}

static void report(struct fixture *f)
{
	report_by(f, &f->simulator);
}

static void check_holds(struct fixture *f)
{
	if (peer_report_check(f->verify, &f->policy, buf_bytes(&f->document), f->challenge, &f->claims, NULL, &f->w) !=
	    ERR_OK)
		fail_msg("%s", f->w.text);
}

/* The document is refused for what `says` says, and the verdict is given out all the same. */
static void refused(struct fixture *f, const char *says)
{
	struct verify_verdict *verdict = NULL;
	assert_int_equal(peer_report_check(f->verify, &f->policy, buf_bytes(&f->document), f->challenge, &f->claims,
					   &verdict, &f->w),
			 ERR_UNATTESTED);
	assert_true(f->w.tell);
	if (strstr(f->w.text, says) == NULL)
		fail_msg("\"%s\" is not in: %s", says, f->w.text);
	assert_non_null(verdict);
	verify_verdict_free(verdict);
}

/* ---- what a report says ---- */

static void a_report_begins_with_its_purpose_and_holds_its_claims_in_hex(void **state)
{
	struct fixture *f = *state;
	struct attest_claims made;
	static const char want[] =
		"{\"purpose\":\"peer\",\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"OpenClaw\","
		"\"guardrail\":\"LLM Proxy with Guardrails\",\"role\":\"server\","
		"\"key_hash\":\"1111111111111111111111111111111111111111111111111111111111111111\","
		"\"peer_key_hash\":\"2222222222222222222222222222222222222222222222222222222222222222\","
		"\"config_digest\":\"3333333333333333333333333333333333333333333333333333333333333333\"}";
	f->claims.role = PEER_SERVER;
	OK(peer_claims_make(f->attest, &f->claims, &made, &f->w));
	assert_true(bytes_is(buf_bytes(&made.user_data), want));
	assert_int_equal(made.metadata.n, 0);
	attest_claims_free(&made);
}

static void a_report_that_says_just_what_is_wanted_holds(void **state)
{
	struct fixture *f = *state;
	struct verify_verdict *verdict = NULL;
	struct peer_facts facts;
	report(f);
	check_holds(f);
	OK(peer_report_check(f->verify, &f->policy, buf_bytes(&f->document), f->challenge, &f->claims, &verdict,
			     &f->w));
	assert_true(verify_verdict_good(verdict));
	peer_facts_of(verdict, &f->claims, &facts);
	assert_memory_equal(facts.key_hash, f->claims.key_hash, SHA256_SIZE);
	assert_memory_equal(facts.config_digest, f->claims.config_digest, SHA256_SIZE);
	assert_int_equal(facts.pcrs, 0xffff);
	assert_memory_equal(facts.pcr[1], "\xa7\x7e\x57\xd1\xa7\x7e\x57\xd1", 8);
	assert_int_equal(bytes_str(facts.module_id).n, verify_verdict_module_id(verdict).n);
	assert_true(bytes_is(verify_verdict_module_id(verdict), facts.module_id));
	verify_verdict_free(verdict);
	f->claims.role = PEER_SERVER;
	report(f);
	check_holds(f);
}

/* ---- each claim ---- */

static void a_report_for_the_other_role_is_refused(void **state)
{
	struct fixture *f = *state;
	report(f);
	f->claims.role = PEER_SERVER;
	refused(f, "made in the role of client, and one of a server is wanted");
	assert_string_equal(f->w.field, "role");
}

static void our_own_report_sent_back_is_named_as_such(void **state)
{
	struct fixture *f = *state;
	const struct peer_claims ours = f->claims;
	report(f);
	f->claims.role = PEER_SERVER;
	memcpy(f->claims.key_hash, ours.peer_key_hash, SHA256_SIZE);
	memcpy(f->claims.peer_key_hash, ours.key_hash, SHA256_SIZE);
	refused(f, "report of our own");
}

static void a_report_that_differs_in_one_bit_of_a_hash_is_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		size_t offset;
		const char *field, *says;
	} hashes[] = {{offsetof(struct peer_claims, key_hash), "key_hash", "another key than the one that came"},
		      {offsetof(struct peer_claims, peer_key_hash), "peer_key_hash", "another peer than us"},
		      {offsetof(struct peer_claims, config_digest), "config_digest", "another configuration"}};
	report(f);
	for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
		uint8_t *last = (uint8_t *)&f->claims + hashes[i].offset + SHA256_SIZE - 1;
		*last ^= 1;
		refused(f, hashes[i].says);
		assert_string_equal(f->w.field, hashes[i].field);
		*last ^= 1;
	}
	check_holds(f);
}

static void a_report_to_another_challenge_is_refused(void **state)
{
	struct fixture *f = *state;
	report(f);
	f->challenge[PEER_CHALLENGE_SIZE - 1] ^= 1;
	refused(f, "(nonce_mismatch)");
}

static void a_report_without_a_challenge_is_refused(void **state)
{
	struct fixture *f = *state;
	struct attest_claims made;
	OK(peer_claims_make(f->attest, &f->claims, &made, &f->w));
	const struct nsm_attestation a = {.user_data = buf_bytes(&made.user_data)};
	simulator_fixture_document(&f->simulator, &a, &f->document);
	attest_claims_free(&made);
	refused(f, "(nonce_missing)");
}

/* ---- what it was made for ---- */

static void documents_of_other_purposes_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char head[] = "\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"a\",\"guardrail\":\"g\"";
	static const char hash[] = "1111111111111111111111111111111111111111111111111111111111111111";
	static const struct {
		const char *purpose, *first, *second; /* and its claims */
	} others[] = {{"attestation", NULL, NULL}, {"tls", "tls_cert_hash", "tls_spki_hash"}};
	struct buf b = BUF_INIT(NSM_USER_DATA_MAX);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		buf_reset(&b);
		buf_printf(&b, "{\"purpose\":\"%s\",%s", others[i].purpose, head);
		if (others[i].first != NULL)
			buf_printf(&b, ",\"%s\":\"%s\",\"%s\":\"%s\"", others[i].first, hash, others[i].second, hash);
		buf_put_str(&b, "}");
		attest_bytes(f, &f->simulator, buf_bytes(&b));
		refused(f, "(purpose_mismatch)");
	}
	buf_reset(&b);
	buf_printf(&b, "{\"purpose\":\"key-exchange\",%s,\"session_id\":\"%.43s\",\"session_key_hash\":\"%s\",", head,
		   hash, hash);
	buf_printf(&b, "\"user_key_hash\":\"%s\",\"key_exchange_version\":\"1.1\"}", hash);
	attest_bytes(f, &f->simulator, buf_bytes(&b));
	refused(f, "(purpose_mismatch)");
	/* A claim of a peer's is none for anything else, and a peer's report lacks none. */
	buf_reset(&b);
	buf_printf(&b, "{\"purpose\":\"attestation\",%s,\"role\":\"client\"}", head);
	attest_bytes(f, &f->simulator, buf_bytes(&b));
	refused(f, "(claims_forbidden)");
	buf_reset(&b);
	buf_printf(&b, "{\"purpose\":\"peer\",%s,\"role\":\"client\"}", head);
	attest_bytes(f, &f->simulator, buf_bytes(&b));
	refused(f, "(claims_malformed)");
	attest_bytes(f, &f->simulator, BYTES_LIT("raw bytes"));
	refused(f, "(claims_malformed)");
	buf_free(&b);
}

/* ---- whose it is ---- */

static void another_root_is_refused(void **state)
{
	struct fixture *f = *state;
	report_by(f, &f->other);
	refused(f, "(chain_untrusted)");
}

static void other_pcrs_are_refused(void **state)
{
	struct fixture *f = *state;
	struct attest_doc *own = NULL;
	OK(attest_doc_make(f->attest, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &own, &f->w));
	OK(peer_policy_same(own, &f->policy, &f->w));
	attest_doc_free(own);
	OK(peer_policy_check(&f->policy, &f->w));
	report(f);
	check_holds(f);
	for (size_t i = 0; i <= 2; i++) {
		f->policy.pins[i].value[NSM_PCR_SIZE - 1] ^= 1;
		refused(f, "(pcr_mismatch)");
		f->policy.pins[i].value[NSM_PCR_SIZE - 1] ^= 1;
	}
	check_holds(f);
}

static void an_enclave_in_debug_mode_is_refused(void **state)
{
	struct fixture *f = *state;
	open_again(f, &(struct simulator_options){.debug_mode = true});
	report(f);
	refused(f, "(debug_mode)");
}

static void an_expired_certificate_is_refused(void **state)
{
	struct fixture *f = *state;
	open_again(f, &(struct simulator_options){.fault = SIMULATOR_EXPIRED});
	report(f);
	refused(f, "(certificate_expired)");
}

static void an_old_report_is_refused_at_once_after_the_limit(void **state)
{
	struct fixture *f = *state;
	report(f);
	f->simulator.now_ms += INT64_C(1000) * VERIFY_MAX_AGE_S;
	check_holds(f);
	f->simulator.now_ms += 1000;
	refused(f, "(document_too_old)");
}

static void a_bad_signature_is_refused(void **state)
{
	struct fixture *f = *state;
	report(f);
	f->document.p[f->document.n - 1] ^= 1;
	refused(f, "(signature_invalid)");
}

static void what_is_no_document_is_refused(void **state)
{
	struct fixture *f = *state;
	buf_put_str(&f->document, "{\"document\": \"aGVsbG8=\"}");
	refused(f, "(cose_malformed)");
	report(f);
	f->document.n--;
	refused(f, "(cose_malformed)");
}

/* ---- the nonce of a document that nobody verified ---- */

static void the_challenge_is_found_in_a_document_that_is_not_verified(void **state)
{
	struct fixture *f = *state;
	struct bytes nonce = {NULL, 0};
	report_by(f, &f->other);
	OK(verify_nonce_unverified(buf_bytes(&f->document), &nonce, &f->w));
	assert_true(bytes_equal(nonce, bytes_of(f->challenge, sizeof f->challenge)));
	buf_reset(&f->document);
	simulator_fixture_document(&f->simulator, &(struct nsm_attestation){.user_data = BYTES_LIT("x")}, &f->document);
	OK(verify_nonce_unverified(buf_bytes(&f->document), &nonce, &f->w));
	assert_null(nonce.p);
	assert_int_equal(verify_nonce_unverified(BYTES_LIT("no document"), &nonce, &f->w), ERR_INVALID);
	assert_true(f->w.tell);
}

/* ---- policies ---- */

static void the_same_pcrs_of_a_debug_enclave_or_of_none_are_no_policy(void **state)
{
	struct fixture *f = *state;
	const struct attest_options o = {"a", "g", "", "n", "v", "", verify_aws_root()};
	struct attest *dummy = NULL;
	struct attest_doc *own = NULL;
	OK(attest_new(&dummy, &o, f->dummy, f->simulator.crypto, f->verify, &f->simulator.clock, f->log, &f->w));
	OK(attest_doc_make(dummy, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &own, &f->w));
	assert_int_equal(peer_policy_same(own, &f->policy, &f->w), ERR_CONFIG);
	assert_non_null(strstr(f->w.text, "no attestation documents"));
	attest_doc_free(own);
	attest_free(dummy);
	open_again(f, &(struct simulator_options){.debug_mode = true});
	OK(attest_doc_make(f->attest, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &own, &f->w));
	assert_int_equal(peer_policy_same(own, &f->policy, &f->w), ERR_CONFIG);
	assert_non_null(strstr(f->w.text, "debug mode"));
	assert_int_equal(f->policy.n_pins, 0);
	attest_doc_free(own);
}

static void a_policy_may_not_say_what_the_protocol_says(void **state)
{
	struct fixture *f = *state;
#define PIN \
	"\"pcrs\":{\"0\":\"a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0a77e57d0\"}"
	static const struct {
		const char *json, *field; /* NULL: fit */
	} rows[] = {
		{"{" PIN "}", NULL},
		{"{" PIN ",\"max_age\":60,\"allow_debug\":true}", NULL},
		{"{" PIN ",\"nonce\":\"00112233445566778899aabbccddeeff\"}", "nonce"},
		{"{" PIN ",\"user_data\":\"text:x\"}", "user_data"},
		{"{" PIN ",\"purpose\":\"peer\"}", "purpose"},
		{"{" PIN ",\"at\":\"document\"}", "at"},
		{"{" PIN ",\"at\":1769774400}", "at"},
		{"{}", "pcrs"},
		{"{\"pcrs\":{\"2\":\"a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57d2a77e57"
		 "d2\"}}",
		 "pcrs"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct verify_policy p;
		verify_policy_init(&p);
		OK(verify_policy_text(&p, bytes_str(rows[i].json), &f->w));
		const enum err e = peer_policy_check(&p, &f->w);
		assert_int_equal(e, rows[i].field == NULL ? ERR_OK : ERR_CONFIG);
		if (rows[i].field != NULL)
			assert_string_equal(f->w.field, rows[i].field);
	}
}

static void a_report_is_read_up_to_its_limit(void **state)
{
	static uint8_t raw[VERIFY_DOCUMENT_MAX + 1];
	static char text[BASE64_SIZE(VERIFY_DOCUMENT_MAX + 1)];
	struct fixture *f = *state;
	struct buf out = BUF_INIT(0);

	base64_encode(bytes_of(raw, VERIFY_DOCUMENT_MAX), text);
	OK(peer_report_read(bytes_of(text, BASE64_SIZE(VERIFY_DOCUMENT_MAX)), &out, &f->w));
	assert_int_equal(out.n, VERIFY_DOCUMENT_MAX);
	buf_free(&out);
	const struct bytes bad[] = {bytes_of(text, BASE64_SIZE(VERIFY_DOCUMENT_MAX + 1)), bytes_of(NULL, 0),
				    BYTES_LIT("AAA"), BYTES_LIT("A*==")};
	base64_encode(bytes_of(raw, sizeof raw), text);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(peer_report_read(bad[i], &out, &f->w), ERR_INVALID);
		assert_string_equal(f->w.field, "attestation_document");
		assert_null(out.p);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_report_begins_with_its_purpose_and_holds_its_claims_in_hex),
		TEST(a_report_that_says_just_what_is_wanted_holds),
		TEST(a_report_for_the_other_role_is_refused),
		TEST(our_own_report_sent_back_is_named_as_such),
		TEST(a_report_that_differs_in_one_bit_of_a_hash_is_refused),
		TEST(a_report_to_another_challenge_is_refused),
		TEST(a_report_without_a_challenge_is_refused),
		TEST(documents_of_other_purposes_are_refused),
		TEST(another_root_is_refused),
		TEST(other_pcrs_are_refused),
		TEST(an_enclave_in_debug_mode_is_refused),
		TEST(an_expired_certificate_is_refused),
		TEST(an_old_report_is_refused_at_once_after_the_limit),
		TEST(a_bad_signature_is_refused),
		TEST(what_is_no_document_is_refused),
		TEST(a_report_is_read_up_to_its_limit),
		TEST(the_challenge_is_found_in_a_document_that_is_not_verified),
		TEST(the_same_pcrs_of_a_debug_enclave_or_of_none_are_no_policy),
		TEST(a_policy_may_not_say_what_the_protocol_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
