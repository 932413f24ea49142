/* Report.  A status is written when it says something new, once a second, or at once if it begins a new
 * phase: another generation, another reason, an end.  While a thousand pods come up, their counting would
 * else cost more calls than their making.
 *
 * Between two bursts of creates it is put off: the next burst would wait for its answer and for the watch to
 * show it, 1.6 s of the 8 s that 500 pods took on a busy API server.  Pure. */
#include "config.h"
#include "controller/report.h"

#include <stdio.h>
#include <string.h>

void report_add_failure(
    const struct report *report, const struct set_status *before, int64_t now_ms, struct set_status *status)
{
	struct condition *condition = &status->progressing_condition;

	if (!report->creation_failed)
		return;
	condition->since_ms = before->progressing_condition.status == CONDITION_FALSE &&
				      before->progressing_condition.since_ms != 0
				  ? before->progressing_condition.since_ms
				  : now_ms;
	condition->status = CONDITION_FALSE;
	condition->reason = "CreationFailed";
	condition->observed_generation = status->observed_generation;
	(void)snprintf(condition->message, sizeof condition->message, "%s", report->creation_failure);
}

static bool is_same_phase(const struct condition *a, const struct condition *b)
{
	return a->status == b->status &&
	       strcmp(a->reason != NULL ? a->reason : "", b->reason != NULL ? b->reason : "") == 0;
}

int64_t report_due(const struct report *report, const struct set_status *before,
    const struct set_status *status, int64_t now_ms)
{
	int64_t interval_ms =
	    status->desired > REPORT_LARGE_NODES ? REPORT_INTERVAL_LARGE_MS : REPORT_INTERVAL_MS;
	int64_t age_ms = now_ms - report->written_ms;

	if (set_status_equal(before, status))
		return -1;
	if (!report->was_written || age_ms >= interval_ms ||
	    before->observed_generation != status->observed_generation ||
	    before->collision_count != status->collision_count ||
	    !is_same_phase(&before->available_condition, &status->available_condition) ||
	    !is_same_phase(&before->progressing_condition, &status->progressing_condition))
		return 0;
	return interval_ms - age_ms;
}

bool report_is_put_off(struct report *report, bool wants_more, int64_t now_ms)
{
	if (wants_more && report->bursts_since_ms == 0)
		report->bursts_since_ms = now_ms;
	else if (!wants_more || now_ms - report->bursts_since_ms >= REPORT_BURSTS_MS)
		report->bursts_since_ms = 0;
	return report->bursts_since_ms != 0;
}
