/* real.c - doubles from decimals, and the shortest decimals of doubles.
 *
 * Both multiply by a power of ten that is known to 128 bits. Reading decides by the first 128 bits of the product,
 * unless they do not tell: Michael Eisel's and Daniel Lemire's method ("Number parsing at a gigabyte per second",
 * 2021), but with powers that are rounded up. Writing is Raffaele Giulietti's ("The Schubfach way to render doubles",
 * 2021).
 */
#include "number.h"

#include <string.h>

enum { BITS = 53, BIAS = 1075, EXPONENT_MAX = 2046 }; /* a double is an integer of 53 bits times 2^(exponent - 1075) */

__extension__ typedef unsigned __int128 wide;

static const struct number_power *power(int e)
{
	return &number_powers[e - NUMBER_POWER_MIN];
}

/* Of e * log2(10) what is whole, rounded down; and of e * log10(2), respectively of log10(2^e * 3/4). Each is right for
 * all exponents that occur. */
static int floor_log2_pow10(int e)
{
	return (e * 1741647) >> 19;
}

static int floor_log10_pow2(int e, bool three_quarters)
{
	return (e * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

bool number_nearest(uint64_t digits, int64_t exponent, double *out)
{
	if (exponent < NUMBER_POWER_MIN || exponent > NUMBER_POWER_MAX)
		return false;
	const int e = (int)exponent, zeros = __builtin_clzll(digits);
	const struct number_power *g = power(e);
	digits <<= zeros;
	/* The power is less than 1 too large and its product is cut off, so this is less than 1 from what it should be,
	 * on either side: all that this leaves open is what lies on the border between two doubles. */
	const wide product = (wide)digits * g->high + (uint64_t)((wide)digits * g->low >> 64);
	const int drop = 128 - BITS - (product >> 127 == 0);
	const wide half = (wide)1 << (drop - 1), rest = product & (2 * half - 1);
	if (rest == half)
		return false;
	const uint64_t bits = (uint64_t)(product >> drop) + (rest > half);
	const int biased = floor_log2_pow10(e) - 63 - zeros + drop + BIAS;
	if (biased < 1 || biased + (bits >> BITS != 0) > EXPONENT_MAX)
		return false;
	/* The first bit is implied by the exponent; one bit more makes the exponent one more. */
	const uint64_t image = ((uint64_t)(biased - 1) << (BITS - 1)) + bits;
	memcpy(out, &image, sizeof image);
	return true;
}

/* v times the power, so that all that is cut off shows in the last bit. */
static uint64_t round_to_odd(const struct number_power *g, uint64_t v)
{
	const wide low = (wide)g->low * v, product = (wide)g->high * v + (uint64_t)(low >> 64);
	return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

static void strip(struct decimal *d)
{
	while (d->digits % 10 == 0) {
		d->digits /= 10;
		d->exponent++;
	}
}

void number_shortest(double v, struct decimal *d)
{
	uint64_t image;
	memcpy(&image, &v, sizeof image);
	const uint64_t hidden = (uint64_t)1 << (BITS - 1), fraction = image & (hidden - 1);
	const int biased = (int)(image >> (BITS - 1));
	const uint64_t c = biased != 0 ? hidden | fraction : fraction;
	const int q = (biased != 0 ? biased : 1) - BIAS;

	/* All that is read as v lies between `lower` and `upper`, in quarters of the last digit that may be needed; a v
	 * whose last bit is 0 gets what lies on the border. Under a power of two the next double is closer. */
	const bool closer = fraction == 0 && biased > 1, open = (c & 1) != 0;
	const int k = floor_log10_pow2(q, closer), shift = q + floor_log2_pow10(-k) + 1;
	const struct number_power *g = power(-k);
	const uint64_t lower = round_to_odd(g, (4 * c - 2 + closer) << shift) + open;
	const uint64_t middle = round_to_odd(g, 4 * c << shift);
	const uint64_t upper = round_to_odd(g, (4 * c + 2) << shift) - open;

	const uint64_t below = middle / 4, tens = below / 10;
	const bool tens_below = lower <= 40 * tens, tens_above = 40 * tens + 40 <= upper;
	const bool in_below = lower <= 4 * below, in_above = 4 * below + 4 <= upper;
	d->exponent = k;
	if (below >= 10 && tens_below != tens_above) {
		d->digits = tens + tens_above;
		d->exponent++;
	} else if (in_below != in_above) {
		d->digits = below + in_above;
	} else {
		const uint64_t tie = 4 * below + 2;
		d->digits = below + (middle > tie || (middle == tie && (below & 1) != 0));
	}
	strip(d);
}
