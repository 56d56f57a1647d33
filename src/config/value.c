/* value.c - one value: parsed, limited, put into its member. */
#include "keys.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

/* How much of what a person wrote is shown back. */
enum { SHOWN_MAX = 64 };

enum err config_fault(struct why *w, const struct source *s, const char *fmt, ...)
{
	char text[WHY_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (s->line != 0)
		return why_set(w, ERR_CONFIG, "%.*s:%u: %s", s->len, s->name, s->line, text);
	return why_set(w, ERR_CONFIG, "%.*s: %s", s->len, s->name, text);
}

const char *config_text_fault(struct bytes text, bool tab_ok)
{
	if (!utf8_valid(text))
		return "text that is not UTF-8";
	for (size_t i = 0; i < text.n; i++) {
		const uint8_t b = text.p[i];
		if (b == 0)
			return "a NUL byte";
		/* U+0080 to U+009F are control characters too, and terminals obey them. */
		if ((b < 0x20 && !(b == '\t' && tab_ok)) || b == 0x7f || (b == 0xc2 && text.p[i + 1] < 0xa0))
			return "a control character";
	}
	return NULL;
}

static void *member(struct config *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static const void *member_of(const struct config *c, const struct key *k)
{
	return (const char *)c + k->offset;
}

const char *config_get_text(const struct config *c, const struct key *k)
{
	return *(char *const *)member_of(c, k);
}

int64_t config_get_number(const struct config *c, const struct key *k)
{
	if (k->type == KEY_ENUM)
		return *(const int *)member_of(c, k);
	return *(const int64_t *)member_of(c, k);
}

void config_put_number(struct config *c, const struct key *k, int64_t v)
{
	if (k->type == KEY_ENUM)
		*(int *)member(c, k) = (int)v;
	else
		*(int64_t *)member(c, k) = v;
}

static int64_t unit(enum key_type type, uint8_t suffix)
{
	if (type == KEY_SIZE && suffix == 'k')
		return INT64_C(1) << 10;
	if (type == KEY_SIZE && suffix == 'm')
		return INT64_C(1) << 20;
	if (type == KEY_SIZE && suffix == 'g')
		return INT64_C(1) << 30;
	if (type == KEY_SECONDS && suffix == 's')
		return 1;
	if (type == KEY_SECONDS && suffix == 'm')
		return 60;
	if (type == KEY_SECONDS && suffix == 'h')
		return 3600;
	return 0;
}

/* Digits without sign or leading zeros (which elsewhere mean octal), then at most one suffix. */
static bool number(const struct key *k, struct bytes t, int64_t *out)
{
	int64_t v = 0, scale = t.n > 1 ? unit(k->type, t.p[t.n - 1]) : 0;

	if (scale != 0)
		t.n--;
	else
		scale = 1;
	if (t.n == 0 || (t.n > 1 && t.p[0] == '0'))
		return false;
	for (size_t i = 0; i < t.n; i++) {
		if (t.p[i] < '0' || t.p[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, t.p[i] - '0', &v))
			return false;
	}
	if (__builtin_mul_overflow(v, scale, &v) || v < k->lo || v > k->hi)
		return false;
	*out = v;
	return true;
}

static const char *limits(enum key_type type)
{
	if (type == KEY_SIZE)
		return " bytes (with k, m or g: times 1024, 1024^2, 1024^3)";
	return type == KEY_SECONDS ? " seconds (or with s, m or h behind it)" : "";
}

static enum err assign_number(struct config *c, const struct key *k, struct bytes text, const struct source *s,
			      struct why *w)
{
	const int shown = text.n < SHOWN_MAX ? (int)text.n : SHOWN_MAX;
	int64_t v;
	if (!number(k, text, &v))
		return config_fault(w, s, "%s must be a whole number from %" PRId64 " to %" PRId64 "%s, not \"%.*s\"",
				    k->name, k->lo, k->hi, limits(k->type), shown, (const char *)text.p);
	config_put_number(c, k, v);
	return ERR_OK;
}

static enum err assign_choice(struct config *c, const struct key *k, struct bytes text, const struct source *s,
			      struct why *w)
{
	const int shown = text.n < SHOWN_MAX ? (int)text.n : SHOWN_MAX;
	for (int64_t i = 0; config_key_choice(k, i).p != NULL; i++) {
		if (bytes_equal(config_key_choice(k, i), text)) {
			config_put_number(c, k, i);
			return ERR_OK;
		}
	}
	return config_fault(w, s, "%s must be one of %s, not \"%.*s\"", k->name, k->text, shown, (const char *)text.p);
}

static enum err assign_text(struct config *c, const struct key *k, struct bytes text, const struct source *s,
			    struct why *w)
{
	if (text.n > (uint64_t)k->hi)
		return config_fault(w, s, "%s is %zu bytes long, and at most %" PRId64 " are allowed", k->name, text.n,
				    k->hi);
	char *copy = strndup((const char *)text.p, text.n);
	if (copy == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the value of %s", k->name);
	char **slot = member(c, k);
	free(*slot);
	*slot = copy;
	return ERR_OK;
}

enum err config_assign(struct config *c, const struct key *k, struct bytes text, const struct source *s, struct why *w)
{
	if (text.n > CONFIG_VALUE_MAX)
		return config_fault(w, s, "the value of %s is %zu bytes long, and at most %d are allowed", k->name,
				    text.n, (int)CONFIG_VALUE_MAX);
	const char *fault = config_text_fault(text, false);
	if (fault != NULL)
		return config_fault(w, s, "the value of %s holds %s", k->name, fault);
	if (k->type == KEY_STR || k->type == KEY_PATH)
		return assign_text(c, k, text, s, w);
	if (k->type == KEY_ENUM)
		return assign_choice(c, k, text, s, w);
	return assign_number(c, k, text, s, w);
}
