/* session_show.c - `attestd session show`: what a session file holds, but for its key. */
#include "session_parts.h"

#include <stdio.h>

#include "base/encode.h"

enum { OUTPUT_MAX = 16 * 1024 };

static const struct help_row rows[] = {
	{"--session", "SESSION", "the file that attestd session open made"},
	{"--json", NULL, "as JSON"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Says what the session in the file SESSION is, but not its key."},
	{.rows = rows},
	{0},
};

static void put_time(struct buf *out, const char *name, int64_t s)
{
	char text[CLOCK_TEXT_SIZE];
	clock_text(s * 1000, text);
	buf_printf(out, "%s%s", name, text);
}

static void put_text(const struct user_session *s, bool expired, struct buf *out)
{
	buf_put_str(out, "session_id     ");
	buf_put_bytes(out, user_session_id(s));
	buf_put_str(out, "\nscope          ");
	if (user_session_scope(s).n > 0)
		buf_put_plain(out, user_session_scope(s));
	else
		buf_put_str(out, "none");
	buf_put_str(out, "\nuser_key_hash  ");
	buf_put_hex(out, bytes_of(user_session_key_hash(s), SHA256_SIZE));
	buf_printf(out, "\nenclave        %s",
		   user_session_pinned(s) ? "the one that the policy pinned"
					  : "ANY: its PCRs were not compared when the session was opened");
	put_time(out, "\nopened         ", user_session_opened_s(s));
	put_time(out, "\nexpires        ", user_session_expires_s(s));
	buf_printf(out, "%s\nreceived       ", expired ? ", so it has EXPIRED" : " (the server's word)");
	if (user_session_received(s) > 0)
		buf_printf(out, "message %u of the session was the last\n", (unsigned)user_session_received(s));
	else
		buf_put_str(out, "nothing so far\n");
}

static int show(const char *path, bool json)
{
	const struct clock clock = clock_system();
	struct crypto *c = NULL;
	struct user_session *s = NULL;
	struct buf out = BUF_INIT(OUTPUT_MAX);
	struct why w = {0}, expired = {0};
	int status;

	if (session_begin(&c, &w) != ERR_OK || session_file_read(path, &s, &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	const bool is_expired = session_is_expired(s, &expired);
	if (json) {
		user_session_show(s, clock_wall(&clock) / 1000, &out);
		buf_put_str(&out, "\n");
	} else {
		put_text(s, is_expired, &out);
	}
	status = cmd_print(&out);
	if (is_expired)
		fprintf(stderr, "attestd session show: %s\n", expired.text);
out:
	buf_free(&out);
	user_session_free(s);
	crypto_free(c);
	return status;
}

static int run(const struct args *a)
{
	const char *session = args_value(a, "--session");
	const int status = args_none(a);
	if (status != CMD_OK)
		return status;
	if (session == NULL)
		return args_fault(a, "--session SESSION must name the file");
	return show(session, args_has(a, "--json"));
}

const struct command session_show = {
	.name = "session show",
	.summary = "what a session file holds, but for its key",
	.synopsis = "--session SESSION [--json]",
	.help = help,
	.exits = "0 done, 1 this is no session file, 2 usage, 3 it cannot be read.",
	.examples = "attestd session show --session chat.session\n",
	.run = run,
};
