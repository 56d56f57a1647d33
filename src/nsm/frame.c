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
	put_be(b->p, NSM_FRAME_HEAD, b->n - NSM_FRAME_HEAD);
	return true;
}

size_t nsm_frame_length(const uint8_t head[NSM_FRAME_HEAD])
{
	return (size_t)get_be(head, NSM_FRAME_HEAD);
}
