/* host.h - the parts that addresses have as text, read in one way by listeners, targets and URLs; private to src/net.
 */
#ifndef ATTESTD_NET_HOST_H
#define ATTESTD_NET_HOST_H

#include "base/bytes.h"
#include "net.h"

enum { HOST_TEXT_MAX = 64 }; /* "[IPv6]:PORT" with its NUL */

/* A decimal number in its shortest form, so that one number has one text. */
bool host_number(struct bytes x, uint32_t least, uint32_t most, uint32_t *out);

/* "HOST", "[HOST]", either with ":PORT" behind it: nothing is judged but the brackets. */
struct host_split {
	struct bytes host, rest; /* rest: from the ':' on, or what else is there */
	bool brackets;
};
/* False: the ] is missing. */
bool host_split(struct host_split *out, struct bytes x);
/* The number behind the ':' that `rest` begins with. */
bool host_port(struct bytes rest, uint32_t least, uint16_t *out);

/* In brackets stands an IPv6 address. Outside there is an IPv4 address of four decimal numbers, or a name: letters,
 * digits, '-' and '_' in labels of 1 to 63 bytes, the last of which is no number. */
enum host_form { HOST_BAD, HOST_NAME, HOST_ADDRESS };
/* *out is filled for HOST_ADDRESS only. */
enum host_form host_read(struct net_addr *out, const struct host_split *s, uint16_t port);

/* ERR_CONFIG with `forms` at the end. */
enum err host_unix(struct net_addr *out, const char *path, const char *forms, struct why *w) MUST_USE;
void host_vsock(struct net_addr *out, uint32_t cid, uint32_t port);

/* Of IPv4 and IPv6. */
bool host_is_loopback(const struct sockaddr_storage *sa);
void host_text(const struct net_addr *a, char out[HOST_TEXT_MAX]);

#endif
