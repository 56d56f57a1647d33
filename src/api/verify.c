/* verify.c - POST /verify: somebody else's document, judged by a policy. */
#include "internal.h"

#include <malloc.h>

#include "verify.h"

struct op {
	struct api_op api;
	struct buf verdict;
};

static void free_op(struct loop_job *j)
{
	struct op *op = (struct op *)j;
	buf_free(&op->verdict);
	api_op_free(&op->api);
}

static void free_body(struct loop_job *j)
{
	buf_free(&((struct op *)j)->api.body);
}

/* What is left of a request that was given up before its work began: a long body takes long to wipe. */
static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.body.n == 0 || !op->api.heavy || !api_wipe_away(&op->api, free_body, free_op))
		free_op(&j->job);
}

static bool looks_like_json(struct bytes text)
{
	size_t at = 0;
	while (at < text.n && (text.p[at] == ' ' || (text.p[at] >= '\t' && text.p[at] <= '\r')))
		at++;
	return at < text.n && text.p[at] == '{';
}

static enum err judge(struct op *op, const struct json_value *document, const struct json_value *reply,
		      const struct json_value *policy, struct verify_verdict **out)
{
	struct verify *v = op->api.app->verify;
	struct verify_policy p;
	struct why *w = &op->api.why;

	if ((document == NULL) == (reply == NULL))
		return why_tell(
			w, ERR_INVALID, "document",
			"Give either document, as base64 or hex text, or reply, the object that a server answered.");
	verify_policy_init(&p);
	if (policy != NULL && verify_policy_read(&p, policy, w) != ERR_OK)
		return w->err;
	if (reply != NULL)
		return verify_reply(v, reply, &p, out, w);
	if (looks_like_json(json_string(document)))
		return why_tell(w, ERR_INVALID, "document",
				"Is JSON: give a reply as the object `reply`, not as text in `document`.");
	return verify_input(v, json_string(document), VERIFY_AUTO, &p, out, w);
}

/* Everything, down to the wiping of what may be hundreds of MiB, happens on the worker. */
static void work(struct http_job *j)
{
	struct op *op = (struct op *)j;
	struct verify_verdict *verdict = NULL;
	const struct json_value *document, *reply, *policy;
	const struct json_field fields[] = {
		{"document", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &document},
		{"reply", JSON_BIT(JSON_OBJECT) | JSON_BIT(JSON_NULL), false, &reply},
		{"policy", JSON_BIT(JSON_OBJECT), false, &policy}, /* null is likely to be one that was lost */
	};
	op->verdict = BUF_INIT(API_REPLY_MAX);
	if (api_parse(&op->api, fields, sizeof fields / sizeof fields[0]) == ERR_OK &&
	    judge(op, document, reply, policy, &verdict) == ERR_OK) {
		verify_verdict_json(verdict, &op->verdict);
		(void)!buf_check(&op->verdict, &op->api.why);
	}
	verify_verdict_free(verdict);
	json_free(op->api.json);
	op->api.json = NULL;
	/* The allocator would keep some of it for ever. */
	if (op->api.heavy)
		(void)malloc_trim(0);
}

static void judged(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	http_reply(r, 200, &op->verdict);
	drop(j);
}

/* Even a short document takes milliseconds of P-384, and many of them would keep key exchanges waiting. */
void api_verify(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op != NULL)
		api_step_away(r, &op->api, LANE_BULK, work, judged);
}
