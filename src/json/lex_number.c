/* lex_number.c - the numbers of a JSON text. */
#include "lex.h"

#include <math.h>
#include <stdlib.h>

enum {
	NUMBER_SHORT = 64,
	DIGITS_KEPT = 19,    /* fit into 64 bits, whichever they are */
	DIGITS_INTEGER = 18, /* the same with a sign */
};
/* With at most 15 digits a decimal is the shortest of its double, where doubles have all of their bits. */
static const uint64_t plain_below = 1000000000000000;
enum { PLAIN_MIN = -307, PLAIN_MAX = 292 };
static const int64_t exponent_large = 1000000000000;

struct number {
	size_t begin;
	uint64_t digits;	/* the first DIGITS_KEPT at least, unless 0 */
	size_t whole, fraction; /* how many digits there are in front of the point and behind it */
	int64_t exponent;	/* as written */
	bool negative;
};

/* Goes over digits, adds them to *value (which may overflow), and returns how many there were. */
static size_t take_digits(struct lex *l, uint64_t *value)
{
	const uint8_t *const begin = l->text.p + l->at, *const end = l->text.p + l->text.n, *p = begin;
	uint64_t v = *value;
	for (; p < end && lex_is_digit(*p); p++)
		v = v * 10 + (*p - (unsigned)'0');
	*value = v;
	l->at += (size_t)(p - begin);
	return (size_t)(p - begin);
}

static enum err take_exponent(struct lex *l, int64_t *exponent)
{
	int64_t v = 0;
	l->at++;
	const bool negative = lex_peek(l) == '-';
	if (negative || lex_peek(l) == '+')
		l->at++;
	if (!lex_is_digit(lex_peek(l)))
		return lex_unexpected(l, "a digit");
	for (; lex_is_digit(lex_peek(l)); l->at++)
		if (v < exponent_large)
			v = v * 10 + (lex_peek(l) - '0');
	*exponent = negative ? -v : v;
	return ERR_OK;
}

static struct bytes text_of(const struct lex *l, const struct number *n)
{
	return bytes_of(l->text.p + n->begin, l->at - n->begin);
}

static enum err put_integer(struct lex *l, const struct number *n)
{
	const uint64_t most = (uint64_t)INT64_MAX + n->negative;
	uint64_t v = n->digits;
	if (n->whole > DIGITS_INTEGER) {
		const struct bytes text = text_of(l, n);
		v = 0;
		for (size_t i = n->negative; i < text.n; i++) {
			const unsigned d = text.p[i] - (unsigned)'0';
			if (v > (most - d) / 10)
				return lex_fault(l, n->begin, "the integer does not fit into 64 bits");
			v = v * 10 + d;
		}
	}
	/* -1 - (v - 1), because the least integer has no positive counterpart */
	l->to = tape_put_int(l->to, n->negative && v > 0 ? -1 - (int64_t)(v - 1) : (int64_t)v);
	return ERR_OK;
}

/* Whether all digits in front of the exponent are 0. */
static bool mantissa_zero(struct bytes text)
{
	for (size_t i = 0; i < text.n && (text.p[i] | 0x20) != 'e'; i++)
		if (text.p[i] >= '1' && text.p[i] <= '9')
			return false;
	return true;
}

static enum err read_strtod(struct lex *l, struct bytes text, double *out)
{
	char few[NUMBER_SHORT];
	const char *s = few;
	if (text.n < sizeof few) {
		memcpy(few, text.p, text.n);
		few[text.n] = '\0';
	} else {
		buf_reset(&l->number);
		buf_put_bytes(&l->number, text);
		s = buf_cstr(&l->number);
		if (s == NULL)
			return buf_check(&l->number, l->why);
	}
	*out = fabs(strtod(s, NULL));
	return ERR_OK;
}

static enum err put_real(struct lex *l, const struct number *n)
{
	struct decimal d = {.digits = n->digits, .negative = n->negative};
	const bool all = n->whole + n->fraction <= DIGITS_KEPT;
	int64_t exponent = n->exponent - (int64_t)n->fraction;
	double v = 0;
	for (; all && d.digits != 0 && d.digits % 10 == 0; exponent++)
		d.digits /= 10;
	if (all && d.digits < plain_below && exponent >= PLAIN_MIN && exponent <= PLAIN_MAX) {
		d.exponent = d.digits != 0 ? (int)exponent : 0;
		l->to = tape_put_real(l->to, &d);
		return ERR_OK;
	}
	const bool zero = all ? d.digits == 0 : mantissa_zero(text_of(l, n));
	if (!zero && !(all && number_nearest(d.digits, exponent, &v))) {
		const enum err e = read_strtod(l, text_of(l, n), &v);
		if (e != ERR_OK)
			return e;
		if (!isfinite(v))
			return lex_fault(l, n->begin, "the number is too large for a double");
		if (v == 0)
			return lex_fault(l, n->begin, "the number is too close to zero for a double");
	}
	d.digits = 0;
	if (!zero)
		number_shortest(v, &d);
	l->to = tape_put_real(l->to, &d);
	return ERR_OK;
}

enum err lex_number(struct lex *l)
{
	struct number n = {.begin = l->at, .negative = lex_peek(l) == '-'};
	l->at += n.negative;
	const bool zero = lex_peek(l) == '0';
	n.whole = take_digits(l, &n.digits);
	if (n.whole == 0)
		return lex_unexpected(l, "a digit");
	if (zero && n.whole > 1)
		return lex_fault(l, n.begin, "a number must not begin with a superfluous 0");
	bool real = false;
	if (lex_peek(l) == '.') {
		real = true;
		l->at++;
		n.fraction = take_digits(l, &n.digits);
		if (n.fraction == 0)
			return lex_unexpected(l, "a digit");
	}
	if (lex_peek(l) == 'e' || lex_peek(l) == 'E') {
		real = true;
		const enum err e = take_exponent(l, &n.exponent);
		if (e != ERR_OK)
			return e;
	}
	return real ? put_real(l, &n) : put_integer(l, &n);
}
