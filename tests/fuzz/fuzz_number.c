/* A double, and a decimal: ours against the C library's. The first eight bytes are the double, the next eight the
 * decimal's digits, two its exponent. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DIGITS_MAX = 17, E_TEXT_MAX = 48 };

static void must(bool good)
{
	if (!good)
		abort();
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

/* As %e writes it. */
static void shortest(double v, char text[E_TEXT_MAX])
{
	for (int n = 1; n < DIGITS_MAX; n++) {
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

static void check_double(double v)
{
	char text[E_TEXT_MAX], digits[E_TEXT_MAX], want[E_TEXT_MAX];
	struct decimal d = {.digits = 0};
	size_t n = 0;

	number_shortest(v, &d);
	shortest(v, text);
	for (const char *p = text; *p != 'e'; p++)
		if (*p != '.')
			want[n++] = *p;
	const long first = strtol(strchr(text, 'e') + 1, NULL, 10); /* the first digit's exponent */
	while (n > 1 && want[n - 1] == '0')
		n--;
	want[n] = '\0';
	(void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)d.digits);
	must(strcmp(digits, want) == 0 && d.exponent == first - (long)n + 1);

	char out[NUMBER_TEXT_MAX + 1];
	out[number_real(&d, out)] = '\0';
	must(strtod(out, NULL) == v);
	d.negative = true;
	out[number_real(&d, out)] = '\0';
	must(strtod(out, NULL) == -v);

	double again = 0;
	must(!number_nearest(d.digits, d.exponent, &again) || again == v);
}

static void check_decimal(uint64_t digits, int16_t exponent)
{
	char text[E_TEXT_MAX];
	double v;

	(void)snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
	if (number_nearest(digits, exponent, &v))
		must(v == strtod(text, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	double v;
	uint64_t digits;
	int16_t exponent;

	if (size < sizeof v + sizeof digits + sizeof exponent)
		return 0;
	memcpy(&v, data, sizeof v);
	memcpy(&digits, data + sizeof v, sizeof digits);
	memcpy(&exponent, data + sizeof v + sizeof digits, sizeof exponent);
	if (isfinite(v) && v != 0)
		check_double(fabs(v));
	if (digits != 0) {
		check_decimal(digits, exponent);
		check_decimal(digits, exponent % 350);
	}
	return 0;
}
