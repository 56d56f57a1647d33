/* der_hex.h - DER put together by hand. Include cmocka.h before it. */
#ifndef ATTESTD_TESTS_DER_HEX_H
#define ATTESTD_TESTS_DER_HEX_H

#include <string.h>

#include "base/encode.h"
#include "crypto/internal.h"

enum { SURGERY_MAX = 4096 };

static inline void put_hex(struct buf *b, const char *hex)
{
	size_t n = 0;
	uint8_t *to = buf_reserve(b, strlen(hex) / 2 + 1);

	assert_non_null(to);
	assert_true(hex_decode(bytes_str(hex), to, &n));
	b->n += n;
}

static inline void put_head(struct buf *b, uint8_t tag, size_t n)
{
	buf_put_u8(b, tag);
	if (n >= 256) {
		buf_put_u8(b, 0x82);
		buf_put_u8(b, (uint8_t)(n >> 8));
	} else if (n >= 128) {
		buf_put_u8(b, 0x81);
	}
	buf_put_u8(b, (uint8_t)n);
}

static inline void put_tlv(struct buf *b, uint8_t tag, struct bytes content)
{
	put_head(b, tag, content.n);
	buf_put_bytes(b, content);
}

#endif
