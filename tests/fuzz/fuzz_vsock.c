/* The bytes of a connection as a request of the vsock JSON protocol: where its line ends, however the bytes are cut
 * into pieces, and what it asks for.
 *
 * The first byte seeds the cuts. */
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "vsock/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

/* The same by the book: the line, and how it ended. */
static enum vsock_line expect(struct bytes all, struct bytes *line)
{
	size_t n = 0;
	while (n < all.n && all.p[n] != '\n')
		n++;
	*line = bytes_of(all.p, n);
	return n > VSOCK_REQUEST_MAX ? VSOCK_LINE_TOO_LONG : n < all.n ? VSOCK_LINE_WHOLE : VSOCK_LINE_OPEN;
}

static void check_pieces(struct bytes all, uint32_t dice)
{
	struct bytes line;
	const enum vsock_line wanted = expect(all, &line);
	struct buf got = BUF_INIT(VSOCK_REQUEST_MAX);
	enum vsock_line end = VSOCK_LINE_OPEN;
	for (size_t at = 0, n; at < all.n && end == VSOCK_LINE_OPEN; at += n) {
		dice = dice * 1664525u + 1013904223u;
		n = 1 + (dice >> 24) % ((dice >> 16 & 3) == 0 ? 251 : 7);
		if (n > all.n - at)
			n = all.n - at;
		end = vsock_line_take(&got, bytes_of(all.p + at, n));
	}
	must(end == wanted && !got.failed);
	must(end == VSOCK_LINE_TOO_LONG || bytes_equal(buf_bytes(&got), line));
	buf_free(&got);
}

static bool text_or_null(struct bytes x)
{
	return x.p == NULL ? x.n == 0 : x.n > 0 && utf8_valid(x);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void check_request(struct bytes line)
{
	struct vsock_request r = {0};
	struct why w = {0};
	bool unknown = false;
	const enum err e = vsock_request_read(&r, line, &unknown, &w);
	if (e == ERR_OK) {
		must(r.json != NULL && !unknown && r.command <= VSOCK_ATTEST);
		must(text_or_null(r.user_data) && text_or_null(r.nonce));
		must(r.command == VSOCK_ATTEST || (r.nonce.p == NULL && !r.generate_key));
		must(r.nonce.n <= line.n);
	} else {
		must(e == ERR_INVALID && w.tell && r.json == NULL && utf8_valid(bytes_str(w.text)));
		must(unknown ? begins(w.text, "Unknown command: ")
			     : begins(w.text, "Invalid JSON request: ") ||
				       begins(w.text, "Failed to process request: \""));
	}
	vsock_request_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes line;
	if (size == 0)
		return 0;
	const struct bytes all = bytes_of(data + 1, size - 1);
	check_pieces(all, data[0]);
	if (expect(all, &line) != VSOCK_LINE_TOO_LONG)
		check_request(line);
	return 0;
}
