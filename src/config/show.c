/* show.c - values, example and help, written as the parser reads them. */
#include "keys.h"

#include <inttypes.h>
#include <string.h>

enum { WIDTH = 100 };

static void put_text(struct buf *out, const char *s)
{
	size_t n = strlen(s);

	if (n > 0 && s[0] != '"' && s[0] != ' ' && s[n - 1] != ' ' && strchr(s, '#') == NULL) {
		buf_put_str(out, s);
		return;
	}
	buf_put_u8(out, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, (uint8_t)*s);
	}
	buf_put_u8(out, '"');
}

const char config_syntax[] =
	"One `key = value` a line. A comment has a line of its own and begins with #. A value that begins or ends with a "
	"space, or has a # in it, stands in double quotes, in which \\\" and \\\\ mean \" and \\. Sizes are bytes or have k, "
	"m or g behind them (times 1024, 1024^2, 1024^3); times are seconds or have s, m or h. A default gives way to the "
	"file, that to the environment (ATTESTD_LISTEN=...), and that to a flag (--set listen=...). `attestd config check` "
	"says whether it is right, and `attestd config show` what is in force.";

/* "key = value"; s is the value of a STR or PATH, n of all others. */
static void put_pair(struct buf *out, const struct key *k, const char *s, int64_t n)
{
	buf_printf(out, "%s = ", k->name);
	if (k->type == KEY_STR || k->type == KEY_PATH)
		put_text(out, s);
	else if (k->type == KEY_ENUM)
		buf_put_bytes(out, config_key_choice(k, n));
	else
		buf_printf(out, "%" PRId64, n);
}

void config_show(const struct config *c, bool security_only, struct buf *out)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];
		if (security_only && !k->sec)
			continue;
		if (k->type == KEY_STR || k->type == KEY_PATH)
			put_pair(out, k, config_get_text(c, k), 0);
		else
			put_pair(out, k, "", config_get_number(c, k));
		buf_put_u8(out, '\n');
	}
}

static void wrap(struct buf *out, const char *prefix, const char *text)
{
	size_t column = 0, margin = strlen(prefix);

	while (*text != '\0') {
		const size_t n = strcspn(text, " ");
		if (column > 0 && column + 1 + n > WIDTH) {
			buf_put_u8(out, '\n');
			column = 0;
		}
		buf_put_str(out, column == 0 ? prefix : " ");
		column += (column == 0 ? margin : 1) + n;
		buf_put(out, text, n);
		text += n;
		text += strspn(text, " ");
	}
	buf_put_u8(out, '\n');
}

/* The values that it may have, where that is not any text. */
static void put_values(struct buf *out, const char *before, const struct key *k, const char *after)
{
	if (k->type == KEY_ENUM)
		buf_printf(out, "%sOne of %s.%s", before, k->text, after);
	else if (k->type != KEY_STR && k->type != KEY_PATH)
		buf_printf(out, "%sFrom %" PRId64 " to %" PRId64 "%s.%s", before, k->lo, k->hi,
			   k->type == KEY_SIZE	    ? " bytes"
			   : k->type == KEY_SECONDS ? " seconds"
						    : "",
			   after);
}

void config_example(struct buf *out)
{
	buf_put_str(out, "# attestd.conf - every key with its default. To change one, take away the # before it.\n#\n");
	wrap(out, "# ", config_syntax);
	buf_put_str(out, "#\n# [security]: the key enters config_digest.\n");
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];
		buf_put_u8(out, '\n');
		wrap(out, "# ", k->help);
		put_values(out, "# ", k, "\n");
		if (k->sec)
			buf_put_str(out, "# [security]\n");
		buf_put_u8(out, '#');
		put_pair(out, k, k->text, k->dflt);
		buf_put_u8(out, '\n');
	}
}

bool config_help(size_t i, struct buf *key, struct buf *help)
{
	if (i >= KEY_COUNT)
		return false;
	const struct key *k = &config_keys[i];
	put_pair(key, k, k->text, k->dflt);
	buf_put_str(help, k->help);
	put_values(help, " ", k, "");
	return true;
}
