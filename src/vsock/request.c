/* request.c - the line that a request is, and what it asks for. */
#include "internal.h"

#include <ctype.h>
#include <string.h>

#include "base/encode.h"

const struct vsock_name vsock_commands[VSOCK_COMMANDS] = {
	{"ping", VSOCK_PING},
	{"attest", VSOCK_ATTEST},
	{"status", VSOCK_STATUS},
};

enum vsock_line vsock_line_take(struct buf *line, struct bytes piece)
{
	const uint8_t *end = piece.n > 0 ? memchr(piece.p, '\n', piece.n) : NULL;
	const size_t n = end != NULL ? (size_t)(end - piece.p) : piece.n;
	if (n > VSOCK_REQUEST_MAX - line->n)
		return VSOCK_LINE_TOO_LONG;
	buf_put(line, piece.p, n);
	return end != NULL ? VSOCK_LINE_WHOLE : VSOCK_LINE_OPEN;
}

static enum err bad_json(struct why *w, const char *text)
{
	return why_tell(w, ERR_INVALID, NULL, "Invalid JSON request: %s", text);
}

/* The field tables say "Must be ..." of a member that is named beside it. */
static enum err bad_member(struct why *w, const char *name, const char *text)
{
	return why_tell(w, ERR_INVALID, NULL, VSOCK_FAILED "\"%s\" %c%s", name, tolower((unsigned char)text[0]),
			text + 1);
}

static enum err unknown(struct bytes name, struct why *w)
{
	struct buf plain = BUF_INIT((size_t)10 * VSOCK_NAME_SHOWN);
	buf_put_plain(&plain, bytes_of(name.p, name.n < VSOCK_NAME_SHOWN ? name.n : VSOCK_NAME_SHOWN));
	const char *shown = buf_cstr(&plain);
	const enum err e = why_tell(w, ERR_INVALID, NULL, "Unknown command: %.*s", VSOCK_NAME_SHOWN,
				    shown != NULL ? shown : "");
	buf_free(&plain);
	return e;
}

static enum err read_command(enum vsock_command *out, const struct json_value *root, bool *unknown_command,
			     struct why *w)
{
	const struct json_value *v = json_get(root, "command");
	if (v != NULL && json_type(v) != JSON_STRING)
		return bad_member(w, "command", "Must be a string.");
	const struct bytes name = v != NULL ? json_string(v) : bytes_str("");
	for (size_t i = 0; i < VSOCK_COMMANDS; i++) {
		if (bytes_is(name, vsock_commands[i].name)) {
			*out = vsock_commands[i].command;
			return ERR_OK;
		}
	}
	*unknown_command = true;
	return unknown(name, w);
}

static struct bytes text_or_null(const struct json_value *v)
{
	const struct bytes text = v != NULL ? json_string(v) : bytes_of(NULL, 0);
	return text.n > 0 ? text : bytes_of(NULL, 0);
}

static enum err read_members(struct vsock_request *r, const struct json_value *root, struct why *w)
{
	const struct json_value *command, *user_data = NULL, *nonce = NULL, *generate_key = NULL;
	const struct json_field fields[] = {
		{"command", JSON_BIT(JSON_STRING), true, &command},
		{"user_data", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &user_data},
		{"nonce", JSON_BIT(JSON_STRING) | JSON_BIT(JSON_NULL), false, &nonce},
		{"generate_key", JSON_BOOL, false, &generate_key},
	};
	const size_t n = r->command == VSOCK_ATTEST ? sizeof fields / sizeof fields[0] : 1;
	const enum err e = json_fields(root, fields, n, w);
	if (e != ERR_OK)
		return e == ERR_INVALID ? bad_member(w, w->field, w->text) : e;
	r->user_data = json_get(root, "user_data") != NULL ? text_or_null(user_data) : bytes_str(VSOCK_USER_DATA);
	r->nonce = text_or_null(nonce);
	r->generate_key = generate_key != NULL && json_type(generate_key) == JSON_TRUE;
	return ERR_OK;
}

enum err vsock_request_read(struct vsock_request *out, struct bytes line, bool *unknown_command, struct why *w)
{
	struct vsock_request r = {0};
	*unknown_command = false;
	enum err e = json_parse(&r.json, line, w);
	if (e != ERR_OK)
		return e == ERR_INVALID ? bad_json(w, w->text) : e;
	const struct json_value *root = json_root(r.json);
	if (json_type(root) != JSON_OBJECT) {
		e = bad_json(w, "it is not an object");
		goto out;
	}
	if ((e = read_command(&r.command, root, unknown_command, w)) != ERR_OK ||
	    (e = read_members(&r, root, w)) != ERR_OK)
		goto out;
	*out = r;
	r.json = NULL;
out:
	json_free(r.json);
	return e;
}

void vsock_request_free(struct vsock_request *r)
{
	json_free(r->json);
	*r = (struct vsock_request){0};
}
