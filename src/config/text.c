/* text.c - a configuration file, line by line. */
#include "keys.h"

#include <string.h>

/* How much of an unknown key is shown back. */
enum { SHOWN_MAX = 64 };

static bool blank(uint8_t b)
{
	return b == ' ' || b == '\t';
}

static struct bytes trim(struct bytes t)
{
	while (t.n > 0 && blank(t.p[0])) {
		t.p++;
		t.n--;
	}
	while (t.n > 0 && blank(t.p[t.n - 1]))
		t.n--;
	return t;
}

static enum err check_line(struct bytes line, const struct source *s, struct why *w)
{
	if (line.n > CONFIG_LINE_MAX)
		return config_fault(w, s, "the line is %zu bytes long, and at most %d are allowed", line.n,
				    (int)CONFIG_LINE_MAX);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		return config_fault(w, s, "the line ends in CR LF; save the file with LF line ends");
	if (s->line == 1 && line.n >= 3 && memcmp(line.p, "\xef\xbb\xbf", 3) == 0)
		return config_fault(w, s, "the file begins with a byte-order mark; save it as UTF-8 without one");
	const char *fault = config_text_fault(line, true);
	if (fault != NULL)
		return config_fault(w, s, "the line holds %s", fault);
	return ERR_OK;
}

/* in begins with a double quote. out has room for in.n bytes. */
static enum err unquote(struct bytes in, struct buf *out, const struct source *s, struct why *w)
{
	size_t i = 1;

	for (; i < in.n && in.p[i] != '"'; i++) {
		if (in.p[i] == '\\') {
			i++;
			if (i == in.n || (in.p[i] != '"' && in.p[i] != '\\'))
				return config_fault(w, s, "between double quotes a \\ stands only before \" or \\");
		}
		buf_put_u8(out, in.p[i]);
	}
	if (i == in.n)
		return config_fault(w, s, "the value lacks its closing double quote");
	if (i + 1 != in.n)
		return config_fault(w, s,
				    "something follows the closing double quote; a comment needs a line of its own");
	return buf_check(out, w);
}

static enum err unknown_key(struct bytes name, const struct source *s, struct why *w)
{
	const struct key *near = config_key_near(name);
	const int shown = name.n < SHOWN_MAX ? (int)name.n : SHOWN_MAX;
	if (near != NULL)
		return config_fault(w, s, "unknown key \"%.*s\" (did you mean \"%s\"?)", shown, (const char *)name.p,
				    near->name);
	return config_fault(w, s, "unknown key \"%.*s\"", shown, (const char *)name.p);
}

static enum err read_line(struct config *c, struct source from[KEY_COUNT], const struct source *s, struct bytes line,
			  struct why *w)
{
	struct buf plain = BUF_INIT(CONFIG_LINE_MAX);
	enum err e = check_line(line, s, w);
	if (e != ERR_OK)
		return e;
	line = trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return ERR_OK;
	const uint8_t *eq = memchr(line.p, '=', line.n);
	if (eq == NULL)
		return config_fault(w, s, "expected \"key = value\", or # before a comment");
	const struct bytes name = trim(bytes_of(line.p, (size_t)(eq - line.p)));
	const struct key *k = config_key_find(name);
	if (k == NULL)
		return unknown_key(name, s, w);
	if (from[k - config_keys].name != NULL)
		return config_fault(w, s, "%s was already set on line %u", k->name, from[k - config_keys].line);
	struct bytes value = trim(bytes_of(eq + 1, line.n - (size_t)(eq + 1 - line.p)));
	if (value.n > 0 && value.p[0] == '"') {
		e = unquote(value, &plain, s, w);
		if (e != ERR_OK)
			goto out;
		value = bytes_of(buf_cstr(&plain), plain.n);
	} else if (value.n > 0 && memchr(value.p, '#', value.n) != NULL) {
		/* It could be meant either way, so neither is guessed. */
		e = config_fault(
			w, s, "a comment needs a line of its own; a value with # in it needs double quotes around it");
		goto out;
	}
	e = config_assign(c, k, value, s, w);
	if (e == ERR_OK)
		from[k - config_keys] = *s;
out:
	buf_free(&plain);
	return e;
}

enum err config_read_text(struct config *c, struct source from[KEY_COUNT], const char *name, struct bytes text,
			  struct why *w)
{
	struct source s = {name, (int)strnlen(name, WHY_TEXT_MAX), 0};

	if (text.n > CONFIG_FILE_MAX)
		return config_fault(w, &s, "the file is larger than %d bytes", (int)CONFIG_FILE_MAX);
	while (text.n > 0) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		const size_t n = end != NULL ? (size_t)(end - text.p) : text.n, next = end != NULL ? n + 1 : n;

		s.line++;
		const enum err e = read_line(c, from, &s, bytes_of(text.p, n), w);
		if (e != ERR_OK)
			return e;
		text = bytes_of(text.p + next, text.n - next);
	}
	return ERR_OK;
}
