#include <string.h>

#include "internal.h"

void api_root(void *app, struct http_req *r)
{
	struct buf b = BUF_INIT(API_REPLY_MAX);
	(void)app;
	buf_put_str(&b, "{\"service\":\"attestd\",\"version\":");
	json_put_cstr(&b, ATTESTD_VERSION);
	buf_put_str(&b, ",\"documentation\":\"/openapi.yaml\",\"endpoints\":[");
	bool first = true;
	for (size_t i = 0; i < api_routes_n; i++) {
		if ((api_routes[i].reach & http_req_reach(r)) == 0)
			continue;
		buf_put_str(&b, first ? "{\"method\":" : ",{\"method\":");
		json_put_cstr(&b, api_routes[i].method);
		json_put_key(&b, "path");
		json_put_cstr(&b, api_routes[i].path);
		buf_put_str(&b, "}");
		first = false;
	}
	buf_put_str(&b, "]}");
	http_reply(r, 200, &b);
}
