/* session_file.c - a session between one command and the next. */
#include "session_parts.h"

enum err session_file_read(const char *path, struct user_session **out, struct why *w)
{
	struct buf text = BUF_INIT(0);
	enum err e = private_file_read(SESSION_FILE, path, USER_FILE_MAX, &text, w);
	if (e == ERR_OK)
		e = user_session_read(buf_bytes(&text), out, w);
	buf_free(&text);
	return e;
}

enum err session_file_draft(const char *path, const struct user_session *s, struct private_draft *d, struct why *w)
{
	struct buf text = BUF_INIT(USER_FILE_MAX);
	user_session_put(s, &text);
	enum err e = buf_check(&text, w);
	if (e == ERR_OK)
		e = private_draft_write(SESSION_FILE, path, PRIVATE_MODE, buf_bytes(&text), d, w);
	buf_free(&text);
	return e;
}

bool session_is_expired(const struct user_session *s, struct why *w)
{
	const struct clock clock = clock_system();
	const int64_t now_ms = clock_wall(&clock), end_ms = user_session_expires_s(s) * 1000;
	char end[CLOCK_TEXT_SIZE];
	if (now_ms < end_ms)
		return false;
	clock_text(end_ms, end);
	(void)why_set(
		w, ERR_SESSION,
		"The session expired at %s, as the server said when it was opened. Renew it: attestd session open.",
		end);
	return true;
}
