/* How long a node rests after its pod failed (C-4, L-3, L-4): 1 s doubling to 15 min, by set UID, generation and node.  Pure: the clock is an argument. */
#ifndef DRAVE_CONTROLLER_RETRY_TABLE_H
#define DRAVE_CONTROLLER_RETRY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS (15 * 60 * 1000)

struct retry_table;

struct retry_table *retry_table_new(void);
void retry_table_free(struct retry_table *table);
/* Milliseconds until the entry's rest is over; 0 = none or over (exactly at its end it is over).  Does not change it. */
int64_t retry_table_rest(const struct retry_table *table, const char *uid, int64_t generation, const char *node, int64_t now_ms);
/* A pod failed again: doubles the rest, from now on; begins anew if the last failure is more than 2 x RETRY_MAX_MS ago. */
void retry_table_failed(struct retry_table *table, const char *uid, int64_t generation, const char *node, int64_t now_ms);
/* Forgets what is older than 2 x RETRY_MAX_MS; once a minute. */
void retry_table_collect(struct retry_table *table, int64_t now_ms);
size_t retry_table_count(const struct retry_table *table);

#endif
