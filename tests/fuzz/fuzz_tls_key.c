/* Any bytes as a peer's public key: the first says whether the others are the PEM text or what is inside it. What is
 * accepted reads back as itself, and a certificate can be made for it. */
#include <stdlib.h>

#include "tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_S = 1800000000, LIFETIME_S = 60 };

static struct crypto *crypto;

static struct tls_ca *shared(void)
{
	static struct tls_ca *ca;
	struct why w = {0};

	if (ca == NULL && (crypto_new(&crypto, &w) != ERR_OK || tls_ca_new(crypto, NOW_S, &ca, &w) != ERR_OK))
		abort();
	return ca;
}

static void check(struct bytes spki)
{
	struct buf pem = BUF_INIT(TLS_KEY_PEM_MAX), again = BUF_INIT(TLS_KEY_PEM_MAX), der = BUF_INIT(TLS_CERT_DER_MAX),
		   seen = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};

	tls_key_put(spki, &pem);
	if (tls_key_read(buf_bytes(&pem), &again, &w) != ERR_OK || !bytes_equal(buf_bytes(&again), spki))
		abort();
	if (tls_ca_issue(crypto, shared(), spki, NOW_S, LIFETIME_S, &der, &w) != ERR_OK ||
	    tls_cert_spki(buf_bytes(&der), &seen, &w) != ERR_OK || !bytes_equal(buf_bytes(&seen), spki))
		abort();
	buf_free(&pem);
	buf_free(&again);
	buf_free(&der);
	buf_free(&seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(4 * TLS_KEY_PEM_MAX), spki = BUF_INIT(TLS_KEY_PEM_MAX);
	struct why w = {0};
	enum err e;

	(void)shared();
	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		buf_put(&text, data + 1, size - 1);
	else
		tls_key_put(bytes_of(data + 1, size - 1), &text);
	if (text.failed)
		goto out;
	e = tls_key_read(buf_bytes(&text), &spki, &w);
	if (e == ERR_OK)
		check(buf_bytes(&spki));
	else if (spki.n > 0 || e != ERR_BAD_KEY || w.err != e || !w.tell || w.text[0] == '\0')
		abort();
out:
	buf_free(&text);
	buf_free(&spki);
	return 0;
}
