/* page.c - the layout of what a person reads. */
#include "page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"

enum { NOTE_COLUMN = 2, ITEM_COLUMN = 4 };

static bool printable(uint8_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool all_printable(struct bytes x)
{
	for (size_t i = 0; i < x.n; i++)
		if (!printable(x.p[i]))
			return false;
	return true;
}

static size_t put_plain(struct buf *out, struct bytes x)
{
	const size_t before = out->n;
	for (size_t i = 0; i < x.n; i++) {
		if (printable(x.p[i]))
			buf_put_u8(out, x.p[i]);
		else
			buf_printf(out, "\\x%02x", x.p[i]);
	}
	return out->n - before;
}

static void put_spaces(struct buf *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_put_u8(out, ' ');
}

/* Only the one space at which a line ends is lost, so a value that is shown has the spaces that it has. */
static void put_wrapped(struct buf *out, size_t column, size_t indent, struct bytes text)
{
	size_t at = 0;
	for (bool first = true; at <= text.n; first = false) {
		size_t end = at;
		while (end < text.n && text.p[end] != ' ')
			end++;
		const struct bytes word = {text.p + at, end - at};
		if (!first && column + 1 + word.n > PAGE_WIDTH && column > indent) {
			buf_put_u8(out, '\n');
			put_spaces(out, indent);
			column = indent;
		} else if (!first) {
			buf_put_u8(out, ' ');
			column++;
		}
		column += put_plain(out, word);
		at = end + 1;
	}
	buf_put_u8(out, '\n');
}

void page_text(struct buf *out, size_t column, const char *text)
{
	put_wrapped(out, column, 0, bytes_str(text));
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
	put_wrapped(out, ITEM_COLUMN, ITEM_COLUMN, bytes_str(text));
}

void page_note(struct buf *out, const char *text)
{
	put_spaces(out, NOTE_COLUMN);
	put_wrapped(out, NOTE_COLUMN, NOTE_COLUMN, bytes_str(text));
}

/* Leaves the writer at the returned column, at least PAGE_VALUE_COLUMN. */
static size_t put_name(struct buf *out, struct bytes name)
{
	buf_put_str(out, "  ");
	size_t column = 2 + put_plain(out, name);
	do {
		buf_put_u8(out, ' ');
		column++;
	} while (column < PAGE_VALUE_COLUMN);
	return column;
}

void page_field(struct buf *out, struct bytes name, struct bytes value)
{
	put_wrapped(out, put_name(out, name), PAGE_VALUE_COLUMN, value);
}

static void put_hex_rows(struct buf *out, struct bytes value)
{
	for (size_t at = 0; at < value.n; at += PAGE_HEX_ROW / 2) {
		const size_t left = value.n - at;
		if (at > 0)
			put_spaces(out, PAGE_VALUE_COLUMN);
		buf_put_hex(out, bytes_of(value.p + at, left < PAGE_HEX_ROW / 2 ? left : PAGE_HEX_ROW / 2));
		buf_put_str(out, "\n");
	}
}

static void put_quoted(struct buf *out, size_t column, struct bytes value)
{
	struct buf text = BUF_INIT(2 * value.n + 2);
	buf_put_u8(&text, '"');
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_put_u8(&text, '\\');
		buf_put_u8(&text, value.p[i]);
	}
	buf_put_u8(&text, '"');
	put_wrapped(out, column, PAGE_VALUE_COLUMN, buf_bytes(&text));
	out->failed |= text.failed;
	buf_free(&text);
}

void page_value(struct buf *out, const char *name, struct bytes value)
{
	const size_t column = put_name(out, bytes_str(name));
	if (value.p == NULL)
		buf_put_str(out, "none\n");
	else if (value.n == 0)
		buf_put_str(out, "empty\n");
	else if (all_printable(value))
		put_quoted(out, column, value);
	else
		put_hex_rows(out, value);
}

void page_hex(struct buf *out, const char *name, struct bytes value)
{
	(void)put_name(out, bytes_str(name));
	buf_put_hex(out, value);
	buf_put_u8(out, '\n');
}
