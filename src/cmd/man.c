/* man.c - `attestd man`: the man page, made from what every command says of itself. */
#include "cmd.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "config.h"

#define DATE "2026-11-21" /* when this file last changed what the page says */

static const char description[] =
	"attestd gives a program inside an AWS Nitro Enclave, and the people who talk to it, three things: proof of what is "
	"running (attestation), a private channel that nobody between them can read (sessions), and a verifier strict enough "
	"to trust. Inside the enclave it is a REST server beside the program; everywhere else it is a tool for the command "
	"line. Results go to the standard output, everything else to the standard error.";

static const struct help_row files[] = {
	{"/etc/attestd/attestd.conf", NULL,
	 "The configuration that attestd.service reads. No other is read unless --config or ATTESTD_CONFIG names it."},
	{"attestd.service, attestd.socket", NULL, "The units of systemd for attestd serve, inside an enclave."},
#ifndef ATTESTD_ENCLAVE
	{"/etc/attestd/proxy.env", NULL,
	 "The environment of attestd-proxy.service: what it carries, and its further options."},
	{"attestd-proxy.service, attestd-proxy.socket", NULL, "Those for attestd proxy, on the parent instance."},
#endif
	{"/dev/nsm", NULL, "The Nitro Secure Module, inside an enclave."},
	{"attestd.db", NULL, "The sessions, sealed, where db names no other file."},
	{0},
};

static const struct help_row environment[] = {
	{"ATTESTD_CONFIG", NULL, "The configuration to read where there is no --config. Empty: none."},
	{"ATTESTD_*", NULL,
	 "A key of the configuration in capitals, such as ATTESTD_LISTEN. It overrides the file. One that names no key is an "
	 "error."},
#ifndef ATTESTD_ENCLAVE
	{"BIND_ADDR, ENCLAVE_CID, ENCLAVE_PORT", NULL, "What attestd proxy carries where no option tells."},
#endif
	{"USE_TLS, TLS_CERT_PATH, TLS_KEY_PATH", NULL,
	 "With USE_TLS=true the other two (cert.pem and key.pem where they are not set) name tls_cert_file and tls_key_file of "
	 "attestd serve, where nothing else sets those. USE_TLS=false beside tls_listen is an error. Without USE_TLS they are "
	 "not looked at."},
	{"ENCLAVE_KEY_BASE64", NULL,
	 "The key that seals private data in place of kek_file: 32 bytes in base64. attestd serve wipes it from its environment "
	 "at once, and refuses it with a real NSM, because whoever starts the enclave would know it."},
	{"NO_COLOR", NULL, "No colours, if it is not empty. There are none without a terminal, or if TERM is dumb."},
	{"LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC, RUNTIME_DIRECTORY, "
	 "CREDENTIALS_DIRECTORY",
	 NULL,
	 "What the service manager says to a command that listens (systemd.exec(5), sd_listen_fds(3), sd_notify(3))."},
	{0},
};

struct page {
	struct buf *out;
	bool begun; /* there is something below the last heading */
};

/* ---- roff ---- */

/* Text as roff that shows it. What is in backticks is bold. */
static void put_escaped(struct buf *out, const char *text, size_t n)
{
	bool bold = false;
	for (size_t i = 0; i < n; i++) {
		const char c = text[i];
		if (c == '`') {
			bold = !bold;
			buf_put_str(out, bold ? "\\fB" : "\\fR");
		} else if (c == '-') {
			buf_put_str(out, "\\-");
		} else if (c == '\\') {
			buf_put_str(out, "\\e");
		} else if (c == '\'') {
			buf_put_str(out, "\\(aq");
		} else if (c == '^') {
			buf_put_str(out, "\\(ha");
		} else if (c == '~') {
			buf_put_str(out, "\\(ti");
		} else {
			/* At the beginning of a line it would be a request, and lines begin anywhere. */
			buf_put_str(out, c == '.' && (i == 0 || text[i - 1] == ' ') ? "\\&" : "");
			buf_put_u8(out, (uint8_t)c);
		}
	}
}

static void put_in(struct buf *out, const char *font, const char *text, size_t n)
{
	buf_put_str(out, font);
	put_escaped(out, text, n);
	buf_put_str(out, *font != '\0' ? "\\fR" : "");
}

static void put_text(struct page *p, const char *text)
{
	struct buf escaped = BUF_INIT(HELP_MAX);
	put_escaped(&escaped, text, strlen(text));
	help_put_words(p->out, 0, 0, buf_bytes(&escaped), false);
	p->out->failed |= escaped.failed;
	buf_free(&escaped);
	p->begun = true;
}

static void put_heading(struct page *p, const char *macro, const char *text)
{
	buf_printf(p->out, ".%s \"%s\"\n", macro, text);
	p->begun = false;
}

static void put_paragraph(struct page *p, const char *text)
{
	if (p->begun)
		buf_put_str(p->out, ".PP\n");
	put_text(p, text);
}

static void put_item(struct page *p, const char *term, const char *value, const char *text)
{
	buf_put_str(p->out, ".TP\n");
	put_in(p->out, "\\fB", term, strlen(term));
	if (value != NULL) {
		buf_put_str(p->out, " ");
		put_in(p->out, "\\fI", value, strlen(value));
	}
	buf_put_str(p->out, "\n");
	put_text(p, text);
}

static void put_rows(struct page *p, const struct help_row *rows)
{
	bool deeper = false;
	for (const struct help_row *r = rows; r != NULL && r->term != NULL; r++) {
		const bool goes_deeper = help_is_option(rows) && !help_is_option(r);
		if (goes_deeper != deeper)
			buf_put_str(p->out, goes_deeper ? ".RS\n" : ".RE\n");
		deeper = goes_deeper;
		put_item(p, r->term, r->value, r->text);
	}
	buf_put_str(p->out, deeper ? ".RE\n" : "");
}

/* ---- of each command ---- */

static void for_each(struct page *p, const struct command *c, void (*put)(struct page *p, const struct command *c))
{
	if (c->commands == NULL)
		put(p, c);
	for (const struct command *const *one = c->commands; one != NULL && *one != NULL; one++)
		for_each(p, *one, put);
}

/* One way to call it. What is in brackets stays on one line. */
static void put_form(struct buf *out, const char *form, size_t n)
{
	static const char between[] = " []()|\n";
	unsigned depth = 0;
	while (n > 0) {
		const size_t word = strcspn(form, between);
		const char *font = form[0] == '-' || islower((unsigned char)form[0]) ? "\\fB"
				   : isupper((unsigned char)form[0])		     ? "\\fI"
										     : "";
		put_in(out, font, form, word);
		form += word;
		n -= word;
		if (n == 0)
			break;
		depth += *form == '[' || *form == '(';
		depth -= *form == ']' || *form == ')';
		if (*form != ' ')
			buf_put_u8(out, (uint8_t)*form);
		else
			buf_put_str(out, depth > 0 ? "\\ " : "\n");
		form++;
		n--;
	}
	buf_put_str(out, "\n");
}

static void put_synopsis(struct page *p, const struct command *c)
{
	const char *line = c->synopsis;
	do {
		const size_t n = strcspn(line, "\n");
		buf_printf(p->out, ".SY \"attestd %s\"\n", c->name);
		if (n > 0)
			put_form(p->out, line, n);
		buf_put_str(p->out, ".YS\n");
		line += n;
	} while (*line++ == '\n');
}

static void put_section(struct page *p, const struct command *c)
{
	buf_printf(p->out, ".SS \"attestd %s\"\n", c->name);
	p->begun = false;
	for (const struct help_part *part = c->help; !help_is_end(part); part++) {
		if (part->keys)
			continue; /* they have a section of their own */
		if (part->text != NULL)
			put_paragraph(p, part->text);
		put_rows(p, part->rows);
	}
}

static void put_exits(struct page *p, const struct command *c)
{
	put_item(p, c->name, NULL, c->exits);
}

static void put_examples(struct page *p, const struct command *c)
{
	for (const char *line = c->examples; line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1) {
		put_escaped(p->out, line, strcspn(line, "\n"));
		buf_put_str(p->out, "\n");
	}
}

/* ---- the page ---- */

static void put_keys(struct page *p)
{
	struct buf key = BUF_INIT(HELP_MAX), help = BUF_INIT(HELP_MAX);
	const char *term, *text;
	for (size_t i = 0; config_help(i, &key, &help); i++) {
		if ((term = buf_cstr(&key)) == NULL || (text = buf_cstr(&help)) == NULL) {
			p->out->failed = true;
			break;
		}
		put_item(p, term, NULL, text);
		buf_reset(&key);
		buf_reset(&help);
	}
	buf_free(&key);
	buf_free(&help);
}

static void put_page(struct page *p, const struct command *all)
{
	buf_put_str(p->out, ".\\\" Made by `attestd man`.\n"
			    ".TH ATTESTD 1 " DATE " \"attestd " ATTESTD_VERSION "\" \"User Commands\"\n");
	put_heading(p, "SH", "NAME");
	buf_put_str(p->out, "attestd \\- ");
	put_text(p, all->summary);
	put_heading(p, "SH", "SYNOPSIS");
	for_each(p, all, put_synopsis);
	put_heading(p, "SH", "DESCRIPTION");
	put_paragraph(p, description);
	put_paragraph(
		p, "`attestd --help` lists the commands, `attestd COMMAND --help` (or -h) says of one what this page "
		   "does, and `attestd --version` names the version. An option is given by its whole name, as "
		   "--NAME VALUE or --NAME=VALUE, before or behind the arguments; -- ends the options.");
	put_heading(p, "SH", "COMMANDS");
	for_each(p, all, put_section);
	put_heading(p, "SH", "CONFIGURATION");
	put_paragraph(p, config_syntax);
	put_paragraph(p, "The keys and their defaults:");
	put_keys(p);
	put_heading(p, "SH", "FILES");
	put_rows(p, files);
	put_heading(p, "SH", "ENVIRONMENT");
	put_rows(p, environment);
	put_heading(p, "SH", "EXIT STATUS");
	put_paragraph(p, all->exits);
	for_each(p, all, put_exits);
	put_heading(p, "SH", "EXAMPLES");
	buf_put_str(p->out, ".EX\n");
	for_each(p, all, put_examples);
	buf_put_str(p->out, ".EE\n");
	put_heading(p, "SH", "SEE ALSO");
	put_text(p, "systemctl(1), systemd.service(5), systemd.socket(5), openssl(1), vsock(7)");
}

static int print(const struct args *a)
{
	struct buf out = BUF_INIT(HELP_MAX);
	struct page page = {&out, false};

	int status = args_none(a);
	if (status != CMD_OK)
		return status;
	put_page(&page, a->all);
	status = cmd_print(&out);
	buf_free(&out);
	return status;
}

static const struct help_part help[] = {
	{.text = "Prints the man page attestd(1), made from what the commands' --help says: attestd man | man -l -"},
	{0},
};

const struct command cmd_man = {
	.name = "man",
	.summary = "print the man page",
	.synopsis = "",
	.help = help,
	.exits = "0 printed, 2 usage, 3 it cannot be written.",
	.examples = "attestd man | man -l -\n",
	.run = print,
};
