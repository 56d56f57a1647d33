/* client_show.c - what an enclave answered, so that nothing in it can pass for anything else on a terminal. */
#include "client_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "input.h"

enum { OUTPUT_MAX = 1024 * 1024, NAME_WIDTH = 14 };

/* The canonical form is ASCII and holds no control character. */
static void put_value(struct buf *out, const struct json_value *v)
{
	struct why w = {0};
	out->failed |= json_canon_all(v, out, &w) != ERR_OK;
}

void client_put_document(const struct client *c, struct buf *out)
{
	buf_put_base64(out, buf_bytes(&c->document));
	buf_put_str(out, "\n");
}

static bool saved_in_file(const struct client *c)
{
	return c->save != NULL && strcmp(c->save, "-") != 0;
}

/* ---- JSON ---- */

static void put_key_id(const struct client *c, struct buf *out)
{
	uint8_t id[SHA256_SIZE];
	struct why w = {0};
	out->failed |= crypto_sha256(c->crypto, verify_verdict_public_key(c->verdict), id, &w) != ERR_OK;
	json_put_hex(out, bytes_of(id, sizeof id));
}

/* What is signed comes from the document; the rest is the server's word, whose form the verifier has looked at. That of
 * _warning says too little: whoever carries the reply may write one, which would stand here beside `verified`. */
static void put_verified_members(const struct client *c, struct buf *out)
{
	static const char *const unsigned_members[] = {"timestamp", "key_expires_in_seconds", "tee_verified"};
	const struct bytes user_data = verify_verdict_user_data(c->verdict);
	const bool has_key = verify_verdict_public_key(c->verdict).n > 0;
	JSON_PUT_KEY(out, "user_data");
	if (user_data.n > 0)
		json_put_string(out, user_data);
	else
		json_put_cstr(out, NULL);
	JSON_PUT_KEY(out, "nonce");
	json_put_string(out, c->nonce);
	JSON_PUT_KEY(out, "has_public_key");
	json_put_bool(out, has_key);
	JSON_PUT_KEY(out, "document_size");
	json_put_int(out, (int64_t)c->document.n);
	JSON_PUT_KEY(out, "key_id");
	if (has_key)
		put_key_id(c, out);
	else
		json_put_cstr(out, NULL);
	for (size_t i = 0; i < sizeof unsigned_members / sizeof unsigned_members[0]; i++) {
		const struct json_value *v = json_get(json_root(c->reply), unsigned_members[i]);
		if (v == NULL)
			continue;
		json_put_key(out, unsigned_members[i]);
		put_value(out, v);
	}
}

static void put_null_members(struct buf *out)
{
	static const char *const members[] = {"user_data",     "nonce",	 "has_public_key",
					      "document_size", "key_id", "timestamp"};
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		json_put_key(out, members[i]);
		json_put_cstr(out, NULL);
	}
}

static void put_verification(const struct client *c, bool good, const struct why *w, struct buf *out)
{
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "success");
	json_put_bool(out, c->document.n > 0);
	JSON_PUT_KEY(out, "attestation_document");
	json_put_base64(out, buf_bytes(&c->document));
	if (good)
		put_verified_members(c, out);
	else
		put_null_members(out);
	JSON_PUT_KEY(out, "verified");
	json_put_bool(out, good);
	JSON_PUT_KEY(out, "verification");
	/* One that is good and stands beside a refusal would be taken for the answer. */
	if (c->verdict != NULL && (good || !verify_verdict_good(c->verdict)))
		verify_verdict_json(c->verdict, out);
	else
		json_put_cstr(out, NULL);
	JSON_PUT_KEY(out, "verification_error");
	json_put_cstr(out, good ? NULL : w->text);
	buf_put_str(out, "}\n");
}

static void put_json(const struct client *c, bool good, const struct why *w, struct buf *out)
{
	if (c->action == CLIENT_VERIFY) {
		put_verification(c, good, w, out);
		return;
	}
	put_value(out, json_root(c->reply));
	buf_put_str(out, "\n");
}

/* ---- text ---- */

/* Strings without their quotes. */
static void put_member(struct buf *out, struct bytes name, const struct json_value *v)
{
	const size_t before = out->n;
	buf_put_plain(out, name);
	do
		buf_put_str(out, " ");
	while (!out->failed && out->n < before + NAME_WIDTH);
	if (json_type(v) == JSON_STRING)
		buf_put_plain(out, json_string(v));
	else
		put_value(out, v);
	buf_put_str(out, "\n");
}

static void put_members(const struct client *c, struct buf *out)
{
	struct bytes name;
	const struct json_value *v = NULL;
	while (json_next(json_root(c->reply), &name, &v))
		if (!bytes_is(name, "success"))
			put_member(out, name, v);
}

static void put_saved(const struct client *c, struct buf *out)
{
	buf_put_str(out, "The document is in ");
	buf_put_plain(out, bytes_str(c->save));
	buf_put_str(out, ".\n");
}

static void put_attestation(const struct client *c, struct buf *out)
{
	static const char *const members[] = {"key_id", "key_expires_in_seconds", "_warning"};
	buf_printf(out, "An attestation document of %zu bytes. Nothing of it was verified: --verify does that.\n",
		   c->document.n);
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		const struct json_value *v = json_get(json_root(c->reply), members[i]);
		if (v != NULL)
			put_member(out, bytes_str(members[i]), v);
	}
	if (c->save == NULL)
		client_put_document(c, out);
	else if (saved_in_file(c))
		put_saved(c, out);
}

static void put_verdict(const struct client *c, bool good, const struct why *w, int fd, struct buf *out)
{
	if (!good && verify_verdict_good(c->verdict)) {
		buf_printf(out, "NOT VERIFIED: %s\n", w->text);
		return;
	}
	verify_verdict_text(c->verdict, output_wants_colour(fd), out);
	if (good && verify_verdict_public_key(c->verdict).n > 0) {
		buf_put_str(out, "\nThe public key that was asked for is signed. Its key_id is ");
		put_key_id(c, out);
		buf_put_str(out, ".\n");
	}
	if (good && saved_in_file(c)) {
		buf_put_str(out, "\n");
		put_saved(c, out);
	}
}

static void put_text(const struct client *c, bool good, const struct why *w, int fd, struct buf *out)
{
	switch (c->action) {
	case CLIENT_PING:
		buf_printf(out, "Pong! %s answers\n", c->to_text);
		break;
	case CLIENT_STATUS:
		put_members(c, out);
		break;
	case CLIENT_ATTEST:
		put_attestation(c, out);
		break;
	case CLIENT_VERIFY:
		put_verdict(c, good, w, fd, out);
		break;
	}
}

/* ---- both ---- */

/* Where the document goes to the standard output, nothing else does. */
static int show_beside(const struct client *c, bool good, const struct why *said)
{
	struct buf out = BUF_INIT(OUTPUT_MAX), document = BUF_INIT(OUTPUT_MAX);
	struct why w = {0};
	put_text(c, good, said, STDERR_FILENO, &out);
	client_put_document(c, &document);
	int status = CMD_OK;
	if (buf_check(&out, &w) != ERR_OK)
		status = cmd_fail(&w);
	else if (out.n > 0)
		fwrite(out.p, 1, out.n, stderr);
	if (status == CMD_OK && good)
		status = cmd_print(&document);
	buf_free(&document);
	buf_free(&out);
	return status;
}

static int show(const struct client *c, bool good, const struct why *w)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	if (c->json)
		put_json(c, good, w, &out);
	else
		put_text(c, good, w, STDOUT_FILENO, &out);
	const int status = cmd_print(&out);
	buf_free(&out);
	return status;
}

int client_show(const struct client *c, enum err e, const struct why *w)
{
	const bool good = e == ERR_OK;
	if (!good && !c->json && c->verdict == NULL)
		return cmd_fail(w);
	const int status = c->save != NULL && !saved_in_file(c) ? show_beside(c, good, w) : show(c, good, w);
	return status == CMD_OK && !good ? CMD_FALSE : status;
}
