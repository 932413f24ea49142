/* The admin server over real sockets, driven by the same loop that serves it. */
#include "config.h"

#include "common/admin.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#define DEADLINE_MS 10000

static int write_page(void *arg, struct buf *body)
{
	buf_add_text(body, arg);
	return 200;
}

static int write_trouble(void *arg, struct buf *body)
{
	(void)arg;
	buf_add_text(body, "not ready\n");
	return 503;
}

static int write_nothing(void *arg, struct buf *body)
{
	(void)arg, (void)body;
	return 200;
}

static const struct admin_page pages[] = {
	{"/page", "text/plain", write_page}, {"/trouble", "text/plain", write_trouble}, {"/empty", "text/plain", write_nothing}, {NULL, NULL, NULL}};

static uv_loop_t loop;
static struct admin *admin;
static char text[] = "hello\n";

static void open_admin(void)
{
	struct err err;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(admin_open(&admin, &loop, "127.0.0.1:0", pages, text, &err), 0);
	ck_assert_uint_ne(admin_port(admin), 0);
}

static void close_admin(void)
{
	admin_close(admin);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static int dial(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)admin_port(admin)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Sends the request and turns the loop until `until` has come or the server has closed the connection. */
static const char *ask(const char *request, const char *until)
{
	static char answer[65536];
	uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
	size_t len = 0;
	int fd = dial();

	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	for (;;) {
		ssize_t got;

		uv_run(&loop, UV_RUN_NOWAIT);
		got = recv(fd, answer + len, sizeof answer - 1 - len, 0);
		if (got > 0)
			len += (size_t)got;
		answer[len] = '\0';
		if (got == 0 || (got == -1 && errno != EAGAIN) || strstr(answer, until) != NULL)
			break;
		ck_assert_uint_lt(clock_monotonic_ms(), deadline);
	}
	close(fd);
	return answer;
}

START_TEST(a_page_is_served_with_its_type_and_status)
{
	const char *answer;

	open_admin();
	answer = ask("GET /page HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n");
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 200 "));
	ck_assert_ptr_nonnull(strstr(answer, "Content-Type: text/plain\r\n"));
	answer = ask("GET /page?with=query HTTP/1.1\r\nHost: x\r\n\r\n", "hello\n");
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 200 "));
	answer = ask("GET /trouble HTTP/1.1\r\nHost: x\r\n\r\n", "not ready\n");
	ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 503 "));
	answer = ask("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(answer, "Content-Length: 0\r\n"));
	close_admin();
}
END_TEST

START_TEST(head_has_no_body)
{
	open_admin();
	ck_assert_ptr_null(strstr(ask("HEAD /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "never"), "hello"));
	close_admin();
}
END_TEST

START_TEST(everything_else_is_refused)
{
	open_admin();
	ck_assert_ptr_nonnull(strstr(ask("GET /pages HTTP/1.1\r\nHost: x\r\n\r\n", "not found\n"), "HTTP/1.1 404 "));
	ck_assert_ptr_nonnull(strstr(ask("GET /page/../page HTTP/1.1\r\nHost: x\r\n\r\n", "not found\n"), "HTTP/1.1 404 "));
	ck_assert_ptr_nonnull(strstr(ask("POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "GET and HEAD\n"), "HTTP/1.1 405 "));
	ck_assert_ptr_nonnull(strstr(ask("DELETE /page HTTP/1.1\r\nHost: x\r\n\r\n", "GET and HEAD\n"), "Allow: GET, HEAD\r\n"));
	ck_assert_ptr_null(strstr(ask("nonsense\r\n\r\n", "never"), "hello"));
	close_admin();
}
END_TEST

START_TEST(a_request_that_is_too_long_ends)
{
	static char request[40000];

	memset(request, 'a', sizeof request - 1);
	memcpy(request, "GET /", 5);
	open_admin();
	ck_assert_ptr_null(strstr(ask(request, "never"), "200"));
	close_admin();
}
END_TEST

START_TEST(a_busy_port_is_told_apart)
{
	struct admin *second;
	struct err err;
	char listen[32];

	open_admin();
	snprintf(listen, sizeof listen, "127.0.0.1:%u", admin_port(admin));
	ck_assert_int_eq(admin_open(&second, &loop, listen, pages, text, &err), -EADDRINUSE);
	close_admin();
}
END_TEST

START_TEST(addresses_are_judged_by_their_text)
{
	static const char *const good[] = {"127.0.0.1:9818", ":0", "[::1]:65535", "localhost:80"};
	static const char *const bad[] = {"", "127.0.0.1", "127.0.0.1:", ":x", ":65536", ":123456", "::1:80", "9818"};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_ptr_null(admin_check_listen(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_ptr_nonnull(admin_check_listen(bad[i]));
}
END_TEST

UNIT_MAIN("admin", a_page_is_served_with_its_type_and_status, head_has_no_body, everything_else_is_refused, a_request_that_is_too_long_ends,
	a_busy_port_is_told_apart, addresses_are_judged_by_their_text)
