/* mhd_tls.c - libmicrohttpd with its own TLS (GnuTLS) and a fixed reply, for tls.py to compare attestd with.
 *
 *     mhd_tls CERT.pem KEY.pem
 *
 * Says `listening on https://127.0.0.1:PORT` on stderr and serves until it is killed.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

enum { PEM_MAX = 16 * 1024, REPLY = 256, CONNECTIONS = 1024 };

static void load(const char *path, char text[PEM_MAX + 1])
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd >= 0 ? read(fd, text, PEM_MAX) : -1;

	if (n <= 0) {
		fprintf(stderr, "mhd_tls: %s cannot be read\n", path);
		exit(1);
	}
	text[n] = '\0';
	close(fd);
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *data, size_t *n, void **slot)
{
	(void)url;
	(void)method;
	(void)version;
	(void)data;
	(void)n;
	/* A reply on the first call would end the connection. */
	if (*slot == NULL) {
		*slot = cls;
		return MHD_YES;
	}
	return MHD_queue_response(c, MHD_HTTP_OK, cls);
}

int main(int argc, char **argv)
{
	static char cert[PEM_MAX + 1], key[PEM_MAX + 1], text[REPLY];
	struct MHD_Response *reply = MHD_create_response_from_buffer(sizeof text, text, MHD_RESPMEM_PERSISTENT);

	if (argc != 3 || MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
		fprintf(stderr, "mhd_tls: CERT.pem KEY.pem, and a libmicrohttpd with TLS\n");
		return 2;
	}
	memset(text, 'x', sizeof text);
	load(argv[1], cert);
	load(argv[2], key);
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TLS, 0, NULL, NULL, answer,
						reply, MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&at,
						MHD_OPTION_HTTPS_MEM_CERT, cert, MHD_OPTION_HTTPS_MEM_KEY, key,
						MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_END);
	if (d == NULL) {
		fprintf(stderr, "mhd_tls: libmicrohttpd did not start\n");
		return 1;
	}
	fprintf(stderr, "listening on https://127.0.0.1:%u\n",
		(unsigned)MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
	for (;;)
		pause();
}
