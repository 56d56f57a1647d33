/* fetch.c - the HTTP client: a connection, a request, and the bytes of its reply. */
#include "fetch.h"

#include <poll.h>
#include <string.h>

#include "fetch_conn.h"
#include "fetch_reply.h"

enum { BLOCK = 16 * 1024, REQUEST_HEAD_MAX = FETCH_URL_MAX + FETCH_PATH_MAX + 1024 + BLOCK };

struct exchange {
	const struct fetch_request *request;
	struct fetch_conn conn;
	struct buf head;  /* of the request, and as much of its body as goes with it */
	size_t with_head; /* bytes of the body that do */
	size_t sent;	  /* of head and body */
};

/* ---- the request ---- */

/* Nothing that would end a line or a word of the request. */
static bool is_visible(const char *s, bool spaces)
{
	for (; *s != '\0'; s++)
		if ((*s <= ' ' && !(spaces && *s == ' ')) || *s >= 0x7f)
			return false;
	return true;
}

static enum err write_head(struct exchange *x, const struct fetch_url *url, struct why *w)
{
	const struct fetch_request *r = x->request;
	const bool has_body = r->content_type != NULL;
	if (!is_visible(r->method, false) || r->path[0] != '/' || !is_visible(r->path, false) ||
	    strlen(r->path) > FETCH_PATH_MAX || (has_body ? !is_visible(r->content_type, true) : r->body.n > 0))
		return why_set(w, ERR_INTERNAL, "a request that cannot be written as HTTP");
	buf_put_str(&x->head, r->method);
	buf_put_u8(&x->head, ' ');
	buf_put_str(&x->head, url->prefix);
	buf_put_str(&x->head, r->path);
	buf_printf(&x->head, " HTTP/1.1\r\nHost: %s\r\nUser-Agent: attestd/%s\r\n", url->authority, ATTESTD_VERSION);
	buf_put_str(&x->head, "Accept: application/json\r\nConnection: close\r\n");
	if (has_body)
		buf_printf(&x->head, "Content-Type: %s\r\nContent-Length: %zu\r\n", r->content_type, r->body.n);
	buf_put_str(&x->head, "\r\n");
	/* Head and body go together: two small packets would wait for each other. */
	x->with_head = r->body.n < BLOCK ? r->body.n : BLOCK;
	buf_put(&x->head, r->body.p, x->with_head);
	return buf_check(&x->head, w);
}

static struct bytes unsent(const struct exchange *x)
{
	if (x->sent < x->head.n)
		return bytes_of(x->head.p + x->sent, x->head.n - x->sent);
	const struct bytes body = x->request->body;
	const size_t at = x->sent - x->head.n + x->with_head;
	return at < body.n ? bytes_of(body.p + at, body.n - at) : bytes_of(NULL, 0);
}

static enum tls_step send_more(struct exchange *x)
{
	const struct bytes left = unsent(x);
	struct why unsaid = {0};
	size_t n = 0;
	const enum tls_step step = fetch_conn_write(&x->conn, left, &n, &unsaid);
	if (step == TLS_DONE)
		x->sent += n;
	else if (step == TLS_BROKEN)
		/* It has heard enough, and may have said why before it closed. */
		x->sent = x->head.n + x->request->body.n;
	return step;
}

/* ---- the exchange ---- */

static enum err read_more(struct exchange *x, struct fetch_reader *reader, enum tls_step *step, bool *done,
			  struct why *w)
{
	struct why inner = {0};
	uint8_t block[BLOCK];
	size_t n = 0;
	enum err e = ERR_OK;
	*step = fetch_conn_read(&x->conn, block, sizeof block, &n, &inner);
	if (*step == TLS_DONE) {
		e = fetch_reader_feed(reader, bytes_of(block, n), done, w);
	} else if (*step == TLS_ENDED) {
		e = fetch_reader_end(reader, w);
		*done = true;
	} else if (*step == TLS_BROKEN) {
		e = why_tell(w, inner.err, NULL, "%s broke the connection off: %s", x->conn.who, inner.text);
	}
	mem_wipe(block, n);
	return e;
}

static short events_of(enum tls_step step)
{
	return step == TLS_WANT_READ ? POLLIN : step == TLS_WANT_WRITE ? POLLOUT : 0;
}

static enum err talk(struct exchange *x, struct fetch_reader *reader, struct why *w)
{
	bool done = false;
	for (;;) {
		enum tls_step heard, said = TLS_ENDED;
		/* First what it says: an early answer is the reason why it takes no more. */
		enum err e = read_more(x, reader, &heard, &done, w);
		if (e != ERR_OK || done)
			return e;
		if (unsent(x).n > 0)
			said = send_more(x);
		/* Where something moved there may be more. */
		const bool moved = heard == TLS_DONE || said == TLS_DONE;
		e = fetch_conn_wait(&x->conn, moved ? 0 : (short)(events_of(heard) | events_of(said)), w);
		if (e != ERR_OK)
			return e;
	}
}

enum err fetch(const struct fetch_url *url, const struct fetch_request *r, const struct clock *clock,
	       struct fetch_reply *out, struct why *w)
{
	struct exchange x = {.request = r, .head = BUF_INIT(REQUEST_HEAD_MAX)};
	struct fetch_reader *reader = NULL;
	enum err e;

	if ((e = fetch_conn_init(&x.conn, url, clock, r->timeout_ms, w)) != ERR_OK ||
	    (e = write_head(&x, url, w)) != ERR_OK ||
	    (e = fetch_reader_new(&reader, x.conn.who, r->reply_max, w)) != ERR_OK ||
	    (e = fetch_conn_open(&x.conn, r, w)) != ERR_OK || (e = talk(&x, reader, w)) != ERR_OK)
		goto out;
	fetch_reader_take(reader, out);
	if (x.conn.peer != NULL)
		out->peer = tls_peer_ref(x.conn.peer);
out:
	fetch_conn_close(&x.conn);
	fetch_reader_free(reader);
	buf_free(&x.head);
	return e;
}
