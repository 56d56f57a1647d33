/* peer.h - enclaves that trust each other: challenges, reports, and what a report must say (the protocol of attested
 * peers). Part of src/session. Both ends use it: the server's routes and `attestd peer`.
 *
 * A report is an attestation document of purpose `peer`: nonce = the other side's challenge, the 32 bytes themselves;
 * claims `role`, `key_hash` (SHA-256 of the SubjectPublicKeyInfo in DER of the reporter's own key), `peer_key_hash` (of
 * the other's) and `config_digest`, all in lower-case hex. It has no agent metadata. Steps, each of which fails with a
 * sentence that names it:
 *
 *   1 cert       client: GET /cert               -> {certificate, key_hash} of the mutual-TLS listener
 *   2 report     client: POST /report            {challenge, public_key} -> {attestation_document, certificate, ...}
 *                (or GET /report?challenge=HEX&key_hash=HEX, for whoever has hashed the key already)
 *   3 verify     client: role server, key_hash of that certificate's key, which is the one of step 1, peer_key_hash its
 *                        own, its challenge, policy, config_digest its own
 *   4 challenge  client: GET /challenge          -> {challenge, expires_in_seconds}
 *   5 client     client: POST /client            {attestation_document, public_key}
 *                                                -> {certificate, ca_certificate, expires_in_seconds}
 *                server: role client, key_hash of public_key, peer_key_hash of its own key as of now, an unused
 *                        challenge of its own, policy, config_digest its own
 *   6 connect    client: mutual TLS with that certificate; the server's key is the attested one
 *                        GET /whoami             -> what the server has verified of the client
 *   7 ping       client: the same on another connection
 *                        GET /ping               -> pong (text/plain, without a newline)
 *
 * The client verifies the server before it attests itself. `challenge` is 64 lower-case hex digits, of the sender's own
 * randomness. Keys are PEM SPKI (tls_key_read), certificates PEM. `attestation_document` in a reply is the object that
 * every attested reply has, whose member `document` is the COSE_Sign1 in base64, and the other members of such replies
 * stand beside it; in the request of step 5 it is that base64 text alone. GET /client tells what a client is held to:
 * {config_digest, allowed_pcrs, certificate_lifetime_seconds, ca_certificate}.
 *
 * A server's key is renewed now and then: a client that is shown another key in step 3 or 6, or refused in step 5 for
 * the hash of the server's, asks for GET /cert once more, and where the key is another one by now begins again with
 * step 1, twice at most. The server takes a challenge away with the first document that names it, good or bad: a client
 * whom it refuses in step 5 begins again with step 4.
 */
#ifndef ATTESTD_PEER_H
#define ATTESTD_PEER_H

#include "attest.h"
#include "tls.h"
#include "verify.h"

enum {
	PEER_CHALLENGE_SIZE = 32,      /* bytes */
	PEER_CHALLENGES_MAX = 8192,    /* that were used and are not too old yet; one more has to wait */
	PEER_CHALLENGE_MS = 60 * 1000, /* lifetime, CLOCK_BOOTTIME */
	PEER_CLIENTS_MAX = 4096,       /* verified ones at once; one more takes the place of the oldest */
};

enum peer_role { PEER_SERVER, PEER_CLIENT };
const char *peer_role_name(enum peer_role r); /* "server" */

/* ---- one-time challenges (loop thread) ----
 *
 * A challenge is the time (CLOCK_BOOTTIME in ms, 8 bytes, big-endian), 8 random bytes, and the first 16 bytes of the
 * HMAC-SHA256 of both under a key that is made with the table and never leaves it. So giving one out keeps nothing, and
 * no flood of GET /challenge takes anything from anybody; only those that were used are kept, until they are too old.
 */
struct peer_challenges;
enum err peer_challenges_new(struct peer_challenges **out, struct crypto *crypto, struct random random,
			     const struct clock *clock, struct why *w) MUST_USE;
void peer_challenges_free(struct peer_challenges *c);
enum err peer_challenge_give(const struct peer_challenges *c, uint8_t out[PEER_CHALLENGE_SIZE], struct why *w) MUST_USE;
/* Uses it up. ERR_CHALLENGE, told, alike for one that never was, was used, or is too old, and for what has another
 * size. ERR_BUSY, told, with retry_after_s: it is a good one, and stays so, but no more can be kept just now. */
enum err peer_challenge_take(struct peer_challenges *c, struct bytes challenge, struct why *w) MUST_USE;

/* ---- reports ---- */
struct peer_claims { /* hashes as they are; rendered in hex */
	enum peer_role role;
	uint8_t key_hash[SHA256_SIZE], peer_key_hash[SHA256_SIZE], config_digest[SHA256_SIZE];
};
/* Claims of purpose ATTEST_PEER, for attest_doc_make with the other side's challenge as the nonce. */
enum err peer_claims_make(struct attest *a, const struct peer_claims *p, struct attest_claims *out,
			  struct why *w) MUST_USE;
/* Any thread. Does the document (a COSE_Sign1) hold, is it of an enclave of the policy, and does it say just this, with
 * this challenge? policy: without nonce and purpose, which are set here. ERR_UNATTESTED, told: the sentence names what
 * differs; the verdict is given out in any case where there is one (may be NULL). Of a verdict that is good, w->field
 * is the claim's name: role, key_hash, peer_key_hash or config_digest. */
enum err peer_report_check(struct verify *v, const struct verify_policy *policy, struct bytes document,
			   const uint8_t challenge[PEER_CHALLENGE_SIZE], const struct peer_claims *want,
			   struct verify_verdict **verdict, struct why *w) MUST_USE;

/* A report as it is sent, decoded. ERR_INVALID, told, unless it is 1 to VERIFY_DOCUMENT_MAX bytes in padded base64. */
enum err peer_report_read(struct bytes base64, struct buf *document, struct why *w) MUST_USE;

/* ---- whom to trust ---- */
/* The policy that peers are held to where no file says otherwise: the same PCR0, PCR1 and PCR2 as our own document has
 * are added to *p. ERR_CONFIG, told, where that is a debug enclave's (any of them all zero) or the NSM has no
 * documents.
 */
enum err peer_policy_same(const struct attest_doc *own, struct verify_policy *p, struct why *w) MUST_USE;
/* Is it fit for peers? ERR_CONFIG, told, where it holds a nonce, user data, a purpose or a time, which are the
 * protocol's to say, or compares nothing that tells one enclave from another. */
enum err peer_policy_check(const struct verify_policy *p, struct why *w) MUST_USE;

/* ---- clients that were verified (loop thread) ---- */
struct peer_facts { /* all of it signed but for the times, which are ours */
	uint8_t key_hash[SHA256_SIZE], config_digest[SHA256_SIZE];
	char module_id[NSM_MODULE_ID_SIZE];
	uint32_t pcrs; /* bit i: PCR i is in pcr[i] */
	uint8_t pcr[NSM_PCRS_MAX][NSM_PCR_SIZE];
	int64_t verified_wall_ms, lifetime_ms; /* of its certificate, from then on */
};
/* Any thread. What a good verdict of peer_report_check says of the client. The times are the caller's to set. */
void peer_facts_of(const struct verify_verdict *verdict, const struct peer_claims *c, struct peer_facts *out);

struct peer_clients;
enum err peer_clients_new(struct peer_clients **out, const struct clock *clock, struct why *w) MUST_USE;
void peer_clients_free(struct peer_clients *c);
/* Copies the facts; they take the place of older ones on the same key. */
enum err peer_client_keep(struct peer_clients *c, const struct peer_facts *f, struct why *w) MUST_USE;
/* Borrowed until the next call. ERR_UNATTESTED, told, for a key that was never verified here, whose time is over (by
 * CLOCK_BOOTTIME, whatever the wall clock was set to), or whose place another has taken. */
enum err peer_client_find(struct peer_clients *c, const uint8_t key_hash[SHA256_SIZE], const struct peer_facts **out,
			  struct why *w) MUST_USE;

#endif
