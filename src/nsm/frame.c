/* frame.c - a request or a reply on a socket, its length in front. */
#include "nsm.h"

void nsm_frame_begin(struct buf *b)
{
	static const uint8_t head[NSM_FRAME_HEAD];
	buf_put(b, head, sizeof head);
}

bool nsm_frame_end(struct buf *b)
{
	if (b->failed || b->n <= NSM_FRAME_HEAD || b->n - NSM_FRAME_HEAD > UINT32_MAX)
		return false;
	const size_t n = b->n - NSM_FRAME_HEAD;
	for (int i = 0; i < NSM_FRAME_HEAD; i++)
		b->p[i] = (uint8_t)(n >> (8 * (NSM_FRAME_HEAD - 1 - i)));
	return true;
}

size_t nsm_frame_length(const uint8_t head[NSM_FRAME_HEAD])
{
	return (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
}
