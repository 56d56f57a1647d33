#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/claim_table.h"
#include "attest/verdict.h"

#define X64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID  "AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZa"
#define HEAD(p) \
	"\"purpose\":\"" p "\",\"timestamp\":\"2026-01-30T12:00:00Z\",\"agent\":\"OpenClaw\",\"guardrail\":\"none\""
#define METADATA ",\"version\":\"1.2\",\"tags\":[1,null]"

#define ATTESTATION HEAD("attestation")
#define CUSTOM	    ",\"custom_digest\":\"" X64 "\",\"custom_digest_method\":\"sha256\""
#define KEY_EXCHANGE                                                                                 \
	HEAD("key-exchange")                                                                         \
	",\"session_id\":\"" ID "\",\"session_key_hash\":\"" X64 "\",\"user_key_hash\":\"" X64 "\"," \
	"\"key_exchange_version\":\"1.1\""
#define INFO HEAD("info") ",\"info_digest\":\"" X64 "\",\"info_digest_method\":\"sha256\""
#define TLS  HEAD("tls") ",\"tls_cert_hash\":\"" X64 "\",\"tls_spki_hash\":\"" X64 "\""
#define PEER         \
	HEAD("peer") \
	",\"role\":\"server\",\"key_hash\":\"" X64 "\",\"peer_key_hash\":\"" X64 "\",\"config_digest\":\"" X64 "\""

static struct verify_verdict *read_bytes(struct bytes user_data, const char *wanted)
{
	struct verify_verdict *d = calloc(1, sizeof *d);
	struct why w = {0};
	assert_non_null(d);
	d->signed_facts = true;
	d->view.user_data = user_data;
	assert_int_equal(verify_claims(wanted, d, &w), ERR_OK);
	return d;
}

/* As required, and readable without being required. */
static void reads(const char *text, const char *purpose, bool metadata)
{
	for (int asked = 0; asked < 2; asked++) {
		struct verify_verdict *d = read_bytes(bytes_str(text), asked != 0 ? purpose : "");
		const char *detail = d->details[CHECK_PURPOSE];
		if (d->results[CHECK_PURPOSE] != (asked != 0 ? CHECK_PASS : CHECK_NOT_ASKED))
			fail_msg("%s: %s", text, detail);
		assert_int_equal(d->code, VERIFY_VERIFIED);
		assert_string_equal(d->purpose, purpose);
		assert_non_null(d->claims);
		assert_non_null(strstr(detail, purpose));
		assert_int_equal(strstr(detail, "stated by the enclave's software, not measured") != NULL, metadata);
		verify_verdict_free(d);
	}
}

/* As claims for `wanted`; without a purpose wanted it is no claim of ours, and no fault. */
static void refuses_bytes(struct bytes text, const char *wanted, enum verify_code code, const char *field,
			  const char *says)
{
	struct verify_verdict *d = read_bytes(text, wanted);
	assert_int_equal(d->results[CHECK_PURPOSE], CHECK_FAIL);
	if (d->code != code || strcmp(d->field, field) != 0 || strstr(d->message, says) == NULL)
		fail_msg("%.*s: %s, %s: \"%s\" does not say \"%s\"", (int)(text.n < 700 ? text.n : 700),
			 (const char *)text.p, verify_code_name(d->code), d->field, d->message, says);
	assert_null(d->claims);
	assert_string_equal(d->purpose, "");
	verify_verdict_free(d);

	d = read_bytes(text, "");
	assert_int_equal(d->results[CHECK_PURPOSE], CHECK_NOT_ASKED);
	assert_int_equal(d->code, VERIFY_VERIFIED);
	assert_null(d->claims);
	assert_string_equal(d->purpose, "");
	assert_non_null(strstr(d->details[CHECK_PURPOSE], "Not read as claims of attestd; no purpose was required."));
	verify_verdict_free(d);
}

static void malformed(const char *text, const char *wanted, const char *field, const char *says)
{
	refuses_bytes(bytes_str(text), wanted, VERIFY_CLAIMS_MALFORMED, field, says);
}

static void forbidden(const char *text, const char *wanted, const char *field, const char *says)
{
	refuses_bytes(bytes_str(text), wanted, VERIFY_CLAIMS_FORBIDDEN, field, says);
}

static void the_claims_of_each_purpose_are_read(void **s)
{
	(void)s;
	reads("{" ATTESTATION "}", "attestation", false);
	reads("{" ATTESTATION CUSTOM "}", "attestation", false);
	reads("{" KEY_EXCHANGE "}", "key-exchange", false);
	reads("{" KEY_EXCHANGE ",\"scope_hash\":\"" X64 "\"}", "key-exchange", false);
	reads("{" INFO "}", "info", false);
	reads("{" TLS "}", "tls", false);
	reads("{" TLS ",\"key_origin\":\"file\"}", "tls", false);
	reads("{" TLS ",\"key_origin\":\"memory\"}", "tls", false);
	reads("{" PEER "}", "peer", false);
	reads("\n{ \"purpose\" : \"attestation\" , \"guardrail\":\"\", \"agent\":\"\xc3\xa9\\u0000\", "
	      "\"timestamp\":\"1970-01-01T00:00:00Z\" }\n",
	      "attestation", false);
}

static void metadata_is_said_to_be_stated_and_not_measured(void **s)
{
	(void)s;
	reads("{" ATTESTATION METADATA "}", "attestation", true);
	reads("{" KEY_EXCHANGE METADATA "}", "key-exchange", true);
	reads("{" INFO ",\"metadata_digest\":\"" X64 "\"}", "info", true);
	reads("{" TLS ",\"Session_key_hash\":7,\"nested\":{\"purpose\":\"info\"}}", "tls", true);
}

static void what_is_no_json_in_utf8_is_no_claim(void **s)
{
	(void)s;
	refuses_bytes(bytes_of(NULL, 0), "attestation", VERIFY_CLAIMS_MALFORMED, "user_data", "holds no user data");
	malformed("", "attestation", "user_data", "is not JSON in UTF-8 that can be read in one way only");
	malformed("hello", "attestation", "user_data", "is not JSON");
	malformed("{" ATTESTATION "}x", "attestation", "user_data", "is not JSON");
	malformed("{" ATTESTATION, "attestation", "user_data", "is not JSON");
	malformed("\xef\xbb\xbf{" ATTESTATION "}", "attestation", "user_data", "byte order mark");
	malformed("{" ATTESTATION ",\"a\":\"\xff\"}", "attestation", "user_data", "malformed UTF-8");
	malformed("{" ATTESTATION ",\"a\":\"\xed\xa0\x80\"}", "attestation", "user_data", "is not JSON");
	refuses_bytes(BYTES_LIT("{" ATTESTATION "}\0"), "attestation", VERIFY_CLAIMS_MALFORMED, "user_data",
		      "is not JSON");
}

static void utf16_and_utf32_are_no_claims(void **s)
{
	(void)s;
	static const char text[] = "{" ATTESTATION "}";
	uint8_t wide[4 * sizeof text + 4];
	for (size_t unit = 2; unit <= 4; unit += 2)
		for (size_t at = 0; at < unit; at += unit - 1) /* little and big endian */
			for (size_t bom = 0; bom <= unit; bom += unit) {
				memset(wide, 0, sizeof wide);
				if (bom > 0) {
					wide[at == 0 ? 0 : unit - 1] = 0xff;
					wide[at == 0 ? 1 : unit - 2] = 0xfe;
				}
				for (size_t i = 0; i < sizeof text - 1; i++)
					wide[bom + unit * i + at] = (uint8_t)text[i];
				refuses_bytes(bytes_of(wide, bom + unit * (sizeof text - 1)), "attestation",
					      VERIFY_CLAIMS_MALFORMED, "user_data", "is not JSON in UTF-8");
			}
}

static void what_is_said_twice_is_no_claim(void **s)
{
	(void)s;
	malformed("{" ATTESTATION ",\"purpose\":\"attestation\"}", "attestation", "user_data", "\"purpose\"");
	malformed("{" ATTESTATION ",\"purpos\\u0065\":\"key-exchange\"}", "attestation", "user_data", "is not JSON");
	malformed("{" ATTESTATION ",\"a\":{\"b\":1,\"b\":1}}", "attestation", "user_data", "is not JSON");
}

static void what_the_sender_wrote_is_quoted_only_if_it_is_printable(void **s)
{
	(void)s;
	struct verify_verdict *d = read_bytes(BYTES_LIT("{\"a\xe2\x80\xae\":1,\"a\xe2\x80\xae\":1}"), "attestation");
	assert_string_equal(d->message, "The signed user data is not JSON in UTF-8 that can be read in one way only.");
	verify_verdict_free(d);
}

static void claims_are_an_object_that_begins_with_its_purpose(void **s)
{
	(void)s;
	malformed("[]", "attestation", "user_data", "not an object");
	malformed("\"attestation\"", "attestation", "user_data", "not an object");
	malformed("null", "attestation", "user_data", "not an object");
	malformed("{}", "attestation", "user_data", "does not begin with \"purpose\"");
	malformed("{\"agent\":\"a\",\"guardrail\":\"g\",\"timestamp\":\"2026-01-30T12:00:00Z\","
		  "\"purpose\":\"attestation\"}",
		  "attestation", "user_data", "does not begin with \"purpose\"");
	malformed("{\"Purpose\":\"attestation\"}", "attestation", "user_data", "does not begin with \"purpose\"");
	malformed("{\"x\":1," ATTESTATION "}", "attestation", "user_data", "does not begin with \"purpose\"");
	malformed("{" HEAD("other") "}", "attestation", "user_data.purpose", "is not attestation, key-exchange");
	malformed("{" HEAD("Attestation") "}", "attestation", "user_data.purpose", "is not attestation, key-exchange");
	malformed("{" HEAD("attestation\\u0000") "}", "attestation", "user_data.purpose", "is not attestation");
	malformed("{" HEAD("") "}", "attestation", "user_data.purpose", "is not attestation");
	malformed("{\"purpose\":1}", "attestation", "user_data.purpose", "is not attestation");
	malformed("{\"purpose\":[\"attestation\"]}", "attestation", "user_data.purpose", "is not attestation");
}

static void another_purpose_than_the_wanted_is_refused_and_shown(void **s)
{
	(void)s;
	static const struct {
		const char *text, *purpose;
	} all[] = {{"{" ATTESTATION "}", "attestation"},
		   {"{" KEY_EXCHANGE "}", "key-exchange"},
		   {"{" INFO "}", "info"},
		   {"{" TLS "}", "tls"},
		   {"{" PEER "}", "peer"}};
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < 5; j++) {
			struct verify_verdict *d = read_bytes(bytes_str(all[i].text), all[j].purpose);
			assert_int_equal(d->code, i == j ? VERIFY_VERIFIED : VERIFY_PURPOSE_MISMATCH);
			assert_string_equal(d->purpose, all[i].purpose);
			assert_non_null(d->claims);
			if (i != j) {
				assert_string_equal(d->field, "user_data.purpose");
				assert_non_null(strstr(d->message, all[i].purpose));
				assert_non_null(strstr(d->message, all[j].purpose));
			}
			verify_verdict_free(d);
		}
}

static void a_name_of_another_purpose_is_forbidden_whatever_its_value(void **s)
{
	(void)s;
	forbidden("{" ATTESTATION ",\"session_key_hash\":\"" X64 "\"}", "attestation", "user_data.session_key_hash",
		  "are for attestation, but use the name \"session_key_hash\", which belongs to key-exchange");
	forbidden("{" ATTESTATION ",\"scope_hash\":\"" X64 "\"}", "attestation", "user_data.scope_hash",
		  "which belongs to key-exchange");
	malformed("{" KEY_EXCHANGE ",\"scope_hash\":null}", "key-exchange", "user_data.scope_hash",
		  "is not 64 lower-case hex digits");
	malformed("{" KEY_EXCHANGE ",\"scope_hash\":\"\"}", "key-exchange", "user_data.scope_hash",
		  "is not 64 lower-case hex digits");
	forbidden("{" ATTESTATION ",\"session_key_hash\":null}", "attestation", "user_data.session_key_hash", "");
	forbidden("{" ATTESTATION ",\"session_key_has\\u0068\":1}", "attestation", "user_data.session_key_hash", "");
	forbidden("{" ATTESTATION ",\"session_key_hash\":\"\"}", "key-exchange", "user_data.session_key_hash", "");

	static const struct {
		const char *text, *purpose;
		enum attest_purpose p;
	} all[] = {{ATTESTATION, "attestation", ATTEST_ATTESTATION},
		   {KEY_EXCHANGE, "key-exchange", ATTEST_KEY_EXCHANGE},
		   {INFO, "info", ATTEST_INFO},
		   {TLS, "tls", ATTEST_TLS},
		   {PEER, "peer", ATTEST_PEER}};
	size_t pairs = 0;
	for (size_t i = 0; i < 5; i++)
		for (size_t c = 0; c < CLAIM_COUNT; c++) {
			char text[1024], field[64];
			if ((claim_table[c].purposes & CLAIM_OF(all[i].p)) != 0)
				continue;
			(void)snprintf(text, sizeof text, "{%s,\"%s\":\"x\"}", all[i].text, claim_table[c].name);
			(void)snprintf(field, sizeof field, "user_data.%s", claim_table[c].name);
			forbidden(text, all[i].purpose, field, "belongs to");
			pairs++;
		}
	assert_int_equal(pairs, 4 * 16); /* each of the sixteen names that are not common, in four purposes */
}

static void no_claim_may_be_missing(void **s)
{
	(void)s;
	static const char *const all[][2] = {
		{KEY_EXCHANGE, "key-exchange"}, {INFO, "info"}, {TLS, "tls"}, {PEER, "peer"}};
	size_t dropped = 0;
	for (size_t i = 0; i < 4; i++)
		for (size_t c = 1; c < CLAIM_COUNT; c++) { /* purpose is the first */
			char text[1024], key[64], says[128];
			(void)snprintf(key, sizeof key, ",\"%s\":\"", claim_table[c].name);
			const char *at = strstr(all[i][0], key);
			if (at == NULL)
				continue;
			const char *end = strchr(at + strlen(key), '"') + 1;
			(void)snprintf(text, sizeof text, "{%.*s%s}", (int)(at - all[i][0]), all[i][0], end);
			(void)snprintf(says, sizeof says, "for %s, but lack \"%s\"", all[i][1], claim_table[c].name);
			malformed(text, all[i][1], "user_data", says);
			dropped++;
		}
	assert_int_equal(dropped, (3 + 4) + (3 + 2) + (3 + 2) + (3 + 4));
	malformed("{\"purpose\":\"attestation\"}", "attestation", "user_data", "lack \"timestamp\"");
}

static void a_custom_digest_and_its_method_come_together(void **s)
{
	(void)s;
	malformed("{" ATTESTATION ",\"custom_digest\":\"" X64 "\"}", "attestation", "user_data",
		  "lack \"custom_digest_method\"");
	malformed("{" ATTESTATION ",\"custom_digest_method\":\"sha256\"}", "attestation", "user_data",
		  "lack \"custom_digest\"");
}

static void is_no(const char *text, const char *purpose, const char *name, const char *form)
{
	char field[64], says[160];
	(void)snprintf(field, sizeof field, "user_data.%s", name);
	(void)snprintf(says, sizeof says, "The signed claim \"%s\" is not %s.", name, form);
	malformed(text, purpose, field, says);
}

static void hashes_are_64_lower_case_hex_digits(void **s)
{
	(void)s;
	static const char *const bad[] = {
		"\"\"",
		"\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\"",
		"\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0\"",
		"\"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\"",
		"\"0123456789abcdeg0123456789abcdef0123456789abcdef0123456789abcdef\"",
		"\"0123456789abcde\\u00000123456789abcdef0123456789abcdef0123456789abcdef\"",
		"null",
		"7",
		"[\"" X64 "\"]",
		"{}",
	};
	char text[1024];
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "{%s,\"metadata_digest\":%s}", ATTESTATION, bad[i]);
		is_no(text, "attestation", "metadata_digest", "64 lower-case hex digits");
		(void)snprintf(text, sizeof text, "{%s,\"custom_digest\":%s,\"custom_digest_method\":\"sha256\"}",
			       ATTESTATION, bad[i]);
		is_no(text, "attestation", "custom_digest", "64 lower-case hex digits");
	}
}

static void a_session_id_is_43_characters_of_base64url(void **s)
{
	(void)s;
	static const char *const bad[] = {"", "AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZ", ID "A",
					  "AZaz09+/AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZa",
					  "AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZaz09-_AZ="};
	char text[1024];
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "{" HEAD("key-exchange") ",\"session_id\":\"%s\"}", bad[i]);
		is_no(text, "key-exchange", "session_id", "43 characters of base64url");
	}
}

static void words_are_one_of_those_there_are(void **s)
{
	(void)s;
	is_no("{" HEAD("key-exchange") ",\"key_exchange_version\":\"1.0\"}", "key-exchange", "key_exchange_version",
	      "1.1");
	is_no("{" HEAD("key-exchange") ",\"key_exchange_version\":1.1}", "key-exchange", "key_exchange_version", "1.1");
	is_no("{" HEAD("info") ",\"info_digest_method\":\"SHA256\"}", "info", "info_digest_method", "sha256");
	is_no("{" HEAD("peer") ",\"role\":\"Server\"}", "peer", "role", "server or client");
	is_no("{" HEAD("peer") ",\"role\":\"\"}", "peer", "role", "server or client");
	is_no("{" TLS ",\"key_origin\":\"disk\"}", "tls", "key_origin", "memory or file");
	is_no("{\"purpose\":\"info\",\"agent\":null}", "info", "agent", "text");
	is_no("{\"purpose\":\"info\",\"guardrail\":[]}", "info", "guardrail", "text");
}

static void a_timestamp_is_utc_in_whole_seconds(void **s)
{
	(void)s;
	static const char *const good[] = {"1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-29T00:00:00Z"};
	static const char *const bad[] = {"",
					  "2026-01-30",
					  "2026-01-30T12:00:00",
					  "2026-01-30T12:00:00z",
					  "2026-01-30 12:00:00Z",
					  "2026-01-30T12:00:00.0Z",
					  "2026-01-30T12:00:00+00:00",
					  "2026-1-30T12:00:00ZZ",
					  "+026-01-30T12:00:00Z",
					  "2026- 1-30T12:00:00Z",
					  "2026-00-30T12:00:00Z",
					  "2026-13-01T12:00:00Z",
					  "2026-02-30T12:00:00Z",
					  "2025-02-29T12:00:00Z",
					  "2026-01-00T12:00:00Z",
					  "2026-01-30T24:00:00Z",
					  "2026-01-30T12:60:00Z",
					  "2026-01-30T12:00:60Z",
					  "1969-12-31T23:59:59Z",
					  "2026-01-30T12:00:00\\u0000"};
	char text[512];
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)snprintf(text, sizeof text,
			       "{\"purpose\":\"attestation\",\"timestamp\":\"%s\",\"agent\":\"\",\"guardrail\":\"\"}",
			       good[i]);
		reads(text, "attestation", false);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "{\"purpose\":\"attestation\",\"timestamp\":\"%s\"}", bad[i]);
		is_no(text, "attestation", "timestamp", "a time such as 2026-01-30T12:00:00Z");
	}
}

static void the_longest_user_data_and_the_deepest_nesting_are_read(void **s)
{
	(void)s;
	static const char head[] = "{" ATTESTATION ",\"a\":";
	char text[VERIFY_USER_DATA_MAX + 1];
	const size_t n = sizeof head - 1, depth = (VERIFY_USER_DATA_MAX - n - 1) / 2;
	memcpy(text, head, n);
	memset(text + n, '[', depth);
	memset(text + n + depth, ']', depth);
	memcpy(text + n + 2 * depth, "}", 2);
	reads(text, "attestation", true);
	memset(text + n, 'x', VERIFY_USER_DATA_MAX - n);
	text[n] = text[VERIFY_USER_DATA_MAX - 2] = '"';
	text[VERIFY_USER_DATA_MAX - 1] = '}';
	text[VERIFY_USER_DATA_MAX] = '\0';
	reads(text, "attestation", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_claims_of_each_purpose_are_read),
		cmocka_unit_test(metadata_is_said_to_be_stated_and_not_measured),
		cmocka_unit_test(what_is_no_json_in_utf8_is_no_claim),
		cmocka_unit_test(utf16_and_utf32_are_no_claims),
		cmocka_unit_test(what_is_said_twice_is_no_claim),
		cmocka_unit_test(what_the_sender_wrote_is_quoted_only_if_it_is_printable),
		cmocka_unit_test(claims_are_an_object_that_begins_with_its_purpose),
		cmocka_unit_test(another_purpose_than_the_wanted_is_refused_and_shown),
		cmocka_unit_test(a_name_of_another_purpose_is_forbidden_whatever_its_value),
		cmocka_unit_test(no_claim_may_be_missing),
		cmocka_unit_test(a_custom_digest_and_its_method_come_together),
		cmocka_unit_test(hashes_are_64_lower_case_hex_digits),
		cmocka_unit_test(a_session_id_is_43_characters_of_base64url),
		cmocka_unit_test(words_are_one_of_those_there_are),
		cmocka_unit_test(a_timestamp_is_utc_in_whole_seconds),
		cmocka_unit_test(the_longest_user_data_and_the_deepest_nesting_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
