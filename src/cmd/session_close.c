/* session_close.c - `attestd session close`: a session file is wiped and removed. */
#include "session_parts.h"

#include <stdio.h>
#include <string.h>

#include "remote.h"

static const struct help_row rows[] = {
	{"--session", "SESSION", "the file that attestd session open made"},
	{"--url", "URL", "the server beside the agent: http://HOST:PORT, unix:PATH or vsock:CID:PORT"},
	{"--force", NULL, "wipe and remove what does not look like a session file, too"},
	{"--json", NULL, "say what was done as JSON"},
	{0},
};

static const struct help_part help[] = {
	{.text = "Overwrites the session file and removes it, even if it is damaged, as long as it still begins like "
		 "one: nothing that was said in the "
		 "session can be opened with it any more. (A disk may keep old contents of its own accord; encrypt it "
		 "if that matters.) With --url the session is ended at its server, too, which only those beside the "
		 "server can ask for; else it ends there when it expires."},
	{.rows = rows},
	{0},
};

static enum err end_at_server(struct remote *server, struct bytes file, struct why *w)
{
	static const char path[] = "/sessions/";
	char target[sizeof path + SESSION_ID_SIZE];
	struct user_session *s = NULL;
	struct buf reply = BUF_INIT(0);
	enum err e = user_session_read(file, &s, w);
	if (e != ERR_OK)
		return e;
	memcpy(target, path, sizeof path - 1);
	memcpy(target + sizeof path - 1, user_session_id(s).p, SESSION_ID_SIZE);
	target[sizeof target - 1] = '\0';
	e = session_ask(server, "DELETE", target, bytes_of(NULL, 0), REMOTE_REPLY_MAX, &reply, w);
	user_session_free(s);
	buf_free(&reply);
	return e == ERR_SESSION ? ERR_OK : e; /* it is not there any more */
}

/* A slip of the pen must not cost a key or a picture. */
static enum err check(const struct private_file *f, const char *path, bool force, struct buf *text, struct why *w)
{
	static const char start[] = "{\"attestd_session\"";
	if (f->size <= USER_FILE_MAX) {
		const enum err e = private_file_get(SESSION_FILE, f, USER_FILE_MAX, text, w);
		if (e != ERR_OK)
			return e;
	}
	if (!force && (text->n < sizeof start - 1 || memcmp(text->p, start, sizeof start - 1) != 0))
		return why_set(
			w, ERR_INVALID,
			"%s does not look like a session file, so it is left alone. If you are sure that it shall be "
			"wiped, add --force",
			path);
	if ((f->mode & 077) != 0)
		fprintf(stderr,
			"attestd session close: %s could be read or written by others than you (mode %04o), so what was said in "
			"the session may not be secret any more\n",
			path, (unsigned)f->mode & 07777u);
	return ERR_OK;
}

static int close_it(const char *path, const char *url, bool force, bool json)
{
	struct private_file f = {.fd = -1};
	struct crypto *c = NULL;
	struct remote server;
	struct buf text = BUF_INIT(0);
	struct why w = {0};
	int status = CMD_OK;

	if ((url != NULL && remote_init(&server, "--url", url, &w) != ERR_OK) || session_begin(&c, &w) != ERR_OK ||
	    private_file_take(SESSION_FILE, path, &f, &w) != ERR_OK || check(&f, path, force, &text, &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	const bool ended = url != NULL && end_at_server(&server, buf_bytes(&text), &w) == ERR_OK;
	if (url != NULL && !ended)
		status = cmd_fail(&w);
	if (private_file_destroy(SESSION_FILE, &f, &w) != ERR_OK) {
		status = cmd_fail(&w);
		goto out;
	}
	if (json)
		printf("{\"closed\":true,\"ended_at_server\":%s}\n", ended ? "true" : "false");
	else
		printf("The session file is wiped and removed%s.\n",
		       ended ? ", and the session has ended at its server" : "");
	const int printed = cmd_printed();
	status = status != CMD_OK ? status : printed;
out:
	private_file_unlock(&f);
	buf_free(&text);
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
	return close_it(session, args_value(a, "--url"), args_has(a, "--force"), args_has(a, "--json"));
}

const struct command session_close = {
	.name = "session close",
	.summary = "wipe a session file and remove it",
	.synopsis = "--session SESSION [--url URL] [--force] [--json]",
	.help = help,
	.exits =
		"0 done, 1 this is no session file, or the server refused (then the file is gone all the same), 2 usage, 3 the file cannot be removed, "
		"or the server does not answer (the file is gone all the same).",
	.examples = "attestd session close --session chat.session\n",
	.run = run,
};
