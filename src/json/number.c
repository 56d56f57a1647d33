/* number.c - numbers as text: integers, and reals as Python's repr() writes them. */
#include "number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 17, /* always enough for a double */ E_TEXT_MAX = 32 };

/* 0.d1d2d3... times ten to the power of `point` */
struct decimal {
	char digits[DIGITS_MAX];
	int n, point;
};

size_t number_int(int64_t v, char *out)
{
	char text[NUMBER_TEXT_MAX];
	size_t at = sizeof text;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	do
		text[--at] = (char)('0' + u % 10);
	while ((u /= 10) > 0);
	if (v < 0)
		text[--at] = '-';
	const size_t n = sizeof text - at;
	memcpy(out, text + at, n);
	return n;
}

/* The next decimal of as many digits; false if that would take one digit more. */
static bool step_up(char *text)
{
	for (char *p = strchr(text, 'e'); p-- > text;) {
		if (*p == '.')
			continue;
		if ((*p)++ != '9')
			return true;
		*p = '0';
	}
	return false;
}

/* v > 0; text gets it as %e writes it. */
static void shortest(double v, char text[E_TEXT_MAX])
{
	/* What has at most DBL_DIG digits is what rounding to DBL_DIG digits yields, but for the zeros at its end. That
	 * is not so below DBL_MIN, where doubles have fewer bits. */
	for (int n = v < DBL_MIN ? 1 : DBL_DIG; n < DIGITS_MAX; n++) {
		(void)snprintf(text, E_TEXT_MAX, "%.*e", n - 1, v);
		if (strtod(text, NULL) == v)
			return;
		/* The doubles under a power of two lie closer together than those over it, so that the decimal next
		 * above may still be read as v when the closest, below v, is not. */
		int unused;
		if (frexp(v, &unused) == 0.5 && step_up(text) && strtod(text, NULL) == v)
			return;
	}
	(void)snprintf(text, E_TEXT_MAX, "%.*e", DIGITS_MAX - 1, v);
}

static void take_apart(const char *text, struct decimal *d)
{
	d->n = 0;
	for (; *text != 'e'; text++)
		if (*text != '.')
			d->digits[d->n++] = *text;
	d->point = (int)strtol(text + 1, NULL, 10) + 1;
	while (d->n > 1 && d->digits[d->n - 1] == '0')
		d->n--;
}

static size_t zeros(char *out, int n)
{
	memset(out, '0', (size_t)n);
	return (size_t)n;
}

size_t number_real(double v, char *out)
{
	struct decimal d = {.digits = "0", .n = 1, .point = 1};
	size_t n = 0;
	if (signbit(v))
		out[n++] = '-';
	if (v != 0) {
		char text[E_TEXT_MAX];
		shortest(fabs(v), text);
		take_apart(text, &d);
	}
	if (d.point < -3 || d.point > 16) { /* where repr() changes to exponents */
		out[n++] = d.digits[0];
		if (d.n > 1) {
			out[n++] = '.';
			memcpy(out + n, d.digits + 1, (size_t)d.n - 1);
			n += (size_t)d.n - 1;
		}
		out[n++] = 'e';
		out[n++] = d.point > 0 ? '+' : '-';
		d.point = abs(d.point - 1);
		if (d.point < 10)
			out[n++] = '0';
		return n + number_int(d.point, out + n);
	}
	const int whole = d.point <= 0 ? 0 : d.point < d.n ? d.point : d.n;
	memcpy(out + n, d.digits, (size_t)whole);
	n += (size_t)whole;
	n += zeros(out + n, d.point <= 0 ? 1 : d.point - whole);
	out[n++] = '.';
	n += zeros(out + n, d.point < 0 ? -d.point : whole == d.n ? 1 : 0);
	memcpy(out + n, d.digits + whole, (size_t)(d.n - whole));
	return n + (size_t)(d.n - whole);
}
