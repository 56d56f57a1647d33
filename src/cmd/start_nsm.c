/* start_nsm.c - the NSM at the server's start. */
#include "start_nsm.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { QUIET_MS = 1000 };

/* ---- saying what is waited for ---- */

/* A thread, because the driver does not let go of its caller. */
struct notice {
	const char *nsm;
	int end[2];
	pthread_t thread;
	bool running;
};

static void *watch(void *arg)
{
	const struct notice *n = arg;
	struct pollfd over = {.fd = n->end[0], .events = POLLIN};
	if (poll(&over, 1, QUIET_MS) == 0)
		fprintf(stderr, "attestd: waiting for the NSM (nsm = %s)\n", n->nsm);
	return NULL;
}

/* Does without where there is no thread to be had. */
static void notice_begin(struct notice *n, const char *nsm)
{
	*n = (struct notice){.nsm = nsm};
	if (pipe2(n->end, O_CLOEXEC) != 0)
		return;
	n->running = pthread_create(&n->thread, NULL, watch, n) == 0;
	if (n->running)
		return;
	(void)close(n->end[0]);
	(void)close(n->end[1]);
}

static void notice_end(struct notice *n)
{
	if (!n->running)
		return;
	(void)close(n->end[1]); /* which wakes it */
	(void)pthread_join(n->thread, NULL);
	(void)close(n->end[0]);
}

/* ---- the start ---- */

static void warn(struct log *log, const char *text)
{
	log_event(log, LOG_WARN, "nsm", LOG_S("text", text));
}

static enum err open_nsm(struct app *app, struct log *log, struct why *w)
{
	const struct config *c = app->config;
	const struct nsm_env env = {NSM_DEVICE_PATH, app->crypto, app->clock, app->random, c->nsm_timeout * 1000};
	bool fell_back = false;
	enum err e = nsm_open(&app->nsm, c->nsm, &env, &fell_back, w);
	if (e != ERR_OK)
		return e;
	if (fell_back)
		warn(log, "THERE IS NO " NSM_DEVICE_PATH ": ATTESTATIONS ARE DUMMIES THAT PROVE NOTHING. "
			  "In an enclave say nsm = device.");
	if (nsm_is_simulated(app->nsm))
		warn(log, "ATTESTATIONS ARE SIMULATED AND PROVE NOTHING: they are signed by a software NSM, and its "
			  "root is one that nobody trusts. In an enclave say nsm = device.");
	return nsm_is_device(app->nsm) ? attest_seed(app->nsm, app->crypto, w) : ERR_OK;
}

enum err start_nsm(struct app *app, struct log *log, struct why *w)
{
	struct notice notice;
	notice_begin(&notice, app->config->nsm);
	const enum err e = open_nsm(app, log, w);
	notice_end(&notice);
	return e;
}

enum err start_attest(struct app *app, struct log *log, struct why *w)
{
	const struct config *c = app->config;
	const struct attest_options claims = {
		.agent = c->agent,
		.guardrail = c->guardrail,
		.metadata_file = c->metadata_file,
		.info_name = c->info_name,
		.info_version = c->info_version[0] != '\0' ? c->info_version : ATTESTD_VERSION,
		.info_build = c->info_build,
		.root = verify_aws_root(),
	};
	const enum err e = verify_new(&app->verify, app->crypto, app->clock, w);
	if (e != ERR_OK)
		return e;
	return attest_new(&app->attest, &claims, app->nsm, app->crypto, app->verify, app->clock, log, w);
}

enum err start_first_document(struct app *app, struct log *log, struct why *w)
{
	struct attest_doc *d = NULL;
	if (nsm_is_dummy(app->nsm))
		return ERR_OK;
	struct notice notice;
	notice_begin(&notice, app->config->nsm);
	const enum err e = attest_doc_make(app->attest, bytes_of(NULL, 0), NULL, bytes_of(NULL, 0), &d, w);
	notice_end(&notice);
	if (e != ERR_OK)
		return why_set(w, e, "the NSM (%s) gives no attestation document, so the server does not start: %s",
			       nsm_name(app->nsm), w->text);
	if (attest_doc_verified(d)) {
		log_event(log, LOG_INFO, "nsm",
			  LOG_S("text", "attestation documents verify under the AWS Nitro Enclaves root"));
	} else {
		const char *text = attest_doc_warning(d);
		warn(log, text != NULL ? text : "attestation documents do not verify under the AWS root");
	}
	if (attest_debug(app->attest) == ATTEST_DEBUG_ON)
		warn(log, "this enclave runs in debug mode: its PCRs are zero, and no verifier should trust it");
	attest_doc_free(d);
	return ERR_OK;
}

void start_announce(const struct app *app)
{
	const char *what = nsm_is_dummy(app->nsm) ? "DUMMIES" : nsm_is_simulated(app->nsm) ? "SIMULATED" : NULL;
	if (what != NULL)
		fprintf(stderr, "attestd: ATTESTATIONS ARE %s: THEY PROVE NOTHING. For development and tests only.\n",
			what);
}
