/* page.c - the layout of what a person reads. */
#include "page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

/* What stands in front of a line that goes on the one before. */
static const char at_edge[] = "", at_note[] = "  ", at_item[] = "    ", at_value[] = "              ",
		  at_stated[] = "  |   ";
_Static_assert(sizeof at_value - 1 == PAGE_VALUE_COLUMN, "values stand below each other");

enum { SHOWN_SIZE = 5 }; /* \xNN */

static size_t show(uint8_t c, char out[SHOWN_SIZE])
{
	return (size_t)snprintf(out, SHOWN_SIZE, c > 0x20 && c <= 0x7e ? "%c" : "\\x%02x", c);
}

static size_t next_line(struct buf *out, const char *indent)
{
	buf_put_u8(out, '\n');
	buf_put_str(out, indent);
	return strlen(indent);
}

/* Up to the next space; those that it begins with are its own, and so shown. */
static struct bytes next_word(struct bytes text, size_t at)
{
	size_t end = at;
	while (end < text.n && text.p[end] == ' ')
		end++;
	while (end < text.n && text.p[end] != ' ')
		end++;
	return bytes_of(text.p + at, end - at);
}

/* A word that is longer than a line begins where it is; any other is in one piece. */
static void put_wrapped(struct buf *out, size_t column, const char *indent, struct bytes text)
{
	const size_t edge = strlen(indent);
	size_t at = 0;
	for (bool first = true; at <= text.n; first = false) {
		const struct bytes word = next_word(text, at);
		char shown[SHOWN_SIZE];
		size_t width = 0;
		for (size_t i = 0; i < word.n; i++)
			width += show(word.p[i], shown);
		if (column + !first + width > PAGE_WIDTH && column > edge && (!first || edge + width <= PAGE_WIDTH)) {
			column = next_line(out, indent);
		} else if (!first) {
			buf_put_u8(out, ' ');
			column++;
		}
		for (size_t i = 0; i < word.n; i++) {
			width = show(word.p[i], shown);
			if (column + width > PAGE_WIDTH)
				column = next_line(out, indent);
			buf_put_str(out, shown);
			column += width;
		}
		at += word.n + 1;
	}
	buf_put_u8(out, '\n');
}

void page_text(struct buf *out, size_t column, const char *text)
{
	put_wrapped(out, column, at_edge, bytes_str(text));
}

void page_heading(struct buf *out, const char *text)
{
	buf_put_str(out, "\n");
	page_text(out, 0, text);
}

void page_item(struct buf *out, const char *fmt, ...)
{
	char text[PAGE_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_put_str(out, "  - ");
	put_wrapped(out, strlen(at_item), at_item, bytes_str(text));
}

void page_note(struct buf *out, const char *text)
{
	buf_put_str(out, at_note);
	put_wrapped(out, strlen(at_note), at_note, bytes_str(text));
}

/* Leaves the writer at the returned column, at least PAGE_VALUE_COLUMN. */
static size_t put_name(struct buf *out, const char *name)
{
	size_t column = 2 + strlen(name);
	buf_put_str(out, "  ");
	buf_put_str(out, name);
	do {
		buf_put_u8(out, ' ');
		column++;
	} while (column < PAGE_VALUE_COLUMN);
	return column;
}

void page_field(struct buf *out, const char *name, struct bytes value)
{
	put_wrapped(out, put_name(out, name), at_value, value);
}

static void quote(struct buf *out, struct bytes x)
{
	buf_put_u8(out, '"');
	for (size_t i = 0; i < x.n; i++) {
		if (x.p[i] == '"' || x.p[i] == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, x.p[i]);
	}
	buf_put_u8(out, '"');
}

void page_stated(struct buf *out, struct bytes name, struct bytes value)
{
	struct buf text = BUF_INIT(2 * PAGE_NAME_MAX + 8 + value.n);
	quote(&text, bytes_of(name.p, name.n < PAGE_NAME_MAX ? name.n : PAGE_NAME_MAX));
	buf_put_str(&text, name.n > PAGE_NAME_MAX ? "...: " : ": ");
	buf_put_bytes(&text, value);
	buf_put_str(out, "  | ");
	put_wrapped(out, strlen("  | "), at_stated, buf_bytes(&text));
	out->failed |= text.failed;
	buf_free(&text);
}

static void put_hex_rows(struct buf *out, struct bytes value)
{
	for (size_t at = 0; at < value.n; at += PAGE_HEX_ROW / 2) {
		const size_t left = value.n - at;
		if (at > 0)
			buf_put_str(out, at_value);
		buf_put_hex(out, bytes_of(value.p + at, left < PAGE_HEX_ROW / 2 ? left : PAGE_HEX_ROW / 2));
		buf_put_str(out, "\n");
	}
}

void page_value(struct buf *out, const char *name, struct bytes value)
{
	const size_t column = put_name(out, name);
	struct buf text = BUF_INIT(2 * value.n + 2);
	if (value.p == NULL) {
		buf_put_str(out, "none\n");
	} else if (value.n == 0) {
		buf_put_str(out, "empty\n");
	} else if (!bytes_printable(value)) {
		put_hex_rows(out, value);
	} else {
		quote(&text, value);
		put_wrapped(out, column, at_value, buf_bytes(&text));
	}
	out->failed |= text.failed;
	buf_free(&text);
}

void page_hex(struct buf *out, const char *name, struct bytes value)
{
	(void)put_name(out, name);
	buf_put_hex(out, value);
	buf_put_u8(out, '\n');
}
