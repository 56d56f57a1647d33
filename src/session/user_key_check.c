/* user_key_check.c - the one comparison that no relay gets past.
 *
 * In a file of its own, so that a test can link a program without it and see that the attack is real.
 */
#include "user_internal.h"

enum err user_key_check(struct crypto *c, const struct rsa_key *key, const uint8_t signed_hash[SHA256_SIZE],
			struct why *w)
{
	uint8_t ours[SHA256_SIZE];
	enum err e = crypto_sha256(c, rsa_key_spki(key), ours, w);

	if (e != ERR_OK)
		return e;
#ifdef ATTESTD_TEST_SKIP_USER_KEY_CHECK
	(void)signed_hash;
#else
	if (!bytes_equal(bytes_of(ours, sizeof ours), bytes_of(signed_hash, SHA256_SIZE)))
		return why_tell(
			w, ERR_INVALID, "user_key_hash",
			"This is a relay attack, unless you gave another key than you sent: the enclave made the session "
			"for a key that is not yours (user_key_hash). Somebody between you and the enclave put their key "
			"in its place and would read the conversation. Nothing was opened.");
#endif
	return ERR_OK;
}
