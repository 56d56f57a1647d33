/* user_internal.h - what the user's files of src/session share. */
#ifndef ATTESTD_SESSION_USER_INTERNAL_H
#define ATTESTD_SESSION_USER_INTERNAL_H

#include "user.h"

struct user_session {
	char id[SESSION_ID_SIZE];
	uint8_t key[AEAD_KEY_SIZE], user_key_hash[SHA256_SIZE];
	uint8_t scope[SESSION_SCOPE_MAX];
	size_t scope_n;
	int64_t opened_s, expires_s;
	uint32_t received;
	bool pinned;
};

/* Did the enclave wrap the session's key for ours? ERR_INVALID names the attack. */
enum err user_key_check(struct crypto *c, const struct rsa_key *key, const uint8_t signed_hash[SHA256_SIZE],
			struct why *w) MUST_USE;

bool user_id_fits(struct bytes id); /* SESSION_ID_SIZE characters of base64url */

#endif
