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

/* The dummy's document is none, and that is said there. */
static enum err put_own(struct app *app, struct verify_policy *p, struct why *w)
{
	struct attest_doc *own = NULL;
	enum err e = attest_doc_make(app->attest, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &own, w);
	if (e == ERR_OK && (e = peer_policy_same(own, p, w)) == ERR_CONFIG)
		e = why_set(w, e, "peer_listen: %s", w->text);
	attest_doc_free(own);
	return e;
}

static enum err make_policy(struct app *app, struct verify_policy *p, struct why *w)
{
	const struct config *c = app->config;
	struct why inner = {0};
	enum err e;
	verify_policy_init(p);
	if (nsm_is_dummy(app->nsm))
		return why_set(
			w, ERR_CONFIG,
			"peer_listen needs an NSM that signs, and nsm = %s does not: peers would have nothing to go "
			"by",
			nsm_name(app->nsm));
	if (c->peer_policy[0] != '\0' &&
	    (e = put_file("peer_policy", c->peer_policy, VERIFY_POLICY_MAX, verify_policy_text, p, w)) != ERR_OK)
		return e;
	if (c->peer_root[0] != '\0' && p->own_root)
		return why_set(w, ERR_CONFIG,
			       "peer_root = %.128s: peer_policy holds a root, too; leave one of them out",
			       c->peer_root);
	if (c->peer_root[0] != '\0' &&
	    (e = put_file("peer_root", c->peer_root, CERT_PEM_MAX, verify_policy_root, p, w)) != ERR_OK)
		return e;
	if (nsm_is_simulated(app->nsm) && !p->own_root)
		return why_set(
			w, ERR_CONFIG,
			"peer_listen with simulated attestations (nsm = %s) needs peer_root: the file with the root "
			"certificate of the simulator whose documents peers have, as `attestd simulate --root-out "
			"FILE` writes it",
			c->nsm);
	if (c->peer_policy[0] == '\0' && (e = put_own(app, p, w)) != ERR_OK)
		return e;
	e = peer_policy_check(p, &inner);
	return e == ERR_OK ? e : why_set(w, e, "peer_policy = %.128s: %s", c->peer_policy, inner.text);
}

static enum err read_policy(struct app *app, struct log *log, struct why *w)
{
	struct verify_policy *p = malloc(sizeof *p);
	if (p == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the policy of peers");
	app->peer_policy = p;
	const enum err e = make_policy(app, p, w);
	if (e == ERR_OK && p->own_root)
		log_event(log, LOG_WARN, "peers",
			  LOG_S("text",
				"peers' documents are judged under a root that is not AWS's: whoever holds its key "
				"can pass for an enclave"));
	if (e == ERR_OK && p->allow_debug)
		log_event(log, LOG_WARN, "peers",
			  LOG_S("text", "peer_policy lets enclaves in debug mode in, which can keep no secret"));
	return e;
}

enum err start_peers(struct app *app, struct log *log, struct why *w)
{
	enum err e = start_config_digest(app, w);
	if (e != ERR_OK || (e = read_policy(app, log, w)) != ERR_OK ||
	    (e = tls_ca_new(app->crypto, clock_wall(app->clock) / 1000, &app->peer_ca, w)) != ERR_OK ||
	    (e = peer_challenges_new(&app->peer_challenges, app->random, app->clock, w)) != ERR_OK)
		return e;
	return peer_clients_new(&app->peer_clients, app->clock, w);
}

void stop_peers(struct app *app)
{
	peer_clients_free(app->peer_clients);
	peer_challenges_free(app->peer_challenges);
	tls_ca_free(app->peer_ca);
	free((struct verify_policy *)app->peer_policy);
	app->peer_clients = NULL;
	app->peer_challenges = NULL;
	app->peer_ca = NULL;
	app->peer_policy = NULL;
}
