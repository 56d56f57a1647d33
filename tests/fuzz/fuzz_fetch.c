/* Any reply: read whole and in two pieces, which must come to the same; what is accepted keeps to the limits. */
#include <stdlib.h>
#include <string.h>

#include "net/fetch_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 4096 };

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* How much of the reply was there when it was complete does not depend on the cut, so `done` must agree as well. */
static enum err run(struct bytes a, struct bytes b, bool *done, struct fetch_reply *out, struct why *w)
{
	struct fetch_reader *r = NULL;
	must(fetch_reader_new(&r, "http://h", MAX, w) == ERR_OK);
	enum err e = fetch_reader_feed(r, a, done, w);
	if (e == ERR_OK && !*done)
		e = fetch_reader_feed(r, b, done, w);
	if (e == ERR_OK && !*done)
		e = fetch_reader_end(r, w);
	if (e == ERR_OK)
		fetch_reader_take(r, out);
	fetch_reader_free(r);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fetch_reply whole = {.body = BUF_INIT(0)}, cut = {.body = BUF_INIT(0)};
	struct why w = {0}, w2 = {0};
	bool done = false, done2 = false;
	if (size < 2)
		return 0;
	const size_t n = size - 2, at = (data[0] | (size_t)data[1] << 8) % (n + 1);
	/* Copies, so that AddressSanitizer sees reads beyond a piece. */
	uint8_t *a = malloc(at), *b = malloc(n - at);
	must((at == 0 || a != NULL) && (n == at || b != NULL));
	memcpy(a, data + 2, at);
	memcpy(b, data + 2 + at, n - at);
	const enum err e = run(bytes_of(data + 2, n), bytes_of(NULL, 0), &done, &whole, &w);
	must(run(bytes_of(a, at), bytes_of(b, n - at), &done2, &cut, &w2) == e && done == done2);
	must(e == ERR_OK || (e == ERR_ENVIRONMENT && w.tell && w2.tell && strncmp(w.text, "http://h ", 9) == 0));
	must(whole.status == cut.status && strcmp(whole.content_type, cut.content_type) == 0);
	must(bytes_equal(buf_bytes(&whole.body), buf_bytes(&cut.body)));
	must(e != ERR_OK || (whole.status >= 200 && whole.status <= 599 && whole.body.n <= MAX && whole.body.n < n));
	(void)!fetch_problem(&whole, &w);
	fetch_reply_free(&whole);
	fetch_reply_free(&cut);
	free(a);
	free(b);
	return 0;
}
