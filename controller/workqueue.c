/* Workqueue.  Which sets want a look, and when.  A key stands in it once however often it is added, the
 * earliest time counts, and a key that is being looked at waits until that is over.  There are as many keys
 * as sets, so the table is simply walked.  Pure. */
#include "config.h"

#include "controller/workqueue.h"

#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/table.h"

#define RETRY_FIRST_MS   5
#define RETRY_LONGEST_MS 1000000

struct item {
	char *key;
	bool is_waiting; /* at_ms counts */
	bool is_processing;
	int64_t at_ms;     /* 0 = at once */
	uint64_t order;    /* among those due at the same time, first come first served */
	unsigned failures; /* since the last workqueue_forget */
	UT_hash_handle hh;
};

struct workqueue {
	struct item *items;
	uint64_t order;
};

static struct item *find(const struct workqueue *queue, const char *key)
{
	struct item *item;

	HASH_FIND_STR(queue->items, key, item);
	return item;
}

static struct item *get(struct workqueue *queue, const char *key)
{
	struct item *item = find(queue, key);

	if (item == NULL) {
		item = x_new(item);
		item->key = xstrdup(key);
		HASH_ADD_KEYPTR(hh, queue->items, item->key, strlen(item->key), item);
	}
	return item;
}

static void drop(struct workqueue *queue, struct item *item)
{
	HASH_DEL(queue->items, item);
	free(item->key);
	free(item);
}

static void drop_if_idle(struct workqueue *queue, struct item *item)
{
	if (!item->is_waiting && !item->is_processing && item->failures == 0)
		drop(queue, item);
}

struct workqueue *workqueue_new(void)
{
	struct workqueue *queue = x_new(queue);

	return queue;
}

void workqueue_free(struct workqueue *queue)
{
	struct item *item, *next;

	if (queue == NULL)
		return;
	HASH_ITER (hh, queue->items, item, next)
		drop(queue, item);
	free(queue);
}

void workqueue_add_at(struct workqueue *queue, const char *key, int64_t at_ms)
{
	struct item *item = get(queue, key);

	if (item->is_waiting && item->at_ms <= at_ms)
		return;
	if (!item->is_waiting)
		item->order = queue->order++;
	item->is_waiting = true;
	item->at_ms = at_ms;
}

void workqueue_add(struct workqueue *queue, const char *key)
{
	workqueue_add_at(queue, key, 0);
}

void workqueue_retry(struct workqueue *queue, const char *key, int64_t now_ms)
{
	struct item *item = get(queue, key);
	int64_t delay_ms = RETRY_FIRST_MS;

	for (unsigned i = 0; i < item->failures && delay_ms < RETRY_LONGEST_MS; i++)
		delay_ms *= 2;
	item->failures++;
	workqueue_add_at(queue, key, now_ms + (delay_ms < RETRY_LONGEST_MS ? delay_ms : RETRY_LONGEST_MS));
}

void workqueue_forget(struct workqueue *queue, const char *key)
{
	struct item *item = find(queue, key);

	if (item == NULL)
		return;
	item->failures = 0;
	drop_if_idle(queue, item);
}

/* The next one that nobody is looking at, whenever it is due. */
static struct item *first(const struct workqueue *queue)
{
	struct item *best = NULL, *item, *next;

	HASH_ITER (hh, queue->items, item, next) {
		if (!item->is_waiting || item->is_processing)
			continue;
		if (best == NULL || item->at_ms < best->at_ms ||
		    (item->at_ms == best->at_ms && item->order < best->order))
			best = item;
	}
	return best;
}

const char *workqueue_get(struct workqueue *queue, int64_t now_ms)
{
	struct item *item = first(queue);

	if (item == NULL || item->at_ms > now_ms)
		return NULL;
	item->is_waiting = false;
	item->is_processing = true;
	return item->key;
}

void workqueue_done(struct workqueue *queue, const char *key)
{
	struct item *item = find(queue, key);

	must(item != NULL && item->is_processing);
	item->is_processing = false;
	drop_if_idle(queue, item);
}

int64_t workqueue_next_ms(const struct workqueue *queue, int64_t now_ms)
{
	const struct item *item = first(queue);

	if (item == NULL)
		return -1;
	return item->at_ms > now_ms ? item->at_ms : now_ms;
}

size_t workqueue_depth(const struct workqueue *queue)
{
	const struct item *item, *next;
	size_t count = 0;

	for (item = queue->items; item != NULL; item = next) {
		next = item->hh.next;
		count += item->is_waiting;
	}
	return count;
}
