/* lex.c - the tokens of a JSON text: strings and words, and what is wrong with them. */
#include "lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "scan.h"

const char *json_show(struct bytes text, char out[JSON_SHOW_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0, len;
	for (size_t i = 0; i < text.n; i += len) {
		const uint8_t *p = text.p + i;
		const char escaped[4] = {'\\', 'x', hex[*p >> 4], hex[*p & 15]};
		uint32_t cp;
		len = utf8_next(p, text.n - i, &cp);
		const bool plain = len > 0 && cp >= 0x20 && !(cp >= 0x7f && cp <= 0x9f);
		if (len == 0)
			len = 1;
		if (n + (plain ? len : sizeof escaped) > JSON_SHOW_MAX) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		memcpy(out + n, plain ? (const char *)p : escaped, plain ? len : sizeof escaped);
		n += plain ? len : sizeof escaped;
	}
	out[n] = '\0';
	return out;
}

enum err lex_fault(const struct lex *l, size_t at, const char *fmt, ...)
{
	size_t line = 1, column = 1;
	for (size_t i = 0; i < at; i++) {
		if (l->text.p[i] == '\n') {
			line++;
			column = 1;
		} else if ((l->text.p[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	char text[WHY_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return why_tell(l->why, ERR_INVALID, "body", "line %zu, column %zu: %s", line, column, text);
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct bytes rest(const struct lex *l)
{
	return bytes_of(l->text.p + l->at, l->text.n - l->at);
}

enum err lex_unexpected(const struct lex *l, const char *expected)
{
	const struct bytes r = rest(l);
	if (r.n == 0)
		return lex_fault(l, l->at, "the text ends where %s is expected", expected);
	size_t n = 0;
	while (n < r.n && is_letter(r.p[n]))
		n++;
	uint32_t cp;
	if (n == 0)
		n = utf8_next(r.p, r.n, &cp);
	if (n == 0)
		return lex_fault(l, l->at, "malformed UTF-8");
	char show[JSON_SHOW_SIZE];
	return lex_fault(l, l->at, "%s is expected here, not \"%s\"", expected, json_show(bytes_of(r.p, n), show));
}

/* The four digits of \uXXXX that begins at `at`, or -1. */
static int32_t unicode_escape(const struct lex *l, size_t at)
{
	if (l->text.n - at < 6 || l->text.p[at] != '\\' || l->text.p[at + 1] != 'u')
		return -1;
	int32_t v = 0;
	for (size_t i = at + 2; i < at + 6; i++) {
		const uint8_t c = l->text.p[i];
		if (lex_is_digit(c))
			v = v << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

static size_t put_utf8(uint8_t *u, uint32_t cp)
{
	size_t n = 0;
	if (cp < 0x80) {
		u[n++] = (uint8_t)cp;
	} else if (cp < 0x800) {
		u[n++] = (uint8_t)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		u[n++] = (uint8_t)(0xe0 | cp >> 12);
		u[n++] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	} else {
		u[n++] = (uint8_t)(0xf0 | cp >> 18);
		u[n++] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
		u[n++] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	}
	if (cp >= 0x80)
		u[n++] = (uint8_t)(0x80 | (cp & 0x3f));
	return n;
}

/* These write what an escape stands for, which is shorter than the escape. */
static enum err take_unicode(struct lex *l, uint8_t **out)
{
	const int32_t high = unicode_escape(l, l->at);
	if (high < 0)
		return lex_fault(l, l->at, "\\u must be followed by four hexadecimal digits");
	if (high < 0xd800 || high > 0xdfff) {
		*out += put_utf8(*out, (uint32_t)high);
		l->at += 6;
		return ERR_OK;
	}
	const int32_t low = unicode_escape(l, l->at + 6);
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return lex_fault(l, l->at, "\\u%04x is half of a surrogate pair without the other half",
				 (unsigned)high);
	*out += put_utf8(*out, 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
	l->at += 12;
	return ERR_OK;
}

static enum err take_escape(struct lex *l, uint8_t **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const int c = l->text.n - l->at < 2 ? -1 : l->text.p[l->at + 1];
	if (c == 'u')
		return take_unicode(l, out);
	const char *found = c <= 0 ? NULL : strchr(from, c);
	char show[JSON_SHOW_SIZE];
	if (found == NULL)
		return lex_fault(l, l->at, "\"%s\" is not an escape that JSON has",
				 json_show(bytes_of(l->text.p + l->at, c < 0 ? 1 : 2), show));
	*(*out)++ = (uint8_t)to[found - from];
	l->at += 2;
	return ERR_OK;
}

static void copy(struct lex *l, size_t from, uint8_t **out)
{
	memcpy(*out, l->text.p + from, l->at - from);
	*out += l->at - from;
}

/* Goes over what is not ASCII. */
static enum err skip_characters(struct lex *l)
{
	do {
		const struct bytes r = rest(l);
		uint32_t cp;
		const size_t n = utf8_next(r.p, r.n, &cp);
		if (n == 0)
			return lex_fault(l, l->at, "malformed UTF-8");
		l->at += n;
	} while (lex_peek(l) >= 0x80);
	return ERR_OK;
}

/* From behind the opening quote to behind the closing one; *out goes behind what was written. */
static enum err take_string(struct lex *l, uint8_t **out)
{
	const size_t quote = l->at - 1;
	size_t run = l->at;
	enum err e = ERR_OK;
	for (;;) {
		const struct bytes r = rest(l);
		l->at += scan_run(r.p, r.n);
		const int c = lex_peek(l);
		if (c == -1)
			return lex_fault(l, quote, "this string is not closed");
		if (c == '"') {
			copy(l, run, out);
			l->at++;
			return ERR_OK;
		}
		if (c == '\\') {
			copy(l, run, out);
			e = take_escape(l, out);
			run = l->at;
		} else if (c < 0x20) {
			e = lex_fault(l, l->at, "control character 0x%02x must be escaped in a string", (unsigned)c);
		} else if (c == 0x7f) {
			l->at++;
		} else {
			e = skip_characters(l);
		}
		if (e != ERR_OK)
			return e;
	}
}

enum err lex_string(struct lex *l)
{
	uint8_t *const begin = (uint8_t *)(l->to + 1), *out = begin;
	l->at++;
	const enum err e = take_string(l, &out);
	const size_t n = (size_t)(out - begin), words = 1 + (n + sizeof *l->to - 1) / sizeof *l->to;
	if (e != ERR_OK) {
		l->unfinished = words;
		return e;
	}
	l->to->word = TAPE_STRING | (uint32_t)n << TAPE_KIND_BITS;
	l->to += words;
	return ERR_OK;
}

enum err lex_word(struct lex *l)
{
	static const struct {
		const char *text;
		enum tape_atom atom;
	} words[] = {{"true", ATOM_TRUE}, {"false", ATOM_FALSE}, {"null", ATOM_NULL}};
	const struct bytes r = rest(l);
	struct bytes word = bytes_of(r.p, 0);
	while (word.n < r.n && is_letter(r.p[word.n]))
		word.n++;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (bytes_is(word, words[i].text)) {
			l->to = tape_put_atom(l->to, words[i].atom);
			l->at += word.n;
			return ERR_OK;
		}
	}
	return lex_unexpected(l, "a value");
}
