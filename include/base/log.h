/* log.h - one line an event, as text or JSON, to one descriptor.
 *
 * A line is a time, a level, an event's name and fields. Values are escaped, so no byte of a request can forge a line.
 * No field ever holds a secret, a plaintext, or a whole session id. Lines are gathered and written by log_flush(),
 * which the loop calls at the end of every turn; errors and a full buffer are written at once. Writing never waits for
 * the reader: what does not go out stays, and when the buffer is full new lines are dropped and counted. Only the
 * loop's thread logs.
 */
#ifndef ATTESTD_BASE_LOG_H
#define ATTESTD_BASE_LOG_H

#include "base/bytes.h"
#include "base/clock.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log;

struct log_field {
	const char *key;
	enum { LOG_FIELD_STR, LOG_FIELD_BYTES, LOG_FIELD_INT } kind;
	const char *s;
	struct bytes b;
	int64_t i;
};
#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .s = (v)})
#define LOG_B(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_BYTES, .b = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .i = (int64_t)(v)})

/* fd is borrowed and must outlive the log. */
enum err log_new(struct log **out, int fd, enum log_level level, enum log_format format, const struct clock *clock,
		 struct why *w) MUST_USE;
void log_free(struct log *l);  /* flushes; NULL is fine */
void log_flush(struct log *l); /* NULL is fine: a start may fail before there is a log */

bool log_wants(const struct log *l, enum log_level level);
void log_fields(struct log *l, enum log_level level, const char *event, const struct log_field *f, size_t n);
/* log_event(l, LOG_INFO, "listening", LOG_S("address", a)); at least one field. */
#define log_event(l, level, event, ...)                                            \
	log_fields((l), (level), (event), (const struct log_field[]){__VA_ARGS__}, \
		   sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
/* An error with its why: code and text become fields. */
void log_why(struct log *l, enum log_level level, const char *event, const struct why *w);

#endif
