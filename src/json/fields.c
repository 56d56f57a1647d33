#include "values.h"

/* "must be true or false", "must be a string or null": the order in which a person would say it. */
static enum err wrong_type(const struct json_field *f, struct why *w)
{
	static const enum json_type order[] = {JSON_TRUE,   JSON_FALSE, JSON_INT,    JSON_REAL,
					       JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_NULL};
	struct buf text = BUF_INIT(WHY_TEXT_MAX);
	enum err e;

	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if ((f->types & 1u << order[i]) != 0)
			buf_printf(&text, "%s%s", text.n == 0 ? "must be " : " or ", json_type_name(order[i]));
	e = buf_check(&text, w);
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

	return v != NULL && json_type(v) == JSON_NULL && (f->types & 1u << JSON_NULL) != 0 ? NULL : v;
}

enum err json_fields(const struct json_value *v, const struct json_field *f, size_t n, struct why *w)
{
	char show[JSON_SHOW_SIZE];
	void *it = NULL;
	struct bytes name;
	const struct json_value *member;

	if (json_type(v) != JSON_OBJECT)
		return why_tell(w, ERR_INVALID, "body", "must be an object, not %s", json_type_name(json_type(v)));
	while (json_next(v, &it, &name, &member)) {
		const struct json_field *k = known(name, f, n);

		if (k == NULL)
			return why_tell(w, ERR_INVALID, json_show(name, show), "unknown member");
		if ((k->types & 1u << json_type(member)) == 0)
			return wrong_type(k, w);
	}
	for (size_t i = 0; i < n; i++)
		if (f[i].required && given(v, &f[i]) == NULL)
			return why_tell(w, ERR_INVALID, f[i].name, "is required");
	for (size_t i = 0; i < n; i++)
		*f[i].out = given(v, &f[i]);
	return ERR_OK;
}
