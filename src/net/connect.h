/* connect.h - what connecting to a target has in common for all who say in words of their own why it failed; private to
 * src/net. */
#ifndef ATTESTD_NET_CONNECT_H
#define ATTESTD_NET_CONNECT_H

#include "net.h"

/* NULL, or the reason why there are no addresses. */
const char *connect_look_up(const struct net_target *t, struct net_addr out[NET_LOOK_UP_MAX], size_t *n);
/* To the first of n addresses that takes it; each has a fair share of the time. 0, and the connection is in *fd; or the
 * error of the first address, ETIMEDOUT if time ran out there. */
int connect_until(int *fd, const struct net_addr *a, size_t n, const struct clock *clock, int64_t until_ms);

#endif
