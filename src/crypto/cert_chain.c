/* cert_chain.c - chains of certificates that end in a pinned root. Two judges must agree: our own rules, which read the
 * bundle as an exact line, and OpenSSL's path builder, which verifies the signatures. */
#include "internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

enum { ALL_MAX = CERT_BUNDLE_MAX + 1, WHO_MAX = 40 };

struct cert_chain {
	atomic_uint owners;
	EVP_PKEY *key; /* the leaf's */
	int64_t not_before_s, not_after_s;
};

/* The bundle and behind it the leaf, which is at n. */
struct check {
	size_t n;
	struct bytes der[ALL_MAX];
	struct cert_fields f[ALL_MAX];
	X509 *x[ALL_MAX];
	char who[ALL_MAX][WHO_MAX];
	enum cert_fault *fault;
	struct why *w;
};

#define BAD(k, kind, ...) (*(k)->fault = (kind), why_tell((k)->w, ERR_INVALID, NULL, __VA_ARGS__))

static enum err gather(struct check *k, struct bytes root, const struct bytes *bundle, size_t n, struct bytes leaf)
{
	if (n == 0)
		return BAD(k, CERT_BROKEN, "The bundle is empty; it must begin with the root");
	if (n > CERT_BUNDLE_MAX)
		return BAD(k, CERT_BROKEN, "The bundle has %zu certificates; at most %d are allowed", n,
			   CERT_BUNDLE_MAX);
	if (!bytes_equal(bundle[0], root))
		return BAD(k, CERT_UNTRUSTED,
			   "The bundle does not begin with the root that is trusted here, byte for byte");
	k->n = n;
	for (size_t i = 0; i <= n; i++) {
		k->der[i] = i < n ? bundle[i] : leaf;
		if (i == 0)
			(void)snprintf(k->who[i], WHO_MAX, "The root");
		else if (i == n)
			(void)snprintf(k->who[i], WHO_MAX, "The leaf certificate");
		else
			(void)snprintf(k->who[i], WHO_MAX, "Certificate %zu of the bundle", i + 1);
	}
	return ERR_OK;
}

static enum err line_up(struct check *k)
{
	for (size_t i = 0; i <= k->n; i++) {
		const struct cert_fields *f = &k->f[i];

		if (i == 0 && !bytes_equal(f->issuer, f->subject))
			return BAD(k, CERT_BROKEN, "The root names another certificate as its issuer, so it is none");
		if (i > 0 && bytes_equal(f->issuer, f->subject))
			return BAD(k, CERT_BROKEN, "%s names itself as its issuer, which only the root may", k->who[i]);
		if (i > 0 && !bytes_equal(f->issuer, k->f[i - 1].subject))
			return BAD(k, CERT_BROKEN,
				   "%s names another issuer than the certificate before it; the bundle must run from "
				   "the root down to the leaf's issuer, with nothing missing, moved or left over",
				   k->who[i]);
	}
	return ERR_OK;
}

static enum err constrain(struct check *k)
{
	for (size_t i = 0; i <= k->n; i++) {
		const struct cert_fields *f = &k->f[i];
		bool leaf = i == k->n;

		if (!f->has_constraints || !f->constraints_critical)
			return BAD(k, CERT_CONSTRAINT, "%s has no critical basicConstraints extension", k->who[i]);
		if (leaf && f->ca)
			return BAD(k, CERT_CONSTRAINT, "%s is a CA's, which may not sign documents", k->who[i]);
		if (!leaf && !f->ca)
			return BAD(k, CERT_CONSTRAINT, "%s is not a CA's, so it may not issue certificates", k->who[i]);
		if (!f->has_usage || (f->usage & (leaf ? CERT_DIGITAL_SIGNATURE : CERT_CERT_SIGN)) == 0)
			return BAD(k, CERT_CONSTRAINT, "%s has no keyUsage extension that allows %s", k->who[i],
				   leaf ? "digitalSignature" : "keyCertSign");
		if (!leaf && f->path_length < k->n - 1 - i)
			return BAD(
				k, CERT_CONSTRAINT,
				"%s allows at most %u CA certificates below it (pathLenConstraint); the bundle has %zu",
				k->who[i], f->path_length, k->n - 1 - i);
	}
	return ERR_OK;
}

/* Want of memory is no fault of the chain, and must not look like one. */
static enum err undecoded(struct check *k, size_t i, enum cert_fault kind, const char *what)
{
	if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
		return why_set(k->w, ERR_MEMORY, "no memory for a certificate");
	return BAD(k, kind, "%s has %s", k->who[i], what);
}

static enum err decode(struct check *k)
{
	ERR_clear_error();
	for (size_t i = 0; i <= k->n; i++) {
		const unsigned char *at = k->der[i].p;

		k->x[i] = d2i_X509(NULL, &at, (long)k->der[i].n);
		if (k->x[i] == NULL)
			return undecoded(k, i, CERT_MALFORMED, "a field that is not as RFC 5280 describes it");
		if (X509_get0_pubkey(k->x[i]) == NULL)
			return undecoded(k, i, CERT_UNSUPPORTED, "a public key that is not a point of P-384");
		if (X509_check_purpose(k->x[i], -1, 0) != 1)
			return undecoded(k, i, CERT_MALFORMED, "an extension that is not as RFC 5280 describes it");
	}
	return ERR_OK;
}

/* OpenSSL counts from the leaf, and its chain can be longer or shorter than ours. */
static enum err judged(struct check *k, const X509_STORE_CTX *ctx)
{
	int depth = X509_STORE_CTX_get_error_depth(ctx), code = X509_STORE_CTX_get_error(ctx);
	size_t i = depth < 0 || (size_t)depth > k->n ? k->n : k->n - (size_t)depth;

	switch (code) {
	case X509_V_ERR_OUT_OF_MEM:
		return why_set(k->w, ERR_MEMORY, "no memory to verify a chain");
	case X509_V_ERR_UNSPECIFIED:
		return crypto_fault(k->w, "verifying a chain");
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return BAD(k, CERT_BROKEN, "%s was not signed by the certificate before it", k->who[i]);
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return BAD(k, CERT_BROKEN, "%s was not issued by the certificate before it: %s", k->who[i],
			   X509_verify_cert_error_string(code));
	default:
		return BAD(k, CERT_CONSTRAINT, "%s breaks a rule of RFC 5280: %s", k->who[i],
			   X509_verify_cert_error_string(code));
	}
}

static bool same_line(const struct check *k, STACK_OF(X509) * built)
{
	if (built == NULL || sk_X509_num(built) != (int)k->n + 1)
		return false;
	for (size_t i = 0; i <= k->n; i++)
		if (sk_X509_value(built, (int)(k->n - i)) != k->x[i])
			return false;
	return true;
}

static enum err second_opinion(struct check *k)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	X509_STORE *trusted = X509_STORE_new();
	enum err e = ERR_OK;

	if (ctx == NULL || untrusted == NULL || trusted == NULL || X509_STORE_add_cert(trusted, k->x[0]) != 1)
		goto bad;
	for (size_t i = 1; i < k->n; i++)
		if (sk_X509_push(untrusted, k->x[i]) <= 0)
			goto bad;
	if (X509_STORE_CTX_init(ctx, trusted, k->x[k->n], untrusted) != 1)
		goto bad;
	/* Times are the caller's: what holds now is kept, and judged anew at the time of each document. */
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(ctx) != 1)
		e = judged(k, ctx);
	else if (!same_line(k, X509_STORE_CTX_get0_chain(ctx)))
		e = BAD(k, CERT_BROKEN, "The bundle can also be read as another chain than the one it spells out");
	goto out;
bad:
	e = crypto_fault(k->w, "verifying a chain");
out:
	X509_STORE_CTX_free(ctx);
	sk_X509_free(untrusted);
	X509_STORE_free(trusted);
	return e;
}

static enum err keep(const struct check *k, struct cert_chain **out, struct why *w)
{
	struct cert_chain *chain = calloc(1, sizeof *chain);

	if (chain == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a chain");
	atomic_init(&chain->owners, 1);
	chain->key = X509_get_pubkey(k->x[k->n]);
	chain->not_before_s = INT64_MIN;
	chain->not_after_s = INT64_MAX;
	for (size_t i = 0; i <= k->n; i++) {
		if (k->f[i].not_before_s > chain->not_before_s)
			chain->not_before_s = k->f[i].not_before_s;
		if (k->f[i].not_after_s < chain->not_after_s)
			chain->not_after_s = k->f[i].not_after_s;
	}
	*out = chain;
	return ERR_OK;
}

enum err cert_chain_check(struct bytes root, const struct bytes *bundle, size_t n, struct bytes leaf,
			  struct cert_chain **out, enum cert_fault *fault, struct why *w)
{
	struct check k = {.fault = fault, .w = w};
	enum err e;

	e = gather(&k, root, bundle, n, leaf);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i <= n && e == ERR_OK; i++)
		e = cert_fields_read(k.der[i], k.who[i], &k.f[i], fault, w);
	if (e == ERR_OK)
		e = line_up(&k);
	if (e == ERR_OK)
		e = constrain(&k);
	if (e == ERR_OK)
		e = decode(&k);
	if (e == ERR_OK)
		e = second_opinion(&k);
	if (e == ERR_OK)
		e = keep(&k, out, w);
	for (size_t i = 0; i <= n; i++)
		X509_free(k.x[i]);
	ERR_clear_error();
	return e;
}

struct cert_chain *cert_chain_ref(struct cert_chain *chain)
{
	atomic_fetch_add_explicit(&chain->owners, 1, memory_order_relaxed);
	return chain;
}

void cert_chain_free(struct cert_chain *chain)
{
	if (chain == NULL || atomic_fetch_sub_explicit(&chain->owners, 1, memory_order_acq_rel) > 1)
		return;
	EVP_PKEY_free(chain->key);
	free(chain);
}

void cert_chain_window(const struct cert_chain *chain, int64_t *not_before_s, int64_t *not_after_s)
{
	*not_before_s = chain->not_before_s;
	*not_after_s = chain->not_after_s;
}

bool cert_chain_signed(struct crypto *c, const struct cert_chain *chain, struct bytes message,
		       const uint8_t signature[CERT_SIGNATURE_SIZE])
{
	return cert_es384_verify(c, chain->key, message, signature);
}
