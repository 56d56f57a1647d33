#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "attest/page.h"
#include "attest/verdict.h"

enum { TEXT_MAX = 64 * 1024, LINE_MAX_SEEN = 110 /* PCRs are in one piece */ };

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
		(i <= CHECK_DEBUG_MODE ? verdict_pass : verdict_not_asked)(&d, (enum verify_check)i, "Detail %zu.", i);
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
	assert_says(text, "a genuine Nitro enclave, but which one was not compared");
	assert_says(text, "What was compared - Nothing. What was NOT compared - Detail 7. - Detail 8.");
	assert_says(text, "AWS's Nitro hardware signed this document");
	assert_says(text, "- Detail 6."); /* which mode it runs in */
	assert_says(text, "made at 2026-01-30T12:00:00Z by the NSM's clock, 12 s ago");
	assert_says(text, "valid from 2026-01-30T11:00:00Z to 2026-01-30T13:00:00Z");
	assert_says(text, "i-0123456789abcdef0-enc0123456789abcdef");
	assert_silent(text, "Nothing that can be compared");
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

static void weak_pcrs_leave_open_which_code_runs(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	for (int c = CHECK_PCRS; c <= CHECK_REPLY; c++)
		verdict_pass(&d, (enum verify_check)c, "Fits %d.", c);
	d.compared = 1u << 2;
	d.identity = VERIFY_WEAK;
	const char *text = explain(&d);
	assert_says(text,
		    "What was NOT compared - Which code the enclave runs: the PCRs that were compared do not tell");
	assert_silent(text, "Nothing that can be compared");
	assert_says(text, "--pcr 0=");
}

static void what_was_compared_is_listed_as_the_checks_say_it(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	for (int c = CHECK_PCRS; c <= CHECK_REPLY; c++)
		verdict_pass(&d, (enum verify_check)c, "Fits %d.", c);
	d.compared = 3;
	d.identity = VERIFY_COMPARED;
	(void)snprintf(d.purpose, sizeof d.purpose, "key-exchange");
	const char *text = explain(&d);
	assert_says(text,
		    "What was compared - Fits 7. - Fits 8. - Fits 9. - Fits 10. - Fits 11. What was NOT compared - "
		    "Nothing that can be compared was left out.");
	assert_says(text, "user_key_hash above must be the SHA-256 of your own public key");
	(void)snprintf(d.purpose, sizeof d.purpose, "info");
	assert_says(explain(&d), "compare info_digest above");
	(void)snprintf(d.purpose, sizeof d.purpose, "attestation");
	assert_says(explain(&d), "Nothing more. Rely on the signed values above, and on them alone.");
	/* Of a document that is refused nothing is praised. */
	d.good = false;
	verdict_fail(&d, CHECK_NONCE, VERIFY_NONCE_MISMATCH, "nonce", "Another one.");
	text = explain(&d);
	assert_says(text, "- Fits 7. - FAILED: Another one. - Fits 9.");
	assert_silent(text, "What was NOT compared");
}

static void a_debug_enclaves_zeros_are_shown_and_not_explained(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	d.debug = true;
	for (unsigned i = 0; i < 3; i++)
		d.view.pcr[i] = bytes_of(zeros, sizeof zeros);
	const char *text = explain(&d);
	assert_says(text, "PCR0 all zeros");
	assert_null(strstr(text, "--pcr"));
	assert_silent(text, "the image is not signed"); /* its PCR8 is not measured either */
	assert_says(text, "Trust a debug enclave with nothing");
	d = good();
	assert_says(explain(&d), "PCR8 all zeros: the image is not signed");
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
	assert_says(text, "leave --root out");
	const struct verify_verdict own = failed(CHECK_CHAIN, VERIFY_CHAIN_UNTRUSTED, "x");
	assert_says(explain(&own), "a simulator makes a new root at each start: take its file again");
	struct verify_verdict aws = own;
	aws.aws_root = true;
	assert_says(explain(&aws), "give its root with --root FILE");
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
		verdict_fail(&d, CHECK_SIGNATURE, (enum verify_code)c, NULL, "x");
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
	assert_says(text, "What was compared - FAILED: PCR0 is other. What was NOT");
	verdict_fail(&d, CHECK_NONCE, VERIFY_NONCE_MISSING, "nonce", "There is no nonce.");
	text = explain(&d);
	assert_says(text, "What failed - PCR0 is other. - There is no nonce.");
	assert_says(text, "What was compared - FAILED: PCR0 is other. - FAILED: There is no nonce.");
	assert_says(text, "What was signed");
	assert_says(text, "What to do next - Do not talk to this enclave");
	assert_says(text, "- Send the nonce with the request"); /* each failure has its advice */
}

static void that_any_user_data_would_have_passed_is_not_said_of_claims(void **s)
{
	(void)s;
	struct verify_verdict d = good();
	struct why w = {0};
	d.view.user_data = BYTES_LIT("{\"purpose\":\"attestation\"}");
	assert_says(explain(&d), "- Detail 8. - Detail 9. - Detail 10.");
	assert_int_equal(json_parse(&d.claims, d.view.user_data, &w), ERR_OK);
	assert_says(explain(&d), "- Detail 8. - Detail 10.");
	/* and it is nothing that was left out */
	for (int c = CHECK_PCRS; c <= CHECK_REPLY; c++)
		if (c != CHECK_USER_DATA)
			verdict_pass(&d, (enum verify_check)c, "Fits %d.", c);
	d.identity = VERIFY_COMPARED;
	assert_says(explain(&d), "Nothing that can be compared was left out.");
	json_free(d.claims);
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
	const char *owner = strstr(text, "\n  | \"owner\": \"me\"\n"), *n = strstr(text, "\n  | \"n\": {\"a\": [1]}\n");
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
	assert_says(text, "| \"\\x1b[31m\": \"\\u001b[2J\\u009b\\r\\n\\u202e\"");
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
	memset(words, 'w', sizeof words); /* in one piece */
	assert_non_null(strstr(explain(&d), "w\n              ww"));
}

static void of_spaces_in_a_row_only_the_first_is_one(void **s)
{
	(void)s;
	struct buf out = BUF_INIT(4096);
	page_value(&out, "x", BYTES_LIT("  a b   c  "));
	assert_string_equal(buf_cstr(&out), "  x           \" \\x20a b \\x20\\x20c \\x20\"\n");
	buf_reset(&out);
	page_stated(&out, BYTES_LIT("  a"), BYTES_LIT("  "));
	assert_string_equal(buf_cstr(&out), "  | \" \\x20a\": \\x20\\x20\n");
	buf_free(&out);
}

static void lines_are_full_before_they_wrap_with_their_indent(void **s)
{
	(void)s;
	char word[2 * PAGE_WIDTH], want[4 * PAGE_WIDTH];
	struct buf out = BUF_INIT(4096);
	memset(word, 'w', sizeof word);
	const struct {
		int n; /* letters of the second word; in front of it stand "  | \"x\": a " */
		const char *between;
	} cases[] = {{PAGE_WIDTH - 11, " "}, {PAGE_WIDTH - 10, "\n  |   "}, {PAGE_WIDTH - 6, "\n  |   "}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf value = BUF_INIT(4096);
		buf_reset(&out);
		buf_printf(&value, "a %.*s", cases[i].n, word);
		page_stated(&out, BYTES_LIT("x"), buf_bytes(&value));
		(void)snprintf(want, sizeof want, "  | \"x\": a%s%.*s\n", cases[i].between, cases[i].n, word);
		assert_string_equal(buf_cstr(&out), want);
		buf_free(&value);
	}
	/* What is longer than a line is broken anywhere. */
	buf_reset(&out);
	page_stated(&out, BYTES_LIT("x"), bytes_of(word, PAGE_WIDTH));
	(void)snprintf(want, sizeof want, "  | \"x\":\n  |   %.*s\n  |   %.*s\n", PAGE_WIDTH - 6, word, 6, word);
	assert_string_equal(buf_cstr(&out), want);
	buf_reset(&out);
	page_text(&out, PAGE_WIDTH - 1, "ab");
	assert_string_equal(buf_cstr(&out), "\nab\n");
	buf_free(&out);
}

/* Its name is cut, and neither it nor its value gets to where our own lines begin: in a terminal of 80 columns, too. */
static void metadata_cannot_imitate_the_layout(void **s)
{
	(void)s;
	static const char *const ours[] = {"VERIFIED",	       "NOT VERIFIED", "What ",
					   "  - Nothing more", "  PCR0 ",      "  module id"};
	struct verify_verdict d = good();
	struct buf data = BUF_INIT(4096);
	struct why w = {0};
	for (int pad = 50; pad <= 80; pad++) {
		buf_reset(&data);
		buf_printf(&data, "{\"purpose\":\"attestation\",\"agent\":\"%*sVERIFIED: \"", pad, "");
		for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++) /* as a name, and as a value */
			buf_printf(&data, ",\"%*s%s\":\"%*s%s\"", (int)k + pad % 2 * 70, "", ours[k], pad, "", ours[k]);
		buf_put_str(&data, "}");
		d.view.user_data = buf_bytes(&data);
		assert_int_equal(json_parse(&d.claims, d.view.user_data, &w), ERR_OK);
		size_t seen[sizeof ours / sizeof ours[0]] = {0};
		for (const char *line = explain(&d); *line != '\0'; line = strchr(line, '\n') + 1)
			for (const char *at = line; at < strchr(line, '\n'); at += PAGE_WIDTH)
				for (size_t k = 0; k < sizeof ours / sizeof ours[0]; k++)
					seen[k] += strncmp(at, ours[k], strlen(ours[k])) == 0;
		const size_t want[sizeof ours / sizeof ours[0]] = {1, 0, 5, 0, 2 /* what it measures, and its value */,
								   1};
		assert_memory_equal(seen, want, sizeof seen);
		json_free(d.claims);
	}
	buf_free(&data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_verdict_begins_with_its_word_and_its_sentence),
		cmocka_unit_test(colour_is_used_only_when_asked_for),
		cmocka_unit_test(without_a_policy_it_says_that_no_enclave_was_compared),
		cmocka_unit_test(it_gives_the_flags_that_pin_this_enclave),
		cmocka_unit_test(weak_pcrs_leave_open_which_code_runs),
		cmocka_unit_test(what_was_compared_is_listed_as_the_checks_say_it),
		cmocka_unit_test(a_debug_enclaves_zeros_are_shown_and_not_explained),
		cmocka_unit_test(another_root_is_never_called_aws),
		cmocka_unit_test(a_historic_verification_says_so),
		cmocka_unit_test(ages_are_told_in_units_that_people_use),
		cmocka_unit_test(without_signed_facts_none_is_shown),
		cmocka_unit_test(every_code_comes_with_advice),
		cmocka_unit_test(every_failure_of_a_signed_document_is_listed),
		cmocka_unit_test(that_any_user_data_would_have_passed_is_not_said_of_claims),
		cmocka_unit_test(metadata_is_told_from_claims),
		cmocka_unit_test(control_characters_never_reach_the_terminal),
		cmocka_unit_test(bytes_are_text_in_quotes_or_hex),
		cmocka_unit_test(long_values_are_broken_into_lines),
		cmocka_unit_test(of_spaces_in_a_row_only_the_first_is_one),
		cmocka_unit_test(lines_are_full_before_they_wrap_with_their_indent),
		cmocka_unit_test(metadata_cannot_imitate_the_layout),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
