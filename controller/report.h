/* What of a set's new status is worth a write, and when (S-9, S-12, 1.17).  Pure: the clock is an argument.
 */
#ifndef DRAVE_CONTROLLER_REPORT_H
#define DRAVE_CONTROLLER_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/collector_set.h"

#define REPORT_INTERVAL_MS       1000
#define REPORT_INTERVAL_LARGE_MS 10000 /* of sets on more than so many nodes: */
#define REPORT_LARGE_NODES       5000
#define REPORT_BURSTS_MS         5000

struct report {
	bool was_written;
	int64_t written_ms; /* monotonic */
	int64_t bursts_since_ms; /* reports of cut-off bursts have been put off since then; 0 = none was */
	bool creation_failed;
	char creation_failure[256]; /* the server's words */
};

/* Why pods cannot be created, in the Progressing condition (reason CreationFailed); nothing if they can.
 * now_ms: wall clock. */
void report_add_failure(
    const struct report *report, const struct set_status *before, int64_t now_ms, struct set_status *status);
/* Milliseconds until status may be written over before: 0 = now; -1 = it says nothing new. */
int64_t report_due(const struct report *report, const struct set_status *before,
    const struct set_status *status, int64_t now_ms);
/* Is the report of this sync left to the next one, which follows at once (wants_more: a burst cut off what was
 * wanted)?  For REPORT_BURSTS_MS at most. */
bool report_is_put_off(struct report *report, bool wants_more, int64_t now_ms);

#endif
