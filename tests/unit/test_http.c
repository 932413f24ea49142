/* The HTTP client against a server of this test: a thread that plays one scripted answer a connection. */
#include "config.h"

#include "common/http.h"
#include "tests/unit/lost_name.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/must.h"

/* ---- the server --------------------------------------------------------------------------------------------------- */

#define REQUEST_BYTES 65536

static struct {
	int fd;
	unsigned port;
	pthread_t thread;
	const char *answers[8];     /* one after the other; NULL ends the connection, "hang" waits until the client goes */
	bool keeps_connection;      /* all answers on one connection, else one connection each */
	char requests[8][REQUEST_BYTES];
	int request_count, connection_count;
} server;

/* Reads a head and the body that its Content-Length tells. */
static bool read_request(int fd, char *request)
{
	size_t len = 0, wanted = SIZE_MAX;

	while (len < wanted) {
		ssize_t got = recv(fd, request + len, REQUEST_BYTES - 1 - len, 0);
		const char *head_end, *length;

		if (got <= 0)
			return false;
		len += (size_t)got;
		request[len] = '\0';
		head_end = strstr(request, "\r\n\r\n");
		if (head_end == NULL)
			continue;
		length = strstr(request, "Content-Length: ");
		wanted = (size_t)(head_end + 4 - request) + (length != NULL && length < head_end ? strtoul(length + 16, NULL, 10) : 0);
	}
	return true;
}

static void *serve(void *arg)
{
	int fd = -1;

	(void)arg;
	for (int i = 0; i < 8 && server.answers[i] != NULL; i++) {
		const char *answer = server.answers[i];
		char rest[256];

		if (fd == -1) {
			fd = accept(server.fd, NULL, NULL);
			server.connection_count++;
		}
		if (fd == -1 || !read_request(fd, server.requests[server.request_count++]))
			break;
		if (strcmp(answer, "hang") == 0) {
			while (recv(fd, rest, sizeof rest, 0) > 0)
				continue;
		} else if (strcmp(answer, "reset") == 0) {
			struct linger now = {1, 0};

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		} else {
			send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		}
		if (!server.keeps_connection) {
			close(fd);
			fd = -1;
		}
	}
	if (fd != -1)
		close(fd);
	return NULL;
}

static void start_server(bool keeps_connection, const char *first, const char *second, const char *third)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof address;

	memset(&server, 0, sizeof server);
	server.answers[0] = first;
	server.answers[1] = second;
	server.answers[2] = third;
	server.keeps_connection = keeps_connection;
	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(server.fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(server.fd, 8), 0);
	ck_assert_int_eq(getsockname(server.fd, (struct sockaddr *)&address, &len), 0);
	server.port = ntohs(address.sin_port);
	ck_assert_int_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void stop_server(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

/* ---- the client --------------------------------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct http *http;
static struct http_peer peer = {.verify = true, .timeout_ms = 5000};
static struct http_answer last;
static char last_body[HTTP_BODY_BYTES + 1], last_error[512], chunks[4096];
static size_t chunks_len;
static int answer_count;
static bool is_starting;

static void on_end(void *arg, const struct http_answer *answer)
{
	(void)arg;
	ck_assert(!is_starting); /* never from inside http_start */
	answer_count++;
	last = *answer;
	snprintf(last_body, sizeof last_body, "%.*s", (int)answer->body_len, answer->body != NULL ? answer->body : "");
	snprintf(last_error, sizeof last_error, "%s", answer->error != NULL ? answer->error : "");
}

static bool on_chunk(void *arg, const char *bytes, size_t len)
{
	(void)arg;
	must(chunks_len + len < sizeof chunks);
	memcpy(chunks + chunks_len, bytes, len);
	chunks_len += len;
	chunks[chunks_len] = '\0';
	return strstr(chunks, "stop") == NULL;
}

static void open_client(void)
{
	struct err err;

	(void)signal(SIGPIPE, SIG_IGN);
	answer_count = 0;
	chunks[0] = '\0';
	chunks_len = 0;
	peer = (struct http_peer){.verify = true, .timeout_ms = 5000};
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(http_new(&http, &loop, "test/1", &err), 0);
}

static void close_client(void)
{
	http_close(http);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static struct http_request *start_at(const char *url, const char *body, bool chunked)
{
	static const char *const headers[] = {"X-Test: yes", NULL};
	struct http_call call = {.method = body != NULL ? "POST" : "GET", .url = url, .headers = headers, .body = body,
		.body_len = body != NULL ? strlen(body) : 0, .username = "user", .password = "pass", .peer = &peer,
		.on_chunk = chunked ? on_chunk : NULL, .on_end = on_end};
	struct http_request *request;
	struct err err;

	is_starting = true;
	ck_assert_int_eq(http_start(http, &call, &request, &err), 0);
	is_starting = false;
	return request;
}

static struct http_request *start(const char *body, bool chunked)
{
	char url[64];

	snprintf(url, sizeof url, "http://127.0.0.1:%u/path", server.port);
	return start_at(url, body, chunked);
}

static void run_until(int count)
{
	uint64_t deadline = clock_monotonic_ms() + 20000;

	while (answer_count < count) {
		uv_run(&loop, UV_RUN_ONCE);
		ck_assert_uint_lt(clock_monotonic_ms(), deadline);
	}
}

static void ask(const char *answer)
{
	start_server(false, answer, NULL, NULL);
	open_client();
	(void)start("body", false);
	run_until(1);
	close_client();
	stop_server();
}

/* ---- tests -------------------------------------------------------------------------------------------------------- */

START_TEST(a_whole_answer_has_its_status_and_body)
{
	ask("HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello");
	ck_assert_int_eq(last.status, 202);
	ck_assert_str_eq(last_body, "hello");
	ck_assert_int_eq(last.retry_after_ms, -1);
	ck_assert_uint_gt(last.bytes_sent, 100);
	ck_assert_ptr_nonnull(strstr(server.requests[0], "POST /path HTTP/1.1\r\n"));
	ck_assert_ptr_nonnull(strstr(server.requests[0], "X-Test: yes\r\n"));
	ck_assert_ptr_nonnull(strstr(server.requests[0], "User-Agent: test/1\r\n"));
	ck_assert_ptr_nonnull(strstr(server.requests[0], "Authorization: Basic dXNlcjpwYXNz\r\n"));
	ck_assert_ptr_null(strstr(server.requests[0], "Expect:"));
	ck_assert_ptr_nonnull(strstr(server.requests[0], "\r\n\r\nbody"));
}
END_TEST

START_TEST(an_answer_that_is_not_whole_is_none)
{
	static const char *const broken[] = {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel", "HTTP/1.1 200 OK\r\nContent-Le",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "nonsense\r\n\r\n", "reset", ""};

	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
		ask(broken[i]);
		ck_assert_msg(last.status == 0, "status %d for %s", last.status, broken[i]);
		ck_assert_str_ne(last_error, "");
	}
}
END_TEST

START_TEST(a_chunked_answer_is_whole_with_its_last_chunk)
{
	ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	ck_assert_int_eq(last.status, 200);
	ck_assert_str_eq(last_body, "hello");
}
END_TEST

START_TEST(redirects_are_answers)
{
	ask("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
	ck_assert_int_eq(last.status, 302);
	ck_assert_int_eq(server.request_count, 1);
}
END_TEST

START_TEST(retry_after_comes_with_the_answer)
{
	ask("HTTP/1.1 503 Busy\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n");
	ck_assert_int_eq(last.status, 503);
	ck_assert_int_eq(last.retry_after_ms, 7000);
}
END_TEST

START_TEST(endless_heads_and_bodies_end)
{
	size_t size = 3 << 20;
	char *huge = xmalloc(size);

	memset(huge, 'x', size);
	huge[size - 1] = '\0';
	memcpy(huge, "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", 44);
	ask(huge);
	ck_assert_int_eq(last.status, 0);
	memset(huge, 'x', 50);
	memcpy(huge, "HTTP/1.1 200 OK\r\nX-Long: ", 25);
	ask(huge);
	ck_assert_int_eq(last.status, 0);
	free(huge);
}
END_TEST

START_TEST(a_server_that_hangs_ends_at_the_timeout)
{
	start_server(false, "hang", NULL, NULL);
	open_client();
	peer.timeout_ms = 150;
	(void)start("body", false);
	run_until(1);
	ck_assert_int_eq(last.status, 0);
	ck_assert(last.connected);
	close_client();
	stop_server();
}
END_TEST

START_TEST(a_server_that_hangs_in_the_handshake_ends_at_the_timeout)
{
	char url[64];

	start_server(false, "hang", NULL, NULL); /* takes the client's hello, and says nothing */
	open_client();
	peer.timeout_ms = 150;
	snprintf(url, sizeof url, "https://127.0.0.1:%u/", server.port);
	(void)start_at(url, "body", false);
	run_until(1);
	ck_assert_int_eq(last.status, 0);
	ck_assert(!last.connected);
	close_client();
	stop_server();
}
END_TEST

/* Of nobody: for a list of authorities that can be read. */
static const char authority[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBfzCCASWgAwIBAgIUJwKcLZjliCIBJe/KqYsTUvzGKvMwCgYIKoZIzj0EAwIw\n"
	"FDESMBAGA1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEyOTIwMjA1NloYDzIxMjYxMTA1\n"
	"MjAyMDU2WjAUMRIwEAYDVQQDDAlhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjO\n"
	"PQMBBwNCAARgPNJLaKpmaYQVr6iw0YW/DsOGW/0tQJFdbRKHu023wn1MPA4OzqJq\n"
	"wROLsXSknTJmqFtOS0FEgGYgybyugRVoo1MwUTAdBgNVHQ4EFgQUoYzYanbQjOFq\n"
	"1cVJdNrFuI0udkswHwYDVR0jBBgwFoAUoYzYanbQjOFq1cVJdNrFuI0udkswDwYD\n"
	"VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAyEBZU+hKS+XQjZr+dwy8\n"
	"+N01qpAr/Up6u6qF+3HtB1sCIFj3LCFgCLy9qJqc0nuc3o0KkguMCGY+EynBrJiM\n"
	"Kmgh\n"
	"-----END CERTIFICATE-----\n";

/* Stands before OpenSSL's: libcurl calls it for a directory of authorities to believe. */
int X509_STORE_load_path(void *store, const char *path);
static int directories_believed;

int X509_STORE_load_path(void *store, const char *path)
{
	(void)store;
	ck_assert_ptr_nonnull(path);
	directories_believed++;
	return 1;
}

/* Until the client says hello: by then it knows whom to believe. */
static void greet(const char *url)
{
	struct http_request *request = start_at(url, "body", false);
	struct pollfd caller = {.fd = server.fd, .events = POLLIN};
	char byte;
	int fd;

	while (poll(&caller, 1, 1) == 0) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ck_assert_int_eq(answer_count, 0);
	}
	fd = accept(server.fd, NULL, NULL);
	while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0) {
		uv_run(&loop, UV_RUN_NOWAIT);
		ck_assert_int_eq(answer_count, 0);
	}
	http_cancel(request);
	close(fd);
}

START_TEST(given_authorities_are_the_only_ones)
{
	bool has_directory = curl_version_info(CURLVERSION_NOW)->capath != NULL;
	char url[64], path[] = "/tmp/test_http.XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, authority, sizeof authority - 1), sizeof authority - 1);
	start_server(false, NULL, NULL, NULL);
	open_client();
	snprintf(url, sizeof url, "https://127.0.0.1:%u/", server.port);
	greet(url);
	ck_assert_int_eq(directories_believed != 0, has_directory); /* the system's: nothing else was given */
	directories_believed = 0;
	peer.ca_pem = authority;
	greet(url);
	peer.ca_pem = NULL;
	peer.ca_file = path;
	greet(url);
	ck_assert_int_eq(directories_believed, 0);
	close_client();
	stop_server();
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(a_resolver_that_hangs_keeps_nobody_waiting)
{
	uint64_t start_ms = clock_monotonic_ms();

	open_client();
	peer.timeout_ms = 150;
	(void)start_at("http://" LOST_NAME "/", "body", false);
	run_until(1);
	ck_assert_int_eq(last.status, 0);
	http_cancel(start_at("http://" LOST_NAME "/", "body", false));
	(void)start_at("http://" LOST_NAME "/", "body", false);
	run_until(2);
	close_client();
	ck_assert_uint_lt(clock_monotonic_ms() - start_ms, LOST_MS);
	lost_name_wait();
}
END_TEST

START_TEST(nobody_listens)
{
	start_server(false, NULL, NULL, NULL);
	stop_server(); /* its port is free now */
	open_client();
	(void)start("body", false);
	run_until(1);
	ck_assert_int_eq(last.status, 0);
	ck_assert(!last.connected);
	close_client();
}
END_TEST

START_TEST(requests_in_a_row_share_a_connection)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	start_server(true, answer, answer, answer);
	open_client();
	for (int i = 1; i <= 3; i++) {
		(void)start("body", false);
		run_until(i);
		ck_assert_int_eq(last.status, 200);
	}
	close_client();
	stop_server();
	ck_assert_int_eq(server.connection_count, 1);
	ck_assert_int_eq(server.request_count, 3);
}
END_TEST

START_TEST(a_cancelled_request_never_answers)
{
	start_server(false, "hang", NULL, NULL);
	open_client();
	http_cancel(start("body", false));
	close_client();
	stop_server();
	ck_assert_int_eq(answer_count, 0);
}
END_TEST

START_TEST(chunks_come_as_they_are_and_the_reader_may_end_it)
{
	start_server(false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none \r\n4\r\nstop\r\n5\r\nnever\r\n0\r\n\r\n", NULL, NULL);
	open_client();
	(void)start(NULL, true);
	run_until(1);
	close_client();
	stop_server();
	ck_assert_ptr_nonnull(strstr(chunks, "one stop"));
	ck_assert_int_eq(last.status, 0);
}
END_TEST

START_TEST(a_bad_url_is_an_error_and_nothing_follows)
{
	struct http_call call = {.method = "GET", .url = "ftp://127.0.0.1/", .peer = &peer, .on_end = on_end};
	struct http_request *request;
	struct err err;

	open_client();
	if (http_start(http, &call, &request, &err) == 0) { /* some versions tell it later */
		run_until(1);
		ck_assert_int_eq(last.status, 0);
	}
	close_client();
}
END_TEST

START_TEST(retry_after_is_seconds_or_a_date)
{
	static const struct {
		const char *value;
		int64_t expected_ms;
	} rows[] = {
		{"0", 0}, {"120", 120000}, {" 7 \r\n", 7000}, {"604800", 604800000}, {"604801", -1}, {"-1", -1}, {"", -1}, {"soon", -1},
		{"99999999999999999999", -1}, {"1.5", -1}, {"Sun, 06 Nov 1994 08:49:37 GMT", 0}, {"Wed, 25 Nov 2026 00:01:00 GMT", 60000},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(http_parse_retry_after(rows[i].value, strlen(rows[i].value), 1795564800) == rows[i].expected_ms, "%s", rows[i].value);
}
END_TEST

UNIT_MAIN("http", a_whole_answer_has_its_status_and_body, an_answer_that_is_not_whole_is_none, a_chunked_answer_is_whole_with_its_last_chunk,
	redirects_are_answers, retry_after_comes_with_the_answer, endless_heads_and_bodies_end, a_server_that_hangs_ends_at_the_timeout,
	a_server_that_hangs_in_the_handshake_ends_at_the_timeout, given_authorities_are_the_only_ones, a_resolver_that_hangs_keeps_nobody_waiting, nobody_listens,
	requests_in_a_row_share_a_connection, a_cancelled_request_never_answers, chunks_come_as_they_are_and_the_reader_may_end_it,
	a_bad_url_is_an_error_and_nothing_follows, retry_after_is_seconds_or_a_date)
