/* commands.c - what the commands do: `ping` and `status` at once, `attest` by way of the workers. */
#include "internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MEMBERS_MAX = 256 };

/* One attestation. Freed when no worker is at it any more, which may be long after its client has gone. */
struct vsock_op {
	struct loop_job job;
	struct vsock_server *server;
	struct vsock_conn *conn; /* NULL: nobody waits for it */
	_Atomic bool dropped;	 /* the same, for workers */
	struct vsock_request request;
	struct attest_nonce nonce;
	bool admitted, room; /* to be given back */
	struct keys_key *key;
	struct attest_doc *doc;
	struct why why;
};

/* ---- replies ---- */

static void put_text(struct buf *b, const char *key, struct bytes text)
{
	json_put_key(b, key);
	if (text.p == NULL)
		json_put_cstr(b, NULL);
	else
		json_put_string(b, text);
}

static void put_success(struct buf *b, bool success)
{
	buf_put_str(b, "{");
	JSON_PUT_KEY(b, "success");
	json_put_bool(b, success);
}

static void put_fault(struct buf *b, const char *prefix, const struct why *w, const char *code)
{
	const bool named = w->tell && w->field[0] != '\0';
	struct buf text = BUF_INIT((size_t)2 * WHY_TEXT_MAX);
	buf_printf(&text, "%s%s%s%s", prefix, named ? w->field : "", named ? ": " : "", why_public(w));
	put_success(b, false);
	put_text(b, "error", buf_bytes(&text));
	JSON_PUT_KEY(b, "code");
	json_put_cstr(b, code);
	buf_free(&text);
}

void vsock_put_error(struct buf *out, const char *prefix, const struct why *w)
{
	put_fault(out, prefix, w, err_code(w->err));
	buf_put_str(out, "}");
}

static void fail_unknown(struct vsock_conn *c, const struct why *w)
{
	static const char code[] = "unknown_command";
	struct buf b = BUF_INIT(VSOCK_REPLY_MAX);
	c->server->count.failed++;
	put_fault(&b, "", w, code);
	JSON_PUT_KEY(&b, "available_commands");
	for (size_t i = 0; i < VSOCK_COMMANDS; i++) {
		buf_put_u8(&b, i == 0 ? '[' : ',');
		json_put_cstr(&b, vsock_commands[i].name);
	}
	buf_put_str(&b, "]}");
	vsock_reply(c, code, &b);
}

static void ping(struct vsock_conn *c)
{
	struct buf b = BUF_INIT(VSOCK_REPLY_MAX);
	put_success(&b, true);
	JSON_PUT_KEY(&b, "message");
	json_put_cstr(&b, "pong");
	JSON_PUT_KEY(&b, "timestamp");
	json_put_int(&b, clock_wall(c->server->clock) / 1000);
	buf_put_str(&b, "}");
	vsock_reply(c, "ok", &b);
}

static void status(struct vsock_conn *c)
{
	const struct vsock_server *s = c->server;
	const enum attest_debug debug = attest_debug(s->attest);
	struct buf b = BUF_INIT(VSOCK_REPLY_MAX);
	put_success(&b, true);
	JSON_PUT_KEY(&b, "status");
	json_put_cstr(&b, "running");
	JSON_PUT_KEY(&b, "port");
	if (s->port == 0)
		json_put_cstr(&b, NULL);
	else
		json_put_int(&b, s->port);
	JSON_PUT_KEY(&b, "uptime");
	json_put_int(&b, (loop_now_ms(s->loop) - s->started_ms) / 1000);
	JSON_PUT_KEY(&b, "version");
	json_put_cstr(&b, s->options.version);
	JSON_PUT_KEY(&b, "nsm");
	json_put_cstr(&b, nsm_name(s->nsm));
	JSON_PUT_KEY(&b, "debug_mode");
	if (debug == ATTEST_DEBUG_UNKNOWN)
		json_put_cstr(&b, NULL);
	else
		json_put_bool(&b, debug == ATTEST_DEBUG_ON);
	buf_put_str(&b, "}");
	vsock_reply(c, "ok", &b);
}

/* ---- attest ---- */

static void op_free(struct vsock_op *op)
{
	struct vsock_server *s = op->server;
	if (op->room)
		keys_cancel(s->keys, op->key);
	if (op->admitted)
		budget_give_back(s->budget, BUDGET_VSOCK);
	attest_doc_free(op->doc);
	vsock_request_free(&op->request);
	mem_wipe(op, sizeof *op);
	free(op);
}

/* Nothing is left for a worker: the client, if it still waits, is told op->why. */
static void op_fail(struct vsock_op *op)
{
	struct vsock_conn *c = op->conn;
	if (c != NULL) {
		c->op = NULL;
		vsock_fail(c, VSOCK_FAILED, &op->why);
	}
	op_free(op);
}

void vsock_op_drop(struct vsock_op *op)
{
	op->conn->op = NULL;
	op->conn = NULL;
	atomic_store_explicit(&op->dropped, true, memory_order_relaxed);
}

void vsock_op_late(struct vsock_conn *c, const struct why *w)
{
	vsock_op_drop(c->op);
	vsock_fail(c, VSOCK_FAILED, w);
}

/* What nobody waits for any more is not begun; a job that was not begun is one that the server's end left over. */
static bool op_begin(struct vsock_op *op)
{
	if (atomic_load_explicit(&op->dropped, memory_order_relaxed))
		return false;
	op->why = (struct why){0};
	return true;
}

static void op_submit(struct vsock_op *op, enum loop_lane lane, void (*run)(struct loop_job *j),
		      void (*done)(struct loop_job *j))
{
	op->job.run = run;
	op->job.done = done;
	(void)why_tell(&op->why, ERR_BUSY, NULL, "The server is stopping.");
	if (loop_submit(op->server->loop, lane, &op->job, &op->why) != ERR_OK)
		op_fail(op);
}

static void put_attested(const struct vsock_op *op, struct buf *b)
{
	const struct bytes cose = attest_doc_cose(op->doc);
	const char *warning = attest_doc_warning(op->doc);
	put_success(b, true);
	JSON_PUT_KEY(b, "attestation_document");
	json_put_base64(b, cose);
	put_text(b, "user_data", op->request.user_data);
	put_text(b, "nonce", op->request.nonce);
	JSON_PUT_KEY(b, "has_public_key");
	json_put_bool(b, op->key != NULL);
	JSON_PUT_KEY(b, "document_size");
	json_put_int(b, (int64_t)cose.n);
	JSON_PUT_KEY(b, "timestamp");
	json_put_int(b, clock_wall(op->server->clock));
	JSON_PUT_KEY(b, "tee_verified");
	json_put_bool(b, attest_doc_verified(op->doc));
	if (warning != NULL) {
		JSON_PUT_KEY(b, "_warning");
		json_put_cstr(b, warning);
	}
}

/* Only here, where nothing can fail any more, does the key become one that can be used. */
static void keep_key(struct vsock_op *op, struct buf *b)
{
	struct keys *keys = op->server->keys;
	struct keys_key *key = op->key;
	keys_commit(keys, key);
	op->key = NULL;
	op->room = false;
	JSON_PUT_KEY(b, "key_id");
	json_put_string(b, bytes_of(keys_id(key), KEYS_ID_SIZE));
	JSON_PUT_KEY(b, "key_expires_in_seconds");
	json_put_int(b, keys_left_ms(keys, key) / 1000);
}

static void on_document(struct loop_job *j)
{
	struct vsock_op *op = (struct vsock_op *)j;
	struct vsock_conn *c = op->conn;
	struct buf b = BUF_INIT(VSOCK_REPLY_MAX);
	/* A key is kept for whoever gets its id, and for nobody else. */
	if (c == NULL || op->why.err != ERR_OK || (op->key != NULL && vsock_gone(c))) {
		op_fail(op);
		return;
	}
	put_attested(op, &b);
	(void)buf_reserve(&b, KEY_MEMBERS_MAX);
	if (buf_check(&b, &op->why) != ERR_OK) {
		buf_free(&b);
		op_fail(op);
		return;
	}
	if (op->key != NULL)
		keep_key(op, &b);
	buf_put_str(&b, "}");
	c->op = NULL;
	op_free(op);
	vsock_reply(c, "ok", &b);
}

static void ask_nsm(struct loop_job *j)
{
	struct vsock_op *op = (struct vsock_op *)j;
	const struct bytes spki = op->key != NULL ? keys_spki(op->key) : bytes_of(NULL, 0);
	if (op_begin(op))
		(void)!attest_doc_make(op->server->attest, op->request.user_data, &op->nonce, spki, &op->doc, &op->why);
}

/* Only now, with the key made, does it take of what all outsiders share: others could not use it meanwhile. */
static void ask(struct vsock_op *op)
{
	struct vsock_server *s = op->server;
	if (budget_take(s->budget, BUDGET_VSOCK, loop_now_ms(s->loop), &op->why) != ERR_OK) {
		op_fail(op);
		return;
	}
	op->admitted = true;
	vsock_await(op->conn, s->options.nsm_ms);
	op_submit(op, LANE_NSM, ask_nsm, on_document);
}

static void make_key(struct loop_job *j)
{
	struct vsock_op *op = (struct vsock_op *)j;
	if (op_begin(op))
		(void)!keys_make(op->server->crypto, &op->key, &op->why);
}

static void on_key(struct loop_job *j)
{
	struct vsock_op *op = (struct vsock_op *)j;
	if (op->conn == NULL || op->why.err != ERR_OK)
		op_fail(op);
	else
		ask(op);
}

/* What can be seen of the request alone comes first, so that a wrong one takes nothing of what others need. */
static enum err check(struct vsock_op *op, struct why *w)
{
	const struct bytes nonce = op->request.nonce;
	const enum err e = attest_raw_check(op->request.user_data, w);
	if (e != ERR_OK)
		return e;
	if (nonce.n > NSM_NONCE_MAX)
		return why_tell(w, ERR_INVALID, "nonce", "The nonce is %zu bytes long; at most %d are possible.",
				nonce.n, NSM_NONCE_MAX);
	if (nsm_is_dummy(op->server->nsm))
		return why_tell(w, ERR_NSM, NULL,
				"This server has no NSM that signs (nsm = dummy): there is no document to give.");
	op->nonce = (struct attest_nonce){.present = nonce.n > 0, .encoding = ATTEST_TEXT, .n = nonce.n};
	if (nonce.n > 0)
		memcpy(op->nonce.b, nonce.p, nonce.n);
	return ERR_OK;
}

static enum err take_room(struct vsock_op *op, struct why *w)
{
	if (!op->request.generate_key)
		return ERR_OK;
	const enum err e = keys_reserve(op->server->keys, w);
	op->room = e == ERR_OK;
	return e;
}

static void attest(struct vsock_conn *c, struct vsock_request *r)
{
	struct vsock_op *op = calloc(1, sizeof *op);
	if (op == NULL) {
		struct why w = {0};
		(void)why_set(&w, ERR_MEMORY, "no memory for an attestation");
		vsock_request_free(r);
		vsock_fail(c, VSOCK_FAILED, &w);
		return;
	}
	op->server = c->server;
	op->conn = c;
	c->op = op;
	op->request = *r;
	*r = (struct vsock_request){0};
	if (check(op, &op->why) != ERR_OK || take_room(op, &op->why) != ERR_OK) {
		op_fail(op);
		return;
	}
	if (op->room) {
		vsock_await(c, VSOCK_KEY_MS);
		op_submit(op, LANE_KEYS, make_key, on_key);
	} else {
		ask(op);
	}
}

/* ---- any of them ---- */

static const char *name_of(enum vsock_command command)
{
	size_t i = 0;
	while (vsock_commands[i].command != command)
		i++;
	return vsock_commands[i].name;
}

void vsock_command(struct vsock_conn *c)
{
	struct vsock_request r = {0};
	struct why w = {0};
	bool unknown = false;
	c->server->count.requests++;
	enum err e = buf_check(&c->in, &w);
	if (e == ERR_OK)
		e = vsock_request_read(&r, buf_bytes(&c->in), &unknown, &w);
	buf_free(&c->in);
	if (e != ERR_OK) {
		if (unknown)
			fail_unknown(c, &w);
		else
			vsock_fail(c, e == ERR_INVALID ? "" : VSOCK_FAILED, &w);
		return;
	}
	c->command = name_of(r.command);
	switch (r.command) {
	case VSOCK_PING:
		ping(c);
		break;
	case VSOCK_STATUS:
		status(c);
		break;
	case VSOCK_ATTEST:
		attest(c, &r);
		break;
	}
	vsock_request_free(&r);
}
