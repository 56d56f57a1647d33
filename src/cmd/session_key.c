/* session_key.c - the user's private key, from its file. */
#include "session_parts.h"

#include <stdio.h>
#include <string.h>

#include "passphrase.h"
#include "private_file.h"

enum err session_key_load(struct crypto *c, const char *path, const char *passphrase_file_path, struct rsa_key **out,
			  struct why *w)
{
	struct buf pem = BUF_INIT(0), passphrase = BUF_INIT(0);
	struct why inner = {0};
	bool encrypted = false;
	enum err e = private_file_read("the key file", path, RSA_PRIVATE_PEM_MAX, &pem, w);

	if (e == ERR_OK && passphrase_file_path != NULL)
		e = passphrase_file(passphrase_file_path, &passphrase, w);
	if (e != ERR_OK)
		goto out;
	e = rsa_key_read(c, buf_bytes(&pem), buf_bytes(&passphrase), out, &encrypted, &inner);
	if (e != ERR_OK && encrypted && passphrase_file_path == NULL) {
		e = passphrase_ask(path, false, &passphrase, w);
		if (e != ERR_OK)
			goto out;
		e = rsa_key_read(c, buf_bytes(&pem), buf_bytes(&passphrase), out, &encrypted, &inner);
	}
	if (e != ERR_OK)
		(void)why_set(w, e, "the key file %.100s: %s", path, inner.text);
out:
	buf_free(&pem);
	buf_free(&passphrase);
	return e;
}
