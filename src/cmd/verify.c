/* verify.c - `attestd verify`: is this document genuine, and is it the one that was wanted? */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "policy_flags.h"

enum { INPUT_MAX = 256 * 1024 * 1024, PIECE = 64 * 1024, OUTPUT_MAX = 1024 * 1024 };

static const char usage[] =
	"usage: attestd verify [FILE|-] [--pcr N=HEX]... [--nonce N] [OPTIONS]\n"
	"\n"
	"Says whether FILE (or the standard input) is a genuine attestation document of a Nitro enclave, and whether it is\n"
	"the one that was wanted. It may be the document itself or a reply of the server, whose own members are then\n"
	"checked, too. Without --pcr or a policy this proves that it is a genuine enclave, but not which one.\n"
	"\n" POLICY_FLAGS_HELP "  --format F           what FILE is: auto (default), raw, base64, hex or reply\n"
	"  --json               the verdict as JSON (openapi.yaml: Verdict), not as an explanation\n"
	"  --help               this text\n"
	"\n"
	"Exit status: 0 verified, 1 not verified, 2 usage or a malformed policy, flag or root, 3 a file cannot be read.\n";

struct wanted {
	const char *path; /* NULL: standard input */
	enum verify_format format;
	struct verify_policy policy;
	bool json;
};

static enum err read_all(int fd, const char *name, struct buf *out, struct why *w)
{
	for (;;) {
		uint8_t *p = buf_reserve(out, PIECE);
		if (p == NULL)
			return out->n + PIECE > out->max
				       ? why_set(w, ERR_ENVIRONMENT, "%s is longer than %d bytes", name, INPUT_MAX)
				       : buf_check(out, w);
		const ssize_t n = read(fd, p, PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_set(w, ERR_ENVIRONMENT, "%s cannot be read: %s", name, strerror(errno));
		if (n == 0)
			return ERR_OK;
		out->n += (size_t)n;
		if (out->n > INPUT_MAX)
			return why_set(w, ERR_ENVIRONMENT, "%s is longer than %d bytes", name, INPUT_MAX);
	}
}

static enum err read_input(const char *path, struct buf *out, struct why *w)
{
	if (path == NULL) {
		if (isatty(STDIN_FILENO))
			fprintf(stderr, "attestd verify: reading from the terminal; end with Ctrl-D\n");
		return read_all(STDIN_FILENO, "the standard input", out, w);
	}
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return why_set(w, ERR_ENVIRONMENT, "%s cannot be read: %s", path, strerror(errno));
	const enum err e = read_all(fd, path, out, w);
	(void)close(fd);
	return e;
}

static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

static enum err print(const struct verify_verdict *d, bool json, struct why *w)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	if (json) {
		verify_verdict_json(d, &out);
		buf_put_str(&out, "\n");
	} else {
		verify_verdict_text(d, wants_colour(), &out);
	}
	const enum err e = buf_check(&out, w);
	if (e == ERR_OK)
		fwrite(out.p, 1, out.n, stdout);
	buf_free(&out);
	return e;
}

static int judge(const struct wanted *o)
{
	const struct clock clock = clock_system();
	struct crypto *crypto = NULL;
	struct verify *verify = NULL;
	struct verify_verdict *verdict = NULL;
	struct buf input = BUF_INIT(INPUT_MAX + PIECE);
	struct why w = {0};
	int status;

	json_init();
	if (read_input(o->path, &input, &w) != ERR_OK || crypto_new(&crypto, &w) != ERR_OK ||
	    verify_new(&verify, crypto, &clock, &w) != ERR_OK ||
	    verify_input(verify, buf_bytes(&input), o->format, &o->policy, &verdict, &w) != ERR_OK ||
	    print(verdict, o->json, &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	status = cmd_printed();
	if (status == CMD_OK && !verify_verdict_good(verdict))
		status = CMD_FALSE;
out:
	verify_verdict_free(verdict);
	verify_free(verify);
	crypto_free(crypto);
	buf_free(&input);
	return status;
}

static int run(const struct policy_flags *f, const char *command, const char *format, bool json)
{
	struct wanted o = {.json = json};
	struct why w = {0};

	if (f->help) {
		fputs(usage, stdout);
		return cmd_printed();
	}
	if (f->n_args > 1)
		return options_fault(command, "`%s` is one argument too many", f->args[1]);
	if (format != NULL && !verify_format_parse(bytes_str(format), &o.format))
		return options_fault(command, "--format must be auto, raw, base64, hex or reply, not `%s`", format);
	if (policy_flags_make(f, &o.policy, &w) != ERR_OK)
		return cmd_fail(&w);
	if (f->n_args == 1 && strcmp(f->args[0], "-") != 0)
		o.path = f->args[0];
	return judge(&o);
}

int cmd_verify(int argc, char **argv)
{
	const char *format = NULL;
	bool json = false;
	const struct policy_own_flag own[] = {{"--format", &format, NULL}, {"--json", NULL, &json}};
	struct policy_flags f;
	int status = policy_flags_read(&f, own, sizeof own / sizeof own[0], argc, argv);
	if (status == CMD_OK)
		status = run(&f, argv[0], format, json);
	policy_flags_free(&f);
	return status;
}
