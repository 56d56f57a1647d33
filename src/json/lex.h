/* lex.h - the tokens of a JSON text, for the files of this folder. */
#ifndef ATTESTD_JSON_LEX_H
#define ATTESTD_JSON_LEX_H

#include "tape.h"

struct lex {
	struct bytes text;
	size_t at;	       /* the next byte to be read */
	struct json_value *to; /* where the next value goes: behind the last whole one */
	size_t unfinished;     /* words there that a faulty string took */
	struct buf number;     /* one that is too long to be looked at elsewhere */
	struct why *why;
};

enum { JSON_SHOW_MAX = 40, JSON_SHOW_SIZE = JSON_SHOW_MAX + 4 };
/* Makes a piece of somebody's text fit for a message: at most JSON_SHOW_MAX printable characters, then "...". */
const char *json_show(struct bytes text, char out[JSON_SHOW_SIZE]);

/* A told ERR_INVALID that begins with the line and column of text.p[at]. */
enum err lex_fault(const struct lex *l, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for whatever is at l->at: what stands there instead of what was expected. */
enum err lex_unexpected(const struct lex *l, const char *expected);

static inline int lex_peek(const struct lex *l) /* the next byte, -1 at the end */
{
	return l->at < l->text.n ? l->text.p[l->at] : -1;
}

static inline void lex_space(struct lex *l)
{
	for (int c; (c = lex_peek(l)) == ' ' || c == '\n' || c == '\r' || c == '\t';)
		l->at++;
}

static inline bool lex_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* Each puts a value at l->to. This one is at an opening quote. */
enum err lex_string(struct lex *l) MUST_USE;
/* At a digit or a minus sign. */
enum err lex_number(struct lex *l) MUST_USE;
/* At a letter. */
enum err lex_word(struct lex *l) MUST_USE;

#endif
