/* start_peers.h - what attested peers need at the server's start. Private to src/cmd. */
#ifndef ATTESTD_CMD_START_PEERS_H
#define ATTESTD_CMD_START_PEERS_H

#include "api.h"

/* Sets app->config_digest, with app->config and crypto in place. */
enum err start_config_digest(struct app *app, struct why *w) MUST_USE;
/* Makes *p, which files and flags have filled in, the policy for peers: where neither it nor peer_policy pins anything,
 * the same PCRs as we have. app->attest has given a document, or will give one now. ERR_CONFIG, told, says what keeps
 * us from knowing whom to trust: an NSM that signs nothing, a simulator without a root, a policy that is not fit. */
enum err start_peer_policy(const struct app *app, struct verify_policy *p, struct why *w) MUST_USE;
/* Sets app->config_digest, fills in *policy, which app->peer_policy then borrows, and makes app->peer_ca,
 * peer_challenges and peer_clients. To be called only where there is a peer listener (the two go together), once
 * app->attest has given its first document, and before start_tls, which makes app->peer_tls. ERR_CONFIG says what keeps
 * it from knowing whom to trust. One more document is asked of the NSM. */
enum err start_peers(struct app *app, struct verify_policy *policy, struct log *log, struct why *w) MUST_USE;
/* Gives it all back: after loop_end_jobs, http_free and tls_server_free(app->peer_tls). Also where start_peers failed,
 * or was not called. */
void stop_peers(struct app *app);

#endif
