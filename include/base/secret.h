/* secret.h - key material with one owner.
 *
 * A struct secret is never copied by value, has no print function, is compared in constant time, and is wiped by its
 * one owner on every path: secret_wipe() in every `out:`. Long-lived keys (the KEK) live in a page of their own that
 * is locked into memory and left out of core dumps: secret_new_locked().
 */
#ifndef ATTESTD_BASE_SECRET_H
#define ATTESTD_BASE_SECRET_H

#include "base/bytes.h"

enum { SECRET_MAX = 64 };

struct secret {
	size_t n;
	uint8_t b[SECRET_MAX];
};

#define SECRET_INIT ((struct secret){.n = 0})

/* x.n at most SECRET_MAX, else ERR_INTERNAL. */
enum err secret_set(struct secret *s, struct bytes x, struct why *w) MUST_USE;
struct bytes secret_view(const struct secret *s);
bool secret_equal(struct bytes a, struct bytes b); /* constant time for equal lengths */
void secret_wipe(struct secret *s);		   /* NULL is fine */

/* Locked, undumpable, empty. Failing to lock is an error: nothing falls back to ordinary memory. */
enum err secret_new_locked(struct secret **out, struct why *w) MUST_USE;
void secret_free_locked(struct secret *s); /* wipes; NULL is fine */

#endif
