/* kept.c - JSON responses with all their headers, kept for later replies of the same length.
 *
 * libmicrohttpd takes 14 allocations for a response and its headers, which is more than all else of a short reply. What
 * it knows of a body is an address and a length: so the bytes may be others the next time, but not their number.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct kept {
	struct kept *next; /* of this length */
	struct MHD_Response *response;
	size_t n;
	uint8_t body[];
};

static void destroy(struct kept *k)
{
	if (k->response != NULL)
		MHD_destroy_response(k->response);
	free(k);
}

static struct kept *make(size_t n)
{
	struct kept *k = malloc(sizeof *k + n);
	if (k == NULL)
		return NULL;
	k->n = n;
	k->response = MHD_create_response_from_buffer(n, k->body, MHD_RESPMEM_PERSISTENT);
	if (k->response == NULL || !reply_headers(k->response, HTTP_JSON)) {
		destroy(k);
		return NULL;
	}
	return k;
}

struct kept *kept_take(struct http_server *s, struct bytes body)
{
	if (body.n == 0 || body.n > KEPT_LENGTH_MAX)
		return NULL;
	struct kept **list = &s->kept[body.n], *k = *list;
	if (k != NULL) {
		*list = k->next;
		s->n_kept--;
	} else if ((k = make(body.n)) == NULL) {
		return NULL;
	}
	memcpy(k->body, body.p, body.n);
	return k;
}

struct MHD_Response *kept_response(const struct kept *k)
{
	return k->response;
}

const uint8_t *kept_body(const struct kept *k)
{
	return k->body;
}

/* One of a length that is no longer asked for. */
static void evict(struct http_server *s)
{
	while (s->kept[s->kept_evict] == NULL)
		s->kept_evict = (s->kept_evict + 1) % (KEPT_LENGTH_MAX + 1);
	struct kept *k = s->kept[s->kept_evict];
	s->kept[s->kept_evict] = k->next;
	s->n_kept--;
	destroy(k);
}

void kept_return(struct http_server *s, struct kept *k)
{
	mem_wipe(k->body, k->n);
	if (s->n_kept == KEPT_MAX)
		evict(s);
	k->next = s->kept[k->n];
	s->kept[k->n] = k;
	s->n_kept++;
}

void kept_free(struct http_server *s)
{
	while (s->n_kept > 0)
		evict(s);
}
