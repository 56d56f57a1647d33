/* Any bytes as a caller's public key. What is accepted keeps the rules and reads back as itself. */
#include <stdlib.h>

#include "base/encode.h"
#include "crypto/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct crypto *shared(void)
{
	static struct crypto *c;
	struct why w;

	if (c == NULL && crypto_new(&c, &w) != ERR_OK)
		abort();
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf pem = BUF_INIT(2 * RSA_PEM_MAX), wrapped = BUF_INIT(RSA_WRAPPED_MAX), der = BUF_INIT(RSA_PEM_MAX);
	struct crypto_numbers read = {.bits = 0};
	struct crypto_rsa *k = NULL, *again = NULL;
	struct crypto *c = shared();
	struct why w;

	if (crypto_rsa_parse(c, bytes_of(data, size), &k, &w) != ERR_OK) {
		if (k != NULL || w.err != ERR_BAD_KEY || !w.tell || w.text[0] == '\0')
			abort();
		return 0;
	}
	if (size > RSA_PEM_MAX || crypto_pem_read(bytes_of(data, size), &der, &read, &w) != ERR_OK ||
	    read.bits < RSA_BITS_MIN || read.bits > RSA_BITS_MAX)
		abort();
	buf_put_str(&pem, "-----BEGIN PUBLIC KEY-----\n");
	buf_put_base64(&pem, crypto_rsa_spki(k));
	buf_put_str(&pem, "\n-----END PUBLIC KEY-----\n");
	if (crypto_rsa_parse(c, buf_bytes(&pem), &again, &w) != ERR_OK ||
	    !bytes_equal(crypto_rsa_spki(k), crypto_rsa_spki(again)))
		abort();
	if (crypto_rsa_wrap(c, again, BYTES_LIT("key"), &wrapped, &w) != ERR_OK || wrapped.n != (read.bits + 7) / 8)
		abort();
	crypto_rsa_free(k);
	crypto_rsa_free(again);
	buf_free(&pem);
	buf_free(&der);
	buf_free(&wrapped);
	return 0;
}
