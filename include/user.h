/* user.h - the remote user's end of an encrypted session (DESIGN 4 and 7): opening it from a reply that was verified in
 * every point, keeping it, and the messages of the conversation. Part of src/session.
 *
 * A user's IV is 12 random bytes whose first bit is 1; a server's IV begins with the message number, which is below
 * 2^31, so its first bit is 0: a message of one's own that comes back is told by its IV alone. A server's message must
 * carry its number in the IV, and numbers must grow, so that none is taken twice. That one was withheld cannot be seen.
 */
#ifndef ATTESTD_USER_H
#define ATTESTD_USER_H

#include "rsa.h"
#include "session.h"
#include "verify.h"

enum {
	USER_PLAINTEXT_MAX = 256 * 1024 * 1024,
	USER_MESSAGE_MAX = USER_PLAINTEXT_MAX / 3 * 4 + 4096, /* JSON: base64 of that and what stands around it */
	USER_FILE_MAX = 64 * 1024,
	USER_LIFETIME_MAX_MINUTES = 7 * 24 * 60, /* the longest that a server can be told */
};

struct user_session;

/* What is opened, with what, and what is wanted of it. now_s: the user's own clock. */
struct user_open {
	struct crypto *crypto;
	struct verify *verify;
	const struct rsa_key *key;
	const struct verify_policy *policy; /* key-exchange is required though it name none; another is ERR_USAGE */
	struct bytes scope;		    /* as it was asked for, at most SESSION_SCOPE_MAX bytes; empty: none */
	int64_t now_s;
};
/* reply: the parsed reply to POST /key-exchange. *verdict is set whenever the document was judged, also on failure; a
 * verdict that is not good is ERR_INVALID with its message. Then, each ERR_INVALID too: the signed user_key_hash is
 * that of our key (the sentence names the relay attack), the signed scope_hash is that of `scope`, or there is neither
 * (the sentence says what a relay would gain), the key unwraps to AEAD_KEY_SIZE bytes, its SHA-256 is the
 * signed session_key_hash. Of what is not signed only `expires_in_minutes` is kept, as a hint and within bounds. */
enum err user_open(const struct user_open *o, const struct json_value *reply, struct user_session **out,
		   struct verify_verdict **verdict, struct why *w) MUST_USE;
void user_session_free(struct user_session *s); /* wipes; NULL is fine */

/* ---- keeping it: a JSON text that holds the key, for a file of mode 0600 ---- */
void user_session_put(const struct user_session *s, struct buf *json);
/* ERR_INVALID, told; quotes nothing of the text, which may hold a key. */
enum err user_session_read(struct bytes json, struct user_session **out, struct why *w) MUST_USE;
/* Appends what it is as an object, without the key: for `session show`. */
void user_session_show(const struct user_session *s, int64_t now_s, struct buf *json);
struct bytes user_session_id(const struct user_session *s);
struct bytes user_session_scope(const struct user_session *s);	    /* empty: none */
int64_t user_session_opened_s(const struct user_session *s);	    /* by the user's clock */
int64_t user_session_expires_s(const struct user_session *s);	    /* by what the server said at opening */
uint32_t user_session_received(const struct user_session *s);	    /* the number of the last message opened, or 0 */
bool user_session_pinned(const struct user_session *s);		    /* the policy told its enclave from others */
const uint8_t *user_session_key_hash(const struct user_session *s); /* of the user's key, SHA256_SIZE bytes */

/* ---- messages ---- */
/* Appends `{"session_id":...,"ciphertext":...,"iv":...}` (and `scope`), what POST /decrypt takes. ERR_INVALID, told:
 * not UTF-8, which the server could not hand on, or more than USER_PLAINTEXT_MAX bytes. */
enum err user_seal(struct crypto *c, const struct random *random, const struct user_session *s, struct bytes plaintext,
		   struct buf *message, struct why *w) MUST_USE;
/* message: what POST /encrypt answered, or at least `ciphertext` and `iv` of it. Changes s: the caller writes it back
 * before the plaintext goes anywhere. ERR_REPLAY: its number does not grow, so it was opened before or comes late;
 * ERR_BAD_MESSAGE: not of the server's form, one of our own that came back, an IV that does not carry the message's
 * number, another session's, altered. All told. */
enum err user_unseal(struct crypto *c, struct user_session *s, struct bytes message, struct buf *plaintext,
		     struct why *w) MUST_USE;

#endif
