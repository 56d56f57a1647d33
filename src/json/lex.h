/* lex.h - the tokens of a JSON text, for the files of this folder.
 *
 * jansson's own reader is not used: when an allocation fails while it gathers a token, it goes on and then reads and
 * writes behind its buffer; it skips a NUL byte behind a number or a word; and it takes the text byte by byte. The
 * values are jansson's, reading them is done here.
 */
#ifndef ATTESTD_JSON_LEX_H
#define ATTESTD_JSON_LEX_H

#include "values.h"

struct lex {
	struct bytes text;
	size_t at;	   /* the next byte to be read */
	struct buf key;	   /* a name, resp. a string or a long number, that is not in the text as it is */
	struct buf string; /* apart, because a name is needed until its value has been read */
	struct why *why;
};

/* A told ERR_INVALID that begins with the line and column of text.p[at]. */
enum err lex_fault(const struct lex *l, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for whatever is at l->at: what stands there instead of what was expected. */
enum err lex_unexpected(const struct lex *l, const char *expected);

void lex_space(struct lex *l);
int lex_peek(const struct lex *l); /* the next byte, -1 at the end */

/* At an opening quote. *out points into the text, or into `into` when there were escapes. */
enum err lex_string(struct lex *l, struct buf *into, struct bytes *out) MUST_USE;
/* At a digit or a minus sign. */
enum err lex_number(struct lex *l, json_t **out) MUST_USE;
/* At a letter. */
enum err lex_word(struct lex *l, json_t **out) MUST_USE;

#endif
