/* Replies, however they are cut: each one is fed whole, byte by byte and in every two pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/fetch_reply.h"

enum { MAX = 16 }; /* bytes of a body here */

struct outcome {
	enum err e;
	bool ended; /* only the end of the connection ended it */
	struct fetch_reply reply;
	struct why w;
};

/* first: bytes of the first piece; the rest follows in pieces of `then` bytes. */
static struct outcome run(struct bytes x, size_t first, size_t then, size_t max)
{
	struct outcome o = {.reply = {.body = BUF_INIT(max)}};
	struct fetch_reader *r = NULL;
	bool done = false;
	assert_int_equal(fetch_reader_new(&r, "http://h", max, &o.w), ERR_OK);
	for (size_t at = 0, n = first; at < x.n && !done && o.e == ERR_OK; at += n, n = then) {
		n = n < x.n - at ? n : x.n - at;
		/* A copy of its own, so that AddressSanitizer sees every byte that is read beyond it. */
		uint8_t *piece = malloc(n);
		assert_non_null(piece);
		memcpy(piece, x.p + at, n);
		o.e = fetch_reader_feed(r, bytes_of(piece, n), &done, &o.w);
		free(piece);
	}
	if (o.e == ERR_OK && !done) {
		o.ended = true;
		o.e = fetch_reader_end(r, &o.w);
	}
	if (o.e == ERR_OK)
		fetch_reader_take(r, &o.reply);
	fetch_reader_free(r);
	return o;
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->e == b->e && a->ended == b->ended && a->reply.status == b->reply.status &&
	       strcmp(a->reply.content_type, b->reply.content_type) == 0 &&
	       bytes_equal(buf_bytes(&a->reply.body), buf_bytes(&b->reply.body)) && strcmp(a->w.text, b->w.text) == 0;
}

static struct outcome run_every_way(struct bytes x, size_t max)
{
	struct outcome whole = run(x, x.n, 1, max);
	for (size_t first = 1; first < x.n; first++) {
		struct outcome o = run(x, first, first == 1 ? 1 : x.n, max);
		if (!same(&whole, &o))
			fail_msg("%.*s: first %zu bytes: \"%s\", not \"%s\"", (int)x.n, (const char *)x.p, first,
				 o.w.text, whole.w.text);
		fetch_reply_free(&o.reply);
	}
	return whole;
}

static void reads(struct bytes x, unsigned status, const char *type, const char *body, bool ended)
{
	struct outcome o = run_every_way(x, MAX);
	if (o.e != ERR_OK)
		fail_msg("%.*s: %s", (int)x.n, (const char *)x.p, o.w.text);
	assert_int_equal(o.reply.status, status);
	assert_string_equal(o.reply.content_type, type);
	assert_true(bytes_is(buf_bytes(&o.reply.body), body));
	assert_int_equal(o.ended, ended);
	fetch_reply_free(&o.reply);
}

static void fails(struct bytes x, const char *says)
{
	const struct outcome o = run_every_way(x, MAX);
	if (o.e != ERR_ENVIRONMENT || !o.w.tell || strcmp(o.w.text, says) != 0)
		fail_msg("%.*s: %d \"%s\"", (int)x.n, (const char *)x.p, (int)o.e, o.w.text);
}

#define OK	 "HTTP/1.1 200 OK\r\n"
#define CHUNKED	 OK "Transfer-Encoding: chunked\r\n\r\n"
#define REFUSED	 "http://h gave a reply that is refused: "
#define BAD_LINE REFUSED "a line of its header has a control character or ends without CRLF"
#define UNSOUND	 "http://h gave a reply that is not sound HTTP: "

static void a_body_ends_by_its_length_its_chunks_or_the_connection(void **s)
{
	(void)s;
	static const struct {
		const char *x;
		unsigned status;
		const char *type, *body;
		bool ended;
	} cases[] = {
		{OK "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 200, "application/json", "{}",
		 false},
		{OK "content-length:  2 \r\nX:\r\n\r\n{}", 200, "", "{}", false},
		{OK "Content-Length: 0\r\n\r\n", 200, "", "", false},
		{OK "Content-Length: 0000000000000000002\r\n\r\n{}", 200, "", "{}", false},
		{OK "Content-Length: 16\r\n\r\n0123456789abcdef", 200, "", "0123456789abcdef", false},
		{OK "\r\n{}", 200, "", "{}", true},
		{OK "Connection: keep-alive\r\n\r\n{}", 200, "", "{}", true},
		{OK "\r\n", 200, "", "", true},
		{OK "\r\n0123456789abcdef", 200, "", "0123456789abcdef", true},
		{"HTTP/1.0 404 Not here\r\n\r\nno", 404, "", "no", true},
		{"HTTP/1.1 503\r\nContent-Length: 2\r\n\r\nno", 503, "", "no", false},
		{"HTTP/1.1 599 \r\nContent-Length: 2\r\n\r\nno", 599, "", "no", false},
		{CHUNKED "0\r\n\r\n", 200, "", "", false},
		{CHUNKED "5\r\nhello\r\n0\r\n\r\n", 200, "", "hello", false},
		{CHUNKED "1\r\na\r\n02\r\nbc\r\n00\r\n\r\n", 200, "", "abc", false},
		{CHUNKED "00000003\r\na\r\n\r\n0\r\n\r\n", 200, "", "a\r\n", false},
		{CHUNKED "A\r\n0123456789\r\n6\r\nabcdef\r\n0\r\n\r\n", 200, "", "0123456789abcdef", false},
		{CHUNKED "1;x=\"y\"\r\na\r\n0;z\r\nTrailer: t\r\n\r\n", 200, "", "a", false},
		{CHUNKED "1\r\na\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", 200, "",
		 "a", false},
		{OK "Transfer-Encoding: Chunked\r\nContent-Type: a/b; c=d\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, "a/b; c=d",
		 "a", false},
		{"HTTP/1.1 204 No Content\r\n\r\n", 204, "", "", false},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, "", "", false},
		{"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, "", "", false},
		{OK "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\n{}", 200, "", "{}", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		reads(bytes_str(cases[i].x), cases[i].status, cases[i].type, cases[i].body, cases[i].ended);
	struct outcome o = run_every_way(BYTES_LIT(OK "Content-Length: 3\r\n\r\na\0b"), MAX);
	assert_true(bytes_equal(buf_bytes(&o.reply.body), BYTES_LIT("a\0b")));
	fetch_reply_free(&o.reply);
}

static void what_follows_the_end_is_no_part_of_the_reply(void **s)
{
	(void)s;
	reads(BYTES_LIT(OK "Content-Length: 2\r\n\r\n{}\r\nHTTP/1.1 500 No\r\n\r\n"), 200, "", "{}", false);
	reads(BYTES_LIT(CHUNKED "1\r\na\r\n0\r\n\r\nmore"), 200, "", "a", false);
	reads(BYTES_LIT("HTTP/1.1 204 N\r\nContent-Length: 4\r\n\r\nmore"), 204, "", "", false);
	reads(BYTES_LIT("HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore"), 204, "", "", false);
}

static void a_reply_that_can_be_read_in_two_ways_is_refused(void **s)
{
	(void)s;
	static const struct {
		const char *x, *says;
	} cases[] = {
		{OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", UNSOUND "unexpected content-length header"},
		{OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", UNSOUND "unexpected content-length header"},
		{OK "Content-Length: 2, 2\r\n\r\n{}", UNSOUND "invalid character in content-length header"},
		{OK "Content-Length: +2\r\n\r\n{}", UNSOUND "invalid character in content-length header"},
		{OK "Content-Length: 0x2\r\n\r\n{}", UNSOUND "invalid character in content-length header"},
		{OK "Content-Length: -2\r\n\r\n{}", UNSOUND "invalid character in content-length header"},
		{OK "Content-Length:\r\n\r\n", UNSOUND "invalid character in content-length header"},
		{OK "Content-Length: 18446744073709551618\r\n\r\n{}",
		 UNSOUND "invalid character in content-length header"},
		{OK "Content-Length : 2\r\n\r\n{}", REFUSED "a line of its header is not \"Name: value\""},
		{OK "Content Length: 2\r\n\r\n{}", REFUSED "a line of its header is not \"Name: value\""},
		{OK "X: a\r\n Content-Length: 2\r\nContent-Length: 1\r\n\r\n{",
		 REFUSED "a line of its header is not \"Name: value\""},
		{OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		 UNSOUND "unexpected content-length header"},
		{OK "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
		 UNSOUND "unexpected content-length header"},
		{OK "Transfer-Encoding: gzip\r\n\r\n{}", REFUSED "its Transfer-Encoding is not just \"chunked\""},
		{OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		 REFUSED "its Transfer-Encoding is not just \"chunked\""},
		{OK "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
		 UNSOUND "unexpected content-length header"},
		{OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		 REFUSED "its Transfer-Encoding is not just \"chunked\""},
		{OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		 REFUSED "its Transfer-Encoding is not just \"chunked\""},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		 REFUSED "it is of HTTP/1.0 and chunked"},
		{OK "Content-Type: a\r\nContent-Type: b\r\n\r\n", REFUSED "it has several Content-Type headers"},
		{"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", BAD_LINE},
		{OK "Content-Length: 2\n\r\n{}", BAD_LINE},
		{OK "A: b\nContent-Length: 2\r\n\r\n{}", BAD_LINE},
		{OK "A: b\n\nx\r\n\r\n{}", BAD_LINE},
		{"\r\n" OK "\r\n", REFUSED "it does not begin with \"HTTP/1.1\" or \"HTTP/1.0\" and a status"},
		{"\r\n\r\n" OK "\r\n", REFUSED "it does not begin with \"HTTP/1.1\" or \"HTTP/1.0\" and a status"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		fails(bytes_str(cases[i].x), cases[i].says);
}

static void a_chunk_that_lies_is_refused(void **s)
{
	(void)s;
	static const struct {
		const char *x, *says;
	} cases[] = {
		{"5\r\nhelloXX0\r\n\r\n", REFUSED "a chunk is longer than it says"},
		{"5\r\nhello0\r\n\r\n", UNSOUND "invalid character in chunk size header"},
		{"5\rXhello\r\n0\r\n\r\n", REFUSED "a chunk does not begin with its size"},
		{"5\nhello\n0\n\n", UNSOUND "invalid character in chunk size header"},
		{"5 \r\nhello\r\n0\r\n\r\n", REFUSED "a chunk does not begin with its size"},
		{"5 5\r\nhello\r\n0\r\n\r\n", REFUSED "a chunk does not begin with its size"},
		{"0x5\r\nhello\r\n0\r\n\r\n", UNSOUND "invalid character in chunk size header"},
		{"-5\r\nhello\r\n0\r\n\r\n", UNSOUND "invalid character in chunk size header"},
		{"\r\n", UNSOUND "invalid character in chunk size header"},
		{";x\r\nhello\r\n0\r\n\r\n", UNSOUND "invalid character in chunk size header"},
		{"5;a\nb\r\nhello\r\n0\r\n\r\n", REFUSED "a chunk does not begin with its size"},
		{"5\r\nhello\r\n0\rX\r\n", REFUSED "a chunk does not begin with its size"},
		{"0\rX\r\n", REFUSED "a chunk does not begin with its size"},
		{"0\r\n\rX", BAD_LINE},
		{"0\r\nA: b\n\r\n", BAD_LINE},
		{"0\r\nA b\r\n\r\n", UNSOUND "invalid character in header"},
		{"000000001\r\na\r\n0\r\n\r\n", REFUSED "a chunk does not begin with its size"},
		{"11\r\n0123456789abcdefX\r\n0\r\n\r\n", "http://h gave a reply of more than 16 bytes"},
		{"10\r\n0123456789abcdef\r\n1\r\nX\r\n0\r\n\r\n", "http://h gave a reply of more than 16 bytes"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf x = BUF_INIT(1024);
		buf_put_str(&x, CHUNKED);
		buf_put_str(&x, cases[i].x);
		fails(buf_bytes(&x), cases[i].says);
		buf_free(&x);
	}
	fails(BYTES_LIT(CHUNKED "FFFFFFFFFFFFFFFFF\r\n"), UNSOUND "invalid character in content-length header");
}

static void what_is_not_http_or_another_protocol_is_refused(void **s)
{
	(void)s;
	static const char begin[] = REFUSED "it does not begin with \"HTTP/1.1\" or \"HTTP/1.0\" and a status";
	static const char status[] = REFUSED "its status is not one from 100 to 599";
	static const struct {
		const char *x, *says;
	} cases[] = {
		{"hello", UNSOUND "invalid constant string"},
		{"<html>", UNSOUND "invalid constant string"},
		{"\x15\x03\x03", UNSOUND "invalid constant string"},
		{"SSH-2.0-x\r\n", UNSOUND "invalid constant string"},
		{"HTTP/0.9 200 OK\r\n\r\n", begin},
		{"HTTP/2.0 200 OK\r\n\r\n", begin},
		{"HTTP/1.2 200 OK\r\n\r\n", begin},
		{"HTTP/1.11 200 OK\r\n\r\n", UNSOUND "invalid HTTP version"},
		{"HTTP/1.1  200 OK\r\n\r\n", begin},
		{"HTTP/1.1 20 OK\r\n\r\n", begin},
		{"HTTP/1.1 2000 OK\r\n\r\n", UNSOUND "invalid HTTP status code"},
		{"HTTP/1.1 099 OK\r\n\r\n", status},
		{"HTTP/1.1 000 OK\r\n\r\n", status},
		{"HTTP/1.1 600 OK\r\n\r\n", status},
		{"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		 REFUSED "it changes to another protocol, which nobody asked for"},
		{"HTTP/1.1 101 Go\r\n\r\n", REFUSED "it changes to another protocol, which nobody asked for"},
		{OK "\x01: b\r\n\r\n", UNSOUND "invalid character in header"},
		{OK ": b\r\n\r\n", UNSOUND "invalid character in header"},
		{OK "A: b\x7f\r\n\r\n", UNSOUND "invalid character in header"},
		{"HTTP/1.1 200 O\x1bK\r\n\r\n", BAD_LINE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		fails(bytes_str(cases[i].x), cases[i].says);
}

static void a_reply_that_is_cut_off_is_an_error(void **s)
{
	(void)s;
	static const char *const whole[] = {
		OK "Content-Length: 5\r\n\r\nhello",
		CHUNKED "5\r\nhello\r\n0\r\n\r\n",
		OK "\r\n",
		"HTTP/1.1 204 N\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
		fails(bytes_of(NULL, 0), "http://h ended the connection without a reply");
		for (size_t n = 1; n < strlen(whole[i]); n++)
			fails(bytes_of(whole[i], n), "http://h ended the connection within its reply");
	}
	fails(BYTES_LIT("HTTP/1.1 100 C\r\n\r\n"), "http://h ended the connection without a reply");
}

static void interim_replies_are_skipped_up_to_a_limit(void **s)
{
	(void)s;
	static const char final[] = OK "Content-Length: 2\r\n\r\n{}";
	struct buf x = BUF_INIT(4096);
	reads(BYTES_LIT("HTTP/1.1 103 Early\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n" OK
			"Content-Length: 2\r\n\r\n{}"),
	      200, "", "{}", false);
	fails(BYTES_LIT("HTTP/1.1 100 C\r\nContent-Length: 2\r\n\r\n{}"), UNSOUND "invalid constant string");
	for (unsigned i = 0; i < FETCH_INTERIM_MAX; i++)
		buf_put_str(&x, "HTTP/1.1 100 Continue\r\n\r\n");
	buf_put_str(&x, final);
	reads(buf_bytes(&x), 200, "", "{}", false);
	buf_reset(&x);
	for (unsigned i = 0; i < FETCH_INTERIM_MAX + 1; i++)
		buf_put_str(&x, "HTTP/1.1 100 Continue\r\n\r\n");
	fails(buf_bytes(&x), REFUSED "too many replies of status 1xx precede it");
	buf_free(&x);
}

/* ---- limits ---- */

static enum err size_up(const char *start, size_t fill, const char *end, const char *says)
{
	static const size_t firsts[] = {1, 10000, 16383, 16384, 16385, 40000};
	struct buf x = BUF_INIT(64 * 1024);
	enum err e = ERR_OK;
	buf_put_str(&x, start);
	for (size_t i = 0; i < fill; i++)
		buf_put_u8(&x, 'x');
	buf_put_str(&x, end);
	for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		struct outcome o = run(buf_bytes(&x), firsts[i], firsts[i] == 1 ? 1 : x.n, MAX);
		if (o.e != ERR_OK && strcmp(o.w.text, says) != 0)
			fail_msg("%s", o.w.text);
		assert_true(i == 0 || e == o.e);
		e = o.e;
		fetch_reply_free(&o.reply);
	}
	buf_free(&x);
	return e;
}

static void limits_hold_at_the_last_byte(void **s)
{
	(void)s;
	static const char *const ends[] = {"\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n!", "\r\n\r\n!"};
	static const char head[] = OK "X: ", chunk[] = CHUNKED "1\r\na\r\n1;", trailer[] = CHUNKED "1\r\na\r\n0\r\nX: ";
	const char *says = REFUSED "its header is too long";
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		const size_t rest = sizeof head - 1 + strlen(ends[i]) - (strchr(ends[i], '!') != NULL);
		assert_int_equal(size_up(head, FETCH_HEADER_MAX - rest, ends[i], says), ERR_OK);
		assert_int_equal(size_up(head, FETCH_HEADER_MAX - rest + 1, ends[i], says), ERR_ENVIRONMENT);
	}
	says = REFUSED "what frames a chunk is too long";
	/* CRLF, "1;", the extension, CRLF */
	assert_int_equal(size_up(chunk, FETCH_HEADER_MAX - 6, "\r\nb\r\n0\r\n\r\n", says), ERR_OK);
	assert_int_equal(size_up(chunk, FETCH_HEADER_MAX - 5, "\r\nb\r\n0\r\n\r\n", says), ERR_ENVIRONMENT);
	/* CRLF, "0", CRLF, "X: ", the value, CRLF, CRLF */
	assert_int_equal(size_up(trailer, FETCH_HEADER_MAX - 12, "\r\n\r\n", says), ERR_OK);
	assert_int_equal(size_up(trailer, FETCH_HEADER_MAX - 11, "\r\n\r\n", says), ERR_ENVIRONMENT);
	says = REFUSED "its Content-Type is too long";
	assert_int_equal(size_up(OK "Content-Type: ", FETCH_TYPE_MAX - 1, "\r\n\r\n", says), ERR_OK);
	assert_int_equal(size_up(OK "Content-Type: ", FETCH_TYPE_MAX, "\r\n\r\n", says), ERR_ENVIRONMENT);
}

static void a_body_that_is_too_large_is_refused_before_it_is_read(void **s)
{
	(void)s;
	static const char says[] = "http://h gave a reply of more than 16 bytes";
	fails(BYTES_LIT(OK "Content-Length: 17\r\n\r\n0"), says);
	fails(BYTES_LIT(OK "Content-Length: 999999999999999999\r\n\r\n0"), says);
	fails(BYTES_LIT(OK "\r\n0123456789abcdefX"), says);
	struct outcome o = run(BYTES_LIT(OK "Content-Length: 0\r\n\r\n"), 1, 1, 0);
	assert_int_equal(o.e, ERR_OK);
	fetch_reply_free(&o.reply);
	o = run(BYTES_LIT(OK "\r\nx"), 1, 1, 0);
	assert_int_equal(o.e, ERR_ENVIRONMENT);
}

static void freeing_nothing_is_fine(void **s)
{
	(void)s;
	fetch_reader_free(NULL);
	fetch_reply_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_ends_by_its_length_its_chunks_or_the_connection),
		cmocka_unit_test(what_follows_the_end_is_no_part_of_the_reply),
		cmocka_unit_test(a_reply_that_can_be_read_in_two_ways_is_refused),
		cmocka_unit_test(a_chunk_that_lies_is_refused),
		cmocka_unit_test(what_is_not_http_or_another_protocol_is_refused),
		cmocka_unit_test(a_reply_that_is_cut_off_is_an_error),
		cmocka_unit_test(interim_replies_are_skipped_up_to_a_limit),
		cmocka_unit_test(limits_hold_at_the_last_byte),
		cmocka_unit_test(a_body_that_is_too_large_is_refused_before_it_is_read),
		cmocka_unit_test(freeing_nothing_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
