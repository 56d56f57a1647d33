/* vsock.h - the vsock JSON protocol, by which the parent instance asks an enclave for attestations, server and client.
 *
 * A connection carries one request and its reply. A request is a JSON object in UTF-8, ended by a newline or by the end
 * of the stream; white space around it does not count, and what follows the newline is not looked at. The reply is a
 * JSON object and a newline, then the connection is closed. Whoever sends nothing gets nothing.
 *
 *   {"command": "ping"}   -> {"success": true, "message": "pong", "timestamp": s}
 *   {"command": "status"} -> {"success": true, "status": "running", "port": n or null, "uptime": s, "version": "...",
 *                             "nsm": "device", "debug_mode": bool or null}
 *   {"command": "attest", "user_data": text or null, "nonce": text or null, "generate_key": bool}
 *                         -> {"success": true, "attestation_document": base64, "user_data": text or null,
 *                             "nonce": text or null, "has_public_key": bool, "document_size": bytes, "timestamp": ms,
 *                             "tee_verified": bool}
 *                            and, where they apply, "key_id", "key_expires_in_seconds", "_warning"
 *   anything else         -> {"success": false, "error": "...", "code": "..."}; of an unknown command also
 *                            "available_commands"
 *
 * user_data is "hello-from-enclave" where the member is missing; an empty text counts as null, as an empty nonce does.
 * Both are attested as the very bytes of their UTF-8, at most NSM_USER_DATA_MAX and NSM_NONCE_MAX; user_data that could
 * pass for one of our claims is refused (attest_raw_check). No command returns a plaintext: the private half of a
 * generated key is used by a local route alone (keys.h). The dummy NSM has no document to give: `attest` is an error.
 */
#ifndef ATTESTD_VSOCK_H
#define ATTESTD_VSOCK_H

#include "attest.h"
#include "base/log.h"
#include "budget.h"
#include "keys.h"
#include "loop.h"
#include "net.h"

enum {
	VSOCK_PORT = 9000,
	VSOCK_REQUEST_MAX = 8 * 1024, /* bytes up to the newline: user data and nonce with every byte escaped fit */
	VSOCK_DISCARD_MAX = 1024 *
			    1024,    /* an over-long request is read this much further, so that its sender sees why */
	VSOCK_REPLY_MAX = 64 * 1024, /* bytes of a reply */
	VSOCK_KEY_MS = 30 * 1000,    /* for a key to be made, on a busy machine and behind others */
	VSOCK_LINGER_MS = 1000,	     /* for a peer to take its reply's end, after which the connection is closed */
};

#define VSOCK_USER_DATA "hello-from-enclave" /* is attested where the request has no such member */

/* ---- requests ---- */
enum vsock_command { VSOCK_PING, VSOCK_STATUS, VSOCK_ATTEST };
struct vsock_request {
	enum vsock_command command;
	bool generate_key;
	struct bytes user_data, nonce; /* .p == NULL: null; borrowed from `json` */
	struct json *json;
};
/* `line` is all that came, up to the newline. ERR_INVALID, told; *unknown_command tells that error from the
 * others. ERR_MEMORY. */
enum err vsock_request_read(struct vsock_request *out, struct bytes line, bool *unknown_command,
			    struct why *w) MUST_USE;
void vsock_request_free(struct vsock_request *r);

/* ---- the server ---- */
struct vsock_options {
	int64_t max_connections;
	int64_t request_ms;  /* until the request must be complete, and again for the reply to be taken */
	int64_t nsm_ms;	     /* for the NSM, queueing included; a key has VSOCK_KEY_MS before that */
	int64_t rate, burst; /* requests a second, of all kinds */
	const char *version;
};
struct vsock_counters {
	uint64_t connections_open, connections_total, connections_refused, requests, failed, timeouts;
};

struct vsock_server;
/* All is borrowed. */
enum err vsock_new(struct vsock_server **out, struct loop *l, struct log *log, const struct clock *clock,
		   const struct vsock_options *o, struct nsm *nsm, struct crypto *crypto, struct attest *attest,
		   struct keys *keys, struct budget *budget, struct why *w) MUST_USE;
/* Once. Takes the listening descriptor over, on failure too. port: what `status` says, 0 for null. */
enum err vsock_listen(struct vsock_server *s, int fd, unsigned port, struct why *w) MUST_USE;
/* Accepts no more; `drained` is called once when all requests are answered or drain_ms have passed. */
void vsock_drain(struct vsock_server *s, int64_t drain_ms, void (*drained)(void *ctx), void *ctx);
/* After the drain and loop_end_jobs. NULL is fine. */
void vsock_free(struct vsock_server *s);
void vsock_count(const struct vsock_server *s, struct vsock_counters *out);

/* ---- the client ---- */
/* One exchange, blocking. `reply` gets the line without its newline, at most VSOCK_REPLY_MAX bytes; what it says is not
 * looked at. ERR_ENVIRONMENT, told: nobody there, too late, cut off, too long. */
enum err vsock_ask(const struct net_target *to, struct bytes request, const struct clock *clock, int64_t timeout_ms,
		   struct buf *reply, struct why *w) MUST_USE;

#endif
