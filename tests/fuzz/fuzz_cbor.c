/* fuzz_cbor.c - walks any input item by item and checks that the writer's bytes for what was read are the bytes that
 * were read: there is one encoding for everything the reader accepts. */
#include <stdlib.h>

#include "cborio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* *definite becomes false at a container of indefinite length, which the writer cannot write. */
static void walk(struct cborio_reader *r, struct buf *out, bool *definite)
{
	uint64_t left;
	struct bytes x;
	switch (cborio_peek(r)) {
	case CBORIO_UINT:
		cborio_put_uint(out, cborio_uint(r));
		break;
	case CBORIO_BYTES:
		x = cborio_bytes(r);
		cborio_put_bytes(out, x);
		break;
	case CBORIO_TEXT:
		x = cborio_text(r);
		cborio_put_text(out, x);
		break;
	case CBORIO_ARRAY:
		left = cborio_array(r);
		*definite = *definite && left != CBORIO_INDEFINITE;
		cborio_put_array(out, left);
		while (cborio_more(r, &left))
			walk(r, out, definite);
		break;
	case CBORIO_MAP:
		left = cborio_map(r);
		*definite = *definite && left != CBORIO_INDEFINITE;
		cborio_put_map(out, left);
		while (cborio_more(r, &left)) {
			walk(r, out, definite);
			walk(r, out, definite);
		}
		break;
	case CBORIO_BOOL:
		cborio_put_bool(out, cborio_bool(r));
		break;
	case CBORIO_NULL:
		cborio_null(r);
		cborio_put_null(out);
		break;
	default:
		cborio_fail(r, "nothing to be read here");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cborio_reader r;
	struct why w;
	struct buf out = BUF_INIT(size + CBORIO_ITEMS_MAX * 16u);
	bool definite = true;

	cborio_reader_init(&r, bytes_of(data, size));
	walk(&r, &out, &definite);
	if (cborio_done(&r, &w) == ERR_OK) {
		if (r.depth != 0)
			abort();
		if (definite && (buf_check(&out, &w) != ERR_OK || !bytes_equal(buf_bytes(&out), bytes_of(data, size))))
			abort();
	}
	buf_free(&out);
	return 0;
}
