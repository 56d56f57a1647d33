#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "attest/page.h"
#include "attest/verdict.h"

enum { TEXT_MAX = 64 * 1024, LINE_MAX_SEEN = 115 /* a --pcr flag is in one piece */ };

/* 2026-01-30T12:00:00Z */
static const int64_t noon_s = 1769774400;

static uint8_t pcr[3][NSM_PCR_SIZE], zeros[NSM_PCR_SIZE];

/* A production document under AWS's root, verified without any policy, 12 s old. */
static struct verify_verdict good(void)
{
	struct verify_verdict d = {
		.good = true,
		.message = "The document comes from a genuine Nitro enclave, but which one was not compared.",
		.input = "cose",
		.signed_facts = true,
		.not_before_s = noon_s - 3600,
		.not_after_s = noon_s + 3600,
		.aws_root = true,
		.at_s = noon_s + 12,
		.age_s = 12,
	};
	for (size_t i = 0; i < CHECK_COUNT; i++)
		d.results[i] = i <= CHECK_DEBUG_MODE ? CHECK_PASS : CHECK_NOT_ASKED;
	d.view.module_id = BYTES_LIT("i-0123456789abcdef0-enc0123456789abcdef");
	d.view.digest = BYTES_LIT("SHA384");
	d.view.timestamp_ms = noon_s * 1000;
	for (unsigned i = 0; i < 16; i++)
		d.view.pcr[i] = bytes_of(zeros, sizeof zeros);
	for (unsigned i = 0; i < 3; i++) {
		memset(pcr[i], 0xa0 + (int)i, sizeof pcr[i]);
		d.view.pcr[i] = bytes_of(pcr[i], sizeof pcr[i]);
	}
	return d;
}

static struct verify_verdict failed(enum verify_check c, enum verify_code code, const char *text)
{
	struct verify_verdict d = {0};
	verdict_fail(&d, c, code, NULL, "%s", text);
	return d;
}

/* What a person reads; looked at in every test: nothing that a terminal obeys, no long lines. */
static const char *explain(const struct verify_verdict *d)
{
	static char text[TEXT_MAX];
	struct buf out = BUF_INIT(TEXT_MAX - 1);
	verify_verdict_text(d, false, &out);
	struct why w = {0};
	assert_int_equal(buf_check(&out, &w), ERR_OK);
	memcpy(text, out.p, out.n);
	text[out.n] = '\0';
	for (size_t i = 0, column = 0; i < out.n; i++) {
		column = text[i] == '\n' ? 0 : column + 1;
		assert_true(text[i] == '\n' || (text[i] >= 0x20 && text[i] <= 0x7e));
		assert_true(column <= LINE_MAX_SEEN);
	}
	assert_int_equal(strlen(text), out.n);
	assert_int_equal(text[out.n - 1], '\n');
	buf_free(&out);
	return text;
}

/* Line breaks count as spaces, so that a test need not know where they fall. */
static bool says(const char *text, const char *wanted)
{
	char flat[TEXT_MAX];
	size_t n = 0;
	for (const char *c = text; *c != '\0'; c++) {
		const char x = *c == '\n' ? ' ' : *c;
		if (x != ' ' || n == 0 || flat[n - 1] != ' ')
			flat[n++] = x;
	}
	flat[n] = '\0';
	return strstr(flat, wanted) != NULL;
}

#define assert_says(text, wanted)                                        \
	do {                                                             \
		if (!says(text, wanted))                                 \
			fail_msg("not said: %s\nin:\n%s", wanted, text); \
	} while (0)
#define assert_silent(text, wanted)                                  \
	do {                                                         \
		if (says(text, wanted))                              \
			fail_msg("said: %s\nin:\n%s", wanted, text); \
	} while (0)

static void a_verdict_begins_with_its_word_and_its_sentence(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	const char *text = explain(&d);
	assert_ptr_equal(strstr(text, "VERIFIED: The document comes from a genuine Nitro enclave"), text);
	d = failed(CHECK_SIGNATURE, VERIFY_SIGNATURE, "The signature does not fit.");
	text = explain(&d);
	assert_ptr_equal(strstr(text, "NOT VERIFIED: The signature does not fit.\n(signature_invalid: "), text);
}

static void colour_is_used_only_when_asked_for(void **s)
{
	(void)s;
	const struct verify_verdict d = failed(CHECK_INPUT, VERIFY_INPUT_UNKNOWN, "x");
	struct buf out = BUF_INIT(TEXT_MAX);
	verify_verdict_text(&d, true, &out);
	assert_true(strncmp(buf_cstr(&out), "\033[1;31mNOT VERIFIED\033[0m: x\n", 26) == 0);
	buf_free(&out);
	struct verify_verdict g = good();
	verify_verdict_text(&g, true, &out);
	assert_true(strncmp(buf_cstr(&out), "\033[1;33mVERIFIED\033[0m: ", 21) == 0); /* needs a second thought */
	buf_free(&out);
	g.identity = VERIFY_COMPARED;
	verify_verdict_text(&g, true, &out);
	assert_true(strncmp(buf_cstr(&out), "\033[1;32mVERIFIED\033[0m: ", 21) == 0);
	assert_null(strchr(buf_cstr(&out) + 21, '\033'));
	buf_free(&out);
}

static void without_a_policy_it_says_that_no_enclave_was_compared(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	const char *text = explain(&d);
	assert_says(text, "this is a genuine enclave, but which one was not compared");
	assert_says(text, "What was compared - Nothing.");
	assert_says(text, "AWS's Nitro hardware signed this document");
	assert_says(text, "production mode");
	assert_says(text, "made at 2026-01-30T12:00:00Z by the NSM's clock, 12 s ago");
	assert_says(text, "valid from 2026-01-30T11:00:00Z to 2026-01-30T13:00:00Z");
	assert_says(text, "i-0123456789abcdef0-enc0123456789abcdef");
	assert_says(text, "The nonce: none was required");
}

static void it_gives_the_flags_that_pin_this_enclave(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	const char *text = explain(&d);
	char flag[3][128];
	for (int i = 0; i < 3; i++) {
		int n = snprintf(flag[i], sizeof flag[i], "\n      --pcr %d=", i);
		for (int k = 0; k < NSM_PCR_SIZE; k++)
			n += snprintf(flag[i] + n, sizeof flag[i] - (size_t)n, "%02x", 0xa0 + i);
		assert_non_null(strstr(text, flag[i]));
	}
	assert_null(strstr(text, "--pcr 8"));
	uint8_t signer[NSM_PCR_SIZE] = {8};
	d.view.pcr[8] = bytes_of(signer, sizeof signer);
	assert_non_null(strstr(explain(&d), "\n      --pcr 8=08000000"));
	d.identity = VERIFY_COMPARED;
	assert_null(strstr(explain(&d), "--pcr"));
}

static void pcr2_alone_is_called_weak(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.results[CHECK_PCRS] = CHECK_PASS;
	d.compared = 1u << 2;
	d.identity = VERIFY_WEAK;
	const char *text = explain(&d);
	assert_says(text, "what was compared (PCR2) is weak");
	assert_says(text, "- PCR2: as pinned.");
	assert_says(text, "--pcr 0=");
}

static void what_was_compared_is_listed_and_nothing_else(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.results[CHECK_PCRS] = d.results[CHECK_NONCE] = d.results[CHECK_USER_DATA] = CHECK_PASS;
	d.results[CHECK_PURPOSE] = d.results[CHECK_REPLY] = CHECK_PASS;
	d.compared = 3;
	d.identity = VERIFY_COMPARED;
	(void)snprintf(d.purpose, sizeof d.purpose, "key-exchange");
	const char *text = explain(&d);
	assert_says(text, "PCR0, PCR1: as pinned.");
	assert_says(text, "The nonce: the one that you gave");
	assert_says(text, "The user data: what you gave.");
	assert_says(text, "The purpose: the one that was wanted.");
	assert_says(text, "The reply's own members");
	assert_says(text, "Nothing that can be compared.");
	assert_says(text, "user_key_hash above must be the SHA-256 of your own public key");
	(void)snprintf(d.purpose, sizeof d.purpose, "info");
	assert_says(explain(&d), "compare info_digest above");
	(void)snprintf(d.purpose, sizeof d.purpose, "attestation");
	assert_says(explain(&d), "Nothing more. Rely on the signed values above, and on them alone.");
}

static void a_debug_enclave_is_called_one(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.debug = true;
	for (unsigned i = 0; i < 3; i++)
		d.view.pcr[i] = bytes_of(zeros, sizeof zeros);
	const char *text = explain(&d);
	assert_says(text, "DEBUG mode");
	assert_silent(text, "production mode");
	assert_says(text, "PCR0 all zeros");
	assert_null(strstr(text, "--pcr"));
	d.compared = 1;
	d.identity = VERIFY_WEAK;
	d.results[CHECK_PCRS] = CHECK_PASS;
	assert_says(explain(&d), "in debug mode PCR0, PCR1 and PCR2 are the same zeros for every image");
}

static void another_root_is_never_called_aws(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.aws_root = false;
	memset(d.root_sha256, 0x5a, sizeof d.root_sha256);
	const char *text = explain(&d);
	assert_says(text, "That root is not AWS's (SHA-256 5a5a5a5a");
	assert_says(text, "nothing here was proven about AWS's hardware");
	assert_silent(text, "AWS's Nitro hardware signed");
	assert_silent(text, "genuine enclave");
	assert_says(text, "leave --root out");
}

static void a_historic_verification_says_so(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.historic = true;
	d.at_s = noon_s;
	d.age_s = 0;
	const char *text = explain(&d);
	assert_says(text, "judged as of 2026-01-30T12:00:00Z, not as of now (historic)");
	assert_silent(text, " ago");
	assert_says(text, "verify it without --at");
}

static void ages_are_told_in_units_that_people_use(void **s)
{
	(void)s;
	const struct {
		int64_t age_s;
		const char *text;
	} ages[] = {{0, ", 0 s ago"},	       {299, ", 299 s ago"},
		    {300, ", 5 minutes ago"},  {10799, ", 179 minutes ago"},
		    {10800, ", 3 hours ago"},  {259200, ", 3 days ago"},
		    {-7, ", 7 s ahead of"},    {INT64_MAX, " days ago"},
		    {INT64_MIN, " days ahead"}};
	struct verify_verdict d = good();
	for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++) {
		d.age_s = ages[i].age_s;
		assert_says(explain(&d), ages[i].text);
	}
}

static void without_signed_facts_none_is_shown(void **s)
{
	(void)s;
	for (int c = 1; c < VERIFY_CODE_COUNT; c++) {
		struct verify_verdict d = good();
		d.good = d.signed_facts = false;
		d.code = (enum verify_code)c;
		const char *text = explain(&d);
		assert_says(text, verify_code_name(d.code));
		assert_silent(text, "a0a0");
		assert_silent(text, "i-0123");
		assert_silent(text, "2026");
		assert_silent(text, "What was compared");
		assert_says(text, "Nothing: whatever the document says, nobody is known to have signed it.");
	}
}

static void every_code_comes_with_advice(void **s)
{
	(void)s;
	for (int c = 1; c < VERIFY_CODE_COUNT; c++) {
		const struct verify_verdict d = failed(CHECK_INPUT, (enum verify_code)c, "x");
		const char *text = explain(&d), *next = strstr(text, "\nWhat to do next\n  - ");
		assert_non_null(next);
		assert_true(strlen(next) > 60);
		assert_int_equal(next[strlen(next) - 2], '.');
	}
}

static void every_failure_of_a_signed_document_is_listed(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.good = false;
	verdict_fail(&d, CHECK_PCRS, VERIFY_PCR_MISMATCH, "PCR0", "PCR0 is other.");
	(void)snprintf(d.message, sizeof d.message, "PCR0 is other.");
	const char *text = explain(&d);
	assert_says(text, "(pcr_mismatch, PCR0: ");
	assert_silent(text, "What failed");
	assert_silent(text, "not compared");
	verdict_fail(&d, CHECK_NONCE, VERIFY_NONCE_MISSING, "nonce", "There is no nonce.");
	text = explain(&d);
	assert_says(text, "What failed - PCR0 is other. - There is no nonce.");
	assert_says(text, "What was compared - The PCRs: NOT as wanted. - The nonce: NOT as wanted.");
	assert_says(text, "What was signed");
}

static void metadata_is_told_from_claims(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	struct why w = {0};
	d.view.user_data = BYTES_LIT(
		"{\"purpose\":\"attestation\",\"agent\":\"A\",\"owner\":\"me\",\"n\":{\"a\":[1]}}");
	assert_int_equal(json_parse(&d.claims, d.view.user_data, &w), ERR_OK);
	const char *text = explain(&d);
	const char *ours = strstr(text, "The claims in its user data"),
		   *agent = strstr(text, "\n  agent       \"A\"\n");
	const char *stated = strstr(text, "Agent metadata, stated by the agent, not measured:");
	const char *owner = strstr(text, "\n  owner       \"me\"\n"),
		   *n = strstr(text, "\n  n           {\"a\": [1]}\n");
	assert_true(ours != NULL && agent != NULL && stated != NULL && owner != NULL && n != NULL);
	assert_true(ours < agent && agent < stated && stated < owner && owner < n);
	json_free(d.claims);
}

static void control_characters_never_reach_the_terminal(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	struct why w = {0};
	d.view.module_id = BYTES_LIT("\033[2J\rVERIFIED\n");
	d.view.nonce = BYTES_LIT("\033]0;x\007");
	d.view.public_key = BYTES_LIT("\xc2\x9b"
				      "31m");
	d.view.user_data = BYTES_LIT("{\"purpose\":\"info\",\"\\u001b[31m\":\"\\u001b[2J\\u009b\\r\\n\\u202e\"}");
	assert_int_equal(json_parse(&d.claims, d.view.user_data, &w), ERR_OK);
	verdict_warn(&d, "a warning\033[1m");
	(void)snprintf(d.message, sizeof d.message, "x\033[2Jy\xc2\x9bz");
	const char *text = explain(&d); /* looks at every byte */
	assert_says(text, "VERIFIED: x\\x1b[2Jy\\xc2\\x9bz");
	assert_says(text, "module id 1b5b324a0d56455249464945440a");
	assert_says(text, "nonce 1b5d303b7807");
	assert_says(text, "\\x1b[31m \"\\u001b[2J\\u009b\\r\\n\\u202e\"");
	json_free(d.claims);
}

static void bytes_are_text_in_quotes_or_hex(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	assert_says(explain(&d), " nonce none user data none");
	d.view.nonce = BYTES_LIT("");
	d.view.user_data = BYTES_LIT("say \"hi\" \\o/");
	assert_says(explain(&d), " nonce empty user data \"say \\\"hi\\\" \\\\o/\"");
	d.view.nonce = BYTES_LIT("\x00\x01");
	d.view.user_data = BYTES_LIT("Gr\xc3\xbc\xc3\x9f"
				     "e");
	assert_says(explain(&d), " nonce 0001 user data 4772c3bcc39f65");
}

static void long_values_are_broken_into_lines(void **s)
{
	(void)s;
	static uint8_t raw[VERIFY_USER_DATA_MAX];
	struct verify_verdict d = good();
	memset(raw, 0x81, sizeof raw);
	d.view.user_data = d.view.nonce = d.view.public_key = bytes_of(raw, sizeof raw);
	(void)explain(&d);
	static char words[VERIFY_USER_DATA_MAX];
	for (size_t i = 0; i < sizeof words; i++)
		words[i] = i % 10 == 9 ? ' ' : 'w';
	d.view.user_data = bytes_of(words, sizeof words);
	assert_non_null(strstr(explain(&d), "wwwwwwwww\n              wwwwwwwww "));
}

static void a_wrapped_value_keeps_its_spaces(void **s)
{
	(void)s;
	struct buf out = BUF_INIT(4096);
	page_value(&out, "x", BYTES_LIT("  a   b  "));
	assert_string_equal(buf_cstr(&out), "  x           \"  a   b  \"\n");
	buf_free(&out);
}

int main(void)
{
	json_init();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_verdict_begins_with_its_word_and_its_sentence),
		cmocka_unit_test(colour_is_used_only_when_asked_for),
		cmocka_unit_test(without_a_policy_it_says_that_no_enclave_was_compared),
		cmocka_unit_test(it_gives_the_flags_that_pin_this_enclave),
		cmocka_unit_test(pcr2_alone_is_called_weak),
		cmocka_unit_test(what_was_compared_is_listed_and_nothing_else),
		cmocka_unit_test(a_debug_enclave_is_called_one),
		cmocka_unit_test(another_root_is_never_called_aws),
		cmocka_unit_test(a_historic_verification_says_so),
		cmocka_unit_test(ages_are_told_in_units_that_people_use),
		cmocka_unit_test(without_signed_facts_none_is_shown),
		cmocka_unit_test(every_code_comes_with_advice),
		cmocka_unit_test(every_failure_of_a_signed_document_is_listed),
		cmocka_unit_test(metadata_is_told_from_claims),
		cmocka_unit_test(control_characters_never_reach_the_terminal),
		cmocka_unit_test(bytes_are_text_in_quotes_or_hex),
		cmocka_unit_test(long_values_are_broken_into_lines),
		cmocka_unit_test(a_wrapped_value_keeps_its_spaces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
