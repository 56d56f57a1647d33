/* der.c - DER (X.690), element by element. OpenSSL's readers take BER as well, which gives one thing many spellings. */
#include "internal.h"

#include <string.h>

#include "base/encode.h"

enum {
	CONSTRUCTED = 0x20,
	CLASS_AND_NUMBER = 0xdf,
	CLASS = 0xc0,
	NUMBER = 0x1f,
	DEPTH_MAX = 12, /* genuine certificates need 6 */
};

struct element {
	uint8_t tag;
	struct bytes all, content;
};

/* Lengths are below 64 KiB, which every caller's limit ensures. */
static bool next(struct bytes *in, struct element *out)
{
	size_t head = 2, n;

	if (in->n < 2 || (in->p[0] & NUMBER) == NUMBER)
		return false;
	n = in->p[1];
	if (n == 0x81 && in->n >= 3 && in->p[2] >= 0x80) {
		head = 3;
		n = in->p[2];
	} else if (n == 0x82 && in->n >= 4 && in->p[2] != 0) {
		head = 4;
		n = (size_t)in->p[2] << 8 | in->p[3];
	} else if (n >= 0x80) {
		return false;
	}
	if (n > in->n - head)
		return false;
	*out = (struct element){in->p[0], bytes_of(in->p, head + n), bytes_of(in->p + head, n)};
	*in = bytes_of(in->p + head + n, in->n - head - n);
	return true;
}

bool der_take(struct bytes *in, uint8_t tag, struct bytes *content)
{
	struct bytes rest = *in;
	struct element e;

	if (!next(&rest, &e) || e.tag != tag)
		return false;
	*content = e.content;
	*in = rest;
	return true;
}

static bool integer(struct bytes v)
{
	if (v.n == 0)
		return false;
	return v.n == 1 || (v.p[0] != 0x00 && v.p[0] != 0xff) || (v.p[0] ^ v.p[1]) >= 0x80;
}

static bool bit_string(struct bytes v)
{
	if (v.n == 0 || v.p[0] > 7 || (v.n == 1 && v.p[0] > 0))
		return false;
	return (v.p[v.n - 1] & ((1u << v.p[0]) - 1)) == 0 || v.n == 1;
}

/* Arcs in groups of seven bits, the last of each without the top bit, none with a leading zero group. */
static bool object_identifier(struct bytes v)
{
	bool first = true;

	for (size_t i = 0; i < v.n; i++) {
		if (first && v.p[i] == 0x80)
			return false;
		first = v.p[i] < 0x80;
	}
	return v.n > 0 && first;
}

/* The forms that DER leaves of the universal types; of text only UTF-8 is looked into. */
static bool primitive(const struct element *e)
{
	switch (e->tag) {
	case DER_BOOLEAN:
		return e->content.n == 1 && (e->content.p[0] == 0x00 || e->content.p[0] == 0xff);
	case DER_INTEGER:
		return integer(e->content);
	case DER_BIT_STRING:
		return bit_string(e->content);
	case DER_OID:
		return object_identifier(e->content);
	case DER_UTF8:
		return utf8_valid(e->content);
	case 0x00:
	case DER_SEQUENCE &CLASS_AND_NUMBER:
	case DER_SET &CLASS_AND_NUMBER:
		return false;
	default:
		return true;
	}
}

/* DER sorts what is in a SET OF. */
static bool sorted(struct bytes before, struct bytes after)
{
	int c = before.n == 0 ? 0 : memcmp(before.p, after.p, before.n < after.n ? before.n : after.n);

	return c < 0 || (c == 0 && before.n <= after.n);
}

static bool strict(struct bytes in, bool set, int depth)
{
	struct bytes before = bytes_of(NULL, 0);

	if (depth == 0)
		return false;
	while (in.n > 0) {
		struct element e;

		if (!next(&in, &e) || (set && !sorted(before, e.all)))
			return false;
		before = e.all;
		if ((e.tag & CONSTRUCTED) == 0) {
			if (!primitive(&e))
				return false;
		} else if (((e.tag & CLASS) == 0 && e.tag != DER_SEQUENCE && e.tag != DER_SET) ||
			   !strict(e.content, e.tag == DER_SET, depth - 1)) {
			return false;
		}
	}
	return true;
}

bool der_strict(struct bytes in)
{
	return strict(in, false, DEPTH_MAX);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March so that leap days come last. */
static int64_t days(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;

	return (int64_t)365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int days_in(int year, int month)
{
	return (int)(month == 12 ? 31 : days(year, month + 1, 1) - days(year, month, 1));
}

/* RFC 5280 section 4.1.2.5: UTCTime before 2050, GeneralizedTime from then on, both with seconds and Z. */
bool der_time(struct bytes *in, int64_t *unix_s)
{
	struct bytes rest = *in, v;
	int pair[7] = {0}, n = 0; /* YYYY MM DD hh mm ss, two digits each */
	bool utc = der_take(&rest, DER_UTC_TIME, &v);

	if (!utc && !der_take(&rest, DER_GENERALIZED_TIME, &v))
		return false;
	if (v.n != (utc ? 13 : 15) || v.p[v.n - 1] != 'Z')
		return false;
	if (utc)
		pair[n++] = v.p[0] >= '5' ? 19 : 20;
	for (size_t i = 0; i + 1 < v.n; i += 2) {
		if (v.p[i] < '0' || v.p[i] > '9' || v.p[i + 1] < '0' || v.p[i + 1] > '9')
			return false;
		pair[n++] = (v.p[i] - '0') * 10 + v.p[i + 1] - '0';
	}
	int year = pair[0] * 100 + pair[1], month = pair[2], day = pair[3];

	if ((!utc && year < 2050) || month < 1 || month > 12 || day < 1 || day > days_in(year, month) || pair[4] > 23 ||
	    pair[5] > 59 || pair[6] > 59)
		return false;
	*unix_s = days(year, month, day) * 86400 + pair[4] * 3600 + pair[5] * 60 + pair[6];
	*in = rest;
	return true;
}
