#include "base/err.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const struct {
	unsigned status;
	const char *code, *title;
} table[ERR_COUNT] = {
#define ERR_ROW(name, status, code, text) [ERR_##name] = {status, code, text},
	ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

static size_t row(enum err e)
{
	return (size_t)e < ERR_COUNT ? (size_t)e : (size_t)ERR_INTERNAL;
}

unsigned err_status(enum err e)
{
	return table[row(e)].status;
}

const char *err_code(enum err e)
{
	return table[row(e)].code;
}

const char *err_title(enum err e)
{
	return table[row(e)].title;
}

/* These texts end up in logs, on terminals and in JSON replies, and may quote what a client sent: so they are made
 * plain here, once. C1 controls count as controls because terminals obey them. */
static void plain_copy(char *out, size_t size, const char *in, size_t n, bool was_cut)
{
	const uint8_t *p = (const uint8_t *)in;
	size_t used = 0;

	while (n > 0) {
		uint32_t cp = 0;
		size_t len = utf8_next(p, n, &cp);
		bool bad = len == 0 || cp < 0x20 || (cp >= 0x7f && cp <= 0x9f);

		if (len == 0 && was_cut && n < 4 && p[0] >= 0xc2)
			break;
		if (len == 0)
			len = 1;
		if (used + (bad ? 1 : len) >= size)
			break;
		if (bad)
			out[used++] = '?';
		else
			for (size_t i = 0; i < len; i++)
				out[used++] = (char)p[i];
		p += len;
		n -= len;
	}
	out[used] = '\0';
}

/* Everything is built aside first, because a caller may well quote w->text in the new text. */
static PRINTF_LIKE(5, 0) void fill(struct why *w, enum err e, bool tell, const char *field, const char *fmt, va_list ap)
{
	struct why made = {.err = e, .tell = tell};
	char raw[WHY_TEXT_MAX];
	int n = vsnprintf(raw, sizeof raw, fmt, ap);

	if (n > 0)
		plain_copy(made.text, sizeof made.text, raw, strlen(raw), (size_t)n >= sizeof raw);
	if (field != NULL)
		plain_copy(made.field, sizeof made.field, field, strlen(field), false);
	*w = made;
}

enum err why_set(struct why *w, enum err e, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(w, e, false, NULL, fmt, ap);
	va_end(ap);
	return e;
}

enum err why_tell(struct why *w, enum err e, const char *field, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fill(w, e, true, field, fmt, ap);
	va_end(ap);
	return e;
}

const char *why_public(const struct why *w)
{
	return w->tell && w->text[0] != '\0' ? w->text : err_title(w->err);
}
