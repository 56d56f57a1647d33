/* help.c - what `attestd COMMAND --help` prints. */
#include "help.h"

#include <string.h>

#include "config.h"

enum { INDENT = 2, DEEPER = 4, GAP = 2, TERM_MAX = 22, KEY_INDENT = 8 };

static const struct help_row help_row = {"--help", NULL, "this text"};

const char *help_word(const struct command *c)
{
	const char *space = strrchr(c->name, ' ');
	return space != NULL ? space + 1 : c->name;
}

bool help_is_option(const struct help_row *row)
{
	return strncmp(row->term, "--", 2) == 0;
}

bool help_is_many(const struct help_row *row)
{
	return row->value != NULL && strstr(row->value, "...") != NULL;
}

static bool has_options(const struct help_part *p)
{
	return p->rows != NULL && help_is_option(&p->rows[0]);
}

bool help_is_end(const struct help_part *p)
{
	return p->text == NULL && p->rows == NULL && !p->keys;
}

const struct help_row *help_option(const struct command *c, const char *name, size_t n)
{
	for (const struct help_part *p = c->help; p != NULL && !help_is_end(p); p++)
		for (const struct help_row *r = p->rows; has_options(p) && r->term != NULL; r++)
			if (help_is_option(r) && bytes_is(bytes_of(name, n), r->term))
				return r;
	return NULL;
}

/* ---- words ---- */

static void put_spaces(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_put_u8(out, ' ');
}

static size_t word_size(struct bytes text, bool whole)
{
	size_t n = 0, depth = 0;
	for (; n < text.n && (depth > 0 || text.p[n] != ' '); n++) {
		if (whole && strchr("([", text.p[n]) != NULL)
			depth++;
		else if (depth > 0 && strchr(")]", text.p[n]) != NULL)
			depth--;
	}
	return n;
}

static void skip(struct bytes *text, size_t n)
{
	*text = bytes_of(text->p + n, text->n - n);
}

void help_put_words(struct buf *out, size_t column, size_t indent, struct bytes text, bool whole)
{
	const char *before = "";
	while (text.n > 0) {
		const size_t n = word_size(text, whole);
		if (*before != '\0' && column + 1 + n > HELP_WIDTH) {
			buf_put_str(out, "\n");
			put_spaces(out, indent);
			column = indent;
			before = "";
		}
		buf_put_str(out, before);
		buf_put_bytes(out, bytes_of(text.p, n));
		column += strlen(before) + n;
		before = " ";
		skip(&text, n);
		while (text.n > 0 && text.p[0] == ' ')
			skip(&text, 1);
	}
	buf_put_str(out, "\n");
}

static void put_paragraph(struct buf *out, const char *text)
{
	help_put_words(out, 0, 0, bytes_str(text), false);
}

/* ---- lists ---- */

static size_t term_size(const struct help_row *r)
{
	return strlen(r->term) + (r->value != NULL ? 1 + strlen(r->value) : 0);
}

/* Where the terms of a list begin. */
static size_t indent_of(const struct help_part *p, const struct help_row *r)
{
	return has_options(p) && !help_is_option(r) ? INDENT + DEEPER : INDENT;
}

/* Where the texts begin beside all terms with this indent that are not too long for that. */
static size_t text_column(const struct command *c, size_t indent)
{
	size_t widest = term_size(&help_row);
	for (const struct help_part *p = c->help; p != NULL && !help_is_end(p); p++)
		for (const struct help_row *r = p->rows; r != NULL && r->term != NULL; r++)
			if (indent_of(p, r) == indent && term_size(r) > widest && term_size(r) <= TERM_MAX)
				widest = term_size(r);
	return indent + widest + GAP;
}

static void put_row(struct buf *out, const struct help_row *r, size_t indent, size_t column)
{
	size_t at = indent + term_size(r);
	put_spaces(out, indent);
	buf_put_str(out, r->term);
	if (r->value != NULL) {
		buf_put_str(out, " ");
		buf_put_str(out, r->value);
	}
	if (at + GAP > column) {
		buf_put_str(out, "\n");
		at = 0;
	}
	put_spaces(out, column - at);
	help_put_words(out, column, column, bytes_str(r->text), false);
}

static void put_keys(struct buf *out)
{
	struct buf key = BUF_INIT(HELP_MAX), text = BUF_INIT(HELP_MAX);
	for (size_t i = 0; config_help(i, &key, &text); i++) {
		put_spaces(out, INDENT);
		buf_put_bytes(out, buf_bytes(&key));
		buf_put_str(out, "\n");
		put_spaces(out, KEY_INDENT);
		help_put_words(out, KEY_INDENT, KEY_INDENT, buf_bytes(&text), false);
		out->failed |= key.failed || text.failed;
		buf_reset(&key);
		buf_reset(&text);
	}
	buf_free(&key);
	buf_free(&text);
}

/* ---- parts ---- */

static void put_synopsis(struct buf *out, const struct command *c)
{
	const char *before = "usage: attestd", *line = c->commands != NULL ? "COMMAND [OPTIONS]" : c->synopsis;
	do {
		const size_t n = strcspn(line, "\n");
		size_t column = strlen(before);
		buf_put_str(out, before);
		if (c->name[0] != '\0') {
			buf_put_str(out, " ");
			buf_put_str(out, c->name);
			column += 1 + strlen(c->name);
		}
		if (n > 0)
			buf_put_str(out, " ");
		help_put_words(out, column + 1, column + 1, bytes_of(line, n), true);
		before = "       attestd";
		line += n;
	} while (*line++ == '\n');
}

static void put_parts(struct buf *out, const struct command *c)
{
	const struct help_part *last = NULL; /* list of options */
	for (const struct help_part *p = c->help; !help_is_end(p); p++)
		if (has_options(p))
			last = p;
	for (const struct help_part *p = c->help; !help_is_end(p); p++) {
		const bool goes_on = p > c->help && p->text == NULL && has_options(p) && has_options(p - 1);
		if (!goes_on)
			buf_put_str(out, "\n");
		if (p->text != NULL)
			put_paragraph(out, p->text);
		if (p->text != NULL && (p->rows != NULL || p->keys))
			buf_put_str(out, "\n");
		for (const struct help_row *r = p->rows; r != NULL && r->term != NULL; r++)
			put_row(out, r, indent_of(p, r), text_column(c, indent_of(p, r)));
		if (p == last)
			put_row(out, &help_row, INDENT, text_column(c, INDENT));
		if (p->keys)
			put_keys(out);
	}
	if (last == NULL && c->commands == NULL) {
		buf_put_str(out, "\n");
		put_row(out, &help_row, INDENT, text_column(c, INDENT));
	}
}

/* The commands that it is made of. */
static void put_commands(struct buf *out, const struct command *c)
{
	size_t widest = 0;
	for (const struct command *const *one = c->commands; *one != NULL; one++)
		if (strlen(help_word(*one)) > widest)
			widest = strlen(help_word(*one));
	buf_put_str(out, "\n");
	for (const struct command *const *one = c->commands; *one != NULL; one++)
		put_row(out, &(struct help_row){help_word(*one), NULL, (*one)->summary}, INDENT, INDENT + widest + GAP);
	buf_put_str(out, "\nattestd ");
	buf_put_str(out, c->name);
	buf_put_str(out, c->name[0] != '\0' ? " COMMAND --help tells more.\n"
					    : "COMMAND --help tells more; attestd --version names the version.\n");
}

void help_put(const struct command *c, struct buf *out)
{
	put_synopsis(out, c);
	if (c->help != NULL)
		put_parts(out, c);
	if (c->commands != NULL)
		put_commands(out, c);
	if (c->examples != NULL) {
		buf_put_str(out, "\nExamples:\n");
		for (const char *line = c->examples; *line != '\0'; line += strcspn(line, "\n") + 1) {
			put_spaces(out, INDENT);
			buf_put(out, line, strcspn(line, "\n") + 1);
		}
	}
	buf_put_str(out, "\n");
	static const char status[] = "Exit status: ";
	buf_put_str(out, status);
	help_put_words(out, sizeof status - 1, 0, bytes_str(c->exits), false);
}
