/* Keys that want a look: each once, later, or after a back-off (C-7, N-8).  Pure: the clock is an argument. */
#ifndef DRAVE_CONTROLLER_WORKQUEUE_H
#define DRAVE_CONTROLLER_WORKQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct workqueue;

struct workqueue *workqueue_new(void);
void workqueue_free(struct workqueue *queue);
/* Now; a key that is being processed is remembered and comes again after workqueue_done. */
void workqueue_add(struct workqueue *queue, const char *key);
/* Not before at_ms; an earlier time that is already noted stays. */
void workqueue_add_at(struct workqueue *queue, const char *key, int64_t at_ms);
/* After an error: 5 ms x 2^n, at most 1000 s, since the last workqueue_forget (C-7). */
void workqueue_retry(struct workqueue *queue, const char *key, int64_t now_ms);
void workqueue_forget(struct workqueue *queue, const char *key);
/* The next key that is due (then being processed, lent until workqueue_done), or NULL. */
const char *workqueue_get(struct workqueue *queue, int64_t now_ms);
void workqueue_done(struct workqueue *queue, const char *key);
/* When workqueue_get would have something: now_ms, a later time, or -1. */
int64_t workqueue_next_ms(const struct workqueue *queue, int64_t now_ms);
size_t workqueue_depth(const struct workqueue *queue);

#endif
