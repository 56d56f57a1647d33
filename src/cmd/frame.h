/* frame.h - requests and replies on the socket that `attestd simulate` offers, framed as nsm.h says. Private to
 * src/cmd.
 */
#ifndef ATTESTD_CMD_FRAME_H
#define ATTESTD_CMD_FRAME_H

#include "nsm.h"

enum { FRAME_HEAD = 4, FRAME_REPLY_MAX = FRAME_HEAD + NSM_REPLY_MAX };

/* A request on its way in: read as many bytes as frame_wants says to b + n and add them to n. */
struct frame {
	size_t n;
	uint8_t b[FRAME_HEAD + NSM_REQUEST_MAX];
};

/* *more: the bytes to be read next, never beyond this request; 0 when it is whole. False when it announces a length
 * that no request may have: nothing that follows can be understood. */
bool frame_wants(const struct frame *f, size_t *more);
/* Of a whole one; borrowed. */
struct bytes frame_request(const struct frame *f);

/* An empty buffer with a maximum of FRAME_REPLY_MAX is to become a reply: begin, append the reply, end. False when that
 * failed or nothing was appended. */
void frame_begin(struct buf *reply);
bool frame_end(struct buf *reply);

#endif
