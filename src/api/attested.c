/* attested.c - asking the NSM for an attestation within its budget, and what every attested reply says. */
#include "internal.h"

_Static_assert(BUDGET_LOCAL == (int)HTTP_AT_LOCAL && BUDGET_PUBLIC == (int)HTTP_AT_PUBLIC &&
		       BUDGET_TLS == (int)HTTP_AT_TLS && BUDGET_PEER == (int)HTTP_AT_PEER &&
		       BUDGET_PEER_TLS == (int)HTTP_AT_PEER_TLS,
	       "a listener's reach has the same place in budgets");

enum err api_attested_admit(struct api_attested *a, struct app *app, const struct http_req *r, struct why *w)
{
	const enum budget_reach reach = (enum budget_reach)http_reach_index(http_req_reach(r));
	const enum err e = budget_take(&app->budget, reach, loop_now_ms(app->loop), w);
	if (e != ERR_OK)
		return e;
	a->app = app;
	a->reach = reach;
	a->admitted = true;
	return ERR_OK;
}

static void ask_nsm(struct http_job *j)
{
	struct api_op *op = (struct api_op *)j;
	struct api_attested *a = op->attested;
	(void)!attest_doc_make(op->app->attest, buf_bytes(&a->claims.user_data), &a->nonce, bytes_of(NULL, 0), &a->doc,
			       &op->why);
}

void api_attest(struct http_req *r, struct api_op *op, struct api_attested *a,
		void (*then)(struct http_req *r, struct http_job *j))
{
	op->attested = a;
	op->job.work = ask_nsm;
	op->job.then = then;
	if (http_defer(r, LANE_NSM, &op->job, op->app->config->nsm_timeout * 1000, &op->why) != ERR_OK)
		api_abort(r, op);
}

void api_attested_free(struct api_attested *a)
{
	attest_claims_free(&a->claims);
	attest_doc_free(a->doc);
	if (a->admitted)
		budget_give_back(&a->app->budget, a->reach);
	a->doc = NULL;
	a->admitted = false;
}

void api_attested_put(const struct api_attested *a, bool custom_data, struct buf *out)
{
	char when[CLOCK_TEXT_SIZE];
	clock_text(a->claims.wall_ms, when);
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "attestation_document");
	attest_doc_json(a->doc, out);
	JSON_PUT_KEY(out, "pcr2");
	json_put_hex(out, attest_doc_pcr(a->doc, 2));
	JSON_PUT_KEY(out, "user_data");
	buf_put_bytes(out, buf_bytes(&a->claims.user_data));
	JSON_PUT_KEY(out, "timestamp");
	json_put_cstr(out, when);
	JSON_PUT_KEY(out, "nonce_hex");
	json_put_hex(out, bytes_of(a->nonce.present ? a->nonce.b : NULL, a->nonce.n));
	JSON_PUT_KEY(out, "nonce_encoding");
	json_put_cstr(out, a->nonce.present ? attest_encoding_name(a->nonce.encoding) : NULL);
	JSON_PUT_KEY(out, "tee_verified");
	json_put_bool(out, attest_doc_verified(a->doc));
	const char *warning = attest_doc_warning(a->doc);
	if (warning != NULL) {
		JSON_PUT_KEY(out, "_warning");
		json_put_cstr(out, warning);
	}
	if (a->claims.metadata.n > 0) {
		JSON_PUT_KEY(out, "metadata");
		buf_put_bytes(out, buf_bytes(&a->claims.metadata));
	}
	JSON_PUT_KEY(out, "verification_instructions");
	attest_instructions(a->claims.purpose, custom_data, out);
}

void api_put_cert(struct buf *out, const char *key, struct bytes der)
{
	struct buf pem = BUF_INIT(2 * TLS_CERT_DER_MAX);
	cert_pem_put(der, &pem);
	out->failed |= pem.failed;
	json_put_key(out, key);
	json_put_string(out, buf_bytes(&pem));
	buf_free(&pem);
}
