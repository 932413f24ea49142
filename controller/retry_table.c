/* Retry table.  A node whose pod failed rests before it gets the next one, longer each time.  The rest is
 * part of the key's entry and does not grow while it is waited for: only another failure makes it longer
 * (L-4).  Pure. */
#include "config.h"

#include "controller/retry_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"
#include "common/table.h"

struct entry {
	char *key;
	int64_t rest_ms;
	int64_t failed_ms; /* when it failed last */
	UT_hash_handle hh;
};

struct retry_table {
	struct entry *entries;
};

static char *key_of(const char *uid, int64_t generation, const char *node)
{
	return xasprintf("%s/%" PRId64 "/%s", uid, generation, node);
}

static struct entry *find(const struct retry_table *table, const char *key)
{
	struct entry *entry;

	HASH_FIND_STR(table->entries, key, entry);
	return entry;
}

static bool is_stale(const struct entry *entry, int64_t now_ms)
{
	return now_ms - entry->failed_ms > 2 * (int64_t)RETRY_MAX_MS;
}

static void drop(struct retry_table *table, struct entry *entry)
{
	HASH_DEL(table->entries, entry);
	free(entry->key);
	free(entry);
}

struct retry_table *retry_table_new(void)
{
	struct retry_table *table = x_new(table);

	return table;
}

void retry_table_free(struct retry_table *table)
{
	struct entry *entry, *next;

	if (table == NULL)
		return;
	HASH_ITER (hh, table->entries, entry, next)
		drop(table, entry);
	free(table);
}

int64_t retry_table_rest(
    const struct retry_table *table, const char *uid, int64_t generation, const char *node, int64_t now_ms)
{
	char *key = key_of(uid, generation, node);
	const struct entry *entry = find(table, key);
	int64_t rest_ms = 0;

	if (entry != NULL && !is_stale(entry, now_ms) && now_ms - entry->failed_ms < entry->rest_ms)
		rest_ms = entry->rest_ms - (now_ms - entry->failed_ms);
	free(key);
	return rest_ms;
}

void retry_table_failed(
    struct retry_table *table, const char *uid, int64_t generation, const char *node, int64_t now_ms)
{
	char *key = key_of(uid, generation, node);
	struct entry *entry = find(table, key);

	if (entry == NULL) {
		entry = x_new(entry);
		entry->key = key;
		HASH_ADD_KEYPTR(hh, table->entries, entry->key, strlen(entry->key), entry);
	} else {
		free(key);
		if (is_stale(entry, now_ms))
			entry->rest_ms = 0;
	}
	entry->rest_ms = entry->rest_ms == 0                 ? RETRY_MIN_MS
			 : 2 * entry->rest_ms < RETRY_MAX_MS ? 2 * entry->rest_ms
							     : RETRY_MAX_MS;
	entry->failed_ms = now_ms;
}

void retry_table_collect(struct retry_table *table, int64_t now_ms)
{
	struct entry *entry, *next;

	HASH_ITER (hh, table->entries, entry, next)
		if (is_stale(entry, now_ms))
			drop(table, entry);
}

size_t retry_table_count(const struct retry_table *table)
{
	return HASH_COUNT(table->entries);
}
