/* nsm_shim.c - a stand-in for /dev/nsm, preloaded into the server under test.
 *
 * It speaks the driver's ioctl in a CBOR of its own, so that a mistake of ours is not made twice. Its documents are
 * well-formed and signed by nobody.
 *
 * $NSM_SHIM is a directory. Each call adds a line to the file `calls` there, before it is answered: its name, and the
 * nonce of an Attestation in hex. What goes wrong is said by words: those of $NSM_SHIM_<name of the call>, and for an
 * Attestation those of its nonce, too. See `act` and `answer` for the words. An Attestation without user data is the
 * one that a server makes for itself at its start: here its name is FirstDocument.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nsm_shim_cbor.h"

enum { REQUEST_MAX = 4096, WORDS_MAX = 2048, NAME_SIZE = 16 };
enum { PCRS = 16, PCR_SIZE = 48, RANDOM_MAX = 256, CERTIFICATE_SIZE = 500, SIGNATURE_SIZE = 96, NANOS = 1000000 };

static const char device[] = "/dev/nsm";

/* ---- requests ---- */

struct call {
	char name[NAME_SIZE];
	struct field user_data, nonce, public_key;
	char words[WORDS_MAX];
};

static void parse(struct in *in, struct call *c)
{
	struct field name = {.n = 0};
	const bool map = in->n > 0 && in->p[0] >> 5 == CBOR_MAP;
	if (map)
		in->bad = take_head(in, CBOR_MAP) != 1;
	take_string(in, CBOR_TEXT, &name);
	in->bad = in->bad || name.n >= sizeof c->name;
	if (in->bad)
		return;
	memcpy(c->name, name.b, name.n);
	const bool attestation = strcmp(c->name, "Attestation") == 0;
	if (attestation) {
		in->bad = take_head(in, CBOR_MAP) != 3;
		expect(in, "user_data");
		take_optional(in, &c->user_data);
		expect(in, "nonce");
		take_optional(in, &c->nonce);
		expect(in, "public_key");
		take_optional(in, &c->public_key);
	} else {
		in->bad = strcmp(c->name, "GetRandom") != 0 && strcmp(c->name, "DescribeNSM") != 0;
	}
	in->bad = in->bad || in->n > 0 || map != attestation;
}

static const char *name_of(const struct call *c)
{
	return strcmp(c->name, "Attestation") == 0 && c->user_data.null ? "FirstDocument" : c->name;
}

/* What follows this word among the call's; NULL if it is not there. */
static const char *word(const struct call *c, const char *name)
{
	const size_t n = strlen(name);
	for (const char *at = c->words; (at = strstr(at, name)) != NULL; at++)
		if ((at == c->words || at[-1] == ' ') && (name[n - 1] == '=' || at[n] == ' ' || at[n] == '\0'))
			return at + n;
	return NULL;
}

static void find_words(struct call *c)
{
	char name[32];
	(void)snprintf(name, sizeof name, "NSM_SHIM_%s", name_of(c));
	const char *env = getenv(name);
	(void)snprintf(c->words, sizeof c->words, "%s %.*s", env != NULL ? env : "", (int)c->nonce.n,
		       (const char *)c->nonce.b);
}

static void path_in(char out[PATH_MAX], const char *name)
{
	const char *dir = getenv("NSM_SHIM");
	if (dir == NULL || snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		abort();
}

static void note(const struct call *c)
{
	char path[PATH_MAX], line[NAME_SIZE + 2 * FIELD_MAX + 2];
	path_in(path, "calls");
	size_t n = (size_t)snprintf(line, sizeof line, "%s ", name_of(c));
	for (size_t i = 0; i < c->nonce.n; i++)
		n += (size_t)snprintf(line + n, sizeof line - n, "%02x", c->nonce.b[i]);
	line[n++] = '\n';
	const int fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, line, n) != (ssize_t)n)
		abort();
	(void)close(fd);
}

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * NANOS};
	while (nanosleep(&t, &t) != 0)
		continue;
}

/* delay=MS: takes as long. hold: takes until there is a file `go`. errno=N: the driver itself fails. */
static int act(const struct call *c)
{
	char path[PATH_MAX];
	const char *delay = word(c, "delay="), *error = word(c, "errno=");
	path_in(path, "go");
	if (delay != NULL)
		sleep_ms(strtol(delay, NULL, 10));
	while (word(c, "hold") != NULL && faccessat(AT_FDCWD, path, F_OK, 0) != 0)
		sleep_ms(10);
	return error != NULL ? (int)strtol(error, NULL, 10) : 0;
}

/* ---- replies ---- */

/* What the NSM says of itself, alone and in every document. */
static void put_self(struct out *o)
{
	put_text(o, "module_id");
	put_text(o, "i-0123456789abcdef0-enc0123456789abcdef");
	put_text(o, "digest");
	put_text(o, "SHA384");
}

static void put_pcr(struct out *o, uint64_t index, bool zero)
{
	uint8_t value[PCR_SIZE] = {0};
	if (!zero && (index <= 4 || index == 8))
		memset(value, (int)(0xa0 + index), sizeof value);
	put_bytes(o, value, sizeof value);
}

static void put_optional(struct out *o, const char *name, const struct field *f, const char *instead)
{
	put_text(o, name);
	if (instead != NULL)
		put_bytes(o, instead, strlen(instead));
	else if (f->null)
		put_head(o, CBOR_SIMPLE, SIMPLE_NULL);
	else
		put_bytes(o, f->b, f->n);
}

/* other_nonce, other_user_data, other_public_key: the document attests what was not asked for. zero: its PCRs are
 * zeros. */
static void put_payload(struct out *o, const struct call *c)
{
	static const uint8_t certificate[CERTIFICATE_SIZE] = {0x30, 0x82, 0x01, 0xf0};
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	put_head(o, CBOR_MAP, 9);
	put_self(o);
	put_number(o, "timestamp", (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NANOS);
	put_text(o, "pcrs");
	put_head(o, CBOR_MAP, PCRS);
	for (uint64_t i = 0; i < PCRS; i++) {
		put_head(o, CBOR_UINT, i);
		put_pcr(o, i, word(c, "zero") != NULL);
	}
	put_text(o, "certificate");
	put_bytes(o, certificate, sizeof certificate);
	put_text(o, "cabundle");
	put_head(o, CBOR_ARRAY, 2);
	put_bytes(o, certificate, sizeof certificate - 1);
	put_bytes(o, certificate, sizeof certificate - 2);
	put_optional(o, "public_key", &c->public_key, word(c, "other_public_key") != NULL ? "a key" : NULL);
	put_optional(o, "user_data", &c->user_data, word(c, "other_user_data") != NULL ? "{}" : NULL);
	put_optional(o, "nonce", &c->nonce, word(c, "other_nonce") != NULL ? "another" : NULL);
}

static void put_document(struct out *o, const struct call *c)
{
	static const uint8_t protected[] = {0xa1, 0x01, 0x38, 0x22}; /* {1: -35} */
	static const uint8_t signature[SIGNATURE_SIZE] = {1};
	struct out payload = {.n = 0}, cose = {.n = 0};
	put_payload(&payload, c);
	put_head(&cose, CBOR_ARRAY, 4);
	put_bytes(&cose, protected, sizeof protected);
	put_head(&cose, CBOR_MAP, 0);
	put_bytes(&cose, payload.b, payload.n);
	put_bytes(&cose, signature, sizeof signature);
	put_head(o, CBOR_MAP, 1);
	put_text(o, "document");
	put_bytes(o, cose.b, cose.n);
}

/* size=N: so many bytes. */
static void put_random(struct out *o, const struct call *c)
{
	uint8_t random[RANDOM_MAX];
	const char *size = word(c, "size=");
	const size_t n = size != NULL ? strtoul(size, NULL, 10) : sizeof random;
	if (n > sizeof random || syscall(SYS_getrandom, random, n, 0) != (long)n)
		abort();
	put_head(o, CBOR_MAP, 1);
	put_text(o, "random");
	put_bytes(o, random, n);
}

static void put_description(struct out *o)
{
	put_head(o, CBOR_MAP, 7);
	put_self(o);
	put_number(o, "version_major", 1);
	put_number(o, "version_minor", 0);
	put_number(o, "version_patch", 0);
	put_number(o, "max_pcrs", 32);
	put_text(o, "locked_pcrs");
	put_head(o, CBOR_ARRAY, PCRS);
	for (uint64_t i = 0; i < PCRS; i++)
		put_head(o, CBOR_UINT, i);
}

/* error=NAME: refuses. garbage: no CBOR. truncated: half of the reply. */
static void answer(struct out *o, const struct call *c, bool bad)
{
	const char *error = bad ? "InvalidArgument" : word(c, "error=");
	char name[32] = "";
	if (error != NULL)
		(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(error, " "), error);
	if (word(c, "garbage") != NULL) {
		put_raw(o, "\xff\x00 nothing", 10);
		return;
	}
	put_head(o, CBOR_MAP, 1);
	put_text(o, error != NULL ? "Error" : c->name);
	if (error != NULL) {
		put_text(o, name);
	} else if (strcmp(c->name, "Attestation") == 0) {
		put_document(o, c);
	} else if (strcmp(c->name, "GetRandom") == 0) {
		put_random(o, c);
	} else {
		put_description(o);
	}
	if (word(c, "truncated") != NULL)
		o->n /= 2;
}

/* ---- the driver ---- */

struct message {
	struct {
		uint64_t addr, len;
	} request, response;
};

/* overlong: says that it wrote more than it may. */
static int on_call(struct message *m)
{
	struct call c = {.name = ""};
	struct out o = {.n = 0};
	struct in in = {(const uint8_t *)(uintptr_t)m->request.addr, (size_t)m->request.len, false};
	if (in.n > REQUEST_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	parse(&in, &c);
	find_words(&c);
	note(&c);
	errno = act(&c);
	if (errno != 0)
		return -1;
	answer(&o, &c, in.bad);
	const size_t n = o.n < m->response.len ? o.n : (size_t)m->response.len; /* the driver cuts it off, too */
	memcpy((uint8_t *)(uintptr_t)m->response.addr, o.b, n);
	m->response.len = word(&c, "overlong") != NULL ? REPLY_MAX + 1 : n;
	return 0;
}

/* ---- the calls that are intercepted ---- */

static atomic_int device_fd = -1;

/* Not by dlsym: the sanitizers' own interceptors may come before or behind this library. */
int open(const char *path, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	const mode_t mode = (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (strcmp(path, device) != 0)
		return openat(AT_FDCWD, path, flags, mode);
	device_fd = openat(AT_FDCWD, "/dev/null", flags);
	return device_fd;
}

/* No call of the NSM: with it the server ends its work on a heavy body, which so takes as long as it is told. */
int malloc_trim(size_t pad)
{
	struct call c = {.name = "malloc_trim"};
	(void)pad;
	find_words(&c);
	note(&c);
	(void)act(&c);
	return 0;
}

int stat(const char *restrict path, struct stat *restrict st)
{
	return fstatat(AT_FDCWD, strcmp(path, device) == 0 ? "/dev/null" : path, st, 0);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	if (fd == device_fd && request == _IOWR(0x0A, 0x0, struct message))
		return on_call(arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
