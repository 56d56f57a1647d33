#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BUF_FIRST = 256, BUF_PAGED = 4 * 1024 * 1024, BUF_PRINTF_MAX = 1024 };

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool bytes_is(struct bytes a, const char *s)
{
	return bytes_equal(a, bytes_str(s));
}

bool bytes_is_zero(struct bytes a)
{
	uint8_t any = 0;
	for (size_t i = 0; i < a.n; i++)
		any |= a.p[i];
	return any == 0;
}

bool bytes_printable(struct bytes a)
{
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] < ' ' || a.p[i] > '~')
			return false;
	return true;
}

void mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

/* From BUF_PAGED bytes on a buffer has pages of its own: whoever lets it grow waits while they are moved, not while
 * they are copied and wiped. One byte more than `cap` is kept for buf_cstr's NUL. */
static bool paged(size_t cap)
{
	return cap >= BUF_PAGED;
}

static uint8_t *take(size_t cap)
{
	if (!paged(cap))
		return malloc(cap + 1);
	void *p = mmap(NULL, cap + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p != MAP_FAILED ? p : NULL;
}

static void let_go(uint8_t *p, size_t cap)
{
	mem_wipe(p, cap);
	if (paged(cap))
		(void)munmap(p, cap + 1);
	else
		free(p);
}

void buf_free(struct buf *b)
{
	if (b == NULL)
		return;
	let_go(b->p, b->cap);
	*b = BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
	mem_wipe(b->p, b->n);
	b->n = 0;
	b->failed = false;
}

/* Not realloc, which may leave the old copy behind unwiped. */
static uint8_t *more(const struct buf *b, size_t cap)
{
	if (paged(b->cap)) {
		void *p = mremap(b->p, b->cap + 1, cap + 1, MREMAP_MAYMOVE);
		return p != MAP_FAILED ? p : NULL;
	}
	uint8_t *p = take(cap);
	if (p == NULL)
		return NULL;
	if (b->n > 0)
		memcpy(p, b->p, b->n);
	let_go(b->p, b->cap);
	return p;
}

static bool enlarge(struct buf *b, size_t want)
{
	size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
	if (cap < BUF_FIRST)
		cap = BUF_FIRST;
	if (cap < want)
		cap = want;
	if (cap > b->max)
		cap = b->max;
	if (cap == SIZE_MAX)
		return false;
	uint8_t *p = more(b, cap);
	if (p == NULL)
		return false;
	b->p = p;
	b->cap = cap;
	return true;
}

uint8_t *buf_grow(struct buf *b, size_t more)
{
	if (b->failed)
		return NULL;
	if (more > b->max - b->n || !enlarge(b, b->n + more)) {
		b->failed = true;
		return NULL;
	}
	return b->p + b->n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	char text[BUF_PRINTF_MAX + 1];
	va_list ap;
	va_start(ap, fmt);
	const int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n > BUF_PRINTF_MAX)
		b->failed = true;
	else
		buf_put(b, text, (size_t)n);
	mem_wipe(text, sizeof text);
}

enum err buf_check(const struct buf *b, struct why *w)
{
	if (b->failed)
		return why_set(w, ERR_MEMORY, "a buffer of at most %zu bytes was full or could not grow beyond %zu",
			       b->max, b->cap);
	return ERR_OK;
}

const char *buf_cstr(struct buf *b)
{
	uint8_t *end = buf_reserve(b, 0);
	if (end == NULL)
		return NULL;
	*end = '\0';
	return (const char *)b->p;
}
