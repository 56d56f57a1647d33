/* Any bytes as a user's private key: the first says whether the others are the PEM text or what is inside it. What is
 * accepted reads back as itself, and its public half is one that the server takes. */
#include <stdlib.h>

#include "base/encode.h"
#include "crypto/rsa_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 160, ROUNDS_BYTES_MAX = 2 };

static struct crypto *shared(void)
{
	static struct crypto *c;
	struct why w = {0};

	if (c == NULL && crypto_new(&c, &w) != ERR_OK)
		abort();
	return c;
}

/* Whether there may be a large INTEGER where the cost of the passphrase stands: seconds are allowed, but not here. */
static bool costly(struct bytes der)
{
	for (size_t i = 0; i + 1 < der.n && i < HEAD; i++)
		if (der.p[i] == DER_INTEGER && der.p[i + 1] > ROUNDS_BYTES_MAX && der.p[i + 1] <= sizeof(uint64_t))
			return true;
	return false;
}

static void check(struct crypto *c, const struct rsa_key *k)
{
	struct buf private = BUF_INIT(RSA_PRIVATE_PEM_MAX), public = BUF_INIT(RSA_PEM_MAX);
	struct crypto_rsa *seen = NULL;
	struct rsa_key *again = NULL;
	bool encrypted = true;
	struct why w = {0};

	if (rsa_key_bits(k) < RSA_BITS_MIN || rsa_key_bits(k) > RSA_BITS_MAX ||
	    rsa_key_put_private(k, bytes_of(NULL, 0), &private, &w) != ERR_OK ||
	    rsa_key_read(buf_bytes(&private), bytes_of(NULL, 0), &again, &encrypted, &w) != ERR_OK || encrypted ||
	    !bytes_equal(rsa_key_spki(k), rsa_key_spki(again)))
		abort();
	if (rsa_key_put_public(k, &public, &w) != ERR_OK ||
	    crypto_rsa_parse(c, buf_bytes(&public), &seen, &w) != ERR_OK ||
	    !bytes_equal(rsa_key_spki(k), crypto_rsa_spki(seen)))
		abort();
	crypto_rsa_free(seen);
	rsa_key_free(again);
	buf_free(&public);
	buf_free(&private);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const labels[] = {NULL, "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"};
	struct bytes passphrase = bytes_of(NULL, 0), in;
	struct buf pem = BUF_INIT(4 * RSA_PRIVATE_PEM_MAX);
	struct crypto *c = shared();
	struct rsa_key *k = NULL;
	bool encrypted = false;
	struct why w = {0};
	enum err e;

	if (size == 0)
		return 0;
	unsigned form = data[0] % 4;

	in = bytes_of(data + 1, size - 1);
	if (form == 3 && !costly(in))
		passphrase = BYTES_LIT("correct");
	if (form == 0)
		buf_put_bytes(&pem, in);
	else
		pem_put(labels[form], in, &pem);
	if (pem.failed)
		goto out;
	e = rsa_key_read(buf_bytes(&pem), passphrase, &k, &encrypted, &w);
	if (e == ERR_OK)
		check(c, k);
	else if (k != NULL || e != ERR_BAD_KEY || w.err != e || !w.tell || w.text[0] == '\0')
		abort();
	rsa_key_free(k);
out:
	buf_free(&pem);
	return 0;
}
