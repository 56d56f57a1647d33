/* start_peers.h - what attested peers need at the server's start. Private to src/cmd. */
#ifndef ATTESTD_CMD_START_PEERS_H
#define ATTESTD_CMD_START_PEERS_H

#include "api.h"

/* Sets app->config_digest, with app->config and crypto in place. */
enum err start_config_digest(struct app *app, struct why *w) MUST_USE;
/* Sets app->config_digest and makes app->peer_policy, peer_ca, peer_challenges and peer_clients. To be called only
 * where there is a peer listener (the two go together), once app->attest has given its first document, and before
 * app->peer_tls is made, which is the caller's: tls_server_new over an identity of its own (made in memory whatever
 * tls_cert_file says, so that no key from outside is attested here), with TLS_CLIENTS_OURS and app->peer_ca, never
 * TLS 1.2. ERR_CONFIG says what keeps it from knowing whom to trust. One more document is asked of the NSM. */
enum err start_peers(struct app *app, struct log *log, struct why *w) MUST_USE;
/* Gives it all back: after loop_end_jobs, http_free and tls_server_free(app->peer_tls). Also where start_peers failed,
 * or was not called. */
void stop_peers(struct app *app);

#endif
