/* tls.h - TLS 1.3 (RFC 8446; 1.2 only where asked for) over a connected socket: identities, handshakes, and bytes. Part
 * of src/crypto: what is OpenSSL's stays there.
 *
 * Nobody's certificate is believed here because of who signed it: a server's is attested (purpose `tls` or `peer`), a
 * client's is either just a name for its key (its identity is the SHA-256 of its SubjectPublicKeyInfo, proven in the
 * handshake) or one that this process issued itself. There is no resumption (no tickets, no cache), no renegotiation,
 * no compression, no early data. AEAD suites with forward secrecy alone.
 */
#ifndef ATTESTD_TLS_H
#define ATTESTD_TLS_H

#include "cert.h"

enum {
	TLS_CERT_DER_MAX = 8 * 1024, /* of one certificate, a file's or a client's */
	TLS_PEM_MAX = 64 * 1024,     /* bytes of a certificate file or a key file */
	TLS_FILE_CHAIN_MAX = 8,	     /* certificates in a certificate file */
	TLS_KEY_PEM_MAX = 4096,	     /* bytes of a public key as PEM; RSA-8192 takes 1.5 kB */
	TLS_SPKI_MAX = 2048,	     /* the same in DER; RSA-8192 takes 1.1 kB */
	TLS_NAME_MAX = 253,	     /* bytes of a subjectAltName */
	TLS_NAMES_MAX = 16,
	TLS_BACKDATE_S = 60, /* how long before now a certificate of ours begins to be valid */
	TLS_SERIAL_SIZE = 16,
};

/* ---- identities: a key and its certificate; immutable, counted, shared by threads ---- */
struct tls_identity;
/* A P-256 key made here and a self-signed certificate for it: serverAuth and clientAuth, serial random, subject
 * CN=common_name, names (DNS names and IP addresses) as subjectAltName. The key never leaves this process. */
enum err tls_identity_new(struct crypto *c, const char *common_name, const struct bytes *names, size_t n_names,
			  int64_t now_s, int64_t lifetime_s, struct tls_identity **out, struct why *w) MUST_USE;
/* From PEM: the certificate (first) with its chain, and its private key (P-256, P-384, Ed25519, RSA of 2048 to
 * 8192 bits; not encrypted), in at most TLS_PEM_MAX bytes each. ERR_CONFIG says what is wrong: the key does not belong
 * to the certificate, not readable, expired. */
enum err tls_identity_read(struct bytes cert_pem, struct bytes key_pem, int64_t now_s, struct tls_identity **out,
			   struct why *w) MUST_USE;
/* The same key under a certificate that somebody else made for it (DER): a client's, from a peer's authority. */
enum err tls_identity_with(const struct tls_identity *i, struct bytes cert_der, struct tls_identity **out,
			   struct why *w) MUST_USE;
struct tls_identity *tls_identity_ref(struct tls_identity *i); /* one more owner */
void tls_identity_free(struct tls_identity *i);		       /* one fewer; wipes the key; NULL is fine */

struct bytes tls_identity_cert(const struct tls_identity *i);	     /* DER */
struct bytes tls_identity_spki(const struct tls_identity *i);	     /* DER */
const uint8_t *tls_identity_cert_hash(const struct tls_identity *i); /* SHA256_SIZE bytes: tls_cert_hash */
const uint8_t *tls_identity_spki_hash(const struct tls_identity *i); /* SHA256_SIZE bytes: tls_spki_hash, key_hash */
bool tls_identity_from_file(const struct tls_identity *i);	     /* key_origin: file, else memory */
int64_t tls_identity_not_before_s(const struct tls_identity *i);     /* Unix */
int64_t tls_identity_not_after_s(const struct tls_identity *i);	     /* Unix */

/* cert_pem_read for a certificate of at most TLS_CERT_DER_MAX bytes; cert_pem_put writes one. */
enum err tls_cert_read(struct bytes pem, struct buf *der, struct why *w) MUST_USE;
/* The SubjectPublicKeyInfo of a certificate, DER, appended. ERR_INVALID, told, if it is none. */
enum err tls_cert_spki(struct bytes cert_der, struct buf *spki, struct why *w) MUST_USE;

/* A public key as PEM, one block `PUBLIC KEY` and white space around it: its SubjectPublicKeyInfo in DER is appended.
 * P-256 and P-384 (named curve, uncompressed point), Ed25519, RSA as crypto_rsa_parse takes it: so that each key has
 * one spelling, and one hash. Anything else is ERR_BAD_KEY, told. */
enum err tls_key_read(struct bytes pem, struct buf *spki, struct why *w) MUST_USE;
void tls_key_put(struct bytes spki, struct buf *pem); /* the same backwards */

/* ---- an authority for clients' certificates; lives and dies with the process ---- */
struct tls_ca;
enum err tls_ca_new(struct crypto *c, int64_t now_s, struct tls_ca **out, struct why *w) MUST_USE; /* P-256 */
void tls_ca_free(struct tls_ca *ca); /* wipes the key; NULL is fine */
struct bytes tls_ca_cert(const struct tls_ca *ca);
/* Appends the DER of a certificate for the key in `spki` (P-256, P-384, Ed25519, RSA of 2048 to 8192 bits, else
 * ERR_BAD_KEY, told): random serial, digitalSignature, clientAuth alone, from TLS_BACKDATE_S ago for lifetime_s. */
enum err tls_ca_issue(struct crypto *c, const struct tls_ca *ca, struct bytes spki, int64_t now_s, int64_t lifetime_s,
		      struct buf *der, struct why *w) MUST_USE;

/* ---- what a listener offers ---- */
enum tls_clients {
	TLS_CLIENTS_ASKED, /* for a certificate; any will do, and none will */
	TLS_CLIENTS_OURS,  /* one that `ca` issued, valid by the system's clock, or there is no connection */
};
struct tls_server;
/* identity: one more owner is taken. ca: of TLS_CLIENTS_OURS, borrowed. */
enum err tls_server_new(struct tls_identity *identity, bool allow_12, enum tls_clients clients, const struct tls_ca *ca,
			struct tls_server **out, struct why *w) MUST_USE;
/* For the connections from now on; those that are open go on with theirs. */
enum err tls_server_renew(struct tls_server *s, struct tls_identity *identity, struct why *w) MUST_USE;
struct tls_identity *tls_server_identity(const struct tls_server *s); /* borrowed */
void tls_server_free(struct tls_server *s);			      /* connections may outlive it; NULL is fine */

/* ---- who is at the other end: immutable, counted ---- */
struct tls_peer;
struct tls_peer *tls_peer_ref(struct tls_peer *p);
void tls_peer_free(struct tls_peer *p);			     /* NULL is fine */
struct tls_identity *tls_peer_own(const struct tls_peer *p); /* our end's identity on this connection; NULL: none */
struct bytes tls_peer_cert(const struct tls_peer *p);	     /* the other's certificate, DER; empty: it gave none */
const uint8_t *tls_peer_key_hash(const struct tls_peer *p);  /* SHA-256 of its SPKI, proven; NULL: it gave none */

/* ---- a connection ---- */
struct tls;
/* fd: connected, non-blocking; borrowed, never closed here. */
enum err tls_accept(struct tls_server *s, int fd, struct tls **out, struct why *w) MUST_USE;
/* own: the client's identity, or NULL. name: for SNI, or NULL (addresses are no names). Any server certificate is
 * accepted: the caller must compare tls_peer_key_hash or tls_peer_cert with what is attested before a byte is trusted.
 */
enum err tls_connect(struct tls_identity *own, const char *name, int fd, struct tls **out, struct why *w) MUST_USE;
void tls_free(struct tls *t); /* NULL is fine; wipes */

enum tls_step {
	TLS_DONE,
	TLS_WANT_READ,
	TLS_WANT_WRITE,
	TLS_ENDED, /* of reading: the other end said orderly that there is no more */
	TLS_BROKEN /* the connection is of no use any more; *w says why: ERR_IDENTITY if the other end refuses our
		    * certificate, or that there is none; else ERR_ENVIRONMENT */
};
/* One connection is used by one thread at a time; each call does what it can without waiting. */
enum tls_step tls_handshake(struct tls *t, struct why *w) MUST_USE;
enum tls_step tls_read(struct tls *t, uint8_t *out, size_t cap, size_t *n, struct why *w) MUST_USE;
enum tls_step tls_write(struct tls *t, struct bytes in, size_t *n, struct why *w) MUST_USE;
enum tls_step tls_end(struct tls *t, struct why *w) MUST_USE; /* says that we send no more (close_notify) */
bool tls_pending(const struct tls *t);			      /* decrypted bytes wait: epoll would not tell */
/* After the handshake: one more owner of the facts. */
enum err tls_peer_of(const struct tls *t, struct tls_peer **out, struct why *w) MUST_USE;

#endif
