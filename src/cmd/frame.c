/* frame.c - requests and replies on the socket that `attestd simulate` offers. */
#include "frame.h"

bool frame_wants(const struct frame *f, size_t *more)
{
	if (f->n < FRAME_HEAD) {
		*more = FRAME_HEAD - f->n;
		return true;
	}
	const size_t n = (size_t)f->b[0] << 24 | (size_t)f->b[1] << 16 | (size_t)f->b[2] << 8 | f->b[3];
	if (n == 0 || n > NSM_REQUEST_MAX)
		return false;
	*more = FRAME_HEAD + n - f->n;
	return true;
}

struct bytes frame_request(const struct frame *f)
{
	return bytes_of(f->b + FRAME_HEAD, f->n - FRAME_HEAD);
}

void frame_begin(struct buf *reply)
{
	static const uint8_t head[FRAME_HEAD];
	buf_put(reply, head, sizeof head);
}

bool frame_end(struct buf *reply)
{
	if (reply->failed || reply->n <= FRAME_HEAD)
		return false;
	const size_t n = reply->n - FRAME_HEAD;
	for (int i = 0; i < FRAME_HEAD; i++)
		reply->p[i] = (uint8_t)(n >> (8 * (FRAME_HEAD - 1 - i)));
	return true;
}
