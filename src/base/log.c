#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

enum {
	LOG_BUFFER = 64 * 1024,
	LOG_LINE_MAX = 8 * 1024,
	LOG_VALUE_MAX = 512,
	LOG_ROOM_FOR_END = 16, /* what closes a line, ` cut=true` and its like included */
};

struct log {
	int fd;
	enum { FD_FILE, FD_SOCKET, FD_OTHER } kind;
	enum log_level level;
	enum log_format format;
	struct clock clock;
	uint64_t dropped; /* lines lost since the last one that said so */
	size_t n;
	char b[LOG_BUFFER];
};

/* A line under construction at the end of the log's buffer. */
struct line {
	char *p;
	size_t n, max;
	bool full;
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

enum err log_new(struct log **out, int fd, enum log_level level, enum log_format format, const struct clock *clock,
		 struct why *w)
{
	struct log *l = malloc(sizeof *l);

	if (l == NULL)
		return why_set(w, ERR_MEMORY, "no memory for the log");
	struct stat st;
	const bool known = fstat(fd, &st) == 0;
	l->fd = fd;
	l->kind = known && S_ISREG(st.st_mode) ? FD_FILE : known && S_ISSOCK(st.st_mode) ? FD_SOCKET : FD_OTHER;
	l->level = level;
	l->format = format;
	l->clock = *clock;
	l->dropped = 0;
	l->n = 0;
	*out = l;
	return ERR_OK;
}

void log_free(struct log *l)
{
	log_flush(l);
	free(l);
}

/* The descriptor is shared with whoever started us, so it cannot be made non-blocking; and a reader that has stopped
 * reading must not stop the server. A pipe that is ready takes PIPE_BUF bytes without blocking (pipe(7)). */
static ssize_t write_now(const struct log *l, const char *p, size_t n)
{
	if (l->kind == FD_FILE)
		return write(l->fd, p, n);
	if (l->kind == FD_SOCKET)
		return send(l->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	struct pollfd ready = {.fd = l->fd, .events = POLLOUT};
	if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(l->fd, p, n < PIPE_BUF ? n : PIPE_BUF);
}

/* What cannot be written now stays, so that a line is never torn; when the buffer is full, new lines are dropped. */
void log_flush(struct log *l)
{
	if (l == NULL)
		return;
	size_t done = 0;
	while (done < l->n) {
		const ssize_t got = write_now(l, l->b + done, l->n - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	l->n -= done;
	if (l->n > 0 && done > 0)
		memmove(l->b, l->b + done, l->n);
}

bool log_wants(const struct log *l, enum log_level level)
{
	return level <= l->level;
}

static void put(struct line *to, const char *s, size_t n)
{
	if (to->full || n > to->max - to->n) {
		to->full = true;
		return;
	}
	memcpy(to->p + to->n, s, n);
	to->n += n;
}

static void put_str(struct line *to, const char *s)
{
	put(to, s, strlen(s));
}

static PRINTF_LIKE(2, 3) void put_printf(struct line *to, const char *fmt, ...)
{
	char text[64];
	va_list ap;
	va_start(ap, fmt);
	const int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof text)
		put(to, text, (size_t)n);
}

/* Only ASCII comes out: nothing that an outsider sent can end a line, steer a terminal or turn the text's direction. */
static void put_quoted(struct line *to, struct bytes v)
{
	size_t at = 0;

	put(to, "\"", 1);
	while (at < v.n) {
		uint32_t cp = 0;
		size_t len = utf8_next(v.p + at, v.n - at, &cp);

		if (len == 0) {
			len = 1;
			cp = 0xfffd;
		}
		if (at + len > LOG_VALUE_MAX) {
			put(to, "...", 3);
			break;
		}
		at += len;
		if (cp == '"' || cp == '\\')
			put(to, (const char[]){'\\', (char)cp}, 2);
		else if (cp >= 0x20 && cp < 0x7f)
			put(to, (const char[]){(char)cp}, 1);
		else if (cp < 0x10000)
			put_printf(to, "\\u%04x", (unsigned)cp);
		else
			put_printf(to, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((cp - 0x10000) >> 10)),
				   (unsigned)(0xdc00 + (cp & 0x3ff)));
	}
	put(to, "\"", 1);
}

static bool is_bare(struct bytes v)
{
	if (v.n == 0 || v.n > LOG_VALUE_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || v.p[i] >= 0x7f || v.p[i] == '"' || v.p[i] == '=')
			return false;
	return true;
}

static void put_value(struct line *to, enum log_format format, struct bytes v)
{
	if (format == LOG_TEXT && is_bare(v))
		put(to, (const char *)v.p, v.n);
	else
		put_quoted(to, v);
}

static void put_key(struct line *to, enum log_format format, const char *key)
{
	put_str(to, format == LOG_JSON ? ",\"" : " ");
	put_str(to, key);
	put_str(to, format == LOG_JSON ? "\":" : "=");
}

static void put_field(struct line *to, enum log_format format, const struct log_field *f)
{
	put_key(to, format, f->key);
	if (f->kind == LOG_FIELD_INT)
		put_printf(to, "%" PRId64, f->i);
	else if (f->kind == LOG_FIELD_BYTES)
		put_value(to, format, f->b);
	else
		put_value(to, format, bytes_str(f->s != NULL ? f->s : ""));
}

static void put_line(struct log *l, enum log_level level, const char *event, const struct log_field *f, size_t n)
{
	struct line line = {l->b + l->n, 0, LOG_LINE_MAX - LOG_ROOM_FOR_END, false};
	char time[CLOCK_TEXT_SIZE];

	clock_text(clock_wall(&l->clock), time);
	if (l->format == LOG_JSON) {
		put_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", time, level_names[level]);
		put_quoted(&line, bytes_str(event));
	} else {
		put_printf(&line, "%s %s ", time, level_names[level]);
		put_value(&line, LOG_TEXT, bytes_str(event));
	}
	for (size_t i = 0; i < n; i++) {
		const size_t before = line.n;
		put_field(&line, l->format, &f[i]);
		if (line.full) {
			line.n = before;
			break;
		}
	}
	line.max = LOG_LINE_MAX;
	if (line.full) {
		line.full = false;
		put_str(&line, l->format == LOG_JSON ? ",\"cut\":true" : " cut=true");
	}
	put_str(&line, l->format == LOG_JSON ? "}\n" : "\n");
	l->n += line.n;
}

static bool has_room(struct log *l)
{
	if (LOG_BUFFER - l->n < LOG_LINE_MAX)
		log_flush(l);
	return LOG_BUFFER - l->n >= LOG_LINE_MAX;
}

void log_fields(struct log *l, enum log_level level, const char *event, const struct log_field *f, size_t n)
{
	if (!log_wants(l, level))
		return;
	if (l->dropped > 0 && has_room(l)) {
		const struct log_field count = LOG_I("lines", l->dropped);
		put_line(l, LOG_WARN, "log_lines_dropped", &count, 1);
		l->dropped = 0;
	}
	if (!has_room(l)) {
		l->dropped++;
		return;
	}
	put_line(l, level, event, f, n);
	if (level == LOG_ERROR)
		log_flush(l);
}

void log_why(struct log *l, enum log_level level, const char *event, const struct why *w)
{
	const struct log_field f[] = {LOG_S("code", err_code(w->err)), LOG_S("text", w->text),
				      LOG_S("field", w->field)};

	log_fields(l, level, event, f, w->field[0] != '\0' ? 3 : 2);
}
