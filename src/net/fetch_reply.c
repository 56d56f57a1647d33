/* fetch_reply.c - replies: read by http-parser, and refused where it is more lenient than a careful reader.
 *
 * The library as Debian builds it takes bare LFs, anything in place of the CRLF behind a chunk, blanks in names, folded
 * lines and unknown codings. Therefore the bytes that are not of the body, which frame it, are kept beside it and held
 * to the grammar before what they frame is believed.
 */
#include "fetch_reply.h"

#include <http_parser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CHUNK_DIGITS = 8 };

#define NO_LENGTH UINT64_MAX /* what http-parser says without a Content-Length */
#define BAD_LINE  "a line of its header has a control character or ends without CRLF"

struct fetch_reader {
	struct http_parser parser;
	const char *who;
	struct buf frame;     /* the header, or what stands between the data of two chunks */
	const uint8_t *taken; /* up to where the piece under way was kept in one of the two */
	struct fetch_reply reply;
	unsigned interim;
	bool has_head, has_chunk, chunked, done;
	unsigned codings, types; /* Transfer-Encoding and Content-Type headers */
	enum err e;		 /* of a callback, with its reason */
	struct why *w;
};

static bool is_bare(const struct fetch_reader *r)
{
	return r->parser.status_code < 200 || r->parser.status_code == 204 || r->parser.status_code == 304;
}

static enum err refuse(struct fetch_reader *r, const char *reason)
{
	return r->e = why_tell(r->w, ERR_ENVIRONMENT, NULL, "%s gave a reply that is refused: %s", r->who, reason);
}

static enum err too_large(struct fetch_reader *r)
{
	return r->e = why_tell(r->w, ERR_ENVIRONMENT, NULL, "%s gave a reply of more than %zu bytes", r->who,
			       r->reply.body.max);
}

/* ---- the header ---- */

static bool is_token(struct bytes x)
{
	for (size_t i = 0; i < x.n; i++)
		if (x.p[i] <= ' ' || x.p[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", x.p[i]) != NULL)
			return false;
	return x.n > 0;
}

static bool is_name(struct bytes x, const char *name)
{
	return x.n == strlen(name) && strncasecmp((const char *)x.p, name, x.n) == 0;
}

static struct bytes trim(struct bytes x)
{
	while (x.n > 0 && (x.p[0] == ' ' || x.p[0] == '\t'))
		x = bytes_of(x.p + 1, x.n - 1);
	while (x.n > 0 && (x.p[x.n - 1] == ' ' || x.p[x.n - 1] == '\t'))
		x.n--;
	return x;
}

/* The next line of *x without its CRLF. A line that another reader would end elsewhere is none. */
static bool next_line(struct bytes *x, struct bytes *line)
{
	const uint8_t *end = x->n > 0 ? memmem(x->p, x->n, "\r\n", 2) : NULL;
	if (end == NULL)
		return false;
	*line = bytes_of(x->p, (size_t)(end - x->p));
	for (size_t i = 0; i < line->n; i++)
		if ((line->p[i] < 0x20 && line->p[i] != '\t') || line->p[i] == 0x7f)
			return false;
	*x = bytes_of(end + 2, x->n - line->n - 2);
	return true;
}

static enum err read_type(struct fetch_reader *r, struct bytes v)
{
	if (r->types++ > 0)
		return refuse(r, "it has several Content-Type headers");
	if (v.n >= FETCH_TYPE_MAX)
		return refuse(r, "its Content-Type is too long");
	if (v.n > 0)
		memcpy(r->reply.content_type, v.p, v.n);
	r->reply.content_type[v.n] = '\0';
	return ERR_OK;
}

static enum err read_field(struct fetch_reader *r, struct bytes line)
{
	const uint8_t *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;
	/* A folded line begins with a blank, so it has no token either. */
	if (colon == NULL || !is_token(bytes_of(line.p, (size_t)(colon - line.p))))
		return refuse(r, "a line of its header is not \"Name: value\"");
	const struct bytes name = bytes_of(line.p, (size_t)(colon - line.p));
	const struct bytes v = trim(bytes_of(colon + 1, line.n - name.n - 1));
	if (is_name(name, "Content-Type"))
		return read_type(r, v);
	if (!is_name(name, "Transfer-Encoding"))
		return ERR_OK;
	if (r->codings++ > 0 || !is_name(v, "chunked"))
		return refuse(r, "its Transfer-Encoding is not just \"chunked\"");
	r->chunked = true;
	return ERR_OK;
}

static enum err check_status_line(struct fetch_reader *r, struct bytes line)
{
	static const char form[] = "HTTP/1.x NNN";
	const size_t n = sizeof form - 1;
	bool good = line.n >= n && memcmp(line.p, form, 7) == 0 && (line.p[7] == '0' || line.p[7] == '1') &&
		    line.p[8] == ' ' && (line.n == n || line.p[n] == ' ');
	for (size_t i = 9; good && i < n; i++)
		good = line.p[i] >= '0' && line.p[i] <= '9';
	if (!good)
		return refuse(r, "it does not begin with \"HTTP/1.1\" or \"HTTP/1.0\" and a status");
	const unsigned status = r->parser.status_code;
	if (status < 100 || status > 599)
		return refuse(r, "its status is not one from 100 to 599");
	if (status == 101)
		return refuse(r, "it changes to another protocol, which nobody asked for");
	r->reply.status = status;
	return ERR_OK;
}

static enum err check_head(struct fetch_reader *r)
{
	struct bytes x = buf_bytes(&r->frame), line;
	if (!next_line(&x, &line))
		return refuse(r, BAD_LINE);
	enum err e = check_status_line(r, line);
	while (e == ERR_OK) {
		if (!next_line(&x, &line))
			return refuse(r, BAD_LINE);
		if (line.n == 0)
			break;
		e = read_field(r, line);
	}
	if (e != ERR_OK)
		return e;
	if (x.n > 0)
		return refuse(r, "its header does not end where it seems to");
	if (r->chunked && r->parser.http_minor == 0)
		return refuse(r, "it is of HTTP/1.0 and chunked");
	if (!is_bare(r) && r->parser.content_length != NO_LENGTH && r->parser.content_length > r->reply.body.max)
		return too_large(r);
	r->has_head = true;
	buf_reset(&r->frame);
	return ERR_OK;
}

/* ---- chunks ---- */

/* What stands before a chunk's data: "1f\r\n", with a CRLF before it unless the chunk is the first. The last chunk has
 * no data but, perhaps, more header fields, which nobody needs. */
static enum err check_chunk(struct fetch_reader *r, bool last)
{
	struct bytes x = buf_bytes(&r->frame), line;
	size_t digits = 0;
	if (r->has_chunk && (!next_line(&x, &line) || line.n > 0))
		return refuse(r, "a chunk is longer than it says");
	if (!next_line(&x, &line))
		return refuse(r, "a chunk does not begin with its size");
	while (digits < line.n && memchr("0123456789abcdefABCDEF", line.p[digits], 22) != NULL)
		digits++;
	if (digits == 0 || digits > CHUNK_DIGITS || (digits < line.n && line.p[digits] != ';'))
		return refuse(r, "a chunk does not begin with its size");
	while (last && line.n > 0)
		if (!next_line(&x, &line))
			return refuse(r, BAD_LINE);
	if (x.n > 0)
		return refuse(r, "a chunk does not begin with its size");
	r->has_chunk = true;
	buf_reset(&r->frame);
	return ERR_OK;
}

/* ---- what the parser says ---- */

static enum err keep_frame(struct fetch_reader *r, const uint8_t *end)
{
	const size_t n = (size_t)(end - r->taken);
	if (n > r->frame.max - r->frame.n)
		return refuse(r, r->has_head ? "what frames a chunk is too long" : "its header is too long");
	buf_put(&r->frame, r->taken, n);
	r->taken = end;
	return r->e = buf_check(&r->frame, r->w);
}

static int on_headers_complete(http_parser *p)
{
	http_parser_pause(p, 1);
	/* 1: no body, whatever the header says. */
	return is_bare(p->data) ? 1 : 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	struct fetch_reader *r = p->data;
	struct buf *body = &r->reply.body;
	/* Without a frame this is more of the chunk, or of the body, under way. */
	if (keep_frame(r, (const uint8_t *)at) != ERR_OK || (r->frame.n > 0 && check_chunk(r, false) != ERR_OK))
		return 1;
	if (n > body->max - body->n)
		return too_large(r) != ERR_OK;
	buf_put(body, at, n);
	r->taken += n;
	r->e = buf_check(body, r->w);
	return r->e != ERR_OK;
}

static int on_message_complete(http_parser *p)
{
	struct fetch_reader *r = p->data;
	r->done = true;
	/* Nothing behind the end is to be read, and http_parser_execute() then tells where that is. */
	http_parser_pause(p, 1);
	return 0;
}

/* ---- the reader ---- */

static void begin(struct fetch_reader *r)
{
	http_parser_init(&r->parser, HTTP_RESPONSE);
	r->parser.data = r;
	r->has_head = r->has_chunk = r->chunked = r->done = false;
	r->codings = r->types = 0;
	r->reply.content_type[0] = '\0';
}

enum err fetch_reader_new(struct fetch_reader **out, const char *who, size_t reply_max, struct why *w)
{
	struct fetch_reader *r = calloc(1, sizeof *r);
	if (r == NULL)
		return why_set(w, ERR_MEMORY, "no memory for a reply");
	r->who = who;
	r->frame = BUF_INIT(FETCH_HEADER_MAX);
	r->reply.body = BUF_INIT(reply_max);
	begin(r);
	*out = r;
	return ERR_OK;
}

static size_t execute(struct fetch_reader *r, struct bytes x)
{
	const struct http_parser_settings callbacks = {.on_headers_complete = on_headers_complete,
						       .on_body = on_body,
						       .on_message_complete = on_message_complete};
	return http_parser_execute(&r->parser, &callbacks, (const char *)x.p, x.n);
}

static bool is_paused(const struct fetch_reader *r)
{
	return HTTP_PARSER_ERRNO(&r->parser) == HPE_PAUSED;
}

static enum err not_http(struct fetch_reader *r)
{
	return r->e = why_tell(r->w, ERR_ENVIRONMENT, NULL, "%s gave a reply that is not sound HTTP: %s", r->who,
			       http_errno_description(HTTP_PARSER_ERRNO(&r->parser)));
}

/* One message or the beginning of it; *n: bytes of x that it took. */
static enum err feed_one(struct fetch_reader *r, struct bytes x, size_t *n)
{
	r->taken = x.p;
	*n = execute(r, x);
	if (r->e == ERR_OK && is_paused(r) && !r->done) {
		/* At the header's last byte, which the parser wants to see once more. */
		if (keep_frame(r, x.p + *n + 1) != ERR_OK || check_head(r) != ERR_OK)
			return r->e;
		http_parser_pause(&r->parser, 0);
		*n += execute(r, bytes_of(x.p + *n, x.n - *n));
	}
	if (r->e != ERR_OK)
		return r->e;
	if (!r->done && (HTTP_PARSER_ERRNO(&r->parser) != HPE_OK || *n != x.n))
		return not_http(r);
	if (keep_frame(r, x.p + *n) != ERR_OK)
		return r->e;
	return r->done && r->chunked && !is_bare(r) ? check_chunk(r, true) : ERR_OK;
}

enum err fetch_reader_feed(struct fetch_reader *r, struct bytes x, bool *done, struct why *w)
{
	r->w = w;
	while (x.n > 0 && !r->done) {
		size_t n;
		const enum err e = feed_one(r, x, &n);
		if (e != ERR_OK)
			return e;
		x = bytes_of(x.p + n, x.n - n);
		if (!r->done || r->reply.status >= 200)
			continue;
		if (++r->interim > FETCH_INTERIM_MAX)
			return refuse(r, "too many replies of status 1xx precede it");
		begin(r);
	}
	*done = r->done;
	return ERR_OK;
}

enum err fetch_reader_end(struct fetch_reader *r, struct why *w)
{
	r->w = w;
	if (r->frame.n == 0 && !r->has_head)
		return r->e = why_tell(w, ERR_ENVIRONMENT, NULL, "%s ended the connection without a reply", r->who);
	(void)execute(r, bytes_of(NULL, 0));
	if (!r->done)
		return r->e = why_tell(w, ERR_ENVIRONMENT, NULL, "%s ended the connection within its reply", r->who);
	return ERR_OK;
}

void fetch_reader_take(struct fetch_reader *r, struct fetch_reply *out)
{
	*out = r->reply;
	r->reply.body = BUF_INIT(r->reply.body.max);
}

void fetch_reader_free(struct fetch_reader *r)
{
	if (r == NULL)
		return;
	fetch_reply_free(&r->reply);
	buf_free(&r->frame);
	free(r);
}

void fetch_reply_free(struct fetch_reply *r)
{
	if (r == NULL)
		return;
	buf_free(&r->body);
	tls_peer_free(r->peer);
	*r = (struct fetch_reply){.body = BUF_INIT(r->body.max)};
}
