/* session_keygen.c - `attestd session keygen`: a key pair to open sessions with. */
#include "session_parts.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "passphrase.h"

#define PRIVATE_KEY "the private key"
#define PUBLIC_KEY  "the public key"

static const struct help_row rows[] = {
	{"--out", "KEY.pem", "where the private key goes"},
	{"--bits", "N", "2048 to 8192, a multiple of 8; 3072 unless told otherwise"},
	{"--passphrase", NULL, "ask for a passphrase on the terminal, and encrypt the private key with it"},
	{"--passphrase-file", "FILE", "the same, with the one line in FILE (- is the standard input)"},
	{"--force", NULL, "replace files that are there already; both are, or none"},
	{"--json", NULL, "say what was made as JSON"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Makes an RSA key pair: the private key in KEY.pem, which only you may read, and the public key "
		 "beside it in KEY.pub.pem, to be sent with POST /key-exchange. A key pair opens every session that "
		 "was made for it, old ones too: `attestd session open --url` makes one of its own for each session "
		 "and forgets it, which is safer."},
	{.rows = rows},
	{0},
};

struct making {
	const char *out, *passphrase_file;
	bool ask, force, json;
	unsigned n_bits;
	char public_path[PATH_MAX];
};

/* ---- files ---- */

static bool name_public(struct making *m)
{
	static const char pem[] = ".pem";
	size_t n = strlen(m->out);
	if (n >= sizeof pem && strcmp(m->out + n - (sizeof pem - 1), pem) == 0)
		n -= sizeof pem - 1;
	const int made = snprintf(m->public_path, sizeof m->public_path, "%.*s.pub.pem", (int)n, m->out);
	return made > 0 && made < (int)sizeof m->public_path;
}

/* Asked before the work, for which one has to wait. */
static enum err check_free(const struct making *m, struct why *w)
{
	enum err (*const check)(const char *what, const char *path, struct why *w) = m->force ? private_file_replaceable
											      : private_file_absent;
	const enum err e = check(PRIVATE_KEY, m->out, w);
	return e == ERR_OK ? check(PUBLIC_KEY, m->public_path, w) : e;
}

/* Both or none: half of a new pair beside half of an old one would be of no use. */
static enum err save(const struct making *m, struct bytes private_pem, struct bytes public_pem, struct why *w)
{
	struct private_draft private = PRIVATE_DRAFT_NONE, public = PRIVATE_DRAFT_NONE;
	sigset_t before;
	enum err e;
	private_signals_hold(&before);
	if ((e = private_draft_write(PRIVATE_KEY, m->out, PRIVATE_MODE, private_pem, &private, w)) == ERR_OK &&
	    (e = private_draft_write(PUBLIC_KEY, m->public_path, PUBLIC_MODE, public_pem, &public, w)) == ERR_OK &&
	    (e = private_draft_place(PRIVATE_KEY, &private, m->force, w)) == ERR_OK &&
	    (e = private_draft_place(PUBLIC_KEY, &public, m->force, w)) != ERR_OK)
		private_draft_undo(&private);
	private_draft_end(&private);
	private_draft_end(&public);
	private_signals_release(&before);
	return e;
}

/* ---- what is said of it ---- */

static void say(const struct making *m, const uint8_t hash[SHA256_SIZE], bool encrypted, struct buf *out)
{
	if (!m->json) {
		buf_put_str(out, "private key    ");
		buf_put_str(out, m->out);
		buf_printf(out, " (RSA-%u, mode 0600, %s)\npublic key     ", m->n_bits,
			   encrypted ? "encrypted with the passphrase" : "not encrypted");
		buf_put_str(out, m->public_path);
		buf_put_str(out, " (send this one)\nuser_key_hash  ");
		buf_put_hex(out, bytes_of(hash, SHA256_SIZE));
		buf_put_str(out, "\n");
		return;
	}
	buf_put_str(out, "{");
	JSON_PUT_KEY(out, "private_key");
	json_put_cstr(out, m->out);
	JSON_PUT_KEY(out, "public_key");
	json_put_cstr(out, m->public_path);
	JSON_PUT_KEY(out, "bits");
	json_put_int(out, m->n_bits);
	JSON_PUT_KEY(out, "encrypted");
	json_put_bool(out, encrypted);
	JSON_PUT_KEY(out, "user_key_hash");
	json_put_hex(out, bytes_of(hash, SHA256_SIZE));
	buf_put_str(out, "}\n");
}

/* ---- the command ---- */

static enum err get_passphrase(const struct making *m, struct buf *out, struct why *w)
{
	if (m->passphrase_file != NULL)
		return passphrase_file(m->passphrase_file, out, w);
	return m->ask ? passphrase_ask(m->out, true, out, w) : ERR_OK;
}

static int make(const struct making *m)
{
	struct crypto *c = NULL;
	struct rsa_key *key = NULL;
	struct buf passphrase = BUF_INIT(0), private_pem = BUF_INIT(RSA_PRIVATE_PEM_MAX),
		   public_pem = BUF_INIT(RSA_PEM_MAX), said = BUF_INIT(4 * PATH_MAX);
	uint8_t hash[SHA256_SIZE];
	struct why w = {0};
	int status = CMD_OK;

	if (session_begin(&c, &w) != ERR_OK || check_free(m, &w) != ERR_OK ||
	    get_passphrase(m, &passphrase, &w) != ERR_OK || rsa_key_new(m->n_bits, &key, &w) != ERR_OK ||
	    rsa_key_put_private(key, buf_bytes(&passphrase), &private_pem, &w) != ERR_OK ||
	    rsa_key_put_public(key, &public_pem, &w) != ERR_OK ||
	    crypto_sha256(c, rsa_key_spki(key), hash, &w) != ERR_OK ||
	    save(m, buf_bytes(&private_pem), buf_bytes(&public_pem), &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	say(m, hash, passphrase.n > 0, &said);
	status = cmd_print(&said);
out:
	buf_free(&said);
	buf_free(&public_pem);
	buf_free(&private_pem);
	buf_free(&passphrase);
	rsa_key_free(key);
	crypto_free(c);
	return status;
}

static int keygen(const struct args *a)
{
	struct making m = {.out = args_value(a, "--out"),
			   .passphrase_file = args_value(a, "--passphrase-file"),
			   .ask = args_has(a, "--passphrase"),
			   .force = args_has(a, "--force"),
			   .json = args_has(a, "--json")};
	const char *text = args_value(a, "--bits");
	int64_t bits = RSA_BITS_DEFAULT;
	const int status = args_none(a);
	if (status != CMD_OK)
		return status;
	if (m.out == NULL || m.out[0] == '\0')
		return args_fault(a, "--out KEY.pem must say where the private key goes");
	if (m.ask && m.passphrase_file != NULL)
		return args_fault(a, "--passphrase asks for what --passphrase-file gives: take one of them");
	if (text != NULL && (!args_number(text, RSA_BITS_MIN, RSA_BITS_MAX, &bits) || bits % 8 != 0))
		return args_fault(a, "--bits must be a multiple of 8 from %d to %d, not `%s`", RSA_BITS_MIN,
				  RSA_BITS_MAX, text);
	m.n_bits = (unsigned)bits;
	if (!name_public(&m))
		return args_fault(a, "the path of --out is too long");
	return make(&m);
}

const struct command session_keygen = {
	.name = "session keygen",
	.summary = "make a key pair to open sessions with",
	.synopsis = "--out KEY.pem [--bits N] [--passphrase | --passphrase-file FILE] [OPTIONS]",
	.help = help,
	.exits = "0 done, 2 usage, 3 a file cannot be written, or is there already.",
	.examples = "attestd session keygen --out key.pem\n",
	.run = keygen,
};
