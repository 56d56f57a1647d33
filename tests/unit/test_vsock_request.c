/* A request of the vsock JSON protocol: where its line ends, and what it asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsock/internal.h"

/* ---- the line ---- */

static enum vsock_line feed(struct buf *line, struct bytes all, size_t step)
{
	enum vsock_line end = VSOCK_LINE_OPEN;
	*line = BUF_INIT(VSOCK_REQUEST_MAX);
	for (size_t at = 0; at < all.n && end == VSOCK_LINE_OPEN; at += step)
		end = vsock_line_take(line, bytes_of(all.p + at, all.n - at < step ? all.n - at : step));
	return end;
}

static void a_line_is_what_stands_before_the_newline_however_it_comes(void **state)
{
	static const char text[] = " {\"command\": \"ping\"}\r\nmore\n";
	(void)state;
	for (size_t step = 1; step < sizeof text; step++) {
		struct buf line;
		assert_int_equal(feed(&line, bytes_str(text), step), VSOCK_LINE_WHOLE);
		assert_true(bytes_is(buf_bytes(&line), " {\"command\": \"ping\"}\r"));
		buf_free(&line);
	}
}

static void without_a_newline_a_line_stays_open(void **state)
{
	struct buf line;
	(void)state;
	assert_int_equal(feed(&line, bytes_str("abc"), 1), VSOCK_LINE_OPEN);
	assert_int_equal(vsock_line_take(&line, bytes_of(NULL, 0)), VSOCK_LINE_OPEN);
	assert_int_equal(vsock_line_take(&line, bytes_str("\n")), VSOCK_LINE_WHOLE);
	assert_true(bytes_is(buf_bytes(&line), "abc"));
	buf_free(&line);
}

static void a_line_may_have_8192_bytes_and_no_more(void **state)
{
	static uint8_t text[VSOCK_REQUEST_MAX + 2];
	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t step = 1; step < sizeof text; step = step * 3 + 1) {
		struct buf line;
		assert_int_equal(feed(&line, bytes_of(text, VSOCK_REQUEST_MAX), step), VSOCK_LINE_OPEN);
		assert_int_equal(vsock_line_take(&line, bytes_str("\n")), VSOCK_LINE_WHOLE);
		assert_int_equal(line.n, VSOCK_REQUEST_MAX);
		buf_free(&line);
		assert_int_equal(feed(&line, bytes_of(text, VSOCK_REQUEST_MAX + 1), step), VSOCK_LINE_TOO_LONG);
		buf_free(&line);
		text[VSOCK_REQUEST_MAX + 1] = '\n';
		assert_int_equal(feed(&line, bytes_of(text, VSOCK_REQUEST_MAX + 2), step), VSOCK_LINE_TOO_LONG);
		buf_free(&line);
	}
}

/* ---- what it asks for ---- */

static struct vsock_request must_read(const char *text)
{
	struct vsock_request r = {0};
	struct why w = {0};
	bool unknown = true;
	if (vsock_request_read(&r, bytes_str(text), &unknown, &w) != ERR_OK)
		fail_msg("%s: %s", text, w.text);
	assert_false(unknown);
	return r;
}

static void must_refuse(struct bytes line, bool is_unknown, const char *said)
{
	struct vsock_request r = {0};
	struct why w = {0};
	bool unknown = !is_unknown;
	assert_int_equal(vsock_request_read(&r, line, &unknown, &w), ERR_INVALID);
	assert_true(w.tell && unknown == is_unknown);
	if (strncmp(w.text, said, strlen(said)) != 0)
		fail_msg("%s\ndoes not begin with\n%s", w.text, said);
	assert_null(r.json);
}

static void commands_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		enum vsock_command command;
	} all[] = {
		{"{\"command\":\"ping\"}", VSOCK_PING},
		{" \t{ \"command\" : \"status\" } \r", VSOCK_STATUS},
		{"{\"command\":\"att\\u0065st\"}", VSOCK_ATTEST},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		struct vsock_request r = must_read(all[i].text);
		assert_int_equal(r.command, all[i].command);
		vsock_request_free(&r);
		vsock_request_free(&r); /* a freed one is fine */
	}
}

static void members_that_are_left_out_have_the_defaults(void **state)
{
	(void)state;
	struct vsock_request r = must_read("{\"command\":\"attest\"}");
	assert_true(bytes_is(r.user_data, "hello-from-enclave"));
	assert_null(r.nonce.p);
	assert_false(r.generate_key);
	vsock_request_free(&r);
	r = must_read("{\"command\":\"attest\",\"user_data\":null,\"nonce\":null,\"generate_key\":false}");
	assert_null(r.user_data.p);
	assert_null(r.nonce.p);
	assert_false(r.generate_key);
	vsock_request_free(&r);
	r = must_read("{\"command\":\"attest\",\"user_data\":\"\",\"nonce\":\"\",\"generate_key\":true}");
	assert_null(r.user_data.p);
	assert_null(r.nonce.p);
	assert_true(r.generate_key);
	vsock_request_free(&r);
}

static void texts_are_the_bytes_of_their_utf8(void **state)
{
	(void)state;
	struct vsock_request r = must_read(
		"{\"nonce\":\"a\\u0000\\u00e9\\ud83d\\ude00\",\"user_data\":\"\xc3\xa9\\/\",\"command\":\"attest\"}");
	assert_true(bytes_equal(r.nonce, BYTES_LIT("a\0\xc3\xa9\xf0\x9f\x98\x80")));
	assert_true(bytes_is(r.user_data, "\xc3\xa9/"));
	vsock_request_free(&r);
}

static void what_is_no_json_object_is_an_invalid_request(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"x",
		"{",
		"{]",
		"[]",
		"null",
		"1",
		"\"ping\"",
		"{\"command\":\"ping\"}{\"command\":\"ping\"}",
		"{\"command\":\"ping\",\"command\":\"ping\"}",
		"{\"command\":\"\xff\"}",
		"\xef\xbb\xbf{\"command\":\"ping\"}",
	};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		must_refuse(bytes_str(bad[i]), false, "Invalid JSON request: ");
	must_refuse(bytes_str("[1]"), false, "Invalid JSON request: it is not an object");
	must_refuse(bytes_str("{\"command\" 1}"), false, "Invalid JSON request: line 1, column 12: ");
	must_refuse(BYTES_LIT("{\"command\":\"ping\"}\0"), false, "Invalid JSON request: ");
}

static void an_unknown_command_is_named_and_cut(void **state)
{
	char line[256], said[256];
	(void)state;
	must_refuse(bytes_str("{}"), true, "Unknown command: ");
	must_refuse(bytes_str("{\"user_data\":1}"), true, "Unknown command: ");
	must_refuse(bytes_str("{\"command\":\"dance\",\"x\":[]}"), true, "Unknown command: dance");
	must_refuse(bytes_str("{\"command\":\"ping\\u0000\"}"), true, "Unknown command: ping\\u{0}");
	must_refuse(bytes_str("{\"command\":\"\\u202eping\"}"), true, "Unknown command: \\u{202e}ping");
	for (int n = VSOCK_NAME_SHOWN; n <= VSOCK_NAME_SHOWN + 1; n++) {
		struct vsock_request r = {0};
		struct why w = {0};
		bool unknown;
		(void)snprintf(line, sizeof line, "{\"command\":\"%0*d\"}", n, 7);
		(void)snprintf(said, sizeof said, "Unknown command: %0*d", n, 7);
		said[sizeof "Unknown command: " - 1 + VSOCK_NAME_SHOWN] = '\0';
		assert_int_equal(vsock_request_read(&r, bytes_str(line), &unknown, &w), ERR_INVALID);
		assert_string_equal(w.text, said);
	}
}

static void a_member_at_fault_is_named(void **state)
{
	static const char f[] = "Failed to process request: ";
	static const struct {
		const char *text, *said;
	} all[] = {
		{"{\"command\":1}", "\"command\" must be a string."},
		{"{\"command\":null}", "\"command\" must be a string."},
		{"{\"command\":\"attest\",\"user_data\":1}", "\"user_data\" must be a string or null."},
		{"{\"command\":\"attest\",\"nonce\":[]}", "\"nonce\" must be a string or null."},
		{"{\"command\":\"attest\",\"generate_key\":null}", "\"generate_key\" must be true or false."},
		{"{\"command\":\"attest\",\"generate_key\":1}", "\"generate_key\" must be true or false."},
		{"{\"command\":\"attest\",\"public_key\":null}", "\"public_key\" is not a known member."},
		{"{\"command\":\"ping\",\"nonce\":null}", "\"nonce\" is not a known member."},
		{"{\"command\":\"status\",\"user_data\":\"x\"}", "\"user_data\" is not a known member."},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		char said[256];
		(void)snprintf(said, sizeof said, "%s%s", f, all[i].said);
		must_refuse(bytes_str(all[i].text), false, said);
	}
}

static void user_data_and_nonce_fit_with_every_byte_escaped(void **state)
{
	struct buf text = BUF_INIT(VSOCK_REQUEST_MAX);
	(void)state;
	buf_put_str(&text, "{\"command\": \"attest\", \"generate_key\": false, \"user_data\": \"");
	for (int i = 0; i < NSM_USER_DATA_MAX; i++)
		buf_put_str(&text, "\\u0078");
	buf_put_str(&text, "\", \"nonce\": \"");
	for (int i = 0; i < NSM_NONCE_MAX; i++)
		buf_put_str(&text, "\\u0079");
	buf_put_str(&text, "\"}");
	assert_false(text.failed);
	struct vsock_request r = must_read(buf_cstr(&text));
	assert_int_equal(r.user_data.n, NSM_USER_DATA_MAX);
	assert_int_equal(r.nonce.n, NSM_NONCE_MAX);
	vsock_request_free(&r);
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_what_stands_before_the_newline_however_it_comes),
		cmocka_unit_test(without_a_newline_a_line_stays_open),
		cmocka_unit_test(a_line_may_have_8192_bytes_and_no_more),
		cmocka_unit_test(commands_are_told_apart),
		cmocka_unit_test(members_that_are_left_out_have_the_defaults),
		cmocka_unit_test(texts_are_the_bytes_of_their_utf8),
		cmocka_unit_test(what_is_no_json_object_is_an_invalid_request),
		cmocka_unit_test(an_unknown_command_is_named_and_cut),
		cmocka_unit_test(a_member_at_fault_is_named),
		cmocka_unit_test(user_data_and_nonce_fit_with_every_byte_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
