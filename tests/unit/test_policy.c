#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "attest.h"

#define ONE                                                \
	"7fb5c55bc2ecbb68ed99a13d7122abfc0666b926a79d5379" \
	"bc58b9445c84217f59cfdd36c08b2c79552928702efe1234"
#define TWO                                                \
	"235c9e6050abf6b993c915505f3220e2d82b51aff830ad14" \
	"cbecc2eec1bf0b4ae749d311c663f464cde9f718acca5286"
#define ZERO                                               \
	"000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000000000000000"

typedef enum err set_fn(struct verify_policy *p, struct bytes text, struct why *w);

static struct verify_policy fresh(void)
{
	struct verify_policy p;
	verify_policy_init(&p);
	return p;
}

static void takes(set_fn *set, struct verify_policy *p, struct bytes text)
{
	struct why w = {0};
	if (set(p, text, &w) != ERR_OK)
		fail_msg("%s: %s", w.field, w.text);
}

static struct verify_policy reads(const char *json)
{
	struct verify_policy p = fresh();
	takes(verify_policy_text, &p, bytes_str(json));
	return p;
}

/* With `field`, a sentence that has `says` in it, and the policy as it was. */
static void refuses(set_fn *set, struct bytes text, const char *field, const char *says)
{
	struct verify_policy p, before;
	struct why w = {0};
	verify_policy_init(&p);
	assert_int_equal(verify_policy_pcr(&p, BYTES_LIT("5=" TWO), &w), ERR_OK);
	before = p;
	assert_int_equal(set(&p, text, &w), ERR_INVALID);
	assert_true(w.tell);
	if (strcmp(w.field, field) != 0 || strstr(w.text, says) == NULL)
		fail_msg("%.*s: \"%s: %s\" is not \"%s: ...%s\"", (int)(text.n < 200 ? text.n : 200),
			 (const char *)text.p, w.field, w.text, field, says);
	assert_memory_equal(&p, &before, sizeof p);
}

static void refuses_policy(const char *json, const char *field, const char *says)
{
	refuses(verify_policy_text, bytes_str(json), field, says);
}

static void without_any_flag_it_is_now_and_at_most_five_minutes_old(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	assert_int_equal(p.max_age_s, 300);
	assert_int_equal(p.at, VERIFY_AT_NOW);
	assert_int_equal(p.n_pins, 0);
	assert_false(p.nonce.present || p.user_data.present || p.allow_debug || p.own_root);
	assert_string_equal(p.purpose, "");
}

/* ---- PCRs ---- */

static void a_pcr_is_its_number_and_96_hex_digits_of_either_case(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	static const char upper[] = "31=" ONE;
	char text[sizeof upper];
	for (size_t i = 0; i < sizeof upper; i++)
		text[i] = (char)(upper[i] >= 'a' && upper[i] <= 'f' ? upper[i] - 32 : upper[i]);
	takes(verify_policy_pcr, &p, BYTES_LIT("0=" ONE));
	takes(verify_policy_pcr, &p, bytes_str(text));
	assert_int_equal(p.n_pins, 2);
	assert_int_equal(p.pins[0].index, 0);
	assert_int_equal(p.pins[1].index, 31);
	assert_int_equal(p.pins[0].value[0], 0x7f);
	assert_memory_equal(p.pins[0].value, p.pins[1].value, NSM_PCR_SIZE);
	takes(verify_policy_pcr, &p, BYTES_LIT("0=" TWO)); /* another value that will do */
	assert_int_equal(p.n_pins, 3);
}

static void a_pcr_of_another_form_is_refused(void **s)
{
	(void)s;
	static const char *const bad[] = {"",	      "=",	  "0",	     "=" ONE,	  "32=" ONE,
					  "00=" ONE,  "01=" ONE,  "+1=" ONE, "-1=" ONE,	  "1 =" ONE,
					  " 1=" ONE,  "0x1=" ONE, "a=" ONE,  "PCR0=" ONE, "99999999999999999999=" ONE,
					  "1.0=" ONE, ONE};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuses(verify_policy_pcr, bytes_str(bad[i]), "pcr", "given as N=HEX");
	static const char *const values[] = {"0=",	   "0=" ONE "0", "0=" ONE "00", "0==" ONE,   "0= " ONE,
					     "0=" ONE " ", "0=ab",	 "0=0x" ONE,	"0=7fb5c55b"};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		refuses(verify_policy_pcr, bytes_str(values[i]), "pcr", "PCR0 is not 96 hex digits");
	char text[] = "0=" ONE;
	text[50] = 'g';
	refuses(verify_policy_pcr, bytes_str(text), "pcr", "it has 96 characters");
	text[sizeof text - 2] = '\0';
	refuses(verify_policy_pcr, bytes_str(text), "pcr", "it has 95 characters");
	refuses(verify_policy_pcr, bytes_of(NULL, 0), "pcr", "given as N=HEX");
}

static void at_most_64_values_are_pinned(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	struct why w = {0};
	for (size_t i = 0; i < VERIFY_PINS_MAX; i++)
		takes(verify_policy_pcr, &p, BYTES_LIT("3=" ONE));
	assert_int_equal(verify_policy_pcr(&p, BYTES_LIT("3=" ONE), &w), ERR_INVALID);
	assert_non_null(strstr(w.text, "more than 64 PCR values"));
	assert_int_equal(p.n_pins, VERIFY_PINS_MAX);
}

static enum verify_identity identity(const char *const *pins)
{
	struct verify_policy p = fresh();
	for (; *pins != NULL; pins++)
		takes(verify_policy_pcr, &p, bytes_str(*pins));
	return verify_policy_identity(&p);
}
#define IDENTITY(...) identity((const char *const[]){__VA_ARGS__, NULL})

static void an_enclave_is_told_by_pcr0_or_pcr1_and_2_or_pcr8(void **s)
{
	(void)s;
	struct verify_policy none = fresh();
	assert_int_equal(verify_policy_identity(&none), VERIFY_NOT_COMPARED);
	assert_int_equal(IDENTITY("0=" ONE), VERIFY_COMPARED);
	assert_int_equal(IDENTITY("1=" ONE, "2=" ONE), VERIFY_COMPARED);
	assert_int_equal(IDENTITY("8=" ONE), VERIFY_COMPARED);
	assert_int_equal(IDENTITY("8=" ONE, "8=" TWO), VERIFY_COMPARED);
	assert_int_equal(IDENTITY("2=" ONE, "0=" TWO), VERIFY_COMPARED);
	static const char *const weak[] = {"1=" ONE, "2=" ONE, "3=" ONE, "4=" ONE, "16=" ONE, "31=" ONE};
	for (size_t i = 0; i < sizeof weak / sizeof weak[0]; i++)
		assert_int_equal(IDENTITY(weak[i]), VERIFY_WEAK);
	assert_int_equal(IDENTITY("2=" ONE, "3=" ONE, "4=" ONE), VERIFY_WEAK);
}

static void a_pin_of_zeros_is_no_identity(void **s)
{
	(void)s;
	assert_int_equal(IDENTITY("0=" ZERO), VERIFY_NOT_COMPARED);
	assert_int_equal(IDENTITY("8=" ZERO), VERIFY_NOT_COMPARED);
	assert_int_equal(IDENTITY("0=" ONE, "0=" ZERO), VERIFY_NOT_COMPARED); /* zeros will do */
	assert_int_equal(IDENTITY("8=" ZERO, "8=" ONE), VERIFY_NOT_COMPARED);
	assert_int_equal(IDENTITY("8=" ZERO, "3=" ONE), VERIFY_WEAK);
	assert_int_equal(IDENTITY("8=" ZERO, "0=" ONE), VERIFY_COMPARED);
	assert_int_equal(IDENTITY("1=" ONE, "2=" ZERO), VERIFY_WEAK);
	assert_int_equal(IDENTITY("1=" ONE, "2=" TWO, "2=" ZERO), VERIFY_WEAK);
}

/* ---- nonce and user data ---- */

static void wants(const struct verify_wanted *w, struct bytes value)
{
	assert_true(w->present);
	assert_int_equal(w->n, value.n);
	assert_memory_equal(w->b, value.p, value.n);
}

static void nonce_and_user_data_are_hex_base64_or_text(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	takes(verify_policy_nonce, &p, BYTES_LIT("00ff"));
	wants(&p.nonce, BYTES_LIT("\0\xff"));
	takes(verify_policy_nonce, &p, BYTES_LIT("text:00ff")); /* replaces it */
	wants(&p.nonce, BYTES_LIT("00ff"));
	assert_false(p.user_data.present);
	takes(verify_policy_user_data, &p, BYTES_LIT("dGVzdA=="));
	wants(&p.user_data, BYTES_LIT("test"));
	takes(verify_policy_user_data, &p, BYTES_LIT("{\"a\": 1}"));
	wants(&p.user_data, BYTES_LIT("{\"a\": 1}"));
	takes(verify_policy_user_data, &p, BYTES_LIT("base64:3q0="));
	wants(&p.user_data, BYTES_LIT("\xde\xad"));
	refuses(verify_policy_nonce, BYTES_LIT("hex:abc"), "nonce", "The nonce is not hex");
	refuses(verify_policy_user_data, BYTES_LIT("hex:abc"), "user_data", "The user data is not hex");
	refuses(verify_policy_user_data, BYTES_LIT("base64:abc"), "user_data", "The user data is not base64");
	refuses(verify_policy_user_data, BYTES_LIT("\xff"), "user_data", "The user data is not UTF-8 text");
}

static void empty_user_data_is_wanted_by_a_prefix_alone(void **s)
{
	(void)s;
	static const char *const empty[] = {"text:", "hex:", "base64:"};
	for (size_t i = 0; i < 3; i++) {
		struct verify_policy p = fresh();
		takes(verify_policy_user_data, &p, bytes_str(empty[i]));
		wants(&p.user_data, BYTES_LIT(""));
		refuses(verify_policy_nonce, bytes_str(empty[i]), "nonce", "The nonce is empty: leave it out, or give");
	}
	refuses(verify_policy_user_data, BYTES_LIT(""), "user_data", "text: with nothing behind it");
	refuses(verify_policy_user_data, BYTES_LIT("="), "user_data", "consists of = alone");
	refuses(verify_policy_nonce, BYTES_LIT(""), "nonce", "(hex:..., base64:..., text:...).");
	refuses(verify_policy_nonce, BYTES_LIT("=="), "nonce", "consists of = alone");
}

static void nonce_and_user_data_have_at_most_1024_bytes(void **s)
{
	(void)s;
	static char text[2 * VERIFY_NONCE_MAX + 64];
	struct verify_policy p = fresh();
	memset(text, 'a', sizeof text);
	takes(verify_policy_nonce, &p, bytes_of(text, 2048));
	assert_int_equal(p.nonce.n, 1024);
	takes(verify_policy_user_data, &p, bytes_of(text, 2048));
	assert_int_equal(p.user_data.n, 1024);
	refuses(verify_policy_nonce, bytes_of(text, 2050), "nonce", "read as hex, is 1025 bytes long; at most 1024");
	refuses(verify_policy_user_data, bytes_of(text, 2050), "user_data", "is 1025 bytes long; at most 1024");
	refuses(verify_policy_nonce, bytes_of(text, 2065), "nonce", "too long: it may decode to at most 1024 bytes");
	memset(text, '-', sizeof text);
	takes(verify_policy_nonce, &p, bytes_of(text, 1024));
	refuses(verify_policy_nonce, bytes_of(text, 1025), "nonce", "read as text, is 1025 bytes long");
}

/* ---- the others ---- */

static void the_greatest_age_is_seconds_up_to_ten_years_or_any(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	takes(verify_policy_max_age, &p, BYTES_LIT("0"));
	assert_int_equal(p.max_age_s, 0);
	takes(verify_policy_max_age, &p, BYTES_LIT("315360000"));
	assert_int_equal(p.max_age_s, 315360000);
	takes(verify_policy_max_age, &p, BYTES_LIT("any"));
	assert_int_equal(p.max_age_s, -1);
	static const char *const bad[] = {"",	 "315360001", "-1", "+1",   "01",  "1.0",
					  "1e3", "1s",	      "5 ", " any", "ANY", "9999999999999999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuses(verify_policy_max_age, bytes_str(bad[i]), "max_age", "seconds from 0 to 315360000");
	refuses(verify_policy_max_age, bytes_of("1\0", 2), "max_age", "seconds");
}

static void the_time_is_now_the_documents_or_unix_seconds(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	takes(verify_policy_at, &p, BYTES_LIT("1769774400"));
	assert_int_equal(p.at, VERIFY_AT_TIME);
	assert_int_equal(p.at_s, 1769774400);
	takes(verify_policy_at, &p, BYTES_LIT("253402300799"));
	assert_int_equal(p.at_s, INT64_C(253402300799));
	takes(verify_policy_at, &p, BYTES_LIT("0"));
	assert_int_equal(p.at_s, 0);
	takes(verify_policy_at, &p, BYTES_LIT("document"));
	assert_int_equal(p.at, VERIFY_AT_DOCUMENT);
	takes(verify_policy_at, &p, BYTES_LIT("now"));
	assert_int_equal(p.at, VERIFY_AT_NOW);
	static const char *const bad[] = {"",	 "253402300800",	 "-1",		"00",
					  "Now", "2026-01-30T12:00:00Z", "1769774400.5"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuses(verify_policy_at, bytes_str(bad[i]), "at", "now, document");
}

static void there_are_five_purposes(void **s)
{
	(void)s;
	static const char *const names[] = {"attestation", "key-exchange", "info", "tls", "peer"};
	assert_int_equal(ATTEST_PURPOSES, 5);
	for (enum attest_purpose i = 0; i < ATTEST_PURPOSES; i++) {
		struct verify_policy p = fresh();
		takes(verify_policy_purpose, &p, bytes_str(names[i]));
		assert_string_equal(p.purpose, names[i]);
		assert_string_equal(attest_purpose_name(i), names[i]);
	}
	static const char *const bad[] = {"", "Attestation", "key_exchange", "tls ", "attestation, key-exchange, info"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refuses(verify_policy_purpose, bytes_str(bad[i]), "purpose",
			"attestation, key-exchange, info, tls or peer");
	refuses(verify_policy_purpose, bytes_of("info\0", 5), "purpose", "attestation");
}

#define PEM "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n"

static void a_root_is_one_certificate_in_pem(void **s)
{
	(void)s;
	struct verify_policy p = fresh();
	takes(verify_policy_root, &p, BYTES_LIT(PEM));
	assert_true(p.own_root);
	assert_int_equal(p.root_n, 5);
	assert_memory_equal(p.root_der, "\x30\x03\x02\x01\x05", 5);
	refuses(verify_policy_root, BYTES_LIT(""), "root", "PEM");
	refuses(verify_policy_root, BYTES_LIT("MAMCAQU="), "root", "-----BEGIN CERTIFICATE-----");
	refuses(verify_policy_root, BYTES_LIT(PEM PEM), "root", "more than one");
}

static void a_root_has_at_most_1024_bytes(void **s)
{
	(void)s;
	static uint8_t der[CERT_DER_MAX + 1];
	struct buf pem = BUF_INIT(CERT_PEM_MAX);
	struct verify_policy p = fresh();
	cert_pem_put(bytes_of(der, CERT_DER_MAX), &pem);
	takes(verify_policy_root, &p, buf_bytes(&pem));
	assert_int_equal(p.root_n, CERT_DER_MAX);
	buf_reset(&pem);
	cert_pem_put(bytes_of(der, sizeof der), &pem);
	refuses(verify_policy_root, buf_bytes(&pem), "root", "at most 1024");
	buf_free(&pem);
}

/* ---- policies ---- */

static void a_policy_has_all_of_it(void **s)
{
	(void)s;
	struct verify_policy p = reads(
		"{\"pcrs\": {\"0\": [\"" ONE "\", \"" TWO "\"], \"31\": \"" TWO "\"}, \"nonce\": \"hex:0102\","
		"\"user_data\": \"text:\", \"max_age\": 60, \"allow_debug\": true, \"at\": 1769774400,"
		"\"purpose\": \"tls\", \"root\": \"-----BEGIN CERTIFICATE-----\\nMAMCAQU=\\n-----END "
		"CERTIFICATE-----\"}");
	assert_int_equal(p.n_pins, 3);
	assert_int_equal(p.pins[1].index, 0);
	assert_int_equal(p.pins[1].value[0], 0x23);
	assert_int_equal(p.pins[2].index, 31);
	wants(&p.nonce, BYTES_LIT("\1\2"));
	wants(&p.user_data, BYTES_LIT(""));
	assert_int_equal(p.max_age_s, 60);
	assert_true(p.allow_debug);
	assert_int_equal(p.at, VERIFY_AT_TIME);
	assert_int_equal(p.at_s, 1769774400);
	assert_string_equal(p.purpose, "tls");
	assert_int_equal(p.root_n, 5);
}

static void numbers_may_be_written_as_text(void **s)
{
	(void)s;
	struct verify_policy p = reads("{\"max_age\": \"any\", \"at\": \"1769774400\", \"allow_debug\": false}");
	assert_int_equal(p.max_age_s, -1);
	assert_int_equal(p.at_s, 1769774400);
	assert_false(p.allow_debug);
	assert_int_equal(reads("{\"max_age\": \"7\"}").max_age_s, 7);
	assert_int_equal(reads("{\"at\": \"document\"}").at, VERIFY_AT_DOCUMENT);
}

static void an_empty_policy_changes_nothing(void **s)
{
	(void)s;
	struct verify_policy p = reads(" {} "), none = fresh();
	assert_memory_equal(&p, &none, sizeof p);
	assert_int_equal(verify_policy_identity(&p), VERIFY_NOT_COMPARED);
}

static void a_policy_adds_to_what_is_pinned_and_replaces_the_rest(void **s)
{
	(void)s;
	struct verify_policy p = reads("{\"pcrs\": {\"0\": \"" ONE "\"}, \"max_age\": 60, \"purpose\": \"info\"}");
	takes(verify_policy_text, &p, BYTES_LIT("{\"pcrs\": {\"0\": \"" TWO "\"}, \"max_age\": 61}"));
	assert_int_equal(p.n_pins, 2);
	assert_int_equal(p.max_age_s, 61);
	assert_string_equal(p.purpose, "info");
}

static void a_mistaken_policy_is_refused_where_it_is_mistaken(void **s)
{
	(void)s;
	refuses_policy("[]", "policy", "Must be an object such as {\"pcrs\"");
	refuses_policy("null", "policy", "not null");
	refuses_policy("{\"pcr\": {}}", "policy.pcr", "Is no member of a policy, which has pcrs, nonce");
	refuses_policy("{\"Nonce\": \"00\"}", "policy.Nonce", "Is no member");
	refuses_policy("{\"\": 1}", "policy", "Is no member");
	refuses_policy("{\"a\\u202e\\u001bb\": 1}", "policy.a", "Is no member");
	refuses_policy("{\"abcdefghijklmnopqrstuvwxyzabcdefghij\": 1}", "policy.abcdefghijklmnopqrstuvwxyzabcde", "");
	refuses_policy("{\"pcrs\": []}", "policy.pcrs", "Must be an object");
	refuses_policy("{\"pcrs\": null}", "policy.pcrs", "Must be an object");
	refuses_policy("{\"pcrs\": {}}", "policy.pcrs", "Is empty and would compare nothing");
	refuses_policy("{\"pcrs\": {\"0\": []}}", "policy.pcrs.0", "Is an empty list");
	refuses_policy("{\"pcrs\": {\"7\": \"ab\"}}", "policy.pcrs.7", "PCR7 is not 96 hex digits");
	refuses_policy("{\"pcrs\": {\"31\": [\"" ONE "\", \"\"]}}", "policy.pcrs.31", "it has 0 characters");
	refuses_policy("{\"pcrs\": {\"1\": 7}}", "policy.pcrs.1", "not an integer");
	refuses_policy("{\"pcrs\": {\"1\": null}}", "policy.pcrs.1", "not null");
	refuses_policy("{\"pcrs\": {\"1\": [[\"" ONE "\"]]}}", "policy.pcrs.1", "Must be a list of strings");
	static const char *const indices[] = {"32", "-1", "00", "PCR0", "", "0x0", "0 "};
	for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
		char text[160];
		(void)snprintf(text, sizeof text, "{\"pcrs\": {\"%s\": \"" ONE "\"}}", indices[i]);
		refuses_policy(text, "policy.pcrs", "\"0\" to \"31\"");
	}
	refuses_policy("{\"nonce\": 12}", "policy.nonce", "Must be a string, not an integer");
	refuses_policy("{\"nonce\": null}", "policy.nonce", "Must be a string");
	refuses_policy("{\"nonce\": \"\"}", "policy.nonce", "The nonce is empty");
	refuses_policy("{\"user_data\": {}}", "policy.user_data", "Must be a string, not an object");
	refuses_policy("{\"max_age\": -1}", "policy.max_age", "from 0 to");
	refuses_policy("{\"max_age\": 315360001}", "policy.max_age", "from 0 to");
	refuses_policy("{\"max_age\": 1.0}", "policy.max_age", "Must be a whole number or a string");
	refuses_policy("{\"max_age\": null}", "policy.max_age", "Must be a whole number or a string");
	refuses_policy("{\"allow_debug\": 1}", "policy.allow_debug", "Must be true or false");
	refuses_policy("{\"allow_debug\": \"true\"}", "policy.allow_debug", "Must be true or false");
	refuses_policy("{\"at\": 253402300800}", "policy.at", "Unix seconds");
	refuses_policy("{\"at\": true}", "policy.at", "Must be a whole number or a string");
	refuses_policy("{\"purpose\": \"any\"}", "policy.purpose", "The purpose is attestation");
	refuses_policy("{\"root\": \"x\"}", "policy.root", "PEM");
	refuses_policy("{\"max_age\": 60, \"max_age\": 60}", "policy", "not well-formed JSON");
	refuses_policy("{\"pcrs\": {\"5\": \"" ONE "\"}, \"nonce\": \"\"}", "policy.nonce", "");
	refuses_policy("", "policy", "not well-formed JSON");
	refuses_policy("\xef\xbb\xbf{}", "policy", "byte order mark");
	refuses_policy("{} {}", "policy", "not well-formed JSON");
}

static void a_policy_has_at_most_64_kib(void **s)
{
	(void)s;
	static char text[VERIFY_POLICY_MAX + 1];
	struct verify_policy p = fresh();
	memset(text, ' ', sizeof text);
	memcpy(text, "{\"max_age\":9}", 13);
	takes(verify_policy_text, &p, bytes_of(text, VERIFY_POLICY_MAX));
	assert_int_equal(p.max_age_s, 9);
	refuses(verify_policy_text, bytes_of(text, sizeof text), "policy", "larger than 64 KiB");
}

static void a_policy_pins_at_most_64_values(void **s)
{
	(void)s;
	struct buf text = BUF_INIT(VERIFY_POLICY_MAX);
	struct verify_policy p = fresh();
	for (size_t n = VERIFY_PINS_MAX; n <= VERIFY_PINS_MAX + 1; n++) {
		buf_reset(&text);
		buf_put_str(&text, "{\"pcrs\": {\"3\": [\"" ONE "\"");
		for (size_t i = 1; i < n; i++)
			buf_put_str(&text, ", \"" ONE "\"");
		buf_put_str(&text, "]}}");
		if (n == VERIFY_PINS_MAX)
			takes(verify_policy_text, &p, buf_bytes(&text));
		else
			refuses(verify_policy_text, buf_bytes(&text), "policy.pcrs.3", "more than 64");
	}
	assert_int_equal(p.n_pins, VERIFY_PINS_MAX);
	buf_free(&text);
}

static void what_nitro_cli_prints_is_a_policy(void **s)
{
	(void)s;
	struct verify_policy p = reads("{\n  \"Measurements\": {\n    \"HashAlgorithm\": \"Sha384 { ... }\",\n"
				       "    \"PCR0\": \"" ONE "\",\n    \"PCR1\": \"" TWO "\",\n    \"PCR2\": \"" ONE
				       "\",\n    \"PCR8\": \"" TWO "\"\n  }\n}\n");
	static const unsigned index[] = {0, 1, 2, 8};
	assert_int_equal(p.n_pins, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(p.pins[i].index, index[i]);
		assert_int_equal(p.pins[i].value[0], i % 2 == 0 ? 0x7f : 0x23);
	}
	assert_int_equal(verify_policy_identity(&p), VERIFY_COMPARED);
	p = reads("{\"Measurements\": {\"PCR1\": \"" ONE "\", \"HashAlgorithm\": \"SHA384\"}}");
	assert_int_equal(p.n_pins, 1);
}

static void other_measurements_are_refused(void **s)
{
	(void)s;
#define SHA "\"HashAlgorithm\": \"Sha384 { ... }\""
	refuses_policy("{\"Measurements\": []}", "policy.Measurements", "Must be an object");
	refuses_policy("{\"Measurements\": {}}", "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {\"PCR0\": \"" ONE "\"}}", "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {\"HashAlgorithm\": \"Sha512 { ... }\", \"PCR0\": \"" ONE "\"}}",
		       "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {\"HashAlgorithm\": \"not sha384 but sha256\", \"PCR0\": \"" ONE "\"}}",
		       "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {\"HashAlgorithm\": \"Sha3840\", \"PCR0\": \"" ONE "\"}}",
		       "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {\"HashAlgorithm\": 384, \"PCR0\": \"" ONE "\"}}",
		       "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {\"HashAlgorithm\": \"Sha38\", \"PCR0\": \"" ONE "\"}}",
		       "policy.Measurements.HashAlgorithm", "SHA384");
	refuses_policy("{\"Measurements\": {" SHA "}}", "policy.Measurements", "no PCR");
	refuses_policy("{\"Measurements\": {" SHA ", \"PCR0\": \"ab\"}}", "policy.Measurements.PCR0", "96 hex digits");
	refuses_policy("{\"Measurements\": {" SHA ", \"PCR0\": [\"" ONE "\"]}}", "policy.Measurements.PCR0",
		       "Must be a string");
	refuses_policy("{\"Measurements\": {" SHA ", \"PCR3\": \"" ONE "\"}}", "policy.Measurements.PCR3",
		       "Is no member of Measurements");
	refuses_policy("{\"Measurements\": {" SHA ", \"PCR0\": \"" ONE "\", \"x\": 1}}", "policy.Measurements.x",
		       "Is no member of Measurements");
	refuses_policy("{\"Measurements\": {" SHA ", \"PCR0\": \"" ONE "\"}, \"max_age\": 1}", "policy.Measurements",
		       "with Measurements alone");
	refuses_policy("{\"EifVersion\": 4, \"Measurements\": {" SHA ", \"PCR0\": \"" ONE "\"}}", "policy.EifVersion",
		       "with Measurements alone");
}

static void a_number_of_seconds_goes_with_no_document_time(void **s)
{
	(void)s;
	static const char says[] = "Judged as of its own time, a document has no age";
	refuses(verify_policy_text, BYTES_LIT("{\"max_age\": 300, \"at\": \"document\"}"), "policy.max_age", says);
	refuses(verify_policy_text, BYTES_LIT("{\"at\": \"document\", \"max_age\": \"0\"}"), "policy.max_age", says);
	(void)reads("{\"at\": \"document\", \"max_age\": \"any\"}");
	(void)reads("{\"at\": \"now\", \"max_age\": 5}");
	(void)reads("{\"at\": 5, \"max_age\": 5}");
	struct verify_policy p = reads("{\"at\": \"document\"}");
	struct why w = {0};
	assert_int_equal(verify_policy_check(&p, &w), ERR_OK);
	takes(verify_policy_max_age, &p, BYTES_LIT("5"));
	assert_int_equal(verify_policy_check(&p, &w), ERR_INVALID);
	assert_true(w.tell);
	takes(verify_policy_max_age, &p, BYTES_LIT("any")); /* the last one counts */
	assert_int_equal(verify_policy_check(&p, &w), ERR_OK);
}

static void a_root_in_der_has_the_size_of_a_certificate(void **s)
{
	(void)s;
	static const uint8_t der[CERT_DER_MAX + 1];
	struct verify_policy p = fresh();
	struct why w = {0};
	assert_int_equal(verify_policy_root_der(&p, bytes_of(der, 0), &w), ERR_INTERNAL);
	assert_int_equal(verify_policy_root_der(&p, bytes_of(der, sizeof der), &w), ERR_INTERNAL);
	assert_false(p.own_root);
	assert_int_equal(verify_policy_root_der(&p, bytes_of(der, CERT_DER_MAX), &w), ERR_OK);
	assert_true(p.own_root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_of_seconds_goes_with_no_document_time),
		cmocka_unit_test(a_root_in_der_has_the_size_of_a_certificate),
		cmocka_unit_test(without_any_flag_it_is_now_and_at_most_five_minutes_old),
		cmocka_unit_test(a_pcr_is_its_number_and_96_hex_digits_of_either_case),
		cmocka_unit_test(a_pcr_of_another_form_is_refused),
		cmocka_unit_test(at_most_64_values_are_pinned),
		cmocka_unit_test(an_enclave_is_told_by_pcr0_or_pcr1_and_2_or_pcr8),
		cmocka_unit_test(a_pin_of_zeros_is_no_identity),
		cmocka_unit_test(nonce_and_user_data_are_hex_base64_or_text),
		cmocka_unit_test(empty_user_data_is_wanted_by_a_prefix_alone),
		cmocka_unit_test(nonce_and_user_data_have_at_most_1024_bytes),
		cmocka_unit_test(the_greatest_age_is_seconds_up_to_ten_years_or_any),
		cmocka_unit_test(the_time_is_now_the_documents_or_unix_seconds),
		cmocka_unit_test(there_are_five_purposes),
		cmocka_unit_test(a_root_is_one_certificate_in_pem),
		cmocka_unit_test(a_root_has_at_most_1024_bytes),
		cmocka_unit_test(a_policy_has_all_of_it),
		cmocka_unit_test(numbers_may_be_written_as_text),
		cmocka_unit_test(an_empty_policy_changes_nothing),
		cmocka_unit_test(a_policy_adds_to_what_is_pinned_and_replaces_the_rest),
		cmocka_unit_test(a_mistaken_policy_is_refused_where_it_is_mistaken),
		cmocka_unit_test(a_policy_has_at_most_64_kib),
		cmocka_unit_test(a_policy_pins_at_most_64_values),
		cmocka_unit_test(what_nitro_cli_prints_is_a_policy),
		cmocka_unit_test(other_measurements_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
