/* number.h - numbers as text, and decimals as doubles and back, for the files of this folder. */
#ifndef ATTESTD_JSON_NUMBER_H
#define ATTESTD_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT_MAX = 32 };

/* A finite double as digits times ten to the power of the exponent, without zeros at the end of the digits. */
struct decimal {
	uint64_t digits;
	int exponent;
	bool negative;
};

/* Both write at most NUMBER_TEXT_MAX bytes and return how many; no NUL is written. */
size_t number_int(int64_t v, char *out);
/* As Python's repr() writes the double. d has at most 17 digits. */
size_t number_real(const struct decimal *d, char *out);

/* The shortest digits that read back as v, and of those the closest to it. v is finite and greater than 0. */
void number_shortest(double v, struct decimal *d);
/* The double that is nearest to digits times ten to the power of exponent. False where that takes more thought: strtod
 * is for the few such. digits is not 0. */
bool number_nearest(uint64_t digits, int64_t exponent, double *out);

/* ---- powers.c ---- */

enum { NUMBER_POWER_MIN = -326, NUMBER_POWER_MAX = 324 };
struct number_power {
	uint64_t high, low;
};
extern const struct number_power number_powers[NUMBER_POWER_MAX - NUMBER_POWER_MIN + 1]; /* of NUMBER_POWER_MIN first */

#endif
