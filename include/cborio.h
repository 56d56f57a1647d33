/* cborio.h - strict reading and plain writing of CBOR (RFC 8949), on libcbor's streaming decoder.
 *
 * The reader walks borrowed bytes, allocates nothing, and keeps a sticky error: after the first fault every call
 * returns an empty value and cborio_done() tells what and where. It refuses what has two readings: non-minimal integers
 * and lengths, indefinite strings, tags it was not asked for, nesting beyond CBORIO_DEPTH_MAX, more than
 * CBORIO_ITEMS_MAX items, lengths beyond the input, trailing bytes; and what is not used here: floats, undefined, other
 * simple values.
 */
#ifndef ATTESTD_CBORIO_H
#define ATTESTD_CBORIO_H

#include "base/bytes.h"

enum { CBORIO_DEPTH_MAX = 8, CBORIO_ITEMS_MAX = 4096 };

enum cborio_kind {
	CBORIO_UINT,
	CBORIO_NEGINT,
	CBORIO_BYTES,
	CBORIO_TEXT,
	CBORIO_ARRAY,
	CBORIO_MAP,
	CBORIO_TAG,
	CBORIO_BOOL,
	CBORIO_NULL,
	CBORIO_END,
	CBORIO_BAD /* a fault: this one or an earlier one */
};

struct cborio_reader {
	struct bytes in;
	size_t pos;
	unsigned depth, items;
	enum err err;
	size_t err_pos;
	const char *err_text;
};

void cborio_reader_init(struct cborio_reader *r, struct bytes in);

enum cborio_kind cborio_peek(struct cborio_reader *r); /* CBORIO_END at a break or at the end of input */
uint64_t cborio_uint(struct cborio_reader *r);
struct bytes cborio_bytes(struct cborio_reader *r);
struct bytes cborio_text(struct cborio_reader *r); /* checked to be UTF-8 */
bool cborio_bool(struct cborio_reader *r);
void cborio_null(struct cborio_reader *r);
uint64_t cborio_tag(struct cborio_reader *r);
/* Enter: *n elements (pairs for a map), or CBORIO_INDEFINITE, where cborio_more() tells when it ends. */
#define CBORIO_INDEFINITE UINT64_MAX
uint64_t cborio_array(struct cborio_reader *r);
uint64_t cborio_map(struct cborio_reader *r);
/* Another element? *left is what cborio_array/cborio_map returned; counts down, eats the break. Leaves at false. Who
 * knows a definite count by heart may read that many elements without it. */
bool cborio_more(struct cborio_reader *r, uint64_t *left);
/* The key of a map with the keys `names` (at most 32), each once at most: its place there, or -1 after a fault. *seen,
 * 0 at first, has a bit for each place that was there. */
int cborio_member(struct cborio_reader *r, const char *const *names, unsigned n, uint32_t *seen);
/* The first fault, from the caller's own checks too. */
void cborio_fail(struct cborio_reader *r, const char *text);
void cborio_check(struct cborio_reader *r, bool good, const char *text); /* fails unless good */
/* ERR_MALFORMED unless the input was read without fault to its last byte. */
enum err cborio_done(struct cborio_reader *r, struct why *w) MUST_USE;

/* Writing, appended to a buf (sticky there). Minimal heads; definite lengths, but for a map that put_break ends. */
void cborio_put_uint(struct buf *b, uint64_t v);
void cborio_put_bytes(struct buf *b, struct bytes x);
void cborio_put_text(struct buf *b, struct bytes x);
void cborio_put_cstr(struct buf *b, const char *s);
void cborio_put_array(struct buf *b, uint64_t n);
void cborio_put_map(struct buf *b, uint64_t pairs);
void cborio_put_map_indefinite(struct buf *b);
void cborio_put_break(struct buf *b);
void cborio_put_null(struct buf *b);
void cborio_put_bool(struct buf *b, bool v);

#endif
