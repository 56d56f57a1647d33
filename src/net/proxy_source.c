/* proxy_source.c - how many connections each source has open: a balanced tree, whose depth no choice of addresses can
 * spoil. */
#include "proxy_parts.h"

#include <netinet/in.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
/* After <sys/socket.h>, whose sa_family_t it uses. */
#include <linux/vm_sockets.h>

/* Only as much of an address as its owner cannot choose: all of IPv6 below a /64 is one customer's. */
struct key {
	uint8_t family; /* AF_ of what is in b */
	uint8_t b[16];
};

struct source {
	struct key key;
	int64_t open;
};

static void put(struct key *k, sa_family_t family, const void *p, size_t n)
{
	k->family = (uint8_t)family;
	memcpy(k->b, p, n);
}

static struct key key_of(int fd, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof peer;
	struct key k = {0};
	switch (from->ss_family) {
	case AF_INET:
		put(&k, AF_INET, &((const struct sockaddr_in *)from)->sin_addr, sizeof(struct in_addr));
		break;
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			put(&k, AF_INET, &in6->sin6_addr.s6_addr[12], sizeof(struct in_addr));
		else
			put(&k, AF_INET6, &in6->sin6_addr, sizeof in6->sin6_addr / 2);
		break;
	case AF_VSOCK:
		put(&k, AF_VSOCK, &((const struct sockaddr_vm *)from)->svm_cid, sizeof(unsigned));
		break;
	default:
		(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
		put(&k, AF_UNIX, &peer.uid, sizeof peer.uid);
	}
	return k;
}

static int compare(const void *a, const void *b)
{
	return memcmp(&((const struct source *)a)->key, &((const struct source *)b)->key, sizeof(struct key));
}

bool source_enter(struct sources *s, struct source **out, int fd, const struct sockaddr_storage *from, int64_t max)
{
	struct source *x = malloc(sizeof *x);
	if (x == NULL)
		return false;
	*x = (struct source){.key = key_of(fd, from)};
	struct source *const *found = tsearch(x, &s->root, compare);
	if (found == NULL || *found != x)
		free(x);
	if (found == NULL || (*found)->open >= max)
		return false;
	(*found)->open++;
	*out = *found;
	return true;
}

void source_leave(struct sources *s, struct source *x)
{
	if (x == NULL || --x->open > 0)
		return;
	(void)tdelete(x, &s->root, compare);
	free(x);
}
