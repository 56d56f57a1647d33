/* start_nsm.c - the NSM at the server's start. */
#include "start_nsm.h"

#include "root_out.h"

static void warn(struct log *log, const char *text)
{
	log_event(log, LOG_WARN, "nsm", LOG_S("text", text));
}

/* PCRs 0 to 2 of an enclave that was run with --debug-mode are zeros. */
static enum err read_debug_mode(struct app *app, struct why *w)
{
	app->debug_mode = DEBUG_OFF;
	for (unsigned i = 0; i <= 2; i++) {
		struct buf pcr = BUF_INIT(NSM_PCR_SIZE);
		bool locked;
		const enum err e = nsm_pcr(app->nsm, i, &pcr, &locked, w);
		if (e == ERR_OK && bytes_is_zero(buf_bytes(&pcr)))
			app->debug_mode = DEBUG_ON;
		buf_free(&pcr);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

enum err start_nsm(struct app *app, struct log *log, struct why *w)
{
	const struct config *c = app->config;
	const struct nsm_env env = {NSM_DEVICE_PATH, app->crypto, app->clock, app->random};
	bool fell_back = false;
	enum err e = nsm_open(&app->nsm, c->nsm, &env, &fell_back, w);
	if (e != ERR_OK)
		return e;
	app->debug_mode = DEBUG_UNKNOWN;
	if (fell_back)
		warn(log, "THERE IS NO " NSM_DEVICE_PATH ": ATTESTATIONS ARE DUMMIES THAT PROVE NOTHING. "
			  "In an enclave say nsm = device.");
	if (nsm_is_dummy(app->nsm))
		return ERR_OK;
	if (nsm_is_device(app->nsm))
		e = attest_seed(app->nsm, app->crypto, w);
	else
		warn(log, "ATTESTATIONS ARE SIMULATED AND PROVE NOTHING: they are signed by a software NSM, and its "
			  "root is one that nobody trusts. In an enclave say nsm = device.");
	if (e == ERR_OK && c->nsm_root_out[0] != '\0')
		e = root_out_write(c->nsm_root_out, nsm_root(app->nsm), w);
	if (e == ERR_OK)
		e = read_debug_mode(app, w);
	if (e == ERR_OK && app->debug_mode == DEBUG_ON)
		warn(log, "this enclave runs in debug mode: its PCRs are zero, and no verifier should trust it");
	return e;
}

enum err start_first_document(struct app *app, struct log *log, struct why *w)
{
	struct attest_doc *d = NULL;
	if (nsm_is_dummy(app->nsm))
		return ERR_OK;
	const enum err e = attest_doc_make(app->attest, bytes_of(NULL, 0), NULL, &d, w);
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
	attest_doc_free(d);
	return ERR_OK;
}
