/* peer_self.c - this side of attested peers: it must have what the server has, or the server refuses it. */
#include "peer_parts.h"

#include <unistd.h>

#include "harden.h"
#include "policy_flags.h"
#include "start_nsm.h"
#include "start_peers.h"

enum { CERT_LIFE_S = 3600 }; /* of our own; nobody relies on it */

enum err peer_self(struct peer *p, const struct options *o, struct why *w)
{
	struct app *app = &p->app;
	enum err e;

	p->clock = clock_system();
	app->clock = &p->clock;
	if ((e = options_load(o, &p->config, w)) != ERR_OK ||
	    (e = log_new(&p->log, STDERR_FILENO, LOG_ERROR, LOG_TEXT, &p->clock, w)) != ERR_OK ||
	    (e = harden(w)) != ERR_OK || (e = crypto_new(&app->crypto, w)) != ERR_OK)
		return e;
	app->config = p->config;
	app->random = crypto_random(app->crypto);
	if ((e = start_config_digest(app, w)) != ERR_OK || (e = start_nsm(app, p->log, w)) != ERR_OK ||
	    (e = start_attest(app, p->log, w)) != ERR_OK ||
	    (e = policy_flags_over(p->line, p->config, &p->policy, w)) != ERR_OK ||
	    /* Whoever names a file means it to say whom to trust. */
	    (args_value(p->line, "--policy") != NULL && (e = peer_policy_check(&p->policy, w)) != ERR_OK) ||
	    (e = start_peer_policy(app, &p->policy, w)) != ERR_OK)
		return e;
	return tls_identity_new(app->crypto, "attestd peer", NULL, 0, clock_wall(&p->clock) / 1000, CERT_LIFE_S,
				&p->identity, w);
}

void peer_self_free(struct peer *p)
{
	tls_identity_free(p->identity);
	attest_free(p->app.attest);
	verify_free(p->app.verify);
	nsm_close(p->app.nsm);
	crypto_free(p->app.crypto);
	log_free(p->log);
	config_free(p->config);
}
