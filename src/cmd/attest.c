/* attest.c - `attestd attest`: prove it. A fresh attestation is fetched, verified, and compared with what was asked. */
#include "attest_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "enclave_pin.h"
#include "harden.h"
#include "input.h"
#include "output_file.h"
#include "policy_flags.h"
#include "private_file.h"

enum { OUTPUT_MAX = 1024 * 1024 };

static const struct help_row rows[] = {
	{"--url", "URL",
	 "the server: http://HOST:PORT, unix:PATH or vsock:CID:PORT; or, to have the certificate of the very connection attested, "
	 "https://HOST:PORT, https+unix:PATH or https+vsock:CID:PORT"},
	{"--custom-data", "FILE|JSON",
	 "have this JSON attested, too, and make sure that it was; what is no JSON is the name of a file that holds "
	 "some (- is the standard input; ./true is a file, true is JSON)"},
	{"--out", "FILE",
	 "keep the reply, whatever is found, where only you may read it: attestd verify takes it. It replaces what is "
	 "empty or such a reply, and nothing else"},
	{"--force", NULL, "have --out and --save-cert replace any file"},
	{"--json", NULL,
	 "one JSON object, also when it exits with 1: verified, code (the verdict's, or custom_digest_mismatch, "
	 "info_mismatch, tls_certificate_mismatch, key_from_file or server_refused), message, custom_data_compared, info, and "
	 "verdict, which is null where there was no document, or one that verified was refused all the same; over TLS "
	 "tls_cert_hash and key_origin before it, null unless verified"},
	{0},
};

static const struct help_row tls_rows[] = {
	{"--save-cert", "FILE",
	 "write the attested certificate (PEM) to FILE, for other programs to trust, in place of another one or of nothing"},
	{"--allow-file-key", NULL,
	 "accept a key that came from a file (key_origin: file), of which whoever gave it may have a copy"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Asks the server at URL for an attestation with a fresh nonce, verifies it as attestd verify does, "
		 "and prints the verdict. Beside the server that is POST /attestation; where only its public routes "
		 "are, GET /attestation, and GET /info is compared with what is attested of it. --purpose attestation "
		 "or info takes one of them."},
	{.rows = rows},
	{.text = "Over TLS it is GET /evidences/: the certificate that this very connection shows must be the attested one, "
		 "so that no authority is needed, and nobody in between can end TLS unseen. Its key must have been made in the "
		 "enclave.",
	 .rows = tls_rows},
	{.rows = enclave_pin_rows},
	{.rows = policy_rows},
	{.rows = policy_kind_rows},
	{.rows = policy_value_rows},
	{0},
};

struct attesting {
	const char *custom;
	struct output_file out, save_cert; /* path NULL: nowhere */
	struct remote server;
	bool json, tls;
	struct verify_policy policy;
	struct clock clock;
	struct crypto *crypto;
	struct verify *verify;
	struct buf custom_text;
	struct json *custom_json;
	struct verify_verdict *verdict;
	struct attest_asked asked;
};

/* ---- what is asked ---- */

static enum err use_custom(struct attesting *a, struct bytes text, const char *name, struct why *w)
{
	struct why inner = {0};
	const enum err e = json_parse(&a->custom_json, text, &inner);
	if (e == ERR_INVALID)
		return why_set(w, ERR_USAGE, "--custom-data: %.100s is not well-formed JSON: %s", name, inner.text);
	if (e != ERR_OK) {
		*w = inner;
		return e;
	}
	a->asked.custom_value = json_root(a->custom_json);
	a->asked.custom = text;
	if (json_type(a->asked.custom_value) == JSON_NULL)
		return why_set(w, ERR_USAGE, "--custom-data: null means that there is none");
	return ERR_OK;
}

static enum err read_custom(struct attesting *a, struct why *w)
{
	struct why inner = {0};
	struct json *json = NULL;
	if (a->custom == NULL)
		return ERR_OK;
	const enum err e = json_parse(&json, bytes_str(a->custom), &inner);
	json_free(json);
	if (e == ERR_OK)
		return use_custom(a, bytes_str(a->custom), "the value", w);
	/* Nobody calls a file so. */
	if (a->custom[0] == '{' || a->custom[0] == '[' || a->custom[0] == '"')
		return why_set(w, ERR_USAGE, "--custom-data: the value is not well-formed JSON: %s", inner.text);
	const enum err read = input_read("attest", a->custom, ATTEST_CUSTOM_MAX, &a->custom_text, w);
	return read == ERR_OK ? use_custom(a, buf_bytes(&a->custom_text), a->custom, w) : read;
}

static enum err save_cert(const struct attesting *a, struct why *w)
{
	struct buf pem = BUF_INIT(2 * TLS_CERT_DER_MAX);
	cert_pem_put(tls_peer_cert(a->asked.peer), &pem);
	enum err e = buf_check(&pem, w);
	if (e == ERR_OK)
		e = output_file_write(&a->save_cert, buf_bytes(&pem), w);
	buf_free(&pem);
	return e;
}

static enum err check_output(const struct output_file *f, struct why *w)
{
	return f->path == NULL ? ERR_OK : output_file_check(f, w);
}

static enum err fetch_and_verify(struct attesting *a, struct why *w)
{
	enum err e;
	a->asked.crypto = a->crypto;
	a->asked.server = &a->server;
	a->asked.policy = &a->policy;
	if ((e = policy_flags_nonce(a->crypto, &a->policy, w)) != ERR_OK || (e = attest_ask(&a->asked, w)) != ERR_OK)
		return e;
	if (a->out.path != NULL && (e = output_file_write(&a->out, buf_bytes(&a->asked.reply), w)) != ERR_OK)
		return e;
	if ((e = verify_input(a->verify, buf_bytes(&a->asked.reply), VERIFY_REPLY, &a->policy, &a->verdict, w)) !=
	    ERR_OK)
		return e;
	if (!verify_verdict_good(a->verdict))
		return why_tell(w, ERR_INVALID, NULL, "%s", verify_verdict_message(a->verdict));
	if ((e = attest_check(&a->asked, a->verdict, w)) != ERR_OK || a->save_cert.path == NULL)
		return e;
	return save_cert(a, w);
}

/* ---- what is said of it ---- */

static void put_info(const struct attesting *a, bool good, struct buf *out)
{
	struct json *json = NULL;
	struct why unsaid = {0};
	if (good && a->asked.info.n > 0 && json_parse(&json, buf_bytes(&a->asked.info), &unsaid) == ERR_OK)
		buf_put_bytes(out, buf_bytes(&a->asked.info));
	else
		json_put_cstr(out, NULL);
	json_free(json);
}

static const char *code(const struct attesting *a, bool good, const struct why *w)
{
	if (a->verdict == NULL)
		return "server_refused";
	if (good || !verify_verdict_good(a->verdict))
		return verify_code_name(verify_verdict_code(a->verdict));
	static const struct {
		const char *claim, *code;
	} codes[] = {
		{"custom_digest", "custom_digest_mismatch"},
		{"info_digest", "info_mismatch"},
		{"tls_cert_hash", "tls_certificate_mismatch"},
		{"tls_spki_hash", "tls_certificate_mismatch"},
		{"key_origin", "key_from_file"},
	};
	size_t i = 0;
	while (i + 1 < sizeof codes / sizeof codes[0] && strcmp(w->field, codes[i].claim) != 0)
		i++;
	return codes[i].code;
}

static void put_cert_hash(const struct attesting *a, void (*put)(struct buf *b, struct bytes in), struct buf *out)
{
	uint8_t hash[SHA256_SIZE];
	struct why unsaid = {0};
	out->failed |= crypto_sha256(a->crypto, tls_peer_cert(a->asked.peer), hash, &unsaid) != ERR_OK;
	put(out, bytes_of(hash, sizeof hash));
}

static void put_json_tls(const struct attesting *a, bool good, struct buf *out)
{
	JSON_PUT_KEY(out, "tls_cert_hash");
	if (good)
		put_cert_hash(a, json_put_hex, out);
	else
		json_put_cstr(out, NULL);
	JSON_PUT_KEY(out, "key_origin");
	json_put_cstr(out, !good ? NULL : a->asked.file_key ? "file" : "memory");
}

static void put_text_tls(const struct attesting *a, struct buf *out)
{
	buf_put_str(out, "\nThe certificate of this connection is the attested one. Its SHA-256 is\n");
	put_cert_hash(a, buf_put_hex, out);
	buf_put_str(out, a->asked.file_key
				 ? ".\nITS KEY CAME FROM A FILE: whoever gave it may have a copy, and can then end TLS "
				   "in the enclave's place.\n"
				 : ".\nIts key was made in the enclave's memory.\n");
	if (a->save_cert.path == NULL)
		return;
	buf_put_str(out, "It is in ");
	buf_put_plain(out, bytes_str(a->save_cert.path));
	buf_put_str(out, ".\n");
}

static void put_json(const struct attesting *a, bool good, const struct why *w, struct buf *out)
{
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "verified");
	json_put_bool(out, good);
	JSON_PUT_KEY(out, "code");
	json_put_cstr(out, code(a, good, w));
	JSON_PUT_KEY(out, "message");
	json_put_cstr(out, good ? verify_verdict_message(a->verdict) : w->text);
	JSON_PUT_KEY(out, "custom_data_compared");
	json_put_bool(out, good && a->asked.custom_value != NULL);
	JSON_PUT_KEY(out, "info");
	put_info(a, good, out);
	if (a->tls)
		put_json_tls(a, good, out);
	JSON_PUT_KEY(out, "verdict");
	/* One that is good and stands beside a refusal would be taken for the answer. */
	if (a->verdict != NULL && (good || !verify_verdict_good(a->verdict)))
		verify_verdict_json(a->verdict, out);
	else
		json_put_cstr(out, NULL);
	buf_put_str(out, "}\n");
}

static void put_text(const struct attesting *a, bool good, const struct why *w, struct buf *out)
{
	if (!good && verify_verdict_good(a->verdict)) {
		buf_put_str(out, "NOT VERIFIED: ");
		buf_put_str(out, w->text);
		buf_put_str(out, "\n");
		return;
	}
	verify_verdict_text(a->verdict, output_wants_colour(STDOUT_FILENO), out);
	if (good && a->asked.custom_value != NULL)
		buf_put_str(out, "\nThe custom data that you gave is what the enclave attests.\n");
	if (good && a->asked.info.n > 0) {
		buf_put_str(out, "\nWhat GET /info answers is what the enclave attests: ");
		buf_put_plain(out, buf_bytes(&a->asked.info));
		buf_put_str(out, "\n");
	}
	if (good && a->tls)
		put_text_tls(a, out);
}

static int say(const struct attesting *a, bool good, const struct why *said)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	if (a->json)
		put_json(a, good, said, &out);
	else
		put_text(a, good, said, &out);
	const int status = cmd_print(&out);
	buf_free(&out);
	return status;
}

/* ---- the command ---- */

static int attest(struct attesting *a)
{
	struct why w = {0};
	enum err e;

	a->clock = clock_system();
	if ((e = check_output(&a->out, &w)) == ERR_OK && (e = check_output(&a->save_cert, &w)) == ERR_OK &&
	    (e = read_custom(a, &w)) == ERR_OK && (e = harden(&w)) == ERR_OK &&
	    (e = crypto_new(&a->crypto, &w)) == ERR_OK &&
	    (e = verify_new(&a->verify, a->crypto, &a->clock, &w)) == ERR_OK)
		e = fetch_and_verify(a, &w);
	const int status = e == ERR_OK ? CMD_OK : cmd_status(&w);
	if (status != CMD_OK && (status != CMD_FALSE || (a->verdict == NULL && !a->json)))
		return cmd_fail(&w);
	const int said = say(a, e == ERR_OK, &w);
	return said != CMD_OK ? said : status;
}

static void close_parts(struct attesting *a)
{
	verify_verdict_free(a->verdict);
	json_free(a->custom_json);
	buf_free(&a->custom_text);
	buf_free(&a->asked.reply);
	buf_free(&a->asked.info);
	tls_peer_free(a->asked.peer);
	verify_free(a->verify);
	crypto_free(a->crypto);
}

/* What a listener attests depends on its kind. */
static int check_purpose(const struct args *line, const struct attesting *a)
{
	const char *purpose = a->policy.purpose;
	if (a->tls && a->custom != NULL)
		return args_fault(line,
				  "only a server's local listener attests custom data, and it speaks no TLS: leave "
				  "--custom-data out, or ask beside the server");
	if (!a->tls && a->save_cert.path != NULL)
		return args_fault(line, "--save-cert goes with a URL with TLS (https://)");
	if (!a->tls && a->asked.allow_file_key)
		return args_fault(line, "--allow-file-key goes with a URL with TLS (https://)");
	if (purpose[0] == '\0' || (a->tls && strcmp(purpose, "tls") == 0))
		return CMD_OK;
	if (a->tls)
		return args_fault(line, "the policy wants a document of purpose %s, and over TLS this asks for tls",
				  purpose);
	if (strcmp(purpose, "attestation") != 0 && strcmp(purpose, "info") != 0)
		return args_fault(line,
				  "the policy wants a document of purpose %s, and this asks for attestation or info%s",
				  purpose, strcmp(purpose, "tls") == 0 ? "; https:// asks for tls" : "");
	if (a->custom != NULL && strcmp(purpose, "info") == 0)
		return args_fault(line, "a document of purpose info holds no custom data");
	return CMD_OK;
}

static int read_line(struct attesting *a, const struct args *line)
{
	const char *url = args_value(line, "--url");
	struct why w = {0};
	int status = args_none(line);
	if (status != CMD_OK)
		return status;
	if (url == NULL)
		return args_fault(line, "--url URL must say which server to ask");
	if (a->out.force && a->out.path == NULL && a->save_cert.path == NULL)
		return args_fault(line, "--force is for --out and --save-cert");
	if (remote_init(&a->server, "--url", url, &w) != ERR_OK || policy_flags_make(line, &a->policy, &w) != ERR_OK)
		return cmd_fail(&w);
	a->tls = a->server.url.tls;
	status = check_purpose(line, a);
	if (status == CMD_OK)
		status = policy_flags_fresh(line, &a->policy, true);
	return status == CMD_OK ? enclave_pin_check(line, &a->policy) : status;
}

static int run(const struct args *line)
{
	struct attesting a = {.custom = args_value(line, "--custom-data"),
			      .out = {.what = "the reply",
				      .path = args_value(line, "--out"),
				      .kind = OUTPUT_ATTESTATION,
				      .mode = PRIVATE_MODE,
				      .commanded = true,
				      .force = args_has(line, "--force")},
			      /* No secret: what other programs shall trust they may read. */
			      .save_cert = {.what = "the certificate",
					    .path = args_value(line, "--save-cert"),
					    .kind = OUTPUT_CERTIFICATE,
					    .mode = PUBLIC_MODE,
					    .commanded = true,
					    .force = args_has(line, "--force")},
			      .json = args_has(line, "--json"),
			      .custom_text = BUF_INIT(0),
			      .asked = {.reply = BUF_INIT(0),
					.info = BUF_INIT(0),
					.allow_file_key = args_has(line, "--allow-file-key")}};
	int status = read_line(&a, line);
	if (status == CMD_OK)
		status = attest(&a);
	close_parts(&a);
	return status;
}

const struct command cmd_attest = {
	.name = "attest",
	.summary = "ask a server for a fresh attestation and verify it",
	.synopsis = "--url URL --pcr N=HEX... [--custom-data FILE|JSON] [--save-cert FILE] [OPTIONS]",
	.help = help,
	.exits = "0 verified, 1 not verified or refused by the server, 2 usage, or a policy that does not say which "
		 "enclave is meant, 3 a file or the server fails.",
	.examples = "attestd attest --url $URL --policy image.json --custom-data answer.json\n"
		    "attestd attest --url https://$HOST --policy image.json --save-cert cert.pem\n",
	.run = run,
};
