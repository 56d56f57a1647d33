/* A user's session file (first byte even), and messages that reach its session (odd): $C stands for the base64 of a
 * ciphertext that is authentic under the IV $I, so that what is sealed stays intact while everything around it changes.
 * What is accepted must be so for a reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "session/user_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1 << 20, RECEIVED = 3 };

static const uint8_t iv[AEAD_IV_SIZE] = {0, 0, 0, RECEIVED + 1, 5, 6, 7, 8, 9, 10, 11, 12};
static const char text[] = "a message";

static struct crypto *crypto;
static struct user_session session;
static struct buf ciphertext;
static struct why w;

static void check(bool good)
{
	if (!good)
		abort();
}

static void prepare(void)
{
	uint8_t sealed[sizeof text - 1 + AEAD_TAG_SIZE];
	check(crypto_new(&crypto, &w) == ERR_OK);
	memset(session.id, 'a', sizeof session.id);
	memset(session.key, 'k', sizeof session.key);
	session.received = RECEIVED;
	check(crypto_seal(crypto, session.key, iv, bytes_of(NULL, 0), BYTES_LIT(text), sealed, &w) == ERR_OK);
	ciphertext = BUF_INIT(BASE64_SIZE(sizeof sealed));
	buf_put_base64(&ciphertext, bytes_of(sealed, sizeof sealed));
}

static void expand(struct bytes in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		const int c = in.p[i] == '$' && i + 1 < in.n ? in.p[i + 1] : 0;
		i += c != 0;
		if (c == 'C')
			buf_put_bytes(out, buf_bytes(&ciphertext));
		else if (c == 'I')
			buf_put_base64(out, bytes_of(iv, sizeof iv));
		else
			buf_put_u8(out, in.p[i]);
	}
}

/* What is read is written, and what is written is read as the same. */
static void read_file(struct bytes file)
{
	struct user_session *s = NULL, *again = NULL;
	struct buf kept = BUF_INIT(USER_FILE_MAX), shown = BUF_INIT(USER_FILE_MAX);
	if (user_session_read(file, &s, &w) != ERR_OK) {
		check(s == NULL && w.err == ERR_INVALID);
		return;
	}
	user_session_put(s, &kept);
	check(buf_check(&kept, &w) == ERR_OK && user_session_read(buf_bytes(&kept), &again, &w) == ERR_OK);
	check(memcmp(s, again, sizeof *s) == 0);
	check(user_session_expires_s(s) >= user_session_opened_s(s) && user_session_scope(s).n <= SESSION_SCOPE_MAX);
	user_session_show(s, 0, &shown);
	check(buf_check(&shown, &w) == ERR_OK);
	user_session_free(s);
	user_session_free(again);
	buf_free(&kept);
	buf_free(&shown);
}

static void open_message(struct bytes message)
{
	struct user_session s = session;
	struct buf plain = BUF_INIT(0);
	const enum err e = user_unseal(crypto, &s, message, &plain, &w);
	if (e == ERR_OK) {
		check(bytes_is(buf_bytes(&plain), text) && s.received == RECEIVED + 1);
		check(user_unseal(crypto, &s, message, &plain, &w) == ERR_REPLAY);
	} else {
		check((e == ERR_BAD_MESSAGE || e == ERR_REPLAY) && plain.p == NULL);
		check(memcmp(&s, &session, sizeof s) == 0);
		for (const char *c = w.text; *c != '\0'; c++)
			check(*c >= ' ' && *c <= '~');
	}
	buf_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (crypto == NULL)
		prepare();
	if (size == 0)
		return 0;
	struct buf in = BUF_INIT(TEXT_MAX);
	expand(bytes_of(data + 1, size - 1), &in);
	if (!in.failed && data[0] % 2 == 0)
		read_file(buf_bytes(&in));
	else if (!in.failed)
		open_message(buf_bytes(&in));
	buf_free(&in);
	return 0;
}
