/* peer_show.c - what came of meeting a peer, so that nothing that it says can pass for anything else on a terminal. */
#include "peer_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "input.h"

enum { OUTPUT_MAX = 1024 * 1024, NAME_WIDTH = 22 };

const char *peer_step_name(enum peer_step s)
{
	static const char *const names[] = {
		[STEP_NONE] = "",	    [STEP_CERT] = "cert",	    [STEP_REPORT] = "report",
		[STEP_VERIFY] = "verify",   [STEP_CHALLENGE] = "challenge", [STEP_CLIENT] = "client",
		[STEP_CONNECT] = "connect", [STEP_PING] = "ping",	    [STEP_DONE] = "",
	};
	return names[s];
}

/* Stable: programs act on it. */
static void put_code(const struct peer *p, enum err e, const struct why *w, struct buf *out)
{
	if (e == ERR_OK)
		json_put_cstr(out, "connected");
	else if (p->verdict != NULL && !verify_verdict_good(p->verdict))
		json_put_cstr(out, verify_code_name(verify_verdict_code(p->verdict)));
	else if (p->step == STEP_VERIFY && e == ERR_UNATTESTED)
		buf_printf(out, "\"%s_mismatch\"", w->field);
	else if (e == ERR_UNATTESTED)
		json_put_cstr(out, "tls_certificate_mismatch");
	else if (e == ERR_IDENTITY)
		json_put_cstr(out, "client_certificate_refused");
	else
		json_put_cstr(out, strcmp(w->field, "reply") == 0 ? "reply_malformed" : "server_refused");
}

/* The canonical form is ASCII and holds no control character. */
static void put_value(struct buf *out, const struct json_value *v)
{
	struct why unsaid = {0};
	out->failed |= json_canon_all(v, out, &unsaid) != ERR_OK;
}

static void put_json(const struct peer *p, enum err e, const struct why *w, struct buf *out)
{
	const bool good = e == ERR_OK;
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "connected");
	json_put_bool(out, good);
	JSON_PUT_KEY(out, "step");
	json_put_cstr(out, good ? NULL : peer_step_name(p->step));
	JSON_PUT_KEY(out, "code");
	put_code(p, e, w, out);
	JSON_PUT_KEY(out, "message");
	json_put_cstr(out, good ? "Both sides are verified and connected by mutual TLS." : w->text);
	JSON_PUT_KEY(out, "server");
	/* One that is good and stands beside its refusal would be taken for the answer. */
	if (p->verdict != NULL && (p->step != STEP_VERIFY || !verify_verdict_good(p->verdict)))
		verify_verdict_json(p->verdict, out);
	else
		json_put_cstr(out, NULL);
	JSON_PUT_KEY(out, "client");
	if (p->whoami != NULL && json_type(json_root(p->whoami)) == JSON_OBJECT)
		put_value(out, json_root(p->whoami));
	else
		json_put_cstr(out, NULL);
	JSON_PUT_KEY(out, "pong");
	json_put_bool(out, good);
	buf_put_str(out, "}\n");
}

static void put_members(const struct json_value *object, const char *indent, struct buf *out)
{
	struct bytes name;
	const struct json_value *v = NULL;
	while (json_next(object, &name, &v)) {
		const size_t before = out->n;
		buf_put_str(out, indent);
		buf_put_plain(out, name);
		if (json_type(v) == JSON_OBJECT && indent[2] == '\0') {
			buf_put_str(out, "\n");
			put_members(v, "    ", out);
			continue;
		}
		do
			buf_put_str(out, " ");
		while (!out->failed && out->n < before + NAME_WIDTH + strlen(indent));
		if (json_type(v) == JSON_STRING)
			buf_put_plain(out, json_string(v));
		else
			put_value(out, v);
		buf_put_str(out, "\n");
	}
}

static void put_text(const struct peer *p, struct buf *out)
{
	buf_put_str(out, "What this side verified of the server:\n\n");
	verify_verdict_findings(p->verdict, output_wants_colour(STDOUT_FILENO), out);
	buf_put_str(out, "\nWhat the server says that it verified of this side:\n\n");
	put_members(json_root(p->whoami), "  ", out);
	buf_put_str(out, "\npong\n");
}

int peer_show(const struct peer *p, enum err e, const struct why *w)
{
	const int status = e == ERR_OK ? CMD_OK : cmd_status(w);
	struct buf out = BUF_INIT(OUTPUT_MAX);
	if (e != ERR_OK && (!p->json || status != CMD_FALSE)) {
		fprintf(stderr, "attestd peer: step %d (%s): %s\n", (int)p->step, peer_step_name(p->step),
			w->text[0] != '\0' ? w->text : err_title(w->err));
		return status;
	}
	if (p->json)
		put_json(p, e, w, &out);
	else
		put_text(p, &out);
	const int printed = cmd_print(&out);
	buf_free(&out);
	return printed != CMD_OK ? printed : status;
}
