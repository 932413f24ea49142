/* What the metadata feed shows of itself: metrics, /status, /streams. */
#ifndef DRAVE_COLLECTOR_METADATA_REPORT_H
#define DRAVE_COLLECTOR_METADATA_REPORT_H

#include <stdbool.h>

#include "collector/metadata_feed.h"
#include "common/buf.h"
#include "common/metric.h"

void metadata_report_measure(const struct metadata_feed *feed, struct metric_table *metrics);
/* One JSON object. */
void metadata_report_status(const struct metadata_feed *feed, struct buf *out);
/* A row for each excluded container, each followed by a comma unless it is the first (*first is kept by the
 * caller). */
void metadata_report_streams(const struct metadata_feed *feed, struct buf *out, bool *first);

#endif
