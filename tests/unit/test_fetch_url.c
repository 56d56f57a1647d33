/* What a URL of a server may say, and what a refusal of a server is told as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fetch.h"
#include "json.h"

static void each_form_is_read(void **s)
{
	(void)s;
	static const struct {
		const char *url;
		enum net_kind kind;
		const char *host, *port, *authority, *prefix;
		bool tls;
	} cases[] = {
		{"http://127.0.0.1:8765", NET_TCP, "127.0.0.1", "8765", "127.0.0.1:8765", "", false},
		{"http://127.0.0.1", NET_TCP, "127.0.0.1", "80", "127.0.0.1", "", false},
		{"HTTP://Enclave-7.example.org/", NET_TCP, "Enclave-7.example.org", "80", "Enclave-7.example.org", "",
		 false},
		{"http://a_b:1/x/y//", NET_TCP, "a_b", "1", "a_b:1", "/x/y", false},
		{"http://h:65535/%7euser/~a!b$c&d'(e)*+,;=:@-._", NET_TCP, "h", "65535", "h:65535",
		 "/%7euser/~a!b$c&d'(e)*+,;=:@-._", false},
		{"http://[::1]:8765/p", NET_TCP, "::1", "8765", "[::1]:8765", "/p", false},
		{"http://[2001:db8::127.0.0.1]", NET_TCP, "2001:db8::127.0.0.1", "80", "[2001:db8::127.0.0.1]", "",
		 false},
		{"http://4ever.2b", NET_TCP, "4ever.2b", "80", "4ever.2b", "", false},
		{"unix:/run/attestd/attestd.sock", NET_UNIX, "/run/attestd/attestd.sock", "", "localhost", "", false},
		{"unix:sp \xc3\xa4?#", NET_UNIX, "sp \xc3\xa4?#", "", "localhost", "", false},
		{"vsock:16:9000", NET_VSOCK, "16", "9000", "localhost", "", false},
		{"vsock:0:1", NET_VSOCK, "0", "1", "localhost", "", false},
		{"vsock:4294967294:4294967294", NET_VSOCK, "4294967294", "4294967294", "localhost", "", false},
		{"https://127.0.0.1:8443", NET_TCP, "127.0.0.1", "8443", "127.0.0.1:8443", "", true},
		{"HTTPS://h/p/", NET_TCP, "h", "443", "h", "/p", true},
		{"https://[::1]", NET_TCP, "::1", "443", "[::1]", "", true},
		{"https+unix:/run/tls.sock", NET_UNIX, "/run/tls.sock", "", "localhost", "", true},
		{"https+vsock:16:8443", NET_VSOCK, "16", "8443", "localhost", "", true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fetch_url u;
		struct why w = {0};
		if (fetch_url_parse(&u, bytes_str(cases[i].url), &w) != ERR_OK)
			fail_msg("%s: %s", cases[i].url, w.text);
		assert_int_equal(u.kind, cases[i].kind);
		assert_string_equal(u.host, cases[i].host);
		assert_string_equal(u.port, cases[i].port);
		assert_string_equal(u.authority, cases[i].authority);
		assert_string_equal(u.prefix, cases[i].prefix);
		assert_int_equal(u.tls, cases[i].tls);
	}
}

static void refuses(struct bytes text, const char *says)
{
	struct fetch_url u, before;
	struct why w = {0};
	memset(&u, 0x5a, sizeof u);
	memcpy(&before, &u, sizeof u);
	if (fetch_url_parse(&u, text, &w) != ERR_INVALID || strstr(w.text, says) == NULL)
		fail_msg("%.*s: %s", (int)text.n, (const char *)text.p, w.text);
	assert_true(w.tell);
	assert_memory_equal(&u, &before, sizeof u);
}

#define FORMS                                                                                  \
	"use http://HOST[:PORT][/PREFIX], unix:PATH or vsock:CID:PORT, and for TLS https://, " \
	"https+unix: or https+vsock:"

static void anything_else_is_refused_with_the_forms(void **s)
{
	(void)s;
	static const struct {
		const char *url, *says;
	} cases[] = {
		{"", "\"\" is no URL of a server; " FORMS},
		{"127.0.0.1:8765", "\"127.0.0.1:8765\" is no URL of a server; " FORMS},
		{"ftp://h", "is no URL of a server; " FORMS},
		{" http://h", "is no URL of a server; " FORMS},
		{"http:/h", "is no URL of a server; " FORMS},
		{"https:h", "is no URL of a server; " FORMS},
		{"http+unix:/a", "is no URL of a server; " FORMS},
		{"https+tcp:h:1", "is no URL of a server; " FORMS},
		{"https+unix:", "path of a Unix socket has 1 to 107 bytes, and this one has 0; " FORMS},
		{"https+unix:@a", "abstract sockets are not asked"},
		{"https+vsock:16", "vsock: lacks"},
		{"https://", "host has 1 to 253 bytes, and this one has 0; " FORMS},
		{"https://me@h", "a user's name or a password"},
		{"https://h?q", "no query and no fragment"},
		{"http://", "host has 1 to 253 bytes, and this one has 0; " FORMS},
		{"http:///x", "host has 1 to 253 bytes, and this one has 0"},
		{"http://:80", "host has 1 to 253 bytes, and this one has 0"},
		{"http://[]:80", "host has 1 to 253 bytes, and this one has 0"},
		{"http://h:", "no port from 1 to 65535 behind its host; " FORMS},
		{"http://h:0", "no port from 1 to 65535"},
		{"http://h:65536", "no port from 1 to 65535"},
		{"http://h:080", "no port from 1 to 65535"},
		{"http://h:+80", "no port from 1 to 65535"},
		{"http://h:8o", "no port from 1 to 65535"},
		{"http://h:123456", "no port from 1 to 65535"},
		{"http://[::1]x", "no port from 1 to 65535"},
		{"http://::1", "host has 1 to 253 bytes, and this one has 0"},
		{"http://fe80::1", "no port from 1 to 65535"},
		{"http://[::1", "lacks the ] of its IPv6 address; " FORMS},
		{"http://[127.0.0.1]", "\"127.0.0.1\" is neither a host's name nor an IP address; " FORMS},
		{"http://[fe80::1%eth0]", "neither a host's name nor an IP address"},
		{"http://127.1", "\"127.1\" is neither a host's name nor an IP address"},
		{"http://127.0.0.01", "neither a host's name nor an IP address"},
		{"http://2130706433", "neither a host's name nor an IP address"},
		{"http://0x7f000001", "neither a host's name nor an IP address"},
		{"http://127.0.0.0X1", "neither a host's name nor an IP address"},
		{"http://256.0.0.1", "neither a host's name nor an IP address"},
		{"http://a..b", "neither a host's name nor an IP address"},
		{"http://.a", "neither a host's name nor an IP address"},
		{"http://.", "neither a host's name nor an IP address"},
		{"http://a..", "neither a host's name nor an IP address"},
		{"http://127.0.0.1.", "neither a host's name nor an IP address"},
		{"http://127.1.", "neither a host's name nor an IP address"},
		{"http://-a", "neither a host's name nor an IP address"},
		{"http://a.-b", "neither a host's name nor an IP address"},
		{"http://a b", "neither a host's name nor an IP address"},
		{"http://a\\b", "neither a host's name nor an IP address"},
		{"http://a%2eb", "neither a host's name nor an IP address"},
		{"http://h\xc3\xa4", "neither a host's name nor an IP address"},
		{"http://h\r\nX: y", "no port from 1 to 65535"},
		{"http://me:pw@h", "a user's name or a password"},
		{"http://@h", "a user's name or a password"},
		{"http://h?q", "no query and no fragment; " FORMS},
		{"http://h/p?q", "no query and no fragment"},
		{"http://h/#f", "no query and no fragment"},
		{"http://h/a b", "cannot have the byte 0x20; write it as %20; " FORMS},
		{"http://h/a\r\nX: y", "cannot have the byte 0x0d; write it as %0D"},
		{"http://h/\xc3\xa4", "cannot have the byte 0xc3"},
		{"http://h/a\"b", "cannot have the byte 0x22"},
		{"http://h/%7", "cannot have the byte 0x25"},
		{"http://h/%7g", "cannot have the byte 0x25"},
		{"unix:", "path of a Unix socket has 1 to 107 bytes, and this one has 0; " FORMS},
		{"unix:@abstract", "abstract sockets are not asked, because anybody can make one; " FORMS},
		{"unix:/a\nb", "control character 0x0a"},
		{"unix:/a\x7f", "control character 0x7f"},
		{"vsock:9000", "vsock: lacks a CID from 0 to 4294967294 and a port from 1 to 4294967294"},
		{"vsock:16:0", "vsock: lacks"},
		{"vsock:16:4294967295", "vsock: lacks"},
		{"vsock:4294967295:1", "vsock: lacks"},
		{"vsock:16:", "vsock: lacks"},
		{"vsock::1", "vsock: lacks"},
		{"vsock:16:1:1", "vsock: lacks"},
		{"vsock:18446744073709551632:1", "vsock: lacks"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		refuses(bytes_str(cases[i].url), cases[i].says);
	refuses(BYTES_LIT("http://h\0"), "neither a host's name");
	refuses(BYTES_LIT("http://h/\0"), "cannot have the byte 0x00");
	refuses(BYTES_LIT("unix:/a\0"), "control character 0x00");
	refuses(bytes_of(NULL, 0), "\"\" is no URL");
}

/* The text `start`, then `fill` up to n bytes, then `end`. */
static struct bytes stretched(char *out, const char *start, size_t n, const char *fill, const char *end)
{
	const size_t head = strlen(start), tail = strlen(end), one = strlen(fill);
	memcpy(out, start, head);
	for (size_t i = head; i < n - tail; i++)
		out[i] = fill[(i - head) % one];
	memcpy(out + n - tail, end, tail);
	return bytes_of(out, n);
}

static void limits_hold_at_the_last_byte(void **s)
{
	(void)s;
	static const char labels[] =
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789X."; /* 63 and a dot */
	char text[FETCH_URL_MAX + 1];
	struct fetch_url u;
	struct why w = {0};
	assert_int_equal(fetch_url_parse(&u, stretched(text, "http://h/", FETCH_URL_MAX, "p", ""), &w), ERR_OK);
	assert_int_equal(strlen(u.prefix), FETCH_URL_MAX - 8);
	refuses(stretched(text, "http://h/", FETCH_URL_MAX + 1, "p", ""),
		"a URL may have 2048 bytes, and this one has 2049");
	assert_int_equal(fetch_url_parse(&u, stretched(text, "http://", 7 + FETCH_HOST_MAX, labels, ""), &w), ERR_OK);
	assert_int_equal(strlen(u.host), FETCH_HOST_MAX);
	assert_int_equal(fetch_url_parse(&u, stretched(text, "http://", 7 + FETCH_HOST_MAX + 6, labels, ":65535"), &w),
			 ERR_OK);
	refuses(stretched(text, "http://", 7 + FETCH_HOST_MAX + 1, labels, ""), "1 to 253 bytes, and this one has 254");
	assert_int_equal(fetch_url_parse(&u, stretched(text, "http://", 7 + 63, "a", ""), &w), ERR_OK);
	refuses(stretched(text, "http://", 7 + 64, "a", ""), "neither a host's name");
	assert_int_equal(fetch_url_parse(&u, stretched(text, "unix:", 5 + FETCH_UNIX_MAX, "p", ""), &w), ERR_OK);
	assert_int_equal(strlen(u.host), FETCH_UNIX_MAX);
	refuses(stretched(text, "unix:", 5 + FETCH_UNIX_MAX + 1, "p", ""), "1 to 107 bytes, and this one has 108");
}

/* ---- problems ---- */

static void tells(unsigned status, const char *type, struct bytes body, const char *says)
{
	struct fetch_reply r = {.status = status, .body = BUF_INIT(SIZE_MAX / 2)};
	struct why w = {0};
	(void)snprintf(r.content_type, sizeof r.content_type, "%s", type);
	buf_put_bytes(&r.body, body);
	assert_int_equal(fetch_problem(&r, &w), ERR_ENVIRONMENT);
	assert_true(w.tell);
	assert_string_equal(w.text, says);
	fetch_reply_free(&r);
}

static void a_problem_is_told_by_its_detail_its_first_error_or_its_title(void **s)
{
	(void)s;
	static const struct {
		const char *body, *says;
	} cases[] = {
		{"{\"title\":\"T\",\"detail\":\"The session is unknown.\",\"code\":\"session_unknown\"}",
		 "the server answered 401: The session is unknown. (session_unknown)"},
		{"{\"title\":\"T\",\"errors\":[{\"field\":\"nonce\",\"message\":\"too long\"},{}],\"code\":\"c\"}",
		 "the server answered 401: nonce: too long (c)"},
		{"{\"title\":\"T\",\"errors\":[{\"message\":\"too long\"}]}", "the server answered 401: too long"},
		{"{\"title\":\"T\",\"errors\":[{\"field\":\"f\"}]}", "the server answered 401: T"},
		{"{\"title\":\"T\",\"errors\":[\"x\"]}", "the server answered 401: T"},
		{"{\"title\":\"T\",\"errors\":[]}", "the server answered 401: T"},
		{"{\"title\":\"T\",\"errors\":{}}", "the server answered 401: T"},
		{"{\"title\":\"T\",\"detail\":7}", "the server answered 401: T"},
		{"{\"title\":\"T\",\"detail\":\"\"}", "the server answered 401: T"},
		{"{\"title\":\"T\",\"detail\":\"\\u001b[2J\"}", "the server answered 401: \\u{1b}[2J"},
		{"{\"title\":\"T\",\"detail\":\"a\\nb\"}", "the server answered 401: a\\u{a}b"},
		{"{\"title\":\"T\",\"detail\":\"\\u009b\"}", "the server answered 401: \\u{9b}"},
		{"{\"title\":\"T\",\"detail\":\"\\u202eevil\"}", "the server answered 401: \\u{202e}evil"},
		{"{\"title\":\"T\",\"detail\":\"sch\\u00f6n %s\"}", "the server answered 401: sch\\u{f6}n %s"},
		{"{\"title\":\"T\",\"detail\":\"\\u200b\\ufeff\\u061c\"}",
		 "the server answered 401: \\u{200b}\\u{feff}\\u{61c}"},
		{"{\"code\":\"c\"}", "the server answered 401 (c)"},
		{"{}", "the server answered 401"},
		{"[]", "the server answered 401"},
		{"\"detail\"", "the server answered 401"},
		{"not JSON", "the server answered 401"},
		{"", "the server answered 401"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		tells(401, "application/problem+json", bytes_str(cases[i].body), cases[i].says);
	tells(503, "Application/Problem+JSON; charset=utf-8", BYTES_LIT("{\"detail\":\"busy\"}"),
	      "the server answered 503: busy");
	tells(503, "application/problem+jsonx", BYTES_LIT("{\"detail\":\"busy\"}"), "the server answered 503");
	tells(503, "application/json", BYTES_LIT("{\"detail\":\"busy\"}"), "the server answered 503");
	tells(302, "", BYTES_LIT(""), "the server answered 302");
}

static void what_is_too_long_to_be_a_sentence_is_not_told(void **s)
{
	(void)s;
	static char body[64 * 1024 + 1];
	char says[512];
	(void)snprintf(body, sizeof body, "{\"detail\":\"%0400d\"}", 7);
	(void)snprintf(says, sizeof says, "the server answered 500: %0400d", 0);
	says[WHY_TEXT_MAX - 1] = '\0';
	tells(500, "application/problem+json", bytes_str(body), says);
	(void)snprintf(body, sizeof body, "{\"detail\":\"%0401d\"}", 7);
	tells(500, "application/problem+json", bytes_str(body), "the server answered 500");
	memset(body, ' ', sizeof body);
	memcpy(body, "{\"detail\":\"busy\"}", 17);
	tells(500, "application/problem+json", bytes_of(body, sizeof body - 1), "the server answered 500: busy");
	tells(500, "application/problem+json", bytes_of(body, sizeof body), "the server answered 500");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_read),
		cmocka_unit_test(anything_else_is_refused_with_the_forms),
		cmocka_unit_test(limits_hold_at_the_last_byte),
		cmocka_unit_test(a_problem_is_told_by_its_detail_its_first_error_or_its_title),
		cmocka_unit_test(what_is_too_long_to_be_a_sentence_is_not_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
