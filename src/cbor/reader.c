/* reader.c - a pull reader over libcbor's push decoder: each look at the input decodes one head into a struct item. */
#include "cborio.h"

#include <cbor.h>

#include "base/encode.h"

enum { TAG_SHORT_FIRST = 0xc0, TAG_SHORT_LAST = 0xd7 };

struct item {
	enum cborio_kind kind;
	uint64_t value;	     /* the integer, tag, boolean, count or length */
	struct bytes string; /* of CBORIO_BYTES and CBORIO_TEXT */
	bool indefinite;
	const char *fault; /* of CBORIO_BAD */
	size_t size;	   /* bytes taken, for arrays and maps of the head only */
};

static void on_number(struct item *it, enum cborio_kind kind, uint64_t v)
{
	it->kind = kind;
	it->value = v;
}

#define ON_NUMBER(name, type, kind)             \
	static void on_##name(void *it, type v) \
	{                                       \
		on_number(it, kind, v);         \
	}
ON_NUMBER(uint8, uint8_t, CBORIO_UINT)
ON_NUMBER(uint16, uint16_t, CBORIO_UINT)
ON_NUMBER(uint32, uint32_t, CBORIO_UINT)
ON_NUMBER(uint64, uint64_t, CBORIO_UINT)
ON_NUMBER(negint8, uint8_t, CBORIO_NEGINT)
ON_NUMBER(negint16, uint16_t, CBORIO_NEGINT)
ON_NUMBER(negint32, uint32_t, CBORIO_NEGINT)
ON_NUMBER(negint64, uint64_t, CBORIO_NEGINT)
ON_NUMBER(array, size_t, CBORIO_ARRAY)
ON_NUMBER(map, size_t, CBORIO_MAP)
ON_NUMBER(tag, uint64_t, CBORIO_TAG)
ON_NUMBER(bool, bool, CBORIO_BOOL)
#undef ON_NUMBER

static void on_null(void *it)
{
	on_number(it, CBORIO_NULL, 0);
}
static void on_break(void *it)
{
	on_number(it, CBORIO_END, 0);
}

static void on_string(struct item *it, enum cborio_kind kind, const uint8_t *p, size_t n)
{
	on_number(it, kind, n);
	it->string = bytes_of(p, n);
}

static void on_bytes(void *it, cbor_data p, size_t n)
{
	on_string(it, CBORIO_BYTES, p, n);
}
static void on_text(void *it, cbor_data p, size_t n)
{
	on_string(it, CBORIO_TEXT, p, n);
}

static void on_indefinite(struct item *it, enum cborio_kind kind)
{
	on_number(it, kind, CBORIO_INDEFINITE);
	it->indefinite = true;
}

static void on_indef_array(void *it)
{
	on_indefinite(it, CBORIO_ARRAY);
}
static void on_indef_map(void *it)
{
	on_indefinite(it, CBORIO_MAP);
}

static void on_fault(struct item *it, const char *text)
{
	it->kind = CBORIO_BAD;
	it->fault = text;
}

static void on_indef_string(void *it)
{
	on_fault(it, "a string of indefinite length is not accepted");
}
static void on_undefined(void *it)
{
	on_fault(it, "undefined is not accepted");
}

static const char no_floats[] = "a floating-point number is not accepted";

static void on_float(void *it, float v)
{
	(void)v;
	on_fault(it, no_floats);
}

static void on_double(void *it, double v)
{
	(void)v;
	on_fault(it, no_floats);
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8,
	.uint16 = on_uint16,
	.uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_negint8,
	.negint16 = on_negint16,
	.negint32 = on_negint32,
	.negint64 = on_negint64,
	.byte_string_start = on_indef_string,
	.byte_string = on_bytes,
	.string = on_text,
	.string_start = on_indef_string,
	.indef_array_start = on_indef_array,
	.array_start = on_array,
	.indef_map_start = on_indef_map,
	.map_start = on_map,
	.tag = on_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_undefined,
	.null = on_null,
	.boolean = on_bool,
	.indef_break = on_break,
};

/* One value has one encoding: the shortest head that holds it. */
static size_t head_size(const struct item *it)
{
	if (it->indefinite || it->kind == CBORIO_BOOL || it->kind == CBORIO_NULL || it->kind == CBORIO_END ||
	    it->value < 24)
		return 1;
	return it->value <= UINT8_MAX ? 2 : it->value <= UINT16_MAX ? 3 : it->value <= UINT32_MAX ? 5 : 9;
}

static size_t left_of(const struct cborio_reader *r)
{
	return r->in.n - r->pos;
}

static struct item look(struct cborio_reader *r)
{
	struct item it = {.kind = CBORIO_BAD};
	if (r->err != ERR_OK)
		return it;
	if (left_of(r) == 0) {
		it.kind = CBORIO_END;
		return it;
	}
	/* libcbor 0.8 refuses tags 6 to 20 in their one-byte form, COSE_Sign1's 18 among them. */
	uint8_t first = r->in.p[r->pos];
	if (first >= TAG_SHORT_FIRST && first <= TAG_SHORT_LAST) {
		on_tag(&it, first - TAG_SHORT_FIRST);
		it.size = 1;
		return it;
	}
	struct cbor_decoder_result res = cbor_stream_decode(r->in.p + r->pos, left_of(r), &callbacks, &it);
	if (res.status == CBOR_DECODER_NEDATA)
		on_fault(&it, "the input ends inside an item");
	else if (res.status != CBOR_DECODER_FINISHED)
		on_fault(&it, "a byte that begins no item");
	else if (it.kind != CBORIO_BAD && res.read - it.string.n != head_size(&it))
		on_fault(&it, "an integer, count or length is not in its shortest form");
	it.size = res.read;
	if (it.kind == CBORIO_BAD)
		cborio_fail(r, it.fault);
	return it;
}

static const char *const expected[] = {
	[CBORIO_UINT] = "an unsigned integer was expected",
	[CBORIO_BYTES] = "a byte string was expected",
	[CBORIO_TEXT] = "a text string was expected",
	[CBORIO_ARRAY] = "an array was expected",
	[CBORIO_MAP] = "a map was expected",
	[CBORIO_TAG] = "a tag was expected",
	[CBORIO_BOOL] = "true or false was expected",
	[CBORIO_NULL] = "null was expected",
};

static void refuse(struct cborio_reader *r, const struct item *it, enum cborio_kind want)
{
	if (it->kind == CBORIO_END && it->size == 0)
		cborio_fail(r, "the input ends where an item was expected");
	else
		cborio_fail(r, expected[want]);
}

static bool advance(struct cborio_reader *r, const struct item *it)
{
	if (r->items >= CBORIO_ITEMS_MAX) {
		cborio_fail(r, "there are too many items");
		return false;
	}
	r->items++;
	r->pos += it->size;
	return true;
}

static bool take(struct cborio_reader *r, enum cborio_kind want, struct item *it)
{
	*it = look(r);
	if (it->kind != want) {
		refuse(r, it, want);
		return false;
	}
	return advance(r, it);
}

void cborio_reader_init(struct cborio_reader *r, struct bytes in)
{
	*r = (struct cborio_reader){.in = in};
}

enum cborio_kind cborio_peek(struct cborio_reader *r)
{
	return look(r).kind;
}

uint64_t cborio_uint(struct cborio_reader *r)
{
	struct item it;
	return take(r, CBORIO_UINT, &it) ? it.value : 0;
}

struct bytes cborio_bytes(struct cborio_reader *r)
{
	struct item it;
	return take(r, CBORIO_BYTES, &it) ? it.string : bytes_of(NULL, 0);
}

struct bytes cborio_text(struct cborio_reader *r)
{
	struct item it = look(r);
	if (it.kind != CBORIO_TEXT)
		refuse(r, &it, CBORIO_TEXT);
	else if (!utf8_valid(it.string))
		cborio_fail(r, "a text string is not UTF-8");
	else if (advance(r, &it))
		return it.string;
	return bytes_of(NULL, 0);
}

bool cborio_bool(struct cborio_reader *r)
{
	struct item it;
	return take(r, CBORIO_BOOL, &it) && it.value != 0;
}

void cborio_null(struct cborio_reader *r)
{
	struct item it;
	(void)take(r, CBORIO_NULL, &it);
}

uint64_t cborio_tag(struct cborio_reader *r)
{
	struct item it;
	return take(r, CBORIO_TAG, &it) ? it.value : 0;
}

/* Every element takes a byte at least, so a count beyond the rest of the input is known to be a lie at once. */
static uint64_t enter(struct cborio_reader *r, enum cborio_kind kind, size_t least)
{
	struct item it = look(r);
	if (it.kind != kind) {
		refuse(r, &it, kind);
		return 0;
	}
	if (r->depth >= CBORIO_DEPTH_MAX) {
		cborio_fail(r, "the items are nested too deeply");
		return 0;
	}
	if (!it.indefinite && it.value > (left_of(r) - it.size) / least) {
		cborio_fail(r, "a count runs beyond the input");
		return 0;
	}
	if (!advance(r, &it))
		return 0;
	r->depth++;
	return it.value;
}

uint64_t cborio_array(struct cborio_reader *r)
{
	return enter(r, CBORIO_ARRAY, 1);
}
uint64_t cborio_map(struct cborio_reader *r)
{
	return enter(r, CBORIO_MAP, 2);
}

bool cborio_more(struct cborio_reader *r, uint64_t *left)
{
	if (r->err != ERR_OK)
		return false;
	if (*left == CBORIO_INDEFINITE) {
		struct item it = look(r);
		if (it.kind != CBORIO_END)
			return it.kind != CBORIO_BAD;
		if (it.size == 0) {
			cborio_fail(r, "the input ends inside an array or map");
			return false;
		}
		r->pos += it.size;
	} else if (*left > 0) {
		--*left;
		return true;
	}
	r->depth--;
	return false;
}

void cborio_fail(struct cborio_reader *r, const char *text)
{
	if (r->err != ERR_OK)
		return;
	r->err = ERR_MALFORMED;
	r->err_pos = r->pos;
	r->err_text = text;
}

void cborio_check(struct cborio_reader *r, bool good, const char *text)
{
	if (!good)
		cborio_fail(r, text);
}

int cborio_member(struct cborio_reader *r, const char *const *names, unsigned n, uint32_t *seen)
{
	struct bytes key = cborio_text(r);
	for (unsigned i = 0; i < n; i++) {
		if (!bytes_is(key, names[i]))
			continue;
		if ((*seen >> i & 1u) != 0)
			break;
		*seen |= UINT32_C(1) << i;
		return (int)i;
	}
	cborio_fail(r, "a member is unknown or comes twice");
	return -1;
}

enum err cborio_done(struct cborio_reader *r, struct why *w)
{
	if (left_of(r) != 0)
		cborio_fail(r, "bytes follow the last item");
	if (r->err != ERR_OK)
		return why_tell(w, r->err, NULL, "CBOR, byte %zu: %s.", r->err_pos, r->err_text);
	return ERR_OK;
}
