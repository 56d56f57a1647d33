/* session_parts.h - what the files of `attestd session` share. Private to src/cmd. */
#ifndef ATTESTD_CMD_SESSION_PARTS_H
#define ATTESTD_CMD_SESSION_PARTS_H

#include "args.h"
#include "private_file.h"
#include "remote.h"
#include "user.h"

#define SESSION_FILE "the session file"

enum { JSON_ROOM = 1024 }; /* for what stands around a text in JSON */

/* The commands that it is made of, a file each. */
extern const struct command session_keygen, session_open, session_encrypt, session_decrypt, session_show, session_close;

/* session.c: what each of them needs first. */
enum err session_begin(struct crypto **out, struct why *w) MUST_USE;

/* session_key.c */
/* A private key from a file of its owner's alone. A passphrase, if one is needed, from passphrase_file, else (NULL)
 * asked for on the terminal. */
enum err session_key_load(const char *path, const char *passphrase_file, struct rsa_key **out, struct why *w) MUST_USE;

/* session_exchange.c */
/* Asks the server at `url` for a session for `key`. The nonce that the policy requires goes with it; where it requires
 * none, a fresh one is made and required. */
enum err session_exchange(struct crypto *c, const char *url, const struct rsa_key *key, struct bytes scope,
			  struct verify_policy *policy, struct buf *reply, struct why *w) MUST_USE;

/* session_ask.c */
/* Whose way a message goes: the user's, with a session file, or the agent's, by the server beside it. */
struct session_way {
	const char *session;	      /* the user's; else NULL, and */
	const char *url, *id, *scope; /* the agent's; scope may be NULL */
	struct remote server;	      /* of url */
	const char *path;	      /* of what is to be read; NULL: the standard input */
};
/* Reads the command line; CMD_OK, or what was wrong is told. */
int session_way_read(const struct args *a, struct session_way *out) MUST_USE;
/* remote_ask, for what only a local listener serves; a refusal says what to do about it. */
enum err session_ask(const struct remote *server, const char *method, const char *path, struct bytes json, size_t max,
		     struct buf *out, struct why *w) MUST_USE;

/* session_file.c */
enum err session_file_read(const char *path, struct user_session **out, struct why *w) MUST_USE;
/* On the disk, but without its name yet; to be ended by the caller in any case. */
enum err session_file_draft(const char *path, const struct user_session *s, struct private_draft *d,
			    struct why *w) MUST_USE;
/* By the user's own clock and what the server said at opening; a sentence says how to go on. */
bool session_is_expired(const struct user_session *s, struct why *w);

#endif
