/* fields.c - a request's body: an object with known members and nothing else. */
#include "lex.h"

/* "Must be true or false.", "Must be a string or null.": the order in which a person would say it. */
static enum err wrong_type(const struct json_field *f, struct why *w)
{
	static const enum json_type order[] = {JSON_TRUE,   JSON_FALSE, JSON_INT,    JSON_REAL,
					       JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_NULL};
	struct buf text = BUF_INIT(WHY_TEXT_MAX);
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
		if ((f->types & JSON_BIT(order[i])) != 0)
			buf_printf(&text, "%s%s", text.n == 0 ? "Must be " : " or ", json_type_name(order[i]));
	buf_put_u8(&text, '.');
	enum err e = buf_check(&text, w);
	if (e == ERR_OK)
		e = why_tell(w, ERR_INVALID, f->name, "%s", buf_cstr(&text));
	buf_free(&text);
	return e;
}

static const struct json_field *known(struct bytes name, const struct json_field *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_is(name, f[i].name))
			return &f[i];
	return NULL;
}

static const struct json_value *given(const struct json_value *object, const struct json_field *f)
{
	const struct json_value *v = json_get(object, f->name);
	return v != NULL && json_type(v) == JSON_NULL && (f->types & JSON_BIT(JSON_NULL)) != 0 ? NULL : v;
}

enum err json_fields(const struct json_value *v, const struct json_field *f, size_t n, struct why *w)
{
	if (json_type(v) != JSON_OBJECT)
		return why_tell(w, ERR_INVALID, "body", "Must be an object, not %s.", json_type_name(json_type(v)));
	struct bytes name;
	const struct json_value *member = NULL;
	while (json_next(v, &name, &member)) {
		const struct json_field *k = known(name, f, n);
		if (k == NULL) {
			char show[JSON_SHOW_SIZE];
			return why_tell(w, ERR_INVALID, json_show(name, show), "Is not a known member.");
		}
		if ((k->types & JSON_BIT(json_type(member))) == 0)
			return wrong_type(k, w);
	}
	for (size_t i = 0; i < n; i++)
		if (f[i].required && given(v, &f[i]) == NULL)
			return why_tell(w, ERR_INVALID, f[i].name, "Is required.");
	for (size_t i = 0; i < n; i++)
		*f[i].out = given(v, &f[i]);
	return ERR_OK;
}
