/* raw.c - what an outsider wants attested as it is, kept apart from our own claims by its bytes. */
#include "attest.h"

#include <string.h>

/* A claim of ours is a JSON object, whose `{` is a byte 0x7B in UTF-8, UTF-16 and UTF-32 alike; without one there is
 * none, whoever reads. The other two are for readers that skip what they do not know: no NUL of UTF-16 or UTF-32, no
 * line end and no byte order mark that could make them take what follows for something else. */
static const char *claim_like(struct bytes rest)
{
	static const uint8_t bom[] = {0xef, 0xbb, 0xbf};

	if (rest.p[0] == '{')
		return "`{`";
	if (rest.p[0] < 0x20)
		return "a control character";
	if (rest.n >= sizeof bom && memcmp(rest.p, bom, sizeof bom) == 0)
		return "U+FEFF";
	return NULL;
}

enum err attest_raw_check(struct bytes user_data, struct why *w)
{
	if (user_data.n > NSM_USER_DATA_MAX)
		return why_tell(w, ERR_INVALID, "user_data",
				"The user data is %zu bytes long; at most %d can be attested.", user_data.n,
				NSM_USER_DATA_MAX);
	for (size_t i = 0; i < user_data.n; i++) {
		const char *what = claim_like(bytes_of(user_data.p + i, user_data.n - i));

		if (what != NULL)
			return why_tell(
				w, ERR_INVALID, "user_data",
				"The user data holds %s at byte %zu; neither `{` nor control characters nor "
				"U+FEFF may be in it, so that it cannot pass for one of the server's own claims.",
				what, i + 1);
	}
	return ERR_OK;
}
