/* Reads JSON texts from stdin, each behind its length (four bytes, big-endian), and answers each on stdout with a byte,
 * `=` or `!`, and then in the same framing the canonical form and its quoted form, respectively the error's text.
 * Chunk sizes vary from text to text, so that every way of cutting is seen. */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"

enum { TEXT_MAX = 128 << 20, CHUNK_MAX = 97 };

static bool read_framed(struct buf *b)
{
	uint8_t head[4], *p;
	size_t n;

	if (fread(head, 1, sizeof head, stdin) != sizeof head)
		return false;
	n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	buf_reset(b);
	p = buf_reserve(b, n);
	if (p == NULL || fread(p, 1, n, stdin) != n)
		return false;
	b->n = n;
	return true;
}

static void write_framed(struct bytes x)
{
	const uint8_t head[4] = {(uint8_t)(x.n >> 24), (uint8_t)(x.n >> 16), (uint8_t)(x.n >> 8), (uint8_t)x.n};

	fwrite(head, 1, sizeof head, stdout);
	fwrite(x.p, 1, x.n, stdout);
}

static enum err in_chunks(const struct json_value *v, bool quoted, size_t chunk, struct buf *out, struct why *w)
{
	struct json_canon *c = NULL;
	size_t n = 1;
	enum err e = json_canon_new(&c, v, quoted, w);

	buf_reset(out);
	while (e == ERR_OK && n > 0) {
		uint8_t *p = buf_reserve(out, chunk);

		if (p == NULL) {
			e = buf_check(out, w);
			break;
		}
		e = json_canon_read(c, p, chunk, &n, w);
		if (e == ERR_OK)
			out->n += n;
	}
	json_canon_free(c);
	return e;
}

int main(void)
{
	struct buf text = BUF_INIT(TEXT_MAX), plain = BUF_INIT((size_t)TEXT_MAX * 6),
		   quoted = BUF_INIT((size_t)TEXT_MAX * 7);
	struct why w = {.err = ERR_OK};
	size_t chunk = 0;

	while (read_framed(&text)) {
		struct json *j = NULL;
		enum err e = json_parse(&j, buf_bytes(&text), &w);

		chunk = chunk % CHUNK_MAX + 1;
		if (e == ERR_OK)
			e = in_chunks(json_root(j), false, text.n > 1 << 16 ? 1 << 16 : chunk, &plain, &w);
		if (e == ERR_OK)
			e = in_chunks(json_root(j), true, text.n > 1 << 16 ? 1 << 16 : chunk, &quoted, &w);
		json_free(j);
		if (e == ERR_OK) {
			putchar('=');
			write_framed(buf_bytes(&plain));
			write_framed(buf_bytes(&quoted));
		} else {
			putchar('!');
			write_framed(bytes_str(w.text));
		}
	}
	buf_free(&text);
	buf_free(&plain);
	buf_free(&quoted);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
