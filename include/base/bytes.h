/* bytes.h - bytes travel with their length.
 *
 * struct bytes borrows; struct buf owns, grows up to a hard maximum, and wipes what it held whenever it lets go of
 * memory, because most of what passes through a buffer here is somebody's message.
 *
 * Appending is sticky: after the first failure (over `max`, or no memory) the buffer takes nothing more and
 * buf_check() says so once at the end. A writer therefore needs one check, not one a call.
 */
#ifndef ATTESTD_BASE_BYTES_H
#define ATTESTD_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct bytes {
	const uint8_t *p;
	size_t n;
};

#define BYTES_LIT(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct bytes bytes_of(const void *p, size_t n)
{
	return (struct bytes){(const uint8_t *)p, n};
}
static inline struct bytes bytes_str(const char *s) /* without the terminating NUL */
{
	return bytes_of(s, strlen(s));
}
bool bytes_equal(struct bytes a, struct bytes b); /* not for secrets: stops at the first difference */
bool bytes_is(struct bytes a, const char *s);
bool bytes_is_zero(struct bytes a);
bool bytes_printable(struct bytes a); /* printable ASCII and nothing else: fit to be shown to a person */

/* Numbers, big-endian in `size` bytes, at most 8. */
static inline void put_be(uint8_t *to, size_t size, uint64_t v)
{
	for (; size > 0; v >>= 8)
		to[--size] = (uint8_t)v;
}
static inline uint64_t get_be(const uint8_t *from, size_t size)
{
	uint64_t v = 0;

	for (size_t i = 0; i < size; i++)
		v = v << 8 | from[i];
	return v;
}

/* Overwrites memory in a way that the compiler must keep. */
void mem_wipe(void *p, size_t n);

struct buf {
	uint8_t *p;
	size_t n, cap, max; /* used, allocated, hard maximum; all in bytes */
	bool failed;
};

#define BUF_INIT(maximum) ((struct buf){NULL, 0, 0, (maximum), false})

void buf_free(struct buf *b);  /* wipes, frees, leaves an empty buffer with the same max; NULL is fine */
void buf_reset(struct buf *b); /* wipes what was used, keeps the memory */

/* Makes room where there is none; for buf_reserve only. */
uint8_t *buf_grow(struct buf *b, size_t more);
/* Room for `more` bytes behind b->n, or NULL (and sticky). The caller writes there and adds to b->n. */
static inline uint8_t *buf_reserve(struct buf *b, size_t more)
{
	return !b->failed && b->p != NULL && more <= b->cap - b->n ? b->p + b->n : buf_grow(b, more);
}

static inline void buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to = n > 0 ? buf_reserve(b, n) : NULL;
	if (to == NULL)
		return;
	/* cppcheck does not see that a caller's bytes are written while their number is found out. */
	/* cppcheck-suppress uninitvar */
	memcpy(to, p, n);
	b->n += n;
}
static inline void buf_put_bytes(struct buf *b, struct bytes x)
{
	buf_put(b, x.p, x.n);
}
static inline void buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}
static inline void buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, sizeof v);
}
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3); /* one call yields at most 1 KiB */

static inline struct bytes buf_bytes(const struct buf *b)
{
	return bytes_of(b->p, b->n);
}
/* ERR_MEMORY if any append failed. */
enum err buf_check(const struct buf *b, struct why *w) MUST_USE;
/* A NUL is put behind the contents, not counted in n; NULL if the buffer failed. */
const char *buf_cstr(struct buf *b);

#endif
