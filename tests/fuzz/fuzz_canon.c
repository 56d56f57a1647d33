/* The canonical form is a fixed point in any chunking, and the quoted form is the inside of a string that holds it. The
 * first byte chooses the chunk size. */
#include <stdlib.h>
#include <string.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FORM_MAX = 1 << 26 };

static struct json *parse(struct bytes text, bool must)
{
	struct json *j = NULL;
	struct why w;

	if (json_parse(&j, text, &w) != ERR_OK && must)
		abort();
	return j;
}

static void in_chunks(const struct json_value *v, bool quoted, size_t chunk, struct buf *out)
{
	struct json_canon *c = NULL;
	struct why w;
	size_t n = 1;

	if (json_canon_new(&c, v, quoted, &w) != ERR_OK)
		abort();
	while (n > 0) {
		uint8_t *piece = malloc(chunk); /* of its own, so that a byte too far is seen */

		if (piece == NULL || json_canon_read(c, piece, chunk, &n, &w) != ERR_OK)
			abort();
		buf_put(out, piece, n);
		free(piece);
	}
	json_canon_free(c);
}

static void check(struct bytes text, size_t chunk)
{
	struct buf first = BUF_INIT(FORM_MAX), again = BUF_INIT(FORM_MAX), quoted = BUF_INIT(FORM_MAX);
	struct json *j = parse(text, false), *twice = NULL, *inside = NULL;
	struct why w;

	if (j == NULL)
		return;
	if (json_canon_all(json_root(j), &first, &w) != ERR_OK)
		abort();
	twice = parse(buf_bytes(&first), true);
	in_chunks(json_root(twice), false, chunk, &again);
	if (!bytes_equal(buf_bytes(&first), buf_bytes(&again)))
		abort();
	buf_put_u8(&quoted, '"');
	in_chunks(json_root(j), true, chunk, &quoted);
	buf_put_u8(&quoted, '"');
	inside = parse(buf_bytes(&quoted), true);
	if (!bytes_equal(json_string(json_root(inside)), buf_bytes(&first)))
		abort();
	json_free(j);
	json_free(twice);
	json_free(inside);
	buf_free(&first);
	buf_free(&again);
	buf_free(&quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0)
		check(bytes_of(data + 1, size - 1), (size_t)data[0] + 1);
	return 0;
}
