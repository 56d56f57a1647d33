/* peer_parts.h - what the files of `attestd peer` share. Private to src/cmd. */
#ifndef ATTESTD_CMD_PEER_PARTS_H
#define ATTESTD_CMD_PEER_PARTS_H

#include "api.h"
#include "args.h"
#include "options.h"
#include "remote.h"

/* The protocol's steps (include/peer.h). */
enum peer_step {
	STEP_NONE,
	STEP_CERT,
	STEP_REPORT,
	STEP_VERIFY,
	STEP_CHALLENGE,
	STEP_CLIENT,
	STEP_CONNECT,
	STEP_PING,
	STEP_DONE
};

struct peer {
	const struct args *line;
	bool json;
	struct remote attest, mutual; /* --url and --tls */
	/* this side; of app: config, clock, crypto, random, nsm, verify, attest, config_digest */
	struct app app;
	struct clock clock;
	struct config *config;
	struct log *log;
	struct verify_policy policy;   /* for the server */
	struct tls_identity *identity; /* made for this run */
	/* the other side */
	struct buf cert, key; /* of the mutual-TLS listener, in DER: the certificate, and its key */
	uint8_t key_hash[SHA256_SIZE];
	uint8_t challenge[PEER_CHALLENGE_SIZE];	       /* ours to the server */
	uint8_t server_challenge[PEER_CHALLENGE_SIZE]; /* the server's to us */
	struct json *report, *whoami;
	struct verify_verdict *verdict; /* of the server's report */
	struct tls_identity *client;	/* `identity` with the server's certificate */
	enum peer_step step;		/* that is done, or failed */
};

/* ---- peer_self.c: this side ---- */
/* The configuration, the NSM that it names, a key, and what the server is held to. ERR_CONFIG or ERR_USAGE where what
 * was given makes no peer. */
enum err peer_self(struct peer *p, const struct options *o, struct why *w) MUST_USE;
void peer_self_free(struct peer *p);

/* ---- peer_steps.c: the protocol ---- */
/* All steps; p->step says how far it came. */
enum err peer_connect(struct peer *p, struct why *w) MUST_USE;
void peer_steps_free(struct peer *p);

/* ---- peer_show.c ---- */
/* "verify" */
const char *peer_step_name(enum peer_step s);
/* What came of it: ERR_OK, or what refused and why. Returns the exit status. */
int peer_show(const struct peer *p, enum err e, const struct why *w);

#endif
