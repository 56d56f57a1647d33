/* client_parts.h - what the files of `attestd client` share. Private to src/cmd. */
#ifndef ATTESTD_CMD_CLIENT_PARTS_H
#define ATTESTD_CMD_CLIENT_PARTS_H

#include "args.h"
#include "net.h"
#include "verify.h"

enum client_action {
	CLIENT_PING = 1 << 0,
	CLIENT_STATUS = 1 << 1,
	CLIENT_ATTEST = 1 << 2,
	CLIENT_VERIFY = 1 << 3, /* fetches as CLIENT_ATTEST does, too */
};
#define CLIENT_FETCHES (CLIENT_ATTEST | CLIENT_VERIFY)

struct client {
	const struct args *line;
	unsigned action;	       /* one of them */
	struct bytes user_data, nonce; /* as they are sent; .p == NULL: not at all */
	const char *save;	       /* NULL: nowhere */
	bool generate_key, json;
	int64_t timeout_ms;
	struct net_target to;
	char to_text[NET_TARGET_MAX];
	struct clock clock;
	/* CLIENT_VERIFY */
	struct verify_policy policy;
	struct crypto *crypto;
	struct verify *verify;
	/* what came */
	struct json *reply;
	struct buf document; /* CLIENT_FETCHES */
	struct verify_verdict *verdict;
};

/* ---- client_target.c ---- */
/* Fills `to` from the options, or from what nitro-cli tells, which is said on stderr. CMD_OK, or the exit status after
 * having said what is wrong. */
int client_target(struct client *c);

/* ---- client_ask.c ---- */
/* One exchange: a successful reply, and of one to `attest` its document. ERR_INVALID when the enclave refuses, which
 * leaves its reply; ERR_ENVIRONMENT when nobody answers, or not in this protocol, which leaves none. */
enum err client_ask(struct client *c, struct why *w) MUST_USE;

/* ---- client_verify.c ---- */
/* Makes the policy from the options; CMD_OK or CMD_USAGE, told. */
int client_policy(struct client *c);
/* What the policy still lacks. */
enum err client_nonce(struct client *c, struct why *w) MUST_USE;
/* ERR_INVALID unless the reply verifies and holds what was asked for, and a key just where one was asked for; there is
 * a verdict then, too. */
enum err client_verify(struct client *c, struct why *w) MUST_USE;

/* ---- client_show.c ---- */
/* As text or JSON; `e` and `w`: what was found, ERR_OK or ERR_INVALID. Returns the exit status. */
int client_show(const struct client *c, enum err e, const struct why *w);
/* The document in base64, and a newline. */
void client_put_document(const struct client *c, struct buf *out);

#endif
