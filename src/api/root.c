/* root.c - GET /: what is served on the caller's listener. */
#include "internal.h"

void api_root(void *app, struct http_req *r)
{
	struct buf b = BUF_INIT(API_REPLY_MAX);
	(void)app;
	buf_put_str(&b, "{");
	JSON_PUT_KEY(&b, "service");
	json_put_cstr(&b, "attestd");
	JSON_PUT_KEY(&b, "version");
	json_put_cstr(&b, ATTESTD_VERSION);
	JSON_PUT_KEY(&b, "documentation");
	json_put_cstr(&b, "/openapi.yaml");
	JSON_PUT_KEY(&b, "endpoints");
	buf_put_str(&b, "[");
	bool first = true;
	for (size_t i = 0; i < api_routes_n; i++) {
		if ((api_routes[i].reach & http_req_reach(r)) == 0)
			continue;
		buf_put_str(&b, first ? "{" : ",{");
		JSON_PUT_KEY(&b, "method");
		json_put_cstr(&b, api_routes[i].method);
		JSON_PUT_KEY(&b, "path");
		json_put_cstr(&b, api_routes[i].path);
		buf_put_str(&b, "}");
		first = false;
	}
	buf_put_str(&b, "]}");
	http_reply(r, 200, &b);
}
