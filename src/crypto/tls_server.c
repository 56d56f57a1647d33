/* tls_server.c - what a TLS listener offers, and whose certificates it takes. */
#include "tls_internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define SUITES_13 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
#define SUITES_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS	  "X25519:P-256:P-384"

struct tls_server {
	SSL_CTX *ctx; /* of the identity; connections hold their own reference */
	struct tls_identity *identity;
	bool allow_12;
	enum tls_clients clients;
	const struct tls_ca *ca;
};

SSL_CTX *tls_context(const SSL_METHOD *method, bool allow_12)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, TLS_CERT_DER_MAX);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_min_proto_version(ctx, allow_12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, SUITES_13) != 1 || SSL_CTX_set_cipher_list(ctx, SUITES_12) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, GROUPS) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

enum err tls_context_use(SSL_CTX *ctx, const struct tls_identity *i, struct why *w)
{
	if (SSL_CTX_use_certificate(ctx, i->cert) != 1 || SSL_CTX_use_PrivateKey(ctx, i->key) != 1 ||
	    (i->chain != NULL && SSL_CTX_set1_chain(ctx, i->chain) != 1))
		return crypto_fault(w, "using a TLS identity");
	return ERR_OK;
}

/* Any certificate will do, and so whatever OpenSSL finds wrong with its chain: what counts is the key, and the
 * handshake proves that the client holds it. */
static int take_any(X509_STORE_CTX *store, void *ctx)
{
	(void)store;
	(void)ctx;
	return 1;
}

static bool is_h11(const uint8_t *protocol, unsigned n)
{
	return bytes_is(bytes_of(protocol, n), "http/1.1");
}

static int choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_n, const uint8_t *offered, unsigned n, void *ctx)
{
	(void)ssl;
	(void)ctx;
	for (unsigned at = 0; at < n; at += 1u + offered[at]) {
		const unsigned len = offered[at];
		if (at + 1 + len > n)
			break;
		if (is_h11(offered + at + 1, len)) {
			*out = offered + at + 1;
			*out_n = (uint8_t)len;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	/* RFC 7301: no protocol in common ends the handshake. */
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool trust_ca(SSL_CTX *ctx, const struct tls_ca *ca)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	return X509_STORE_add_cert(store, ca->cert) == 1 && SSL_CTX_add_client_CA(ctx, ca->cert) == 1 &&
	       X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) == 1 &&
	       X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT) == 1;
}

static enum err make_context(const struct tls_server *s, struct tls_identity *identity, SSL_CTX **out, struct why *w)
{
	SSL_CTX *ctx = tls_context(TLS_server_method(), s->allow_12);
	enum err e;

	if (ctx == NULL)
		return crypto_fault(w, "setting TLS up");
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	if (s->clients == TLS_CLIENTS_OURS) {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		e = trust_ca(ctx, s->ca) ? ERR_OK : crypto_fault(w, "setting TLS up for clients' certificates");
	} else {
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_cert_verify_callback(ctx, take_any, NULL);
		e = ERR_OK;
	}
	if (e == ERR_OK)
		e = tls_context_use(ctx, identity, w);
	if (e != ERR_OK) {
		SSL_CTX_free(ctx);
		return e;
	}
	*out = ctx;
	return ERR_OK;
}

enum err tls_server_new(struct tls_identity *identity, bool allow_12, enum tls_clients clients, const struct tls_ca *ca,
			struct tls_server **out, struct why *w)
{
	struct tls_server *s = calloc(1, sizeof *s);
	enum err e;

	if (s == NULL)
		return why_set(w, ERR_MEMORY, "no memory for TLS");
	s->allow_12 = allow_12;
	s->clients = clients;
	s->ca = ca;
	e = tls_server_renew(s, identity, w);
	if (e != ERR_OK) {
		tls_server_free(s);
		return e;
	}
	*out = s;
	return ERR_OK;
}

enum err tls_server_renew(struct tls_server *s, struct tls_identity *identity, struct why *w)
{
	SSL_CTX *ctx = NULL;
	const enum err e = make_context(s, identity, &ctx, w);

	if (e != ERR_OK)
		return e;
	SSL_CTX_free(s->ctx);
	tls_identity_free(s->identity);
	s->ctx = ctx;
	s->identity = tls_identity_ref(identity);
	return ERR_OK;
}

struct tls_identity *tls_server_identity(const struct tls_server *s)
{
	return s->identity;
}

void tls_server_free(struct tls_server *s)
{
	if (s == NULL)
		return;
	SSL_CTX_free(s->ctx);
	tls_identity_free(s->identity);
	free(s);
}

SSL *tls_server_connection(const struct tls_server *s)
{
	return SSL_new(s->ctx);
}
