/* lex.c - the tokens of a JSON text: strings, numbers, words, and what is wrong with them. */
#include "lex.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "scan.h"

enum { NUMBER_SHORT = 64 };

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

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
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

void lex_space(struct lex *l)
{
	while (l->at < l->text.n) {
		const uint8_t c = l->text.p[l->at];
		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			return;
		l->at++;
	}
}

int lex_peek(const struct lex *l)
{
	return l->at < l->text.n ? l->text.p[l->at] : -1;
}

/* The four digits of \uXXXX that begins at `at`, or -1. */
static int32_t unicode_escape(const struct lex *l, size_t at)
{
	if (l->text.n - at < 6 || l->text.p[at] != '\\' || l->text.p[at + 1] != 'u')
		return -1;
	int32_t v = 0;
	for (size_t i = at + 2; i < at + 6; i++) {
		const uint8_t c = l->text.p[i];
		if (is_digit(c))
			v = v << 4 | (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

static void put_utf8(struct buf *b, uint32_t cp)
{
	uint8_t u[4];
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
	buf_put(b, u, n);
}

static enum err take_unicode(struct lex *l, struct buf *into)
{
	const int32_t high = unicode_escape(l, l->at);
	if (high < 0)
		return lex_fault(l, l->at, "\\u must be followed by four hexadecimal digits");
	if (high < 0xd800 || high > 0xdfff) {
		put_utf8(into, (uint32_t)high);
		l->at += 6;
		return ERR_OK;
	}
	const int32_t low = unicode_escape(l, l->at + 6);
	if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return lex_fault(l, l->at, "\\u%04x is half of a surrogate pair without the other half",
				 (unsigned)high);
	put_utf8(into, 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
	l->at += 12;
	return ERR_OK;
}

static enum err take_escape(struct lex *l, struct buf *into)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const int c = l->text.n - l->at < 2 ? -1 : l->text.p[l->at + 1];
	if (c == 'u')
		return take_unicode(l, into);
	const char *found = c <= 0 ? NULL : strchr(from, c);
	char show[JSON_SHOW_SIZE];
	if (found == NULL)
		return lex_fault(l, l->at, "\"%s\" is not an escape that JSON has",
				 json_show(bytes_of(l->text.p + l->at, c < 0 ? 1 : 2), show));
	buf_put_u8(into, (uint8_t)to[found - from]);
	l->at += 2;
	return ERR_OK;
}

enum err lex_string(struct lex *l, struct buf *into, struct bytes *out)
{
	const size_t quote = l->at++;
	size_t run = l->at;
	bool direct = true;
	buf_reset(into);
	for (;;) {
		const struct bytes r = rest(l);
		size_t n = scan_run(r.p, r.n);
		l->at += n;
		if (n == r.n)
			return lex_fault(l, quote, "this string is not closed");
		if (r.p[n] == '"')
			break;
		if (r.p[n] == '\\') {
			direct = false;
			buf_put(into, l->text.p + run, l->at - run);
			const enum err e = take_escape(l, into);
			if (e != ERR_OK)
				return e;
			run = l->at;
			continue;
		}
		if (r.p[n] < 0x20)
			return lex_fault(l, l->at, "control character 0x%02x must be escaped in a string", r.p[n]);
		uint32_t cp;
		n = utf8_next(r.p + n, r.n - n, &cp);
		if (n == 0)
			return lex_fault(l, l->at, "malformed UTF-8");
		l->at += n;
	}
	if (direct) {
		*out = bytes_of(l->text.p + run, l->at - run);
	} else {
		buf_put(into, l->text.p + run, l->at - run);
		*out = buf_bytes(into);
	}
	l->at++;
	return buf_check(into, l->why);
}

static enum err made(const struct lex *l, json_t *v, json_t **out)
{
	if (v == NULL)
		return why_set(l->why, ERR_MEMORY, "no memory for a JSON value");
	*out = v;
	return ERR_OK;
}

static void skip_digits(struct lex *l)
{
	while (is_digit(lex_peek(l)))
		l->at++;
}

static enum err make_integer(struct lex *l, struct bytes digits, bool negative, size_t begin, json_t **out)
{
	const uint64_t most = (uint64_t)INT64_MAX + negative;
	uint64_t v = 0;
	for (size_t i = 0; i < digits.n; i++) {
		const unsigned d = digits.p[i] - (unsigned)'0';
		if (v > (most - d) / 10)
			return lex_fault(l, begin, "the integer does not fit into 64 bits");
		v = v * 10 + d;
	}
	/* -1 - (v - 1), because the least integer has no positive counterpart */
	return made(l, json_integer(negative && v > 0 ? -1 - (int64_t)(v - 1) : (int64_t)v), out);
}

static enum err make_real(struct lex *l, struct bytes text, bool zero, size_t begin, json_t **out)
{
	char few[NUMBER_SHORT];
	const char *s = few;
	if (text.n < sizeof few) {
		memcpy(few, text.p, text.n);
		few[text.n] = '\0';
	} else {
		buf_reset(&l->string);
		buf_put_bytes(&l->string, text);
		s = buf_cstr(&l->string);
		if (s == NULL)
			return buf_check(&l->string, l->why);
	}
	const double d = strtod(s, NULL);
	if (!isfinite(d))
		return lex_fault(l, begin, "the number is too large for a double");
	if (d == 0 && !zero)
		return lex_fault(l, begin, "the number is too close to zero for a double");
	return made(l, json_real(d), out);
}

/* Whether all digits in front of the exponent are 0. */
static bool mantissa_zero(struct bytes text)
{
	for (size_t i = 0; i < text.n && (text.p[i] | 0x20) != 'e'; i++)
		if (text.p[i] >= '1' && text.p[i] <= '9')
			return false;
	return true;
}

enum err lex_number(struct lex *l, json_t **out)
{
	const size_t begin = l->at;
	const bool negative = lex_peek(l) == '-';
	l->at += negative;
	const size_t digits = l->at;
	skip_digits(l);
	if (l->at == digits)
		return lex_unexpected(l, "a digit");
	if (l->text.p[digits] == '0' && l->at > digits + 1)
		return lex_fault(l, begin, "a number must not begin with a superfluous 0");
	const struct bytes whole = bytes_of(l->text.p + digits, l->at - digits);
	bool real = false;
	if (lex_peek(l) == '.') {
		real = true;
		l->at++;
		if (!is_digit(lex_peek(l)))
			return lex_unexpected(l, "a digit");
		skip_digits(l);
	}
	if (lex_peek(l) == 'e' || lex_peek(l) == 'E') {
		real = true;
		l->at++;
		if (lex_peek(l) == '+' || lex_peek(l) == '-')
			l->at++;
		if (!is_digit(lex_peek(l)))
			return lex_unexpected(l, "a digit");
		skip_digits(l);
	}
	if (!real)
		return make_integer(l, whole, negative, begin, out);
	const struct bytes text = bytes_of(l->text.p + begin, l->at - begin);
	return make_real(l, text, mantissa_zero(text), begin, out);
}

enum err lex_word(struct lex *l, json_t **out)
{
	const struct bytes r = rest(l);
	struct bytes word = bytes_of(r.p, 0);
	while (word.n < r.n && is_letter(r.p[word.n]))
		word.n++;
	json_t *v;
	if (bytes_is(word, "true"))
		v = json_true();
	else if (bytes_is(word, "false"))
		v = json_false();
	else if (bytes_is(word, "null"))
		v = json_null();
	else
		return lex_unexpected(l, "a value");
	l->at += word.n;
	return made(l, v, out);
}
