/* A small HTTP server on the test's own loop: keeps the bodies that it gets, answers each with the status it
 * was told, or not yet. */
#ifndef DRAVE_TESTS_HTTP_FAR_H
#define DRAVE_TESTS_HTTP_FAR_H

#include <check.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/buf.h"
#include "common/must.h"

#define HTTP_FAR_PEERS 16

struct http_far_peer {
	uv_tcp_t tcp;
	struct http_far *far;
	struct buf request;
	bool is_waiting; /* for its answer */
};

struct http_far {
	uv_tcp_t listener;
	unsigned port;
	int status;       /* of the answers */
	bool is_mute;     /* answers come with http_far_speak */
	struct buf taken; /* bodies that came whole and were answered with a 2xx */
	unsigned request_count;
	struct http_far_peer *peers[HTTP_FAR_PEERS];
	size_t peer_count;
};

static inline void http_far_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
	static char bytes[65536];

	(void)handle, (void)wanted;
	*ret_buf = uv_buf_init(bytes, sizeof bytes);
}

static inline void http_far_written(uv_write_t *write, int status)
{
	(void)status;
	free(write);
}

static inline void http_far_answer(struct http_far_peer *peer)
{
	static const char heads[][64] = {
	    "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n",
	};
	uv_write_t *write = x_new(write);
	char status[4];

	peer->is_waiting = false;
	(void)snprintf(status, sizeof status, "%d", peer->far->status);
	for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
		uv_buf_t head = uv_buf_init((char *)(uintptr_t)heads[i], (unsigned)strlen(heads[i]));

		if (strncmp(heads[i] + 9, status, 3) == 0)
			ck_assert_int_eq(
			    uv_write(write, (uv_stream_t *)&peer->tcp, &head, 1, http_far_written), 0);
	}
}

/* Takes a whole request off the front, if there is one. */
static inline bool http_far_take(struct http_far_peer *peer)
{
	const char *text = buf_text(&peer->request), *end = strstr(text, "\r\n\r\n"), *length;
	size_t head_len, body_len;

	if (end == NULL)
		return false;
	length = strcasestr(text, "\r\ncontent-length:");
	ck_assert(length != NULL && length < end);
	head_len = (size_t)(end - text) + 4;
	body_len = strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
	if (peer->request.len < head_len + body_len)
		return false;
	if (peer->far->status == 200)
		ck_assert(buf_add(&peer->far->taken, end + 4, body_len));
	memmove(peer->request.data, peer->request.data + head_len + body_len,
	    peer->request.len - head_len - body_len);
	peer->request.len -= head_len + body_len;
	peer->far->request_count++;
	return true;
}

static inline void http_far_close_peer(struct http_far_peer *peer)
{
	if (!uv_is_closing((uv_handle_t *)&peer->tcp))
		uv_close((uv_handle_t *)&peer->tcp, NULL);
}

static inline void http_far_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
	struct http_far_peer *peer = stream->data;

	if (count < 0) {
		http_far_close_peer(peer);
		return;
	}
	ck_assert(buf_add(&peer->request, bytes->base, (size_t)count));
	while (http_far_take(peer)) {
		peer->is_waiting = true;
		if (!peer->far->is_mute)
			http_far_answer(peer);
	}
}

static inline void http_far_connected(uv_stream_t *listener, int status)
{
	struct http_far *far = listener->data;
	struct http_far_peer *peer = x_new(peer);

	ck_assert_int_eq(status, 0);
	ck_assert_uint_lt(far->peer_count, HTTP_FAR_PEERS);
	far->peers[far->peer_count++] = peer;
	peer->far = far;
	buf_init(&peer->request, 16 << 20);
	ck_assert_int_eq(uv_tcp_init(listener->loop, &peer->tcp), 0);
	peer->tcp.data = peer;
	ck_assert_int_eq(uv_accept(listener, (uv_stream_t *)&peer->tcp), 0);
	ck_assert_int_eq(uv_read_start((uv_stream_t *)&peer->tcp, http_far_alloc, http_far_read), 0);
}

static inline void http_far_init(struct http_far *far, uv_loop_t *loop)
{
	struct sockaddr_in address;
	int len = sizeof address;

	*far = (struct http_far){.status = 200};
	buf_init(&far->taken, 16 << 20);
	ck_assert_int_eq(uv_tcp_init(loop, &far->listener), 0);
	far->listener.data = far;
	ck_assert_int_eq(uv_ip4_addr("127.0.0.1", 0, &address), 0);
	ck_assert_int_eq(uv_tcp_bind(&far->listener, (const struct sockaddr *)&address, 0), 0);
	ck_assert_int_eq(uv_listen((uv_stream_t *)&far->listener, 8, http_far_connected), 0);
	ck_assert_int_eq(uv_tcp_getsockname(&far->listener, (struct sockaddr *)&address, &len), 0);
	far->port = ntohs(address.sin_port);
}

/* Answers what waits, and from now on at once. */
static inline void http_far_speak(struct http_far *far)
{
	far->is_mute = false;
	for (size_t i = 0; i < far->peer_count; i++)
		if (far->peers[i]->is_waiting)
			http_far_answer(far->peers[i]);
}

/* Closes all handles; http_far_free after the loop has run out. */
static inline void http_far_close(struct http_far *far)
{
	uv_close((uv_handle_t *)&far->listener, NULL);
	for (size_t i = 0; i < far->peer_count; i++)
		http_far_close_peer(far->peers[i]);
}

static inline void http_far_free(struct http_far *far)
{
	for (size_t i = 0; i < far->peer_count; i++) {
		buf_release(&far->peers[i]->request);
		free(far->peers[i]);
	}
	buf_release(&far->taken);
}

#endif
