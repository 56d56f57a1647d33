/* scan.h - finding what is not plain in a string, eight bytes at a time; for the files of this folder. */
#ifndef ATTESTD_JSON_SCAN_H
#define ATTESTD_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool scan_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Non-zero when one of eight bytes is not plain. Bytes of 0x80 and more set their own top bit, so a borrow or carry out
 * of a byte can only come from one that is reported anyway. */
static inline uint64_t scan_special(const uint8_t *p)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t x;
	memcpy(&x, p, sizeof x);
	return (x | (x + ones) | (x - 0x20 * ones) | ((x ^ '"' * ones) - ones) | ((x ^ '\\' * ones) - ones)) &
	       0x80 * ones;
}

/* How many bytes at the start are printable ASCII and neither `"` nor `\`. */
static inline size_t scan_run(const uint8_t *p, size_t n)
{
	size_t i = 0;
	while (n - i >= 32 && (scan_special(p + i) | scan_special(p + i + 8) | scan_special(p + i + 16) |
			       scan_special(p + i + 24)) == 0)
		i += 32;
	while (n - i >= 8 && scan_special(p + i) == 0)
		i += 8;
	while (i < n && scan_plain(p[i]))
		i++;
	return i;
}

#endif
