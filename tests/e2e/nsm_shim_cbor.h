/* nsm_shim_cbor.h - the CBOR of nsm_shim.c: as much of it as the NSM's requests and replies need. */
#ifndef NSM_SHIM_CBOR_H
#define NSM_SHIM_CBOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { REPLY_MAX = 16 * 1024, FIELD_MAX = 1024 };
enum { CBOR_UINT = 0, CBOR_BYTES = 2, CBOR_TEXT = 3, CBOR_ARRAY = 4, CBOR_MAP = 5, CBOR_SIMPLE = 7 };
enum { SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

struct out {
	uint8_t b[REPLY_MAX];
	size_t n;
};

static void put_raw(struct out *o, const void *p, size_t n)
{
	if (n > sizeof o->b - o->n)
		abort();
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static void put_head(struct out *o, unsigned major, uint64_t v)
{
	const unsigned size = v < 24 ? 0 : v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
	const unsigned code = size == 0 ? (unsigned)v : 23 + (unsigned)__builtin_ffs((int)size);
	const uint8_t first = (uint8_t)(major << 5 | code);
	put_raw(o, &first, 1);
	for (unsigned left = size; left > 0; left--) {
		const uint8_t byte = (uint8_t)(v >> (left - 1) * 8);
		put_raw(o, &byte, 1);
	}
}

static void put_bytes(struct out *o, const void *p, size_t n)
{
	put_head(o, CBOR_BYTES, n);
	put_raw(o, p, n);
}

static void put_text(struct out *o, const char *s)
{
	put_head(o, CBOR_TEXT, strlen(s));
	put_raw(o, s, strlen(s));
}

static void put_number(struct out *o, const char *name, uint64_t v)
{
	put_text(o, name);
	put_head(o, CBOR_UINT, v);
}

/* What is read must be exactly what the NSM takes: else `bad`, and the rest reads as nothing. */
struct in {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static uint64_t take_head(struct in *in, unsigned major)
{
	const unsigned code = in->n > 0 ? in->p[0] & 31u : 0;
	const size_t size = code < 24 ? 0 : code < 28 ? (size_t)1 << (code - 24) : SIZE_MAX - 1;
	if (in->bad || in->n < 1 + size || in->p[0] >> 5 != major) {
		in->bad = true;
		return 0;
	}
	uint64_t v = size == 0 ? code : 0;
	for (size_t i = 1; i <= size; i++)
		v = v << 8 | in->p[i];
	in->p += 1 + size;
	in->n -= 1 + size;
	return v;
}

struct field {
	uint8_t b[FIELD_MAX];
	size_t n;
	bool null;
};

static void take_string(struct in *in, unsigned major, struct field *f)
{
	const uint64_t n = take_head(in, major);
	in->bad = in->bad || n > in->n || n > sizeof f->b;
	if (in->bad)
		return;
	*f = (struct field){.n = (size_t)n};
	memcpy(f->b, in->p, f->n);
	in->p += n;
	in->n -= f->n;
}

static void take_optional(struct in *in, struct field *f)
{
	if (in->n == 0 || in->p[0] >> 5 != CBOR_SIMPLE) {
		take_string(in, CBOR_BYTES, f);
		return;
	}
	in->bad = in->bad || take_head(in, CBOR_SIMPLE) != SIMPLE_NULL;
	f->null = true;
}

static void expect(struct in *in, const char *text)
{
	struct field f = {.n = 0};
	take_string(in, CBOR_TEXT, &f);
	in->bad = in->bad || f.n != strlen(text) || memcmp(f.b, text, f.n) != 0;
}

#endif
