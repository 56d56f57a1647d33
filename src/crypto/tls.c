/* tls.c - a TLS connection over a socket that never waits. */
#include "tls_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* What one call may do. A record of TLS's own (a change of keys, a refused renegotiation) costs microseconds and 30
 * bytes, and OpenSSL would go on with them for as long as the socket has some: a loop, or a deadline, would have to
 * wait. */
enum {
	READS_A_CALL = 2,      /* of the socket, a record's worth each */
	HANDSHAKE_READS = 16,  /* the same, of a step of the handshake */
	OWN_MESSAGES_MAX = 32, /* between two pieces of data, of either direction */
};

struct tls {
	SSL *ssl;
	unsigned reads_left;	  /* of this call */
	unsigned own_messages;	  /* since the last data; of an open connection */
	bool open;		  /* the handshake is over */
	struct tls_identity *own; /* NULL: a client without one */
};

struct tls_peer {
	atomic_uint owners;
	struct tls_identity *own;
	struct buf cert;
	bool has_key;
	uint8_t key_hash[SHA256_SIZE];
};

/* ---- making ---- */

static long on_bio(BIO *bio, int operation, const char *argp, size_t len, int argi, long argl, int ret,
		   size_t *processed)
{
	struct tls *t = (struct tls *)(void *)BIO_get_callback_arg(bio);
	(void)argp;
	(void)len;
	(void)argi;
	(void)argl;
	(void)processed;
	if (operation != BIO_CB_READ)
		return ret;
	if (t->reads_left == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	t->reads_left--;
	return 1;
}

static void on_message(int written, int version, int type, const void *p, size_t n, SSL *ssl, void *ctx)
{
	struct tls *t = ctx;
	(void)written;
	(void)version;
	(void)p;
	(void)n;
	(void)ssl;
	if (t->open && (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT))
		t->own_messages++;
}

/* Takes ssl over. */
static enum err make(SSL *ssl, int fd, struct tls_identity *own, struct tls **out, struct why *w)
{
	struct tls *t = calloc(1, sizeof *t);

	if (t == NULL || ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		free(t);
		return crypto_fault(w, "setting up a TLS connection");
	}
	t->ssl = ssl;
	SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	SSL_set_msg_callback(ssl, on_message);
	SSL_set_msg_callback_arg(ssl, t);
	BIO_set_callback_ex(SSL_get_rbio(ssl), on_bio);
	BIO_set_callback_arg(SSL_get_rbio(ssl), (char *)t);
	t->own = own != NULL ? tls_identity_ref(own) : NULL;
	*out = t;
	return ERR_OK;
}

enum err tls_accept(struct tls_server *s, int fd, struct tls **out, struct why *w)
{
	SSL *ssl = tls_server_connection(s);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return make(ssl, fd, tls_server_identity(s), out, w);
}

enum err tls_connect(struct tls_identity *own, const char *name, int fd, struct tls **out, struct why *w)
{
	static const uint8_t alpn[] = "\x08http/1.1";
	SSL_CTX *ctx = tls_context(TLS_client_method(), false);
	SSL *ssl = NULL;
	enum err e = ctx == NULL ? crypto_fault(w, "setting TLS up") : ERR_OK;

	if (e == ERR_OK && own != NULL)
		e = tls_context_use(ctx, own, w);
	if (e != ERR_OK) {
		SSL_CTX_free(ctx);
		return e;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx); /* the connection keeps it */
	if (ssl != NULL && (SSL_set_alpn_protos(ssl, alpn, sizeof alpn - 1) != 0 ||
			    (name != NULL && SSL_set_tlsext_host_name(ssl, name) != 1))) {
		SSL_free(ssl);
		ssl = NULL;
	}
	if (ssl != NULL)
		SSL_set_connect_state(ssl);
	return make(ssl, fd, own, out, w);
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	tls_identity_free(t->own);
	free(t);
}

/* ---- steps ---- */

/* Alerts by which the other end refuses our certificate, or that there is none. */
static bool is_about_our_certificate(unsigned long error)
{
	switch (ERR_GET_REASON(error)) {
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return ERR_GET_LIB(error) == ERR_LIB_SSL;
	default:
		return false;
	}
}

static enum tls_step step_of(const struct tls *t, int r, const char *what, struct why *w)
{
	const int error = errno, kind = SSL_get_error(t->ssl, r);
	unsigned long first;
	const char *reason;

	switch (kind) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_ENDED;
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		(void)why_tell(w, ERR_ENVIRONMENT, NULL, "%s: %s", what,
			       error != 0 ? strerror(error) : "the connection was cut off");
		return TLS_BROKEN;
	default:
		first = ERR_peek_error();
		reason = ERR_reason_error_string(first);
		(void)why_tell(w, is_about_our_certificate(first) ? ERR_IDENTITY : ERR_ENVIRONMENT, NULL, "%s: %s",
			       what, reason != NULL ? reason : "no reason given");
		ERR_clear_error();
		return TLS_BROKEN;
	}
}

/* What others left in the thread's queue, and in errno, must not be taken for this connection's. */
static void begin(struct tls *t, unsigned reads)
{
	ERR_clear_error();
	errno = 0;
	t->reads_left = reads;
}

enum tls_step tls_handshake(struct tls *t, struct why *w)
{
	begin(t, HANDSHAKE_READS);
	const int r = SSL_do_handshake(t->ssl);
	t->open = r == 1;
	return r == 1 ? TLS_DONE : step_of(t, r, "the TLS handshake failed", w);
}

enum tls_step tls_read(struct tls *t, uint8_t *out, size_t cap, size_t *n, struct why *w)
{
	enum tls_step step;
	unsigned before;

	begin(t, READS_A_CALL);
	do {
		before = t->own_messages;
		const int r = SSL_read_ex(t->ssl, out, cap, n);
		step = r == 1 ? TLS_DONE : step_of(t, r, "reading from TLS", w);
		if (step == TLS_DONE)
			t->own_messages = 0;
		if (t->own_messages > OWN_MESSAGES_MAX) {
			(void)why_tell(w, ERR_ENVIRONMENT, NULL,
				       "reading from TLS: more than %d messages of its own without any data",
				       OWN_MESSAGES_MAX);
			return TLS_BROKEN;
		}
		/* Behind a message that was dealt with there may be more, which is decrypted from what was read
		 * already.
		 */
	} while (step == TLS_WANT_READ && t->own_messages > before && tls_pending(t));
	return step;
}

enum tls_step tls_write(struct tls *t, struct bytes in, size_t *n, struct why *w)
{
	begin(t, READS_A_CALL);
	const int r = SSL_write_ex(t->ssl, in.p, in.n, n);
	/* Who takes a long reply may say something of TLS's own all along. */
	if (r == 1)
		t->own_messages = 0;
	return r == 1 ? TLS_DONE : step_of(t, r, "writing to TLS", w);
}

enum tls_step tls_end(struct tls *t, struct why *w)
{
	begin(t, READS_A_CALL);
	const int r = SSL_shutdown(t->ssl);
	return r >= 0 ? TLS_DONE : step_of(t, r, "ending TLS", w);
}

bool tls_pending(const struct tls *t)
{
	return SSL_has_pending(t->ssl) == 1;
}

/* ---- who is at the other end ---- */

static enum err fill_peer(const struct tls *t, struct tls_peer *p, struct why *w)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	struct buf spki = BUF_INIT(TLS_CERT_DER_MAX);
	EVP_PKEY *key;
	enum err e;

	if (cert == NULL)
		return ERR_OK;
	key = X509_get0_pubkey(cert);
	e = tls_cert_der(cert, &p->cert, w);
	if (e == ERR_OK)
		e = key != NULL ? tls_key_spki(key, &spki, w) : crypto_fault(w, "reading the other end's certificate");
	if (e == ERR_OK && EVP_Digest(spki.p, spki.n, p->key_hash, NULL, EVP_sha256(), NULL) != 1)
		e = crypto_fault(w, "SHA-256");
	p->has_key = e == ERR_OK;
	buf_free(&spki);
	return e;
}

enum err tls_peer_of(const struct tls *t, struct tls_peer **out, struct why *w)
{
	struct tls_peer *p = calloc(1, sizeof *p);

	if (p == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a TLS connection's facts");
	p->owners = 1;
	p->cert = BUF_INIT(TLS_CERT_DER_MAX);
	p->own = t->own != NULL ? tls_identity_ref(t->own) : NULL;
	const enum err e = fill_peer(t, p, w);
	if (e != ERR_OK) {
		tls_peer_free(p);
		return e;
	}
	*out = p;
	return ERR_OK;
}

struct tls_peer *tls_peer_ref(struct tls_peer *p)
{
	atomic_fetch_add(&p->owners, 1);
	return p;
}

void tls_peer_free(struct tls_peer *p)
{
	if (p == NULL || atomic_fetch_sub(&p->owners, 1) > 1)
		return;
	tls_identity_free(p->own);
	buf_free(&p->cert);
	free(p);
}

struct tls_identity *tls_peer_own(const struct tls_peer *p)
{
	return p->own;
}

struct bytes tls_peer_cert(const struct tls_peer *p)
{
	return buf_bytes(&p->cert);
}

const uint8_t *tls_peer_key_hash(const struct tls_peer *p)
{
	return p->has_key ? p->key_hash : NULL;
}
