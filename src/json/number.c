/* number.c - numbers as text: integers, and reals as Python's repr() writes them. */
#include "number.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 20 };

/* Into the end of `out`; returns where they begin. */
static char *put_digits(uint64_t v, char out[DIGITS_MAX])
{
	static const char pairs[] =
		"00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
		"49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
		"9899";
	char *at = out + DIGITS_MAX;
	for (; v >= 100; v /= 100)
		memcpy(at -= 2, pairs + v % 100 * 2, 2);
	if (v >= 10)
		memcpy(at -= 2, pairs + v * 2, 2);
	else
		*--at = (char)('0' + v);
	return at;
}

size_t number_int(int64_t v, char *out)
{
	char text[DIGITS_MAX];
	const char *digits = put_digits(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, text);
	const size_t n = (size_t)(text + DIGITS_MAX - digits);
	*out = '-';
	out += v < 0;
	memcpy(out, digits, n);
	return n + (v < 0);
}

static size_t zeros(char *out, int n)
{
	memset(out, '0', (size_t)n);
	return (size_t)n;
}

size_t number_real(const struct decimal *d, char *out)
{
	char text[DIGITS_MAX];
	const char *digits = put_digits(d->digits, text);
	const int count = (int)(text + DIGITS_MAX - digits);
	const int point = count + d->exponent; /* the value is 0.d1d2d3... times ten to the power of this */
	size_t n = 0;
	if (d->negative)
		out[n++] = '-';
	if (point < -3 || point > 16) { /* where repr() changes to exponents */
		out[n++] = digits[0];
		if (count > 1) {
			out[n++] = '.';
			memcpy(out + n, digits + 1, (size_t)count - 1);
			n += (size_t)count - 1;
		}
		out[n++] = 'e';
		out[n++] = point > 0 ? '+' : '-';
		const int exponent = abs(point - 1);
		if (exponent < 10)
			out[n++] = '0';
		return n + number_int(exponent, out + n);
	}
	const int whole = point <= 0 ? 0 : point < count ? point : count;
	memcpy(out + n, digits, (size_t)whole);
	n += (size_t)whole;
	n += zeros(out + n, point <= 0 ? 1 : point - whole);
	out[n++] = '.';
	n += zeros(out + n, point < 0 ? -point : whole == count ? 1 : 0);
	memcpy(out + n, digits + whole, (size_t)(count - whole));
	return n + (size_t)(count - whole);
}
