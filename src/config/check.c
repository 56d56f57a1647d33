/* check.c - what must hold between keys. */
#include "keys.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* What the 512 bytes of attested claims leave for the two names when every other claim is at its longest. src/attest
 * measures the claims themselves; this only says it earlier and of the keys. */
enum { NAMES_JSON_MAX = 88 };

enum { UNIX_PATH_MAX = 107 }; /* what a socket's address has room for */

enum { HOST_MAX = 253, TLS_NAMES_MAX = 16 }; /* as src/crypto has them for certificates */

/* `part` is an outside listener's share of `whole`; what is left over only local callers can use, so there must be
 * some. A default gives way to a smaller whole; set keys that contradict are an error. */
static enum err check_share(struct config *c, const struct source from[KEY_COUNT], enum key_id part, enum key_id whole,
			    struct why *w)
{
	const struct key *p = &config_keys[part], *all = &config_keys[whole];
	int64_t have = config_get_number(c, p), most = config_get_number(c, all);

	if (have < most)
		return ERR_OK;
	if (from[part].name != NULL)
		return config_fault(w, &from[part],
				    "%s (%" PRId64 ") must be less than %s (%" PRId64
				    "): the rest is kept for local callers",
				    p->name, have, all->name, most);
	config_put_number(c, p, most / 2 > p->lo ? most / 2 : p->lo);
	return ERR_OK;
}

static enum err check_shares(struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	static const struct {
		enum key_id part, whole;
	} shares[] = {
		{KEY_public_sessions, KEY_max_sessions},       {KEY_public_inflight, KEY_max_inflight},
		{KEY_public_connections, KEY_max_connections}, {KEY_tls_inflight, KEY_max_inflight},
		{KEY_tls_connections, KEY_max_connections},    {KEY_peer_connections, KEY_max_connections},
	};
	for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
		const enum err e = check_share(c, from, shares[i].part, shares[i].whole, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

/* Bytes of a valid UTF-8 text as an ASCII JSON string, without the quotes. */
static size_t json_length(const char *s)
{
	size_t n = 0;
	for (; *s != '\0'; s++) {
		const uint8_t b = (uint8_t)*s;
		if (b == '"' || b == '\\')
			n += 2;
		else if (b < 0x80)
			n += 1;
		else if (b >= 0xf0)
			n += 12; /* a surrogate pair */
		else if (b >= 0xc0)
			n += 6;
	}
	return n;
}

static enum err check_names(const struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	if (*c->agent == '\0')
		return config_fault(w, &from[KEY_agent], "agent must not be empty");
	if (*c->guardrail == '\0')
		return config_fault(w, &from[KEY_guardrail], "guardrail must not be empty");
	const size_t n = json_length(c->agent) + json_length(c->guardrail);
	if (n > NAMES_JSON_MAX)
		return config_fault(
			w, from[KEY_guardrail].name != NULL ? &from[KEY_guardrail] : &from[KEY_agent],
			"agent and guardrail together take %zu bytes as ASCII JSON, and at most %d fit into "
			"the attested claims",
			n, (int)NAMES_JSON_MAX);
	return ERR_OK;
}

/* What is there would be lost, or be taken for what it is not. */
static enum err check_differs(const struct config *c, const struct source from[KEY_COUNT], enum key_id id,
			      const enum key_id *others, size_t n, const char *harm, struct why *w)
{
	const struct key *own = &config_keys[id];
	for (size_t i = 0; i < n; i++) {
		const struct key *k = &config_keys[others[i]];
		if (strcmp(config_get_text(c, own), config_get_text(c, k)) == 0)
			return config_fault(w, from[id].name != NULL ? &from[id] : &from[others[i]],
					    "%s is the file that %s names, %s", own->name, k->name, harm);
	}
	return ERR_OK;
}

#ifdef ATTESTD_ENCLAVE
static enum err check_nsm(const struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	if (strcmp(c->nsm, "device") != 0 && strcmp(c->nsm, "auto") != 0)
		return config_fault(w, &from[KEY_nsm], "nsm must be " CONFIG_NSM_NAMES ", not \"%.64s\"", c->nsm);
	return ERR_OK;
}
#else
static enum err check_root_out(const struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	static const enum key_id others[] = {
		KEY_db,		  KEY_private_data_db, KEY_kek_file, KEY_metadata_file, KEY_tls_cert_file,
		KEY_tls_key_file, KEY_peer_policy,     KEY_peer_root};
	if (*c->nsm_root_out == '\0')
		return ERR_OK;
	if (strcmp(c->nsm, "simulator") != 0)
		return config_fault(w, &from[KEY_nsm_root_out],
				    "nsm_root_out is for nsm = simulator, which alone has a root of its own here");
	return check_differs(c, from, KEY_nsm_root_out, others, sizeof others / sizeof others[0],
			     "which would be overwritten", w);
}

static enum err check_nsm(const struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	static const char prefix[] = "socket:";
	static const char *const names[] = {"auto", "device", "simulator", "dummy"};
	bool known = false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		known = known || strcmp(c->nsm, names[i]) == 0;
	if (strncmp(c->nsm, prefix, sizeof prefix - 1) == 0) {
		const size_t n = strlen(c->nsm) - (sizeof prefix - 1);
		if (n == 0 || n > UNIX_PATH_MAX)
			return config_fault(w, &from[KEY_nsm],
					    "the path in nsm = socket:PATH has %zu bytes, and must have 1 to %d", n,
					    (int)UNIX_PATH_MAX);
	} else if (!known) {
		return config_fault(w, &from[KEY_nsm], "nsm must be " CONFIG_NSM_NAMES ", not \"%.64s\"", c->nsm);
	}
	return check_root_out(c, from, w);
}
#endif

/* The items of a list with commas between them are not empty, not too long, and of these characters beside letters and
 * digits. */
static enum err check_list(const struct config *c, const struct source from[KEY_COUNT], enum key_id id,
			   const char *others, size_t most, struct why *w)
{
	const struct key *k = &config_keys[id];
	const char *at = config_get_text(c, k);
	for (size_t i = 1; *at != '\0'; i++) {
		const size_t n = strcspn(at, ",");
		for (size_t j = 0; j < n; j++)
			if (!isalnum((unsigned char)at[j]) && strchr(others, at[j]) == NULL)
				return config_fault(w, &from[id],
						    "%s must be names with commas between them, without ports and "
						    "spaces: \"%.*s\" holds a character that no name may",
						    k->name, n < HOST_MAX ? (int)n : HOST_MAX, at);
		if (n == 0 || n > HOST_MAX || (at[n] == ',' && at[n + 1] == '\0'))
			return config_fault(w, &from[id],
					    "%s must be names of 1 to %d characters with one comma between two",
					    k->name, (int)HOST_MAX);
		if (i > most)
			return config_fault(w, &from[id], "%s may hold at most %zu names", k->name, most);
		at += at[n] == ',' ? n + 1 : n;
	}
	return ERR_OK;
}

static enum err check_tls(const struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	const bool cert = *c->tls_cert_file != '\0', key = *c->tls_key_file != '\0';
	if (cert != key)
		return config_fault(w, &from[cert ? KEY_tls_cert_file : KEY_tls_key_file],
				    "%s is set and %s is not: a certificate and its key come together",
				    cert ? "tls_cert_file" : "tls_key_file", cert ? "tls_key_file" : "tls_cert_file");
	const enum err e = check_list(c, from, KEY_allowed_hosts, "-._", SIZE_MAX, w);
	return e != ERR_OK ? e : check_list(c, from, KEY_tls_names, "-._:*", TLS_NAMES_MAX, w);
}

/* A part that its whole has no room for could never be used up. A default gives way; set keys that contradict are an
 * error. */
static enum err check_fits(struct config *c, const struct source from[KEY_COUNT], enum key_id part, enum key_id whole,
			   struct why *w)
{
	const struct key *p = &config_keys[part], *all = &config_keys[whole];
	const int64_t have = config_get_number(c, p), most = config_get_number(c, all);

	if (have <= most)
		return ERR_OK;
	if (from[part].name != NULL)
		return config_fault(w, &from[part], "%s (%" PRId64 ") must not be more than %s (%" PRId64 ")", p->name,
				    have, all->name, most);
	config_put_number(c, p, most);
	return ERR_OK;
}

/* Wholes first: one that gives way is the part of another that is judged after it. */
static enum err check_private_limits(struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	static const struct {
		enum key_id part, whole;
	} limits[] = {
		{KEY_private_data_items, KEY_private_data_total_items},
		{KEY_private_data_bytes, KEY_private_data_total_bytes},
		{KEY_private_data_max_body, KEY_private_data_bytes},
		{KEY_private_data_max_body, KEY_tls_inflight},
	};
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		const enum err e = check_fits(c, from, limits[i].part, limits[i].whole, w);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err check_private_data(struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	static const enum key_id others[] = {KEY_db, KEY_kek_file, KEY_metadata_file, KEY_tls_cert_file,
					     KEY_tls_key_file};
	if (*c->private_data_db == '\0')
		return config_fault(w, &from[KEY_private_data_db], "private_data_db must not be empty");
	if (c->private_data_anonymous == CONFIG_ANONYMOUS_TRUE && strcmp(c->nsm, "device") == 0)
		return config_fault(w, &from[KEY_private_data_anonymous],
				    "private_data_anonymous = true is refused with nsm = device: whoever reaches an "
				    "enclave could read what others have stored there");
	const enum err e = check_private_limits(c, from, w);
	if (e != ERR_OK)
		return e;
	return check_differs(c, from, KEY_private_data_db, others, sizeof others / sizeof others[0],
			     "and each needs one of its own", w);
}

enum err config_check(struct config *c, const struct source from[KEY_COUNT], struct why *w)
{
	enum err e = check_nsm(c, from, w);
	if (e != ERR_OK)
		return e;
	if (*c->db == '\0')
		return config_fault(w, &from[KEY_db], "db must not be empty");
	if (*c->boot_id_file == '\0')
		return config_fault(w, &from[KEY_boot_id_file], "boot_id_file must not be empty");
	if (c->max_body > c->max_inflight)
		return config_fault(w,
				    from[KEY_max_inflight].name != NULL ? &from[KEY_max_inflight] : &from[KEY_max_body],
				    "one body of max_body (%" PRId64 ") does not fit into max_inflight (%" PRId64 ")",
				    c->max_body, c->max_inflight);
	if ((e = check_names(c, from, w)) != ERR_OK || (e = check_shares(c, from, w)) != ERR_OK ||
	    (e = check_tls(c, from, w)) != ERR_OK)
		return e;
	return check_private_data(c, from, w);
}
