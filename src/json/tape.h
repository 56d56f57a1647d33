/* tape.h - how a document lies in memory, for the files of this folder.
 *
 * It is one piece of memory: words of 32 bits, in which the values follow each other as in the text. A value's first
 * word says in its low two bits what the value is:
 *
 *   atom    the next three bits say which (enum tape_atom); above them a small integer itself, or a real's sign and
 *           exponent, whose digits are in the next word or two; a large integer is in the next two
 *   string  the number of its bytes, which come next
 *   array   the number of words that its elements take, which come next
 *   object  the number of words that come next. Unless it is empty these are: a word with twice the number of members,
 *           plus one if an order follows; the members, each a string and a value; and the order: for each name, in
 *           order, the distance of its string from the object. It is there if the members are not in that order, or
 *           are so many that a name should not be looked for one by one (TAPE_WIDE)
 *
 * What has been read of a text takes at most TAPE_SPARE words more than it has bytes: nothing takes more than its bytes
 * but an opening brace, which takes two words (`{`, or `[[[{`). A name takes two words less than its bytes and its
 * colon, one of them for the brace, one for its place in the order; and `{}` takes one. A whole text takes at most
 * three bytes of memory for each of its own, and one more: {"b":0,"a":{"b":0,"a":...0}}.
 */
#ifndef ATTESTD_JSON_TAPE_H
#define ATTESTD_JSON_TAPE_H

#include <string.h>

#include "json.h"
#include "number.h"

struct json_value {
	uint32_t word;
};

struct json {
	size_t size; /* bytes of memory, of which few may ever be touched */
	size_t n;    /* words */
	struct json_value root[];
};

enum tape_kind { TAPE_ATOM, TAPE_STRING, TAPE_ARRAY, TAPE_OBJECT };
enum tape_atom { ATOM_NULL, ATOM_FALSE, ATOM_TRUE, ATOM_INT, ATOM_LONG, ATOM_REAL, ATOM_LONG_REAL };
enum {
	TAPE_WIDE = 64,
	TAPE_KIND_BITS = 2,
	TAPE_ATOM_BITS = 5,	      /* the kind's and the atom's */
	TAPE_INT_MAX = (1 << 26) - 1, /* fits above them; and so does what is one further below 0 */
	TAPE_SPARE = 1,		      /* words that a text may take beyond its bytes */
};

static inline enum tape_kind tape_kind(const struct json_value *v)
{
	return v->word & 3;
}

static inline enum tape_atom tape_atom(const struct json_value *v)
{
	return v->word >> TAPE_KIND_BITS & 7;
}

static inline size_t tape_count(const struct json_value *v)
{
	return v->word >> TAPE_KIND_BITS;
}

static inline struct bytes tape_string(const struct json_value *v)
{
	return (struct bytes){(const uint8_t *)(v + 1), tape_count(v)};
}

/* Behind the value. */
static inline const struct json_value *tape_end(const struct json_value *v)
{
	static const uint8_t more[8] = {[ATOM_LONG] = 2, [ATOM_REAL] = 1, [ATOM_LONG_REAL] = 2};
	switch (tape_kind(v)) {
	case TAPE_ATOM:
		return v + 1 + more[tape_atom(v)];
	case TAPE_STRING:
		return v + 1 + (tape_count(v) + sizeof *v - 1) / sizeof *v;
	case TAPE_ARRAY:
	case TAPE_OBJECT:
		break;
	}
	return v + 1 + tape_count(v);
}

static inline size_t tape_members(const struct json_value *object)
{
	return tape_count(object) == 0 ? 0 : object[1].word >> 1;
}

/* The names in order; NULL if the members are, and are few. */
static inline const struct json_value *tape_order(const struct json_value *object)
{
	return tape_count(object) != 0 && (object[1].word & 1) != 0 ? tape_end(object) - tape_members(object) : NULL;
}

/* The first element, or the first member's name; and behind the last. */
static inline const struct json_value *tape_first(const struct json_value *v)
{
	return tape_kind(v) == TAPE_OBJECT && tape_count(v) != 0 ? v + 2 : v + 1;
}

static inline const struct json_value *tape_last(const struct json_value *v)
{
	const struct json_value *order = tape_kind(v) == TAPE_OBJECT ? tape_order(v) : NULL;
	return order != NULL ? order : tape_end(v);
}

static inline int64_t tape_int(const struct json_value *v)
{
	int64_t x;
	if (tape_atom(v) == ATOM_INT)
		return (int32_t)v->word >> TAPE_ATOM_BITS;
	memcpy(&x, v + 1, sizeof x);
	return x;
}

static inline struct decimal tape_real(const struct json_value *v)
{
	struct decimal d = {.digits = v[1].word, .exponent = (int32_t)v->word >> (TAPE_ATOM_BITS + 1)};
	d.negative = (v->word >> TAPE_ATOM_BITS & 1) != 0;
	if (tape_atom(v) == ATOM_LONG_REAL)
		memcpy(&d.digits, v + 1, sizeof d.digits);
	return d;
}

/* These write a value and return where the next one goes. */
static inline struct json_value *tape_put_atom(struct json_value *to, enum tape_atom a)
{
	to->word = TAPE_ATOM | (uint32_t)a << TAPE_KIND_BITS;
	return to + 1;
}

static inline struct json_value *tape_put_int(struct json_value *to, int64_t x)
{
	if (x < -TAPE_INT_MAX - 1 || x > TAPE_INT_MAX) {
		(void)tape_put_atom(to, ATOM_LONG);
		memcpy(to + 1, &x, sizeof x);
		return to + 3;
	}
	(void)tape_put_atom(to, ATOM_INT);
	to->word |= (uint32_t)x << TAPE_ATOM_BITS;
	return to + 1;
}

static inline struct json_value *tape_put_real(struct json_value *to, const struct decimal *d)
{
	const bool fits = d->digits <= UINT32_MAX;
	(void)tape_put_atom(to, fits ? ATOM_REAL : ATOM_LONG_REAL);
	to->word |= (uint32_t)d->negative << TAPE_ATOM_BITS | (uint32_t)d->exponent << (TAPE_ATOM_BITS + 1);
	if (fits)
		to[1].word = (uint32_t)d->digits;
	else
		memcpy(to + 1, &d->digits, sizeof d->digits);
	return to + (fits ? 2 : 3);
}

/* ---- order.c ---- */

/* Less than, equal to or greater than 0. The names are the same up to `depth`. */
int order_compare(struct bytes a, struct bytes b, size_t depth);
/* Puts the n names of an object, each given as its distance from it, in order; true if two are the same. */
bool order_names(const struct json_value *object, struct json_value *names, size_t n);
/* Of names in order, the first in the text that was there before; 0 if there is none. */
uint32_t order_repeated(const struct json_value *object, const struct json_value *names, size_t n);

#endif
