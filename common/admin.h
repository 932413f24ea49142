/* The tiny HTTP server that people and probes look at: GET of fixed paths, nothing else.  The door of libmicrohttpd, whose epoll
 * descriptor sits in the loop: no thread.  At most 16 connections, 16 KiB each, 10 s each. */
#ifndef DRAVE_COMMON_ADMIN_H
#define DRAVE_COMMON_ADMIN_H

#include <stdbool.h>
#include <uv.h>

#include "common/buf.h"
#include "common/err.h"

struct admin;

struct admin_page {
	const char *path;         /* "/metrics" */
	const char *content_type; /* "text/plain; version=0.0.4; charset=utf-8" */
	/* Fills body and returns the HTTP status.  Runs on the loop thread. */
	int (*write)(void *arg, struct buf *body);
};

/* Is it an address that admin_open could take, as far as its text tells?  NULL = yes, else the complaint (static text). */
const char *admin_check_listen(const char *listen);

/* Listens on "address:port" ("127.0.0.1:9818", "[::1]:0", ":9818" = any address; port 0 = any free one).  pages ends with a path
 * of NULL, is borrowed until admin_close, and gets arg.  -EADDRINUSE tells a busy port apart. */
int admin_open(struct admin **ret_admin, uv_loop_t *loop, const char *listen, const struct admin_page *pages, void *arg, struct err *err);
/* The port that it got. */
unsigned admin_port(const struct admin *admin);
void admin_close(struct admin *admin);
const char *admin_library(void);

#endif
