#include "base/encode.h"

#include <string.h>

#include "base/utf8.h"

/* The tables are built by the compiler, so that there is nothing to initialise and they live in read-only pages. */
#define BAD UINT32_C(0x80000000)
#define SEXTET(c)                                                \
	((c) >= 'A' && (c) <= 'Z'   ? (uint32_t)((c) - 'A')      \
	 : (c) >= 'a' && (c) <= 'z' ? (uint32_t)((c) - 'a' + 26) \
	 : (c) >= '0' && (c) <= '9' ? (uint32_t)((c) - '0' + 52) \
	 : (c) == '+'		    ? UINT32_C(62)               \
	 : (c) == '/'		    ? UINT32_C(63)               \
				    : BAD)
#define NIBBLE(c)                                             \
	(uint8_t)((c) >= '0' && (c) <= '9'   ? (c) - '0'      \
		  : (c) >= 'a' && (c) <= 'f' ? (c) - 'a' + 10 \
		  : (c) >= 'A' && (c) <= 'F' ? (c) - 'A' + 10 \
					     : 0x80)
#define FOUR(F, c)	 F(c), F((c) + 1), F((c) + 2), F((c) + 3)
#define SIXTEEN(F, c)	 FOUR(F, c), FOUR(F, (c) + 4), FOUR(F, (c) + 8), FOUR(F, (c) + 12)
#define SIXTY_FOUR(F, c) SIXTEEN(F, c), SIXTEEN(F, (c) + 16), SIXTEEN(F, (c) + 32), SIXTEEN(F, (c) + 48)
#define ALL(F)		 SIXTY_FOUR(F, 0), SIXTY_FOUR(F, 64), SIXTY_FOUR(F, 128), SIXTY_FOUR(F, 192)
#define SHIFTED(c, by)	 (SEXTET(c) == BAD ? BAD : SEXTET(c) << (by))
#define FIRST(c)	 SHIFTED(c, 18)
#define SECOND(c)	 SHIFTED(c, 12)
#define THIRD(c)	 SHIFTED(c, 6)
#define FOURTH(c)	 SEXTET(c)

static const uint32_t sextets[4][256] = {{ALL(FIRST)}, {ALL(SECOND)}, {ALL(THIRD)}, {ALL(FOURTH)}};
static const uint8_t nibbles[256] = {ALL(NIBBLE)};

static const char hex_digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
static const char standard[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(struct bytes in, char *out)
{
	for (size_t i = 0; i < in.n; i++) {
		out[2 * i] = hex_digits[in.p[i] >> 4];
		out[2 * i + 1] = hex_digits[in.p[i] & 15];
	}
}

bool hex_decode(struct bytes in, uint8_t *out, size_t *n)
{
	*n = 0;
	if (in.n % 2 != 0)
		return false;
	uint8_t bad = 0;
	for (size_t i = 0; i < in.n / 2; i++) {
		const uint8_t high = nibbles[in.p[2 * i]], low = nibbles[in.p[2 * i + 1]];
		bad |= high | low;
		out[i] = (uint8_t)(high << 4 | low);
	}
	if ((bad & 0x80) != 0)
		return false;
	*n = in.n / 2;
	return true;
}

static uint32_t load24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* Writes the full groups of three bytes and returns how many bytes are left over (0-2). */
static size_t encode_groups(struct bytes in, const char digits[65], char **out)
{
	const uint8_t *p = in.p;
	char *to = *out;
	size_t n = in.n;

	for (; n >= 3; n -= 3, p += 3, to += 4) {
		const uint32_t v = load24(p);
		to[0] = digits[v >> 18];
		to[1] = digits[v >> 12 & 63];
		to[2] = digits[v >> 6 & 63];
		to[3] = digits[v & 63];
	}
	*out = to;
	return n;
}

static size_t encode_rest(const uint8_t *p, size_t n, const char digits[65], char *to)
{
	if (n == 0)
		return 0;
	to[0] = digits[p[0] >> 2];
	if (n == 1) {
		to[1] = digits[(p[0] & 3) << 4];
		return 2;
	}
	to[1] = digits[(p[0] & 3) << 4 | p[1] >> 4];
	to[2] = digits[(p[1] & 15) << 2];
	return 3;
}

void base64_encode(struct bytes in, char *out)
{
	size_t rest = encode_groups(in, standard, &out);
	size_t n = rest == 0 ? 4 : encode_rest(in.p + in.n - rest, rest, standard, out);

	for (; n < 4; n++)
		out[n] = '=';
}

void base64url_encode(struct bytes in, char *out)
{
	size_t rest = encode_groups(in, url_safe, &out);

	if (rest > 0)
		(void)encode_rest(in.p + in.n - rest, rest, url_safe, out);
}

static uint32_t quad(const uint8_t *p)
{
	return sextets[0][p[0]] | sextets[1][p[1]] | sextets[2][p[2]] | sextets[3][p[3]];
}

/* The last four characters, where padding may be: its unused bits must be zero, or one value had several spellings. */
static bool decode_last(const uint8_t p[4], uint8_t *out, size_t *n)
{
	size_t pad = p[3] != '=' ? 0 : p[2] != '=' ? 1 : 2;
	uint32_t v = sextets[0][p[0]] | sextets[1][p[1]];

	if (pad < 2)
		v |= sextets[2][p[2]];
	if (pad < 1)
		v |= sextets[3][p[3]];
	if ((v & BAD) != 0 || (v & ((UINT32_C(1) << 8 * pad) - 1)) != 0)
		return false;
	out[0] = (uint8_t)(v >> 16);
	if (pad < 2)
		out[1] = (uint8_t)(v >> 8);
	if (pad < 1)
		out[2] = (uint8_t)v;
	*n = 3 - pad;
	return true;
}

bool base64_decode(struct bytes in, uint8_t *out, size_t *n)
{
	const uint8_t *p = in.p;
	uint32_t bad = 0;
	size_t last = 0;

	*n = 0;
	if (in.n == 0)
		return true;
	if (in.n % 4 != 0)
		return false;
	for (size_t quads = in.n / 4 - 1; quads > 0; quads--, p += 4, out += 3) {
		const uint32_t v = quad(p);
		bad |= v;
		out[0] = (uint8_t)(v >> 16);
		out[1] = (uint8_t)(v >> 8);
		out[2] = (uint8_t)v;
	}
	if ((bad & BAD) != 0 || !decode_last(p, out, &last))
		return false;
	*n = (in.n / 4 - 1) * 3 + last;
	return true;
}

void buf_put_hex(struct buf *b, struct bytes in)
{
	size_t n = HEX_SIZE(in.n);
	uint8_t *to = in.n > SIZE_MAX / 2 ? NULL : buf_reserve(b, n);

	if (to == NULL) {
		b->failed = true;
		return;
	}
	hex_encode(in, (char *)to);
	b->n += n;
}

void buf_put_base64(struct buf *b, struct bytes in)
{
	size_t n = BASE64_SIZE(in.n);
	uint8_t *to = in.n > SIZE_MAX / 2 ? NULL : buf_reserve(b, n);

	if (to == NULL) {
		b->failed = true;
		return;
	}
	base64_encode(in, (char *)to);
	b->n += n;
}

void buf_put_plain(struct buf *b, struct bytes text)
{
	uint32_t cp;

	for (size_t i = 0, n; i < text.n; i += n) {
		n = utf8_next(text.p + i, text.n - i, &cp);
		if (n == 1 && cp >= ' ' && cp <= '~')
			buf_put_u8(b, text.p[i]);
		else if (n > 0)
			buf_printf(b, "\\u{%x}", (unsigned)cp);
		else
			buf_printf(b, "\\x%02x", text.p[i]);
		n += n == 0;
	}
}

char *text_mask(char *text)
{
	for (char *c = text; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return text;
}

bool utf8_valid(struct bytes in)
{
	const uint8_t *p = in.p;
	size_t n = in.n;

	while (n > 0) {
		uint64_t eight;
		uint32_t cp;
		size_t len;

		while (n >= sizeof eight) {
			memcpy(&eight, p, sizeof eight);
			if ((eight & UINT64_C(0x8080808080808080)) != 0)
				break;
			p += sizeof eight;
			n -= sizeof eight;
		}
		len = utf8_next(p, n, &cp);
		if (len == 0)
			return n == 0;
		p += len;
		n -= len;
	}
	return true;
}
