/* proxy.h - carries byte streams between listeners and targets, looking at none of them: TCP, Unix sockets and vsock on
 * either side.
 *
 * Each accepted connection gets one of its own to its listener's target. Bytes go both ways until both ends have said
 * that they are done; an end that is done sending (half-close) still receives. An end that breaks (reset, error, time)
 * breaks the other one, by a reset so that what was cut off never looks complete. Only TCP has one: a Unix socket or
 * vsock is just closed, and what a reader sees of it is an end. TCP's urgent data is carried in line.
 *
 * Memory: a connection through which nothing flows holds its struct and two descriptors. One whose reader is slower
 * than its writer holds one pipe (splice(2), where the kernel has it for both sockets) or buffer of PROXY_BUFFER bytes
 * for each direction, and its writer waits. Part of src/net; all on the loop's thread but the look-up of names
 * (LANE_CPU). The process must ignore SIGPIPE.
 */
#ifndef ATTESTD_PROXY_H
#define ATTESTD_PROXY_H

#include "base/log.h"
#include "net.h"

enum {
	PROXY_PAIRS_MAX = 64,
	PROXY_BUFFER = 64 * 1024,  /* bytes of one direction of a connection that are held at most */
	PROXY_RETRY_FIRST_MS = 50, /* until the second try to connect; doubled up to */
	PROXY_RETRY_LAST_MS = 1000,
	PROXY_DESCRIPTORS_EACH = 6, /* that a busy connection takes */
};

struct proxy_limits {
	int64_t max_connections; /* in all; one more is reset at once */
	int64_t max_per_source;	 /* of one IPv4 address, IPv6 /64, CID, or user of a Unix socket; 0: no limit */
	int64_t connect_ms;	 /* until the target must have answered, all tries together; the client waits */
	int64_t idle_ms; /* without a byte either way; and for an end to take some of what is there for it, whatever
			    moves the other way meanwhile */
};

/* Of those accepted, which those refused are not, each is open or has ended in one way: failed (no target in
 * connect_ms, or no memory for it), timed_out (idle), broken (by an end; a client that did not wait is one), or
 * orderly.
 */
struct proxy_counters {
	uint64_t accepted, refused_full, refused_source, connected, failed, retries, timed_out, broken;
	uint64_t bytes_in, bytes_out; /* from clients to targets, and back: what was handed on */
	uint64_t open;
};

struct proxy;
/* loop, clock and log are borrowed. */
enum err proxy_new(struct proxy **out, struct loop *l, const struct clock *clock, struct log *log,
		   const struct proxy_limits *limits, struct why *w) MUST_USE;
/* Accepts on fd, which is taken over (on failure too), for this target. */
enum err proxy_add(struct proxy *p, int fd, const struct net_target *to, struct why *w) MUST_USE;
/* Accepts no more; `drained` is called once on the loop's thread when the last connection has ended or drain_ms have
 * passed. */
void proxy_drain(struct proxy *p, int64_t drain_ms, void (*drained)(void *ctx), void *ctx);
/* Breaks every connection. After loop_end_jobs. NULL is fine. */
void proxy_free(struct proxy *p);

void proxy_count(const struct proxy *p, struct proxy_counters *out);

#endif
