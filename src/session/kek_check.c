/* kek_check.c - what a database notes of the key-encryption key, and what follows when today's is another. */
#include "kek_check.h"

enum { CHECK_SIZE = 16 };

static const char check_info[] = "attestd kek check v1";

enum err kek_check_init(struct kek_check *k, struct crypto *c, const struct session_kek *kek, struct why *w)
{
	*k = (struct kek_check){
		.generated = kek->generated, .origin = BUF_INIT(KEK_META_MAX), .check = BUF_INIT(KEK_META_MAX)};
	return crypto_hkdf(c, secret_view(kek->key), check_info, CHECK_SIZE, &k->value, w);
}

void kek_check_free(struct kek_check *k)
{
	secret_wipe(&k->value);
	buf_free(&k->origin);
	buf_free(&k->check);
}

struct bytes kek_check_origin(const struct kek_check *k)
{
	return bytes_str(k->generated ? "generated" : "configured");
}

enum err kek_check_judge(const struct kek_check *k, const struct kek_database *d, const char **lost, struct why *w)
{
	bool same = secret_equal(buf_bytes(&k->check), secret_view(&k->value));

	if (bytes_is(buf_bytes(&k->origin), "generated")) {
		*lost = !k->generated ? "they were sealed under a generated key, and a key is configured now"
			: !same	      ? "the generated key that sealed them is gone from the runtime directory"
				      : NULL;
		return ERR_OK;
	}
	if (!bytes_is(buf_bytes(&k->origin), "configured"))
		return why_set(w, ERR_ENVIRONMENT,
			       "the %s names an unknown origin of its key: it was altered, or written by another "
			       "version; move the file away to start without %s",
			       d->noun, d->rows);
	if (k->generated)
		return why_set(w, ERR_ENVIRONMENT,
			       "the %s was sealed under a configured key, and none is configured: restore %s, or "
			       "move the database away to start without %s",
			       d->noun, d->sources, d->rows);
	if (!same)
		return why_set(w, ERR_ENVIRONMENT,
			       "the configured key (%s) is not the one that sealed the %s: restore that key, or move "
			       "the database away to start without %s",
			       d->sources, d->noun, d->rows);
	*lost = NULL;
	return ERR_OK;
}
