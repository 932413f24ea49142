/* Gaps: what the checkpoint knows and the first look did not find. */
#ifndef DRAVE_COLLECTOR_GAPS_H
#define DRAVE_COLLECTOR_GAPS_H

#include "collector/checkpoint.h"
#include "collector/metadata_feed.h"
#include "collector/roster.h"

/* After the first look over everything: counts what is missing, per output in bytes (at least) and once per
 * file, and says so in the log.  feed: NULL if there is none. */
void gaps_count(struct checkpoint *checkpoint, const struct roster *roster, const struct metadata_feed *feed);

#endif
