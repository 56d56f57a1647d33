/* policy_json.c - a policy as JSON: one of ours, or what nitro-cli says of the image that it built. */
#include "policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/encode.h"

enum { NAME_SIZE = 32 };

struct text_member {
	const char *name;
	enum err (*set)(struct verify_policy *p, struct bytes text, struct why *w);
	bool number; /* may be one */
};

static enum err wrong_type(const char *field, const char *form, const struct json_value *v, struct why *w)
{
	return why_tell(w, ERR_INVALID, field, "Must be %s, not %s.", form, json_type_name(json_type(v)));
}

/* The name of an unknown member, as far as it is harmless to print. */
static const char *show_name(struct bytes name, char out[NAME_SIZE])
{
	size_t n = 0;
	while (n < name.n && n < NAME_SIZE - 1 && name.p[n] > ' ' && name.p[n] <= '~') {
		out[n] = (char)name.p[n];
		n++;
	}
	out[n] = '\0';
	return out;
}

/* A number stands for its digits, so that both are judged in one place. */
static enum err read_text(const struct text_member *m, struct verify_policy *p, const struct json_value *v,
			  struct why *w)
{
	char digits[24];
	if (json_type(v) == JSON_STRING)
		return m->set(p, json_string(v), w);
	if (json_type(v) != JSON_INT || !m->number)
		return wrong_type(m->name, m->number ? "a whole number or a string" : "a string", v, w);
	(void)snprintf(digits, sizeof digits, "%" PRId64, json_int(v));
	return m->set(p, bytes_str(digits), w);
}

static enum err read_pcr(struct verify_policy *p, struct bytes key, const struct json_value *v, struct why *w)
{
	unsigned index = 0;
	char field[WHY_FIELD_MAX];
	enum err e = ERR_OK;
	if (!nsm_pcr_index(key, &index))
		return why_tell(
			w, ERR_INVALID, "pcrs",
			"Its members are named by the numbers of PCRs, \"0\" to \"31\", and each is 96 hex digits or a list "
			"of such values.");
	(void)snprintf(field, sizeof field, "pcrs.%u", index);
	if (json_type(v) == JSON_STRING)
		return policy_pin(p, index, json_string(v), field, w);
	if (json_type(v) != JSON_ARRAY)
		return wrong_type(field, "a string of 96 hex digits or a list of such strings", v, w);
	if (json_size(v) == 0)
		return why_tell(
			w, ERR_INVALID, field,
			"Is an empty list, which no PCR could fit: give at least one value, or leave the PCR out.");
	const struct json_value *one = NULL;
	while (e == ERR_OK && json_next(v, NULL, &one))
		e = json_type(one) == JSON_STRING
			    ? policy_pin(p, index, json_string(one), field, w)
			    : wrong_type(field, "a list of strings of 96 hex digits each", one, w);
	return e;
}

static enum err read_pcrs(struct verify_policy *p, const struct json_value *v, struct why *w)
{
	struct bytes key;
	const struct json_value *value = NULL;
	enum err e = ERR_OK;
	if (json_type(v) != JSON_OBJECT)
		return wrong_type("pcrs", "an object such as {\"0\": \"96 hex digits\"}", v, w);
	if (json_size(v) == 0)
		return why_tell(
			w, ERR_INVALID, "pcrs",
			"Is empty and would compare nothing: name PCRs, such as {\"0\": \"96 hex digits\"}, or leave it "
			"out.");
	while (e == ERR_OK && json_next(v, &key, &value))
		e = read_pcr(p, key, value, w);
	return e;
}

static enum err read_debug(struct verify_policy *p, const struct json_value *v, struct why *w)
{
	if ((JSON_BIT(json_type(v)) & JSON_BOOL) == 0)
		return wrong_type("allow_debug", "true or false", v, w);
	p->allow_debug = json_type(v) == JSON_TRUE;
	return ERR_OK;
}

static enum err read_member(struct verify_policy *p, struct bytes key, const struct json_value *v, struct why *w)
{
	static const struct text_member texts[] = {
		{"nonce", verify_policy_nonce, false},	   {"user_data", verify_policy_user_data, false},
		{"max_age", verify_policy_max_age, true},  {"at", verify_policy_at, true},
		{"purpose", verify_policy_purpose, false}, {"root", verify_policy_root, false},
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (bytes_is(key, texts[i].name))
			return read_text(&texts[i], p, v, w);
	if (bytes_is(key, "pcrs"))
		return read_pcrs(p, v, w);
	if (bytes_is(key, "allow_debug"))
		return read_debug(p, v, w);
	char name[NAME_SIZE];
	return why_tell(
		w, ERR_INVALID, show_name(key, name),
		"Is no member of a policy, which has pcrs, nonce, user_data, max_age, allow_debug, at, purpose and root, each "
		"optional; or it is what nitro-cli build-enclave prints, with Measurements alone.");
}

/* nitro-cli spells it as Rust shows the type: "Sha384 { ... }". */
static bool names_sha384(struct bytes algorithm)
{
	static const char name[] = "sha384";
	const size_t n = sizeof name - 1;
	return algorithm.n >= n && strncasecmp((const char *)algorithm.p, name, n) == 0 &&
	       (algorithm.n == n || algorithm.p[n] == ' ' || algorithm.p[n] == '{');
}

static enum err read_measurement(struct verify_policy *p, struct bytes key, const struct json_value *v, struct why *w)
{
	static const unsigned measured[] = {0, 1, 2, 8};
	for (size_t i = 0; i < sizeof measured / sizeof measured[0]; i++) {
		char field[WHY_FIELD_MAX];
		(void)snprintf(field, sizeof field, "Measurements.PCR%u", measured[i]);
		if (!bytes_is(key, strchr(field, '.') + 1))
			continue;
		return json_type(v) == JSON_STRING ? policy_pin(p, measured[i], json_string(v), field, w)
						   : wrong_type(field, "a string of 96 hex digits", v, w);
	}
	char name[NAME_SIZE], field[WHY_FIELD_MAX];
	(void)snprintf(field, sizeof field, "Measurements.%s", show_name(key, name));
	return why_tell(
		w, ERR_INVALID, field,
		"Is no member of Measurements, which has HashAlgorithm, PCR0, PCR1, PCR2 and PCR8; give other PCRs in a policy "
		"of its own, as pcrs.");
}

static enum err read_measurements(struct verify_policy *p, const struct json_value *v, struct why *w)
{
	struct bytes key;
	const struct json_value *value = NULL;
	enum err e = ERR_OK;
	if (json_type(v) != JSON_OBJECT)
		return wrong_type("Measurements", "an object", v, w);
	const struct json_value *algorithm = json_get(v, "HashAlgorithm");
	if (algorithm == NULL || json_type(algorithm) != JSON_STRING || !names_sha384(json_string(algorithm)))
		return why_tell(
			w, ERR_INVALID, "Measurements.HashAlgorithm",
			"Must be there and name SHA384, as in \"Sha384 { ... }\": the PCRs of a Nitro enclave are SHA-384.");
	if (json_size(v) == 1)
		return why_tell(w, ERR_INVALID, "Measurements", "Holds no PCR and would compare nothing.");
	while (e == ERR_OK && json_next(v, &key, &value))
		if (value != algorithm)
			e = read_measurement(p, key, value, w);
	return e;
}

static enum err read_members(struct verify_policy *p, const struct json_value *object, struct why *w)
{
	struct bytes key;
	const struct json_value *v = NULL;
	enum err e = ERR_OK;
	if (json_type(object) != JSON_OBJECT)
		return wrong_type("", "an object such as {\"pcrs\": {\"0\": \"96 hex digits\"}}", object, w);
	if (json_size(object) == 1 && json_get(object, "Measurements") != NULL)
		return read_measurements(p, json_get(object, "Measurements"), w);
	while (e == ERR_OK && json_next(object, &key, &v))
		e = read_member(p, key, v, w);
	return e;
}

enum err verify_policy_read(struct verify_policy *p, const struct json_value *object, struct why *w)
{
	struct verify_policy fresh = *p;
	struct why inner = {0};
	enum err e = read_members(&fresh, object, &inner);
	if (e == ERR_OK)
		e = verify_policy_check(&fresh, &inner);
	if (e == ERR_INVALID) {
		char field[WHY_FIELD_MAX];
		(void)snprintf(field, sizeof field, "policy%s%.50s", inner.field[0] != '\0' ? "." : "", inner.field);
		return why_tell(w, e, field, "%s", inner.text);
	}
	if (e == ERR_OK)
		*p = fresh;
	else
		*w = inner;
	return e;
}

enum err verify_policy_text(struct verify_policy *p, struct bytes json, struct why *w)
{
	struct json *j = NULL;
	struct why inner = {0};
	if (json.n > VERIFY_POLICY_MAX)
		return why_tell(w, ERR_INVALID, "policy", "The policy is larger than %d KiB.",
				VERIFY_POLICY_MAX / 1024);
	enum err e = json_parse(&j, json, &inner);
	if (e == ERR_OK)
		e = verify_policy_read(p, json_root(j), w);
	else if (e == ERR_INVALID) /* somebody else's file, often, and this quotes it on a terminal */
		e = why_tell(w, e, "policy", "The policy is not well-formed JSON: %s", text_mask(inner.text));
	else
		*w = inner;
	json_free(j);
	return e;
}
