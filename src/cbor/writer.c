/* writer.c - heads come from libcbor's encoders, which choose the shortest form. */
#include "cborio.h"

#include <cbor.h>

/* libcbor's encoders take uint64_t for values and size_t for counts: the same type wherever this runs. */
static void put_head(struct buf *b, uint64_t v, size_t (*encode)(uint64_t, unsigned char *, size_t))
{
	uint8_t head[9];
	buf_put(b, head, encode(v, head, sizeof head));
}

void cborio_put_uint(struct buf *b, uint64_t v)
{
	put_head(b, v, cbor_encode_uint);
}

void cborio_put_bytes(struct buf *b, struct bytes x)
{
	put_head(b, x.n, cbor_encode_bytestring_start);
	buf_put_bytes(b, x);
}

void cborio_put_text(struct buf *b, struct bytes x)
{
	put_head(b, x.n, cbor_encode_string_start);
	buf_put_bytes(b, x);
}

void cborio_put_cstr(struct buf *b, const char *s)
{
	cborio_put_text(b, bytes_str(s));
}
void cborio_put_array(struct buf *b, uint64_t n)
{
	put_head(b, n, cbor_encode_array_start);
}
void cborio_put_map(struct buf *b, uint64_t pairs)
{
	put_head(b, pairs, cbor_encode_map_start);
}

void cborio_put_map_indefinite(struct buf *b)
{
	uint8_t head[1];
	buf_put(b, head, cbor_encode_indef_map_start(head, sizeof head));
}

void cborio_put_break(struct buf *b)
{
	uint8_t head[1];
	buf_put(b, head, cbor_encode_break(head, sizeof head));
}

void cborio_put_null(struct buf *b)
{
	uint8_t head[1];
	buf_put(b, head, cbor_encode_null(head, sizeof head));
}

void cborio_put_bool(struct buf *b, bool v)
{
	uint8_t head[1];
	buf_put(b, head, cbor_encode_bool(v, head, sizeof head));
}
