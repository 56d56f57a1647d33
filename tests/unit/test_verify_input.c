#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "attest/verdict.h"
#include "base/encode.h"

/* Reading judges no document, so any bytes that begin as one will do. */
static const uint8_t head[] = {0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x43, 1, 2, 3};

static struct verify_verdict *read_as(struct bytes input, enum verify_format format)
{
	struct verify_verdict *d = calloc(1, sizeof *d);
	struct json *reply = NULL;
	struct why w = {.text = ""};
	uint8_t *exact = malloc(input.n > 0 ? input.n : 1); /* of its own, so that a byte too far is seen */
	assert_non_null(d);
	assert_non_null(exact);
	if (input.n > 0)
		memcpy(exact, input.p, input.n);
	d->document = BUF_INIT(VERIFY_DOCUMENT_MAX);
	assert_int_equal(verify_read_input(bytes_of(exact, input.n), format, d, &reply, &w), ERR_OK);
	assert_true(reply == NULL || bytes_is(bytes_str(d->input), "reply"));
	json_free(reply);
	free(exact);
	return d;
}

static void good_bytes(struct bytes input, enum verify_format format, const char *as, struct bytes document)
{
	struct verify_verdict *d = read_as(input, format);
	if (d->results[CHECK_INPUT] != CHECK_PASS)
		fail_msg("refused: %s", d->message);
	assert_string_equal(d->input, as);
	assert_true(bytes_equal(buf_bytes(&d->document), document));
	verify_verdict_free(d);
}

static void good(struct bytes input, enum verify_format format, const char *as)
{
	good_bytes(input, format, as, bytes_of(head, sizeof head));
}

static void bad(struct bytes input, enum verify_format format, enum verify_code code, const char *says)
{
	struct verify_verdict *d = read_as(input, format);
	if (d->results[CHECK_INPUT] != CHECK_FAIL || d->code != code || strstr(d->message, says) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", verify_code_name(d->code), d->message, says);
	assert_int_equal(d->document.n, 0);
	verify_verdict_free(d);
}

#define HEAD_HEX    "8444a1013822a043010203"
#define HEAD_BASE64 "hEShATgioEMBAgM="

static void a_document_is_read_raw_as_hex_and_as_base64(void **s)
{
	(void)s;
	good(bytes_of(head, sizeof head), VERIFY_AUTO, "cose");
	good(bytes_of(head, sizeof head), VERIFY_RAW, "cose");
	good(bytes_str(HEAD_HEX), VERIFY_AUTO, "hex");
	good(bytes_str(HEAD_HEX), VERIFY_HEX, "hex");
	good(bytes_str("8444A1013822A043010203"), VERIFY_AUTO, "hex");
	good(bytes_str(HEAD_BASE64), VERIFY_AUTO, "base64");
	good(bytes_str(HEAD_BASE64), VERIFY_BASE64, "base64");
}

static void line_breaks_and_spaces_in_text_mean_nothing(void **s)
{
	(void)s;
	good(bytes_str("  8444 a101\n3822a0\t43\r\n010203\n"), VERIFY_AUTO, "hex");
	good(bytes_str("hEShATgi\noEMBAgM=\n"), VERIFY_AUTO, "base64");
	good(bytes_str("hEShATgi\r\noEMBAgM=\r\n"), VERIFY_AUTO, "base64");
	good(bytes_str("\nhEShAT\ngioEMBAgM=\n"), VERIFY_BASE64, "base64");
}

static void a_tagged_document_is_known_in_each_form(void **s)
{
	const uint8_t tagged[] = {0xd2, 0x84, 0x44, 0xa1};
	(void)s;
	const struct bytes want = {tagged, sizeof tagged};
	good_bytes(want, VERIFY_AUTO, "cose", want);
	good_bytes(bytes_str("d28444a1"), VERIFY_AUTO, "hex", want);
	good_bytes(bytes_str("0oREoQ=="), VERIFY_AUTO, "base64", want);
}

static void other_binary_is_left_to_the_reader_of_documents(void **s)
{
	static const uint8_t others[][2] = {{0xa0, 0}, {0x00, 0x00}, {0xff, 0x41}, {'D', 0xa1}};
	(void)s;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		good_bytes(bytes_of(others[i], 2), VERIFY_AUTO, "cose", bytes_of(others[i], 2));
}

static void a_forced_format_reads_only_that(void **s)
{
	(void)s;
	good_bytes(bytes_str(HEAD_HEX), VERIFY_RAW, "cose", bytes_str(HEAD_HEX));
	good_bytes(bytes_str("hEShATgi"), VERIFY_BASE64, "base64", bytes_of(head, 6));
	good_bytes(bytes_str("8444"), VERIFY_BASE64, "base64", BYTES_LIT("\xf3\x8e\x38"));
	bad(bytes_of(head, sizeof head), VERIFY_HEX, VERIFY_INPUT_UNKNOWN, "not hex");
	bad(bytes_str(HEAD_BASE64), VERIFY_HEX, VERIFY_INPUT_UNKNOWN, "not hex");
	bad(bytes_of(head, sizeof head), VERIFY_BASE64, VERIFY_INPUT_UNKNOWN, "not base64");
	bad(bytes_str("{}"), VERIFY_BASE64, VERIFY_INPUT_UNKNOWN, "not base64");
	bad(bytes_str(HEAD_BASE64), VERIFY_REPLY, VERIFY_REPLY_MALFORMED, "not well-formed JSON");
}

static void what_was_cut_or_padded_wrongly_is_told(void **s)
{
	(void)s;
	bad(bytes_str("8444a"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "odd number of hex digits");
	bad(bytes_str("hEShATgioEMBAgM"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "padded wrongly");
	bad(bytes_str("hEShATgioEMBAgN="), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "padded wrongly");
	bad(bytes_str("===="), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "padded wrongly");
	bad(bytes_str("hEShATgi-_MBAgM="), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "neither hex nor base64");
}

static void nothing_at_all_is_told(void **s)
{
	(void)s;
	for (int f = VERIFY_AUTO; f <= VERIFY_REPLY; f++) {
		bad(bytes_of(NULL, 0), (enum verify_format)f, VERIFY_INPUT_UNKNOWN, "Nothing was given");
		bad(bytes_str(" \r\n"), (enum verify_format)f, VERIFY_INPUT_UNKNOWN, "Nothing was given");
	}
}

static void what_is_given_by_mistake_is_named(void **s)
{
	(void)s;
	bad(bytes_str("\xef\xbb\xbf{}"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "byte order mark");
	bad(BYTES_LIT("\xff\xfe{\0}\0"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "UTF-16");
	bad(BYTES_LIT("\xfe\xff\0{\0}"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "UTF-16");
	bad(BYTES_LIT("{\0}\0"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "UTF-16");
	bad(BYTES_LIT("\0{\0}"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "UTF-16");
	bad(bytes_str("\x1f\x8b\x08"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "gzip");
	bad(bytes_str("PK\x03\x04"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "ZIP");
	bad(bytes_str("-----BEGIN CERTIFICATE-----\n"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "PEM");
	bad(bytes_str("0\x82\x02\x11"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "DER");
	bad(bytes_str("Gr\xc3\xbc\xc3\x9f Gott"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "neither hex nor base64");
}

static void json_that_is_no_object_is_no_reply(void **s)
{
	(void)s;
	bad(bytes_str("\"" HEAD_BASE64 "\""), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "without its quotes");
	bad(bytes_str("\"" HEAD_BASE64 "\""), VERIFY_REPLY, VERIFY_INPUT_UNKNOWN, "without its quotes");
	bad(bytes_str("[\"" HEAD_BASE64 "\"]"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "an array");
	bad(bytes_str("[1]"), VERIFY_REPLY, VERIFY_INPUT_UNKNOWN, "an array");
	bad(bytes_str("-1.5"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "neither hex nor base64");
	bad(bytes_str("3"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "hex");
	bad(bytes_str("3"), VERIFY_REPLY, VERIFY_INPUT_UNKNOWN, "an integer");
}

static void put_zeros(struct buf *out, size_t n, enum verify_format as)
{
	struct buf raw = BUF_INIT(n);
	uint8_t *p = buf_reserve(&raw, n);
	assert_non_null(p);
	memset(p, 0, n);
	raw.n = n;
	if (as == VERIFY_HEX)
		buf_put_hex(out, buf_bytes(&raw));
	else if (as == VERIFY_BASE64)
		buf_put_base64(out, buf_bytes(&raw));
	else
		buf_put_bytes(out, buf_bytes(&raw));
	buf_free(&raw);
}

static void sized(size_t n, enum verify_format as, bool fits)
{
	static const char *const before[] = {"", "{\"attestation_document\":\"",
					     "{\"attestation_document\":{\"document\":\"", "{\"document\":\""};
	static const char *const behind[] = {"", "\"}", "\"}}", "\"}"};
	const bool reply = as == VERIFY_REPLY;
	for (size_t i = reply ? 1 : 0; i < (reply ? 4 : 1); i++) {
		struct buf b = BUF_INIT(1 << 20);
		buf_put_str(&b, before[i]);
		put_zeros(&b, n, reply ? VERIFY_BASE64 : as);
		buf_put_str(&b, behind[i]);
		struct verify_verdict *d = read_as(buf_bytes(&b), as);
		assert_int_equal(d->results[CHECK_INPUT], fits ? CHECK_PASS : CHECK_FAIL);
		assert_int_equal(d->document.n, fits ? n : 0);
		if (!fits)
			assert_int_equal(d->code, VERIFY_INPUT_TOO_LARGE);
		verify_verdict_free(d);
		buf_free(&b);
	}
}

static void a_document_has_at_most_16_kib_in_each_form(void **s)
{
	(void)s;
	for (int f = VERIFY_RAW; f <= VERIFY_REPLY; f++) {
		sized(VERIFY_DOCUMENT_MAX, (enum verify_format)f, true);
		for (size_t more = 1; more <= 4; more++) /* base64 counts in threes */
			sized(VERIFY_DOCUMENT_MAX + more, (enum verify_format)f, false);
		sized(100000, (enum verify_format)f, false);
	}
}

static void white_space_is_not_counted(void **s)
{
	struct buf b = BUF_INIT(1 << 20);
	(void)s;
	for (size_t i = 0; i < 100000; i++)
		buf_put_u8(&b, '\n');
	buf_put_str(&b, HEAD_HEX);
	good(buf_bytes(&b), VERIFY_AUTO, "hex");
	buf_free(&b);
}

static void replies_hold_the_document_in_three_ways(void **s)
{
	(void)s;
	good(bytes_str("{\"attestation_document\":{\"document\":\"" HEAD_BASE64 "\"}}"), VERIFY_AUTO, "reply");
	good(bytes_str(" \n{\"attestation_document\":\"" HEAD_BASE64 "\",\"success\":true}\n"), VERIFY_AUTO, "reply");
	good(bytes_str("{\"document\":\"" HEAD_BASE64 "\"}"), VERIFY_REPLY, "reply");
}

static void replies_that_are_malformed_are_told_where(void **s)
{
	(void)s;
	bad(bytes_str("{\"attestation_document\":{\"document\":\"" HEAD_BASE64 "\"}"), VERIFY_AUTO,
	    VERIFY_REPLY_MALFORMED, "line 1, column");
	bad(bytes_str("{\"a\":1,\"a\":1}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED, "duplicate key \"a\"");
	bad(bytes_str("{\"\xe2\x80\xae\":1,\"\xe2\x80\xae\":1}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED,
	    "duplicate key \"???\"");
	bad(bytes_str("{\"attestation_document\":{\"document\":7}}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED,
	    "attestation_document.document must be base64");
	bad(bytes_str("{\"attestation_document\":{\"document\":\"!\"}}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED,
	    "attestation_document.document must be base64");
	bad(bytes_str("{\"attestation_document\":\"hEShATgi\\noEMBAgM=\"}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED,
	    "attestation_document must be base64");
	bad(bytes_str("{\"document\":[]}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED, "document must be base64");
	bad(bytes_str("{\"attestation_document\":null}"), VERIFY_AUTO, VERIFY_REPLY_MALFORMED, "not null");
	bad(bytes_str("{\"session_id\":\"x\",\"iv\":\"\"}"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN,
	    "no member attestation_document");
	bad(bytes_str("{}"), VERIFY_AUTO, VERIFY_INPUT_UNKNOWN, "no member attestation_document");
}

static void replies_without_a_document_prove_nothing(void **s)
{
	(void)s;
	bad(bytes_str("{\"attestation_document\":{\"module_id\":\"dummy\",\"_warning\":\"x\"},\"_warning\":\"x\"}"),
	    VERIFY_AUTO, VERIFY_NO_DOCUMENT, "without an NSM");
	bad(bytes_str("{\"module_id\":\"dummy\",\"pcrs\":{},\"_warning\":\"x\"}"), VERIFY_AUTO, VERIFY_NO_DOCUMENT,
	    "without an NSM");
	bad(bytes_str("{\"attestation_document\":{\"module_id\":\"i\",\"document\":null}}"), VERIFY_AUTO,
	    VERIFY_NO_DOCUMENT, "attestation_document.document is missing");
	bad(bytes_str("{\"attestation_document\":{\"document\":\"\"}}"), VERIFY_AUTO, VERIFY_NO_DOCUMENT, "is missing");
	bad(bytes_str("{\"attestation_document\":\"\"}"), VERIFY_AUTO, VERIFY_NO_DOCUMENT, "is missing");
}

static void error_replies_are_quoted_only_if_printable(void **s)
{
	(void)s;
	bad(bytes_str("{\"title\":\"The server is busy\",\"status\":503,\"code\":\"busy\"}"), VERIFY_AUTO,
	    VERIFY_NO_DOCUMENT, "an error reply (\"The server is busy\")");
	bad(bytes_str("{\"title\":\"\\u001b[2J\",\"status\":503}"), VERIFY_AUTO, VERIFY_NO_DOCUMENT,
	    "an error reply: ");
	bad(bytes_str("{\"success\":false,\"error\":\"Unknown command\"}"), VERIFY_AUTO, VERIFY_NO_DOCUMENT,
	    "an error reply (\"Unknown command\")");
	bad(bytes_str("{\"success\":false,\"attestation_document\":\"" HEAD_BASE64 "\"}"), VERIFY_AUTO,
	    VERIFY_NO_DOCUMENT, "an error reply: ");
	bad(bytes_str("{\"success\":1,\"attestation_document\":\"" HEAD_BASE64 "\"}"), VERIFY_AUTO, VERIFY_NO_DOCUMENT,
	    "an error reply: ");
	char text[256] = "{\"status\":500,\"title\":\"";
	size_t n = strlen(text);
	memset(text + n, 'x', 100);
	memcpy(text + n + 100, "\"}", 3);
	bad(bytes_str(text), VERIFY_AUTO, VERIFY_NO_DOCUMENT, "an error reply (\"xxx");
	memcpy(text + n + 100, "x\"}", 4);
	bad(bytes_str(text), VERIFY_AUTO, VERIFY_NO_DOCUMENT, "an error reply: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_is_read_raw_as_hex_and_as_base64),
		cmocka_unit_test(line_breaks_and_spaces_in_text_mean_nothing),
		cmocka_unit_test(a_tagged_document_is_known_in_each_form),
		cmocka_unit_test(other_binary_is_left_to_the_reader_of_documents),
		cmocka_unit_test(a_forced_format_reads_only_that),
		cmocka_unit_test(what_was_cut_or_padded_wrongly_is_told),
		cmocka_unit_test(nothing_at_all_is_told),
		cmocka_unit_test(what_is_given_by_mistake_is_named),
		cmocka_unit_test(json_that_is_no_object_is_no_reply),
		cmocka_unit_test(a_document_has_at_most_16_kib_in_each_form),
		cmocka_unit_test(white_space_is_not_counted),
		cmocka_unit_test(replies_hold_the_document_in_three_ways),
		cmocka_unit_test(replies_that_are_malformed_are_told_where),
		cmocka_unit_test(replies_without_a_document_prove_nothing),
		cmocka_unit_test(error_replies_are_quoted_only_if_printable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
