/* start_peers.c - whom attested peers trust, and what they give out. */
#include "start_peers.h"

#include <stdlib.h>

#include "base/file.h"

enum { CONFIG_TEXT_MAX = 256 * 1024 };

enum err start_config_digest(struct app *app, struct why *w)
{
	struct buf text = BUF_INIT(CONFIG_TEXT_MAX);
	config_show(app->config, true, &text);
	enum err e = buf_check(&text, w);
	if (e == ERR_OK)
		e = crypto_sha256(app->crypto, buf_bytes(&text), app->config_digest, w);
	buf_free(&text);
	return e;
}

/* Makes a file part of the policy. One byte more than `max` is read, so that what is too large is seen to be. */
static enum err put_file(const char *key, const char *path, size_t max,
			 enum err (*put)(struct verify_policy *p, struct bytes text, struct why *w),
			 struct verify_policy *p, struct why *w)
{
	uint8_t *text = malloc(max + 1);
	struct why inner = {0};
	size_t n = 0;
	if (text == NULL)
		return why_set(w, ERR_MEMORY, "no memory for %s", key);
	enum err e = file_load(key, path, text, max + 1, &n, w);
	if (e == ERR_OK && (e = put(p, bytes_of(text, n), &inner)) != ERR_OK)
		e = why_set(w, e == ERR_INVALID ? ERR_CONFIG : e, "%s = %.128s: %s", key, path, inner.text);
	free(text);
	return e;
}

/* What the configuration's files say. */
static enum err read_files(const struct config *c, struct verify_policy *p, struct why *w)
{
	enum err e;
	verify_policy_init(p);
	if (c->peer_policy[0] != '\0' &&
	    (e = put_file("peer_policy", c->peer_policy, VERIFY_POLICY_MAX, verify_policy_text, p, w)) != ERR_OK)
		return e;
	if (c->peer_root[0] == '\0')
		return ERR_OK;
	if (p->own_root)
		return why_set(w, ERR_CONFIG,
			       "peer_root = %.128s: peer_policy holds a root, too; leave one of them out",
			       c->peer_root);
	return put_file("peer_root", c->peer_root, CERT_PEM_MAX, verify_policy_root, p, w);
}

/* Whoever runs the same image as we do. */
static enum err put_own(const struct app *app, struct verify_policy *p, struct why *w)
{
	struct attest_doc *own = NULL;
	enum err e = attest_doc_make(app->attest, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &own, w);
	if (e == ERR_OK)
		e = peer_policy_same(own, p, w);
	attest_doc_free(own);
	return e;
}

enum err start_peer_policy(const struct app *app, struct verify_policy *p, struct why *w)
{
	const struct config *c = app->config;
	enum err e;
	if (nsm_is_dummy(app->nsm))
		return why_set(
			w, ERR_CONFIG,
			"nsm = %s signs nothing, so peers would have nothing to go by: attested peers need nsm = device, "
			"or a simulator",
			nsm_name(app->nsm));
	if (p->n_pins == 0 && c->peer_policy[0] == '\0' && (e = put_own(app, p, w)) != ERR_OK)
		return e;
	if ((e = peer_policy_check(p, w)) != ERR_OK || !nsm_is_simulated(app->nsm) || p->own_root)
		return e;
	return why_set(
		w, ERR_CONFIG,
		"peers with simulated attestations (nsm = %s) need peer_root: the file with the root certificate of the "
		"simulator whose documents peers have, as `attestd simulate --root-out FILE` writes it",
		c->nsm);
}

static enum err make_policy(struct app *app, struct verify_policy *p, struct log *log, struct why *w)
{
	enum err e = read_files(app->config, p, w);
	if (e != ERR_OK || (e = start_peer_policy(app, p, w)) != ERR_OK)
		return e;
	app->peer_policy = p;
	if (p->own_root)
		log_event(log, LOG_WARN, "peers",
			  LOG_S("text",
				"peers' documents are judged under a root that is not AWS's: whoever holds its key "
				"can pass for an enclave"));
	if (p->allow_debug)
		log_event(log, LOG_WARN, "peers",
			  LOG_S("text", "peer_policy lets enclaves in debug mode in, which can keep no secret"));
	return ERR_OK;
}

enum err start_peers(struct app *app, struct verify_policy *policy, struct log *log, struct why *w)
{
	enum err e = start_config_digest(app, w);
	if (e != ERR_OK || (e = make_policy(app, policy, log, w)) != ERR_OK ||
	    (e = tls_ca_new(app->crypto, clock_wall(app->clock) / 1000, &app->peer_ca, w)) != ERR_OK ||
	    (e = peer_challenges_new(&app->peer_challenges, app->crypto, app->random, app->clock, w)) != ERR_OK)
		return e;
	return peer_clients_new(&app->peer_clients, app->clock, w);
}

void stop_peers(struct app *app)
{
	peer_clients_free(app->peer_clients);
	peer_challenges_free(app->peer_challenges);
	tls_ca_free(app->peer_ca);
	app->peer_clients = NULL;
	app->peer_challenges = NULL;
	app->peer_ca = NULL;
}
