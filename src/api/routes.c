/* routes.c - routes.def as a table. */
#include "internal.h"

#define BODY					  HTTP_JSON_BODY
#define NO_BODY					  HTTP_NO_BODY
#define RAW_BODY				  HTTP_RAW_BODY
#define ROUTE(method, path, reach, body, handler) {#method, path, reach, body, handler},
const struct http_route api_routes[] = {
#include "routes.def"
};
#undef ROUTE

const size_t api_routes_n = sizeof api_routes / sizeof api_routes[0];
