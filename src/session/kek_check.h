/* kek_check.h - is the key-encryption key of today the one that a database was sealed under? Sessions and private data
 * both note its origin and a check value in their meta tables, and judge by them at the start.
 */
#ifndef ATTESTD_SESSION_KEK_CHECK_H
#define ATTESTD_SESSION_KEK_CHECK_H

#include "session.h"

/* Names in the meta table. */
#define KEK_META_ORIGIN "kek_origin"
#define KEK_META_CHECK	"kek_check"
enum { KEK_META_MAX = 256 };

struct kek_check {
	struct secret value; /* of today's key */
	bool generated;
	struct buf origin, check; /* as the database has them; origin is empty in a new one */
};

/* Of today's key; origin and check are to be read by the caller. */
enum err kek_check_init(struct kek_check *k, struct crypto *c, const struct session_kek *kek, struct why *w) MUST_USE;
void kek_check_free(struct kek_check *k);

/* *lost: why the rows, of a generated key, are to be dropped; NULL where they live on. A configured key that does not
 * fit is ERR_ENVIRONMENT. In messages: noun is the database ("session database"), rows what it holds, sources where
 * keys are configured. */
struct kek_database {
	const char *noun, *rows, *sources;
};
enum err kek_check_judge(const struct kek_check *k, const struct kek_database *d, const char **lost,
			 struct why *w) MUST_USE;

/* What is noted down for KEK_META_ORIGIN. */
struct bytes kek_check_origin(const struct kek_check *k);

#endif
