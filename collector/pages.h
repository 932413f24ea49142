/* What the collector shows: /metrics, /livez, /readyz, /status, /streams and a page for people at /. */
#ifndef DRAVE_COLLECTOR_PAGES_H
#define DRAVE_COLLECTOR_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/checkpoint.h"
#include "collector/follower.h"
#include "collector/metadata_feed.h"
#include "collector/roster.h"
#include "common/admin.h"
#include "common/metric.h"

/* Filled and kept true by the collector. */
struct pages {
	const char *state;         /* "standby", "running", "draining" */
	bool is_ready;
	const char *node_name;
	uint64_t started_ms;
	struct metric_table *metrics;
	struct follower *follower;     /* NULL while standing by, as the next */
	struct checkpoint *checkpoint;
	const struct metadata_feed *feed; /* also NULL where no metadata are asked for */
	const struct roster *roster;
	bool last_reload_worked;
	uint64_t reload_count, refused_reload_count;
	double last_reload_time;       /* seconds since 1970 */
};

/* For admin_open, with the struct pages as its arg. */
extern const struct admin_page pages_table[];
/* Brings all gauges of the program up to date; admin calls it through the metric table before each exposition. */
void pages_measure(void *pages);
void pages_write_status(struct pages *pages, struct buf *out);

#endif
