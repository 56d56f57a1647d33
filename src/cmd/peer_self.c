/* peer_self.c - this side of attested peers: it must have what the server has, or the server refuses it. */
#include "peer_parts.h"

#include <unistd.h>

#include "harden.h"
#include "policy_flags.h"
#include "start_nsm.h"
#include "start_peers.h"

enum { CERT_LIFE_S = 3600 }; /* of our own; nobody relies on it */

static enum err start_attesting(struct peer *p, struct why *w)
{
	const struct config *c = p->config;
	struct app *app = &p->app;
	const struct attest_options claims = {
		.agent = c->agent,
		.guardrail = c->guardrail,
		.metadata_file = c->metadata_file,
		.info_name = c->info_name,
		.info_version = c->info_version[0] != '\0' ? c->info_version : ATTESTD_VERSION,
		.info_build = c->info_build,
		.root = verify_aws_root(),
	};
	enum err e = start_nsm(app, p->log, w);
	if (e != ERR_OK)
		return e;
	if (nsm_is_dummy(app->nsm))
		return why_set(
			w, ERR_CONFIG,
			"nsm = %s signs nothing, so no peer would believe it: attested peers need nsm = device, or a "
			"simulator",
			c->nsm);
	if ((e = verify_new(&app->verify, app->crypto, app->clock, w)) != ERR_OK)
		return e;
	return attest_new(&app->attest, &claims, app->nsm, app->crypto, app->verify, app->clock, p->log, w);
}

/* Where nothing is pinned: whoever runs the same image as we do. */
static enum err make_policy(struct peer *p, struct why *w)
{
	struct attest_doc *own = NULL;
	enum err e = policy_flags_over(p->line, p->config, &p->policy, w);
	if (e == ERR_OK && p->policy.n_pins == 0) {
		e = attest_doc_make(p->app.attest, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &own, w);
		if (e == ERR_OK)
			e = peer_policy_same(own, &p->policy, w);
		attest_doc_free(own);
	}
	return e == ERR_OK ? peer_policy_check(&p->policy, w) : e;
}

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
	p->mutual.crypto = app->crypto;
	if ((e = start_config_digest(app, w)) != ERR_OK || (e = start_attesting(p, w)) != ERR_OK ||
	    (e = make_policy(p, w)) != ERR_OK)
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
