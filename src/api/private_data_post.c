/* private_data_post.c - POST /private-data: keeps a body, sealed, for whoever sent it. */
#include "internal.h"

#include <string.h>

static const char default_type[] = "application/octet-stream";

_Static_assert((int)HTTP_TYPE_MAX == (int)PRIVATE_DATA_TYPE_MAX,
	       "every content type that can be kept can be sent, and no other");

struct op {
	struct api_op api;
	struct api_identity who;
	char type[HTTP_TYPE_MAX];
	size_t type_n;
	struct private_data_row row;
};

static void drop(struct http_job *j)
{
	struct op *op = (struct op *)j;
	private_data_row_free(&op->row);
	api_op_free(&op->api);
}

static void seal(struct http_job *j)
{
	struct op *op = (struct op *)j;
	(void)!private_data_seal(op->api.app->private_data, &op->row, bytes_of(op->type, op->type_n),
				 buf_bytes(&op->api.body), &op->api.why);
	buf_free(&op->api.body);
}

static void render(const struct op *op, struct buf *b)
{
	char created[CLOCK_TEXT_SIZE];
	clock_text(op->row.created_ms, created);
	buf_put_str(b, "{");
	JSON_PUT_KEY(b, "id");
	json_put_string(b, bytes_of(op->row.id, sizeof op->row.id));
	JSON_PUT_KEY(b, "created");
	json_put_cstr(b, created);
	JSON_PUT_KEY(b, "size");
	json_put_int(b, (int64_t)op->row.size);
	JSON_PUT_KEY(b, "content_type");
	json_put_string(b, bytes_of(op->type, op->type_n));
	JSON_PUT_KEY(b, "identity");
	json_put_cstr(b, op->who.anonymous ? "anonymous" : "certificate");
	JSON_PUT_KEY(b, "identity_hash");
	if (op->who.anonymous)
		json_put_cstr(b, NULL);
	else
		json_put_hex(b, bytes_of(op->who.hash, sizeof op->who.hash));
	buf_put_str(b, "}");
}

static void sealed(struct http_req *r, struct http_job *j)
{
	struct op *op = (struct op *)j;
	if (op->api.why.err != ERR_OK ||
	    private_data_put(op->api.app->private_data, &op->row, &op->api.why) != ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	struct buf b = BUF_INIT(API_REPLY_MAX);
	render(op, &b);
	http_reply(r, 201, &b);
	drop(j);
}

void api_private_data_post(void *app, struct http_req *r)
{
	struct op *op = api_begin(app, r, sizeof *op, drop);
	if (op == NULL)
		return;
	struct bytes type = http_content_type(r);
	if (type.n == 0)
		type = bytes_str(default_type);
	op->type_n = type.n;
	memcpy(op->type, type.p, type.n);
	if (api_identity(app, r, &op->who, &op->api.why) != ERR_OK ||
	    private_data_begin(op->api.app->private_data, op->who.hash, op->api.body.n, &op->row, &op->api.why) !=
		    ERR_OK) {
		api_abort(r, &op->api);
		return;
	}
	api_step(r, &op->api, seal, sealed);
}
