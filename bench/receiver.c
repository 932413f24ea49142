/* Receiver.  The far end of every measurement: takes what an agent ships over HTTP, TCP or Kafka and accounts
 * for every generated line (bench/account.c), in whatever encoding and format.
 *
 *   receiver [--http PORT] [--tcp PORT] [--kafka TOPIC [--partitions N] [--consume 1]] [--records 1]
 *            [--delay-ms N] [--answer TEXT]
 *
 * Port 0 takes any free one.  On standard output it tells "http PORT", "tcp PORT", "brokers HOST:PORT", and
 * then "ready".  HTTP is always there: GET /stats answers the account as JSON (with ?lat the latencies too),
 * GET /reset zeroes it.  --kafka starts librdkafka's mock cluster in this process; with --consume every
 * message is read, without it messages are counted by the partitions' high watermarks.  --records also counts
 * records and tells the different ones apart.
 *
 * A thread for each connection, and no end but a signal. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/marker.h"
#include "bench/receive.h"
#include "common/must.h"

#define TCP_BYTES (1u << 18)

struct options {
	int http_port, tcp_port; /* -1: no TCP */
	const char *topic;
	int partition_count;
	bool consume, tell_records;
	struct answers answers;
};

struct listener {
	int fd;
	struct account *account;
	const struct answers *answers; /* NULL: plain TCP */
};

struct visitor {
	int fd;
	const struct listener *listener;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- TCP ------------------------------------------------------------------------------------------- */

/* Accounts for whole lines only, so that no marker is cut; returns how many bytes wait for the rest of
 * theirs. */
static size_t take_lines(struct account *account, char *bytes, size_t len)
{
	const char *last = memrchr(bytes, '\n', len);
	size_t used = last != NULL ? (size_t)(last + 1 - bytes) : len > MARKER_MAX ? len - MARKER_MAX : 0;

	account_take(account, bytes, last != NULL ? used : len, used);
	memmove(bytes, bytes + used, len - used);
	return len - used;
}

void receive_tcp(int fd, struct account *account)
{
	char *bytes = xmalloc(TCP_BYTES);
	size_t len = 0;
	ssize_t got;

	while ((got = recv(fd, bytes + len, TCP_BYTES - len, 0)) > 0) {
		atomic_fetch_add(&account->wire_bytes, (unsigned long long)got);
		atomic_fetch_add(&account->body_bytes, (unsigned long long)got);
		len = take_lines(account, bytes, len + (size_t)got);
	}
	account_take(account, bytes, len, len);
	close(fd);
	free(bytes);
}

/* ---- connections ----------------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	struct visitor visitor = *(struct visitor *)arg;

	free(arg);
	if (visitor.listener->answers != NULL)
		receive_http(visitor.fd, visitor.listener->account, visitor.listener->answers);
	else
		receive_tcp(visitor.fd, visitor.listener->account);
	return NULL;
}

static void *accept_all(void *arg)
{
	const struct listener *listener = arg;
	int fd;

	while ((fd = accept(listener->fd, NULL, NULL)) != -1) {
		struct visitor *visitor = x_new(visitor);
		pthread_t thread;

		*visitor = (struct visitor){fd, listener};
		if (pthread_create(&thread, NULL, serve, visitor) != 0)
			die("receiver: thread");
		pthread_detach(thread);
	}
	die("receiver: accept");
	return NULL;
}

/* Returns the port, which differs from the asked one if that was 0. */
static int listen_on(int port, struct account *account, const struct answers *answers)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t address_len = sizeof address;
	struct listener *listener = x_new(listener);
	pthread_t thread;
	int on = 1;

	*listener = (struct listener){socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), account, answers};
	if (listener->fd == -1 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    bind(listener->fd, (struct sockaddr *)&address, sizeof address) == -1 ||
	    listen(listener->fd, 128) == -1 ||
	    getsockname(listener->fd, (struct sockaddr *)&address, &address_len) == -1)
		die("receiver: listen");
	if (pthread_create(&thread, NULL, accept_all, listener) != 0)
		die("receiver: thread");
	return ntohs(address.sin_port);
}

/* ---- the process ----------------------------------------------------------------------------------- */

static bool read_option(struct options *options, const char *key, const char *value)
{
	if (strcmp(key, "--http") == 0)
		options->http_port = (int)strtol(value, NULL, 10);
	else if (strcmp(key, "--tcp") == 0)
		options->tcp_port = (int)strtol(value, NULL, 10);
	else if (strcmp(key, "--kafka") == 0)
		options->topic = value;
	else if (strcmp(key, "--partitions") == 0)
		options->partition_count = (int)strtol(value, NULL, 10);
	else if (strcmp(key, "--consume") == 0)
		options->consume = strcmp(value, "0") != 0;
	else if (strcmp(key, "--records") == 0)
		options->tell_records = strcmp(value, "0") != 0;
	else if (strcmp(key, "--delay-ms") == 0)
		options->answers.delay_ms = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(key, "--answer") == 0)
		options->answers.body = value;
	else
		return false;
	return true;
}

static _Noreturn void receive_all(const struct options *options)
{
	struct account *account = account_new(options->tell_records);
	const char *bootstrap_servers = NULL;

	printf("http %d\n", listen_on(options->http_port, account, &options->answers));
	if (options->tcp_port != -1)
		printf("tcp %d\n", listen_on(options->tcp_port, account, NULL));
	if (options->topic != NULL) {
		bootstrap_servers = kafka_start(options->topic, options->partition_count);
		if (bootstrap_servers == NULL)
			die("receiver: no mock cluster");
		printf("brokers %s\n", bootstrap_servers);
	}
	puts("ready");
	fflush(stdout);
	if (options->topic != NULL)
		kafka_receive(
		    bootstrap_servers, options->topic, options->partition_count, options->consume, account);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	struct options options = {.tcp_port = -1, .partition_count = 4, .answers = {.body = "{}"}};

	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || !read_option(&options, argv[i], argv[i + 1])) {
			fputs("usage: receiver [--http PORT] [--tcp PORT] [--kafka TOPIC [--partitions N] "
			      "[--consume 1]]\n"
			      "                [--records 1] [--delay-ms N] [--answer TEXT]\n",
			    stderr);
			return 64;
		}
	signal(SIGPIPE, SIG_IGN);
	receive_all(&options);
}
