/* message.c - what the operations on sessions share. */
#include "internal.h"

enum err api_scope_parse(struct bytes *out, const struct json_value *scope, struct why *w)
{
	*out = (struct bytes){NULL, 0};
	if (scope == NULL)
		return ERR_OK;
	const struct bytes text = json_string(scope);
	if (text.n == 0 || text.n > SESSION_SCOPE_MAX)
		return why_tell(w, ERR_INVALID, "scope", "Must be 1 to %d bytes of UTF-8, not %zu.", SESSION_SCOPE_MAX,
				text.n);
	*out = text;
	return ERR_OK;
}

void api_put_short_id(struct buf *out, struct bytes session_id)
{
	JSON_PUT_KEY(out, "session_id");
	buf_put_u8(out, '"');
	buf_put(out, session_id.p, API_ID_SHOWN);
	buf_put_str(out, "...\"");
}
