/* rest.c - a session's key at rest, sealed together with the columns of its row. */
#include "internal.h"

#include <string.h>

enum { AAD_VERSION = 1, AAD_MAX = 4096 };

static void put_int(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t be[8];

	put_be(be, bytes, v);
	buf_put(b, be, bytes);
}

static void put_sized(struct buf *b, struct bytes x)
{
	put_int(b, x.n, 4);
	buf_put_bytes(b, x);
}

/* Every column but the sealed key, so that none can be changed or moved to another row, and the boot that its times
 * belong to: an old row under a new boot's id would live far too long. */
static enum err make_aad(struct buf *aad, struct bytes boot_id, const struct store_session *x, struct why *w)
{
	put_int(aad, AAD_VERSION, 1);
	put_sized(aad, boot_id);
	put_int(aad, (uint64_t)x->row, 8);
	put_sized(aad, bytes_of(x->id, sizeof x->id));
	put_int(aad, (uint64_t)x->created_wall_ms, 8);
	put_int(aad, (uint64_t)x->created_boot_ms, 8);
	put_int(aad, (uint64_t)x->expires_boot_ms, 8);
	put_int(aad, x->is_public, 1);
	put_sized(aad, x->user_key_hash);
	put_sized(aad, x->scope);
	put_sized(aad, x->wrapped);
	return buf_check(aad, w);
}

enum err rest_seal(const struct sessions *s, const struct store_session *x, const uint8_t key[AEAD_KEY_SIZE],
		   uint8_t out[ROW_SEALED_SIZE], struct why *w)
{
	struct buf aad = BUF_INIT(AAD_MAX);
	uint8_t sealed[ROW_SEALED_SIZE];
	enum err e = make_aad(&aad, bytes_of(s->boot_id, s->boot_id_size), x, w);

	if (e == ERR_OK)
		e = random_fill(&s->env.random, sealed, AEAD_IV_SIZE, w);
	if (e == ERR_OK)
		e = crypto_seal(s->env.crypto, s->sealing->b, sealed, buf_bytes(&aad), bytes_of(key, AEAD_KEY_SIZE),
				sealed + AEAD_IV_SIZE, w);
	if (e == ERR_OK)
		memcpy(out, sealed, sizeof sealed);
	buf_free(&aad);
	return e;
}

enum err rest_open(const struct sessions *s, struct bytes boot_id, const struct store_session *x,
		   uint8_t key[AEAD_KEY_SIZE], struct why *w)
{
	struct buf aad = BUF_INIT(AAD_MAX);
	enum err e;

	if (x->sealed.n != ROW_SEALED_SIZE || x->user_key_hash.n != SHA256_SIZE ||
	    (x->scope.n != 0 && x->scope.n != SHA256_SIZE) || x->wrapped.n > RSA_WRAPPED_MAX)
		return why_set(w, ERR_SEALED, "a column has a size that this program never writes");
	e = make_aad(&aad, boot_id, x, w);
	if (e == ERR_OK)
		e = crypto_open(s->env.crypto, s->sealing->b, x->sealed.p, buf_bytes(&aad),
				bytes_of(x->sealed.p + AEAD_IV_SIZE, ROW_SEALED_SIZE - AEAD_IV_SIZE), key, w);
	if (e == ERR_BAD_MESSAGE)
		e = why_set(w, ERR_SEALED, "the sealed key does not belong to the row's columns");
	buf_free(&aad);
	return e;
}
