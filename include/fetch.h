/* fetch.h - one HTTP/1.1 request and its whole reply, over TCP, a Unix socket or vsock, plain or under TLS: what the
 * commands of the remote user, of agents and of peers talk to a server with.
 *
 * TLS here says nothing of who answers: any certificate will do, because trust comes from attestation alone. Whoever
 * needs to know gives the hash of the key that the server must prove, or compares fetch_reply.peer with what is
 * attested.
 *
 * The reply is parsed by Debian's http-parser, linked statically, so that nothing is added to what the binary loads. A
 * connection carries one exchange (`Connection: close`), and what a server says behind the end of its reply is no part
 * of it. No redirects are followed, no proxies asked, no cookies kept. Blocks. Part of src/net.
 */
#ifndef ATTESTD_FETCH_H
#define ATTESTD_FETCH_H

#include "base/bytes.h"
#include "base/clock.h"
#include "net.h"
#include "tls.h"

enum {
	FETCH_URL_MAX = 2048,	      /* bytes of a URL */
	FETCH_UNIX_MAX = 107,	      /* of a Unix socket's path */
	FETCH_HOST_MAX = 253,	      /* of a host's name */
	FETCH_PATH_MAX = 4096,	      /* of a request's path and query, without the prefix */
	FETCH_HEADER_MAX = 16 * 1024, /* of a reply's header, and of what frames each of its chunks */
	FETCH_INTERIM_MAX = 8,	      /* replies of status 1xx before the one that counts */
	FETCH_TYPE_MAX = 128,	      /* of a reply's Content-Type, with a NUL */
};

/* "http://HOST[:PORT][/PREFIX]", "unix:PATH", "vsock:CID:PORT"; and under TLS "https://HOST[:PORT][/PREFIX]",
 * "https+unix:PATH", "https+vsock:CID:PORT". */
struct fetch_url {
	enum net_kind kind;
	bool tls;
	char host[FETCH_HOST_MAX + 1];	    /* name or address without brackets; of unix: the path; of vsock: the CID */
	char port[12];			    /* "" of unix */
	char authority[FETCH_HOST_MAX + 9]; /* what Host says */
	char prefix[FETCH_URL_MAX];	    /* "" or "/x": goes before every path; no slash at its end */
};
/* ERR_INVALID, told, shows the accepted forms. Query, fragment, user names and control characters are refused. */
enum err fetch_url_parse(struct fetch_url *out, struct bytes text, struct why *w) MUST_USE;

struct fetch_request {
	const char *method, *path; /* "POST", "/key-exchange"; not HEAD; the path with its query, ready to be sent */
	const char *content_type;  /* of the body; NULL: there is none */
	struct bytes body;
	int64_t timeout_ms; /* for all of it, but for the look-up of a name, which ends when the system's resolver ends
			     */
	size_t reply_max;   /* bytes of the reply's body */
	/* Of a URL with TLS; borrowed. */
	struct tls_identity *own;	/* the client's certificate; NULL: none */
	const uint8_t *server_key_hash; /* SHA-256 of the SPKI that the server must prove before a request is sent;
					   NULL: any */
};
struct fetch_reply {
	unsigned status;		   /* 200 to 599 */
	char content_type[FETCH_TYPE_MAX]; /* "" if it has none */
	struct buf body;
	struct tls_peer *peer; /* who answered; NULL without TLS */
};
/* ERR_OK whatever the status. ERR_ENVIRONMENT, told: nobody there, timed out, cut off, too large, not HTTP, no TLS; the
 * sentence names the server. A reply that could be read in two ways (several lengths, chunked with a length) is
 * refused. ERR_UNATTESTED, told: the server proved another key than it must. ERR_IDENTITY, told: it refuses the
 * client's certificate, or that there is none. */
enum err fetch(const struct fetch_url *url, const struct fetch_request *r, const struct clock *clock,
	       struct fetch_reply *out, struct why *w) MUST_USE;
void fetch_reply_free(struct fetch_reply *r); /* wipes; NULL is fine */

/* What a reply of another status than was hoped for says, as a sentence: "the server answered 401: The session is
 * unknown, ended or expired (session_unknown)", from a problem document where it is one. Fills *w, told, and returns
 * ERR_ENVIRONMENT. */
enum err fetch_problem(const struct fetch_reply *r, struct why *w);

#endif
