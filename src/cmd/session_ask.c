/* session_ask.c - asking a server for what it does for those beside it, and what to do when it does not. */
#include "session_parts.h"

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
