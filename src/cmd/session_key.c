/* session_key.c - the user's private key, from its file. */
#include "session_parts.h"

#include <stdio.h>
#include <string.h>

#include "passphrase.h"
#include "private_file.h"

/* Others may have had what is in it for as long as it lay there. */
static enum err is_loose(const char *path, mode_t mode, struct why *w)
{
	return why_set(w, ERR_ENVIRONMENT,
		       "the key file %s has mode %04o, so others could read it: make a new one with attestd session "
		       "keygen, or chmod 600 %s if nobody else uses this machine",
		       path, (unsigned)mode, path);
}

enum err session_key_load(const char *path, const char *passphrase_file_path, struct rsa_key **out, struct why *w)
{
	struct buf pem = BUF_INIT(0), passphrase = BUF_INIT(0);
	struct rsa_key *key = NULL;
	struct why inner = {0};
	bool encrypted = false;
	mode_t loose = 0;
	enum err e = private_file_look("the key file", path, RSA_PRIVATE_PEM_MAX, &pem, &loose, w);

	if (e != ERR_OK)
		goto out;
	/* What is no private key may be anybody's to read, and chmod would not make one of it. */
	e = rsa_key_read(buf_bytes(&pem), buf_bytes(&passphrase), &key, &encrypted, &inner);
	if (loose != 0 && (e == ERR_OK || encrypted)) {
		e = is_loose(path, loose, w);
		goto out;
	}
	if ((e == ERR_OK || encrypted) && passphrase_file_path != NULL) {
		const enum err read = passphrase_file(passphrase_file_path, &passphrase, w);
		if (read != ERR_OK) {
			e = read;
			goto out;
		}
	}
	if (encrypted) {
		e = passphrase_file_path != NULL ? ERR_OK : passphrase_ask(path, false, &passphrase, w);
		if (e != ERR_OK)
			goto out;
		e = rsa_key_read(buf_bytes(&pem), buf_bytes(&passphrase), &key, &encrypted, &inner);
	}
	if (e != ERR_OK) {
		(void)why_set(w, e, "the key file %.100s: %s", path, inner.text);
		goto out;
	}
	*out = key;
	key = NULL;
out:
	rsa_key_free(key);
	buf_free(&pem);
	buf_free(&passphrase);
	return e;
}
