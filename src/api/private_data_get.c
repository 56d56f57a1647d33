/* private_data_get.c - GET /private-data and GET /private-data/{id}: what its sender stored, exactly. */
#include "internal.h"

struct op {
	struct api_op api;
	struct private_data_row row;
	struct buf type, body;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	private_data_row_free(&op->row);
	buf_free(&op->type);
	buf_free(&op->body);
	api_op_free(&op->api);
}

static void unseal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	op->type = BUF_INIT(PRIVATE_DATA_TYPE_MAX + 1); /* as a C string */
	op->body = BUF_INIT(op->row.sealed.n);
	(void)!private_data_unseal(op->api.app->private_data, &op->row, &op->type, &op->body, &op->api.why);
	private_data_row_free(&op->row);
}

static void unsealed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	http_reply_type(r, 200, buf_cstr(&op->type), &op->body);
	drop(j);
}

void api_private_data_get(void *ctx, struct http_req *r)
{
	struct app *app = ctx;
	struct api_identity who;
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op == NULL)
		return;
	/* Without an id the parameter is empty, which asks for the latest. HEAD takes the same way: the content type is
	 * inside what is sealed. */
	if (api_identity(app, r, &who, &op->api.why) != ERR_OK ||
	    private_data_find(app->private_data, who.hash, http_param(r), &op->row, &op->api.why) != ERR_OK ||
	    http_charge(r, op->row.sealed.max, &op->api.why) != ERR_OK ||
	    private_data_read(app->private_data, &op->row, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	op->api.heavy = op->row.size > HTTP_HEAVY_BODY;
	api_step(r, &op->api, unseal, unsealed);
}
