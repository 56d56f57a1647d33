/* scan.h - going through a string's characters, for the files of this folder. */
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

/* Length (1-4) and code point of the well-formed UTF-8 (RFC 3629) at the start of p[0..n); 0 if none. */
static inline size_t scan_utf8(const uint8_t *p, size_t n, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;
	uint32_t c;

	if (n == 0)
		return 0;
	len = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
	if (len == 0 || len > n)
		return 0;
	c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*cp = c;
	return len;
}

#endif
