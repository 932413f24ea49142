/* Admin server.  libmicrohttpd without a thread: its epoll descriptor is polled by the loop, and its timeouts are a loop timer.
 *
 * Stands beside the programs' stages.  Owns the daemon.  Refuses everything but GET and HEAD of the pages that it was given: it is the one place where a
 * stranger's bytes come in. */
#include "config.h"
#include "common/admin.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/must.h"

#define ADMIN_MAGIC        MAGIC('a', 'd', 'm', 'n')
#define CONNECTION_LIMIT   16u
#define CONNECTION_MEMORY  ((size_t)16384)
#define CONNECTION_SECONDS 10u
#define BODY_BYTES         (64u << 20) /* /streams with some ten thousand files */
#define BACKLOG            16
#define HOST_BYTES         256

struct admin {
	unsigned magic;
	struct MHD_Daemon *daemon;
	const struct admin_page *pages;
	void *arg;
	unsigned port;
	uv_poll_t poll;
	uv_timer_t timer;
	int open_handles;
};

static struct admin *admin_of(void *pointer)
{
	struct admin *admin = pointer;

	must(admin->magic == ADMIN_MAGIC);
	return admin;
}

/* ---- answering ---------------------------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *content_type, char *body, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	must(response != NULL);
	must(MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) == MHD_YES);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		must(MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
	return answer(connection, status, "text/plain; charset=utf-8", xstrdup(text), strlen(text));
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
	const char *upload, size_t *upload_len, void **state)
{
	static int seen;
	struct admin *admin = admin_of(arg);
	const struct admin_page *page = admin->pages;
	struct buf body;
	int status;

	(void)version, (void)upload;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		*upload_len = 0;
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	}
	if (*state == NULL) { /* the head is here; answer when the request is whole */
		*state = &seen;
		return MHD_YES;
	}
	while (page->path != NULL && strcmp(page->path, url) != 0)
		page++;
	if (page->path == NULL)
		return answer_text(connection, MHD_HTTP_NOT_FOUND, "not found\n");
	buf_init(&body, BODY_BYTES);
	status = page->write(admin->arg, &body);
	(void)buf_text(&body); /* memory even for an empty page */
	return answer(connection, (unsigned)status, page->content_type, body.data, body.len);
}

/* ---- the loop ----------------------------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* Lets the daemon do what it can, and asks when it wants to be called without any event. */
static void run(struct admin *admin)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	(void)MHD_run(admin->daemon);
	if (MHD_get_timeout(admin->daemon, &timeout_ms) == MHD_YES)
		uv_timer_start(&admin->timer, on_timer, timeout_ms, 0);
	else
		uv_timer_stop(&admin->timer);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	run(admin_of(poll->data));
}

static void on_timer(uv_timer_t *timer)
{
	run(admin_of(timer->data));
}

/* ---- opening ------------------------------------------------------------------------------------------------------ */

/* "address:port", "[address]:port", ":port" -> its two halves. Returns NULL, or what is wrong. */
static const char *split(const char *listen, char *host, size_t host_size, const char **ret_port)
{
	const char *colon = strrchr(listen, ':'), *start = listen;
	size_t len;

	if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return "address:port expected, with a port of 0 to 65535";
	len = (size_t)(colon - start);
	if (len >= 2 && start[0] == '[' && start[len - 1] == ']') {
		start++;
		len -= 2;
	} else if (memchr(start, ':', len) != NULL) {
		return "an IPv6 address stands in brackets";
	}
	if (len >= host_size)
		return "the address is too long";
	memcpy(host, start, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return NULL;
}

const char *admin_check_listen(const char *listen)
{
	char host[HOST_BYTES];
	const char *port;

	return split(listen, host, sizeof host, &port);
}

static int open_socket(const char *listen_text, int *ret_fd, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
	char host[HOST_BYTES];
	const char *port = NULL, *complaint = split(listen_text, host, sizeof host, &port);
	int status, fd, one = 1;

	if (complaint != NULL)
		return err_set(err, -EINVAL, "cannot listen on '%s': %s", listen_text, complaint);
	status = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &found);
	if (status != 0)
		return err_set(err, -EINVAL, "cannot listen on '%s': %s", listen_text, gai_strerror(status));
	status = 0;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* a restart need not wait for old connections */
	if (fd == -1 || bind(fd, found->ai_addr, found->ai_addrlen) == -1 || listen(fd, BACKLOG) == -1) {
		status = -errno;
		err_set(err, status, "cannot listen on '%s': %s", listen_text, strerror(-status));
		if (fd != -1)
			close(fd);
	}
	freeaddrinfo(found);
	*ret_fd = fd;
	return status;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	must(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

int admin_open(struct admin **ret_admin, uv_loop_t *loop, const char *listen, const struct admin_page *pages, void *arg, struct err *err)
{
	struct admin *admin;
	int fd, status = open_socket(listen, &fd, err);

	if (status != 0)
		return status;
	admin = x_new(admin);
	admin->magic = ADMIN_MAGIC;
	admin->pages = pages;
	admin->arg = arg;
	admin->port = port_of(fd);
	admin->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, admin, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT, MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_END);
	if (admin->daemon == NULL) {
		close(fd);
		free(admin);
		return err_set(err, -EIO, "cannot listen on '%s': the HTTP server does not start", listen);
	}
	must(uv_poll_init(loop, &admin->poll, MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd) == 0);
	must(uv_timer_init(loop, &admin->timer) == 0);
	admin->open_handles = 2;
	admin->poll.data = admin->timer.data = admin;
	must(uv_poll_start(&admin->poll, UV_READABLE, on_poll) == 0);
	*ret_admin = admin;
	return 0;
}

unsigned admin_port(const struct admin *admin)
{
	return admin->port;
}

/* ---- closing ------------------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
	struct admin *admin = admin_of(handle->data);

	if (--admin->open_handles != 0)
		return;
	MHD_stop_daemon(admin->daemon); /* closes the descriptors, which the loop has let go of */
	admin->magic = 0;
	free(admin);
}

void admin_close(struct admin *admin)
{
	uv_close((uv_handle_t *)&admin->poll, on_closed);
	uv_close((uv_handle_t *)&admin->timer, on_closed);
}

const char *admin_library(void)
{
	static char text[64];

	snprintf(text, sizeof text, "libmicrohttpd %s", MHD_get_version());
	return text;
}
