/* session_ask.c - the agent's way, beside a server that does what it is asked, and what to do when it does not. */
#include "session_parts.h"

int session_way_read(const struct args *a, struct session_way *out)
{
	struct session_way x = {.session = args_value(a, "--session"),
				.url = args_value(a, "--url"),
				.id = args_value(a, "--id"),
				.scope = args_value(a, "--scope")};
	struct why w = {0};
	const int status = args_only(a, &x.path);
	if (status != CMD_OK)
		return status;
	if ((x.session == NULL) == (x.url == NULL))
		return args_fault(a,
				  "either --session SESSION must be given (by the user) or --url URL (by the agent)");
	if (x.url != NULL && x.id == NULL)
		return args_fault(a, "--id SESSION_ID must name the session of this conversation at the server");
	if (x.url == NULL && (x.id != NULL || x.scope != NULL))
		return args_fault(a, "--id and --scope belong to --url: the session file knows its own");
	if (x.url != NULL && remote_init_local(&x.server, x.url, &w) != ERR_OK)
		return cmd_fail(&w);
	*out = x;
	return CMD_OK;
}

enum err session_ask(const struct remote *server, const char *method, const char *path, struct bytes json, size_t max,
		     struct buf *out, struct why *w)
{
	struct why said = {0};
	const enum err e = remote_ask(server, method, path, json, max, out, &said);
	if (e == ERR_SESSION)
		return why_set(w, e,
			       "%.250s. Give the --scope that the session was opened with, or ask the user for a new "
			       "session (attestd session open).",
			       said.text);
	if (e == ERR_NOT_FOUND)
		return why_set(w, e, "%.250s. Only a server's local listener serves this route: ask beside the server.",
			       said.text);
	if (e != ERR_OK)
		*w = said;
	return e;
}
