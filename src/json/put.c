/* put.c - writing JSON, a value or a key at a time. */
#include "json.h"

#include <string.h>

#include "base/encode.h"
#include "base/utf8.h"
#include "number.h"
#include "scan.h"

/* DEL and control characters are escaped, so that a reply shown on a terminal does nothing to it. */
static void put_escape(struct buf *b, uint8_t c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = c == 0 ? NULL : strchr(from, c);
	if (found == NULL) {
		buf_printf(b, "\\u%04x", c);
		return;
	}
	buf_put_u8(b, '\\');
	buf_put_u8(b, (uint8_t)to[found - from]);
}

void json_put_string(struct buf *b, struct bytes utf8)
{
	size_t run = 0, at = 0;
	buf_put_u8(b, '"');
	while (at < utf8.n) {
		at += scan_run(utf8.p + at, utf8.n - at);
		if (at == utf8.n)
			break;
		uint32_t cp;
		const size_t n = utf8_next(utf8.p + at, utf8.n - at, &cp);
		if (n > 1) {
			at += n;
			continue;
		}
		buf_put(b, utf8.p + run, at - run);
		if (n == 1)
			put_escape(b, utf8.p[at]);
		else
			buf_put_str(b, "\\ufffd");
		run = ++at;
	}
	if (at > run)
		buf_put(b, utf8.p + run, at - run);
	buf_put_u8(b, '"');
}

void json_put_cstr(struct buf *b, const char *s)
{
	if (s == NULL)
		buf_put_str(b, "null");
	else
		json_put_string(b, bytes_str(s));
}

static void put_encoded(struct buf *b, struct bytes in, void (*put)(struct buf *b, struct bytes in))
{
	if (in.p == NULL) {
		buf_put_str(b, "null");
		return;
	}
	buf_put_u8(b, '"');
	put(b, in);
	buf_put_u8(b, '"');
}

void json_put_hex(struct buf *b, struct bytes in)
{
	put_encoded(b, in, buf_put_hex);
}

void json_put_base64(struct buf *b, struct bytes in)
{
	put_encoded(b, in, buf_put_base64);
}

void json_put_int(struct buf *b, int64_t v)
{
	char text[NUMBER_TEXT_MAX];
	buf_put(b, text, number_int(v, text));
}

void json_put_bool(struct buf *b, bool v)
{
	buf_put_str(b, v ? "true" : "false");
}

static void put_comma(struct buf *b)
{
	if (b->n > 0 && b->p[b->n - 1] != '{')
		buf_put_u8(b, ',');
}

void json_put_quoted_key(struct buf *b, struct bytes key)
{
	put_comma(b);
	buf_put_bytes(b, key);
}

void json_put_key(struct buf *b, const char *name)
{
	put_comma(b);
	json_put_cstr(b, name);
	buf_put_u8(b, ':');
}
