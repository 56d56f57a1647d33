/* tls_front.h - TLS in front of something that speaks plain bytes: handshakes on workers, then bytes between the
 * encrypted socket and one end of a socket pair, whose other end is handed on. Part of src/net, on the loop's thread.
 *
 * A connection that stalls in its handshake costs its slot and nothing else, until handshake_ms are over. Afterwards
 * the front holds at most TLS_FRONT_BLOCK bytes in each direction beside what the kernel holds, and a side that does
 * not read makes the other wait. An orderly end (close_notify) reaches the inner end as the end of the stream; one
 * without it, or any fault of TLS, closes the inner end at once. When the inner end is closed or shut down for writing,
 * what it wrote goes out, then close_notify.
 */
#ifndef ATTESTD_TLS_FRONT_H
#define ATTESTD_TLS_FRONT_H

#include "base/log.h"
#include "net.h"
#include "tls.h"

enum { TLS_FRONT_BLOCK = 16 * 1024 };

struct tls_front_limits {
	int64_t handshake_ms;
	int64_t max_handshakes; /* under way at once; one more is closed at once */
	int64_t flush_ms;	/* for what the inner end said to be taken, once it has ended */
	int64_t linger_ms;	/* then for the other end to end, too */
};
struct tls_front_counters {
	uint64_t handshakes, failed, refused, timed_out; /* failed: all that began and came to nothing */
	uint64_t open, handshaking;			 /* now; the one includes the other */
};

struct tls_front;
/* server, loop, log: borrowed. secured: the handshake is done; owns fd (the inner end: non-blocking, close-on-exec) and
 * one reference of `peer`. */
enum err tls_front_new(struct tls_front **out, struct loop *l, struct log *log, struct tls_server *server,
		       const struct tls_front_limits *limits, void (*secured)(void *ctx, int fd, struct tls_peer *peer),
		       void *ctx, struct why *w) MUST_USE;
/* Takes an accepted connection over, on failure too. */
void tls_front_take(struct tls_front *f, int fd);
void tls_front_count(const struct tls_front *f, struct tls_front_counters *out);
/* Ends handshakes at once, takes none any more; what is secured goes on until its inner end closes. */
void tls_front_drain(struct tls_front *f);
void tls_front_free(struct tls_front *f); /* after loop_end_jobs; cuts what is left; NULL is fine */

#endif
