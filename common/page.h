/* What the pages of both programs have in common. */
#ifndef DRAVE_COMMON_PAGE_H
#define DRAVE_COMMON_PAGE_H

#include "common/buf.h"
#include "common/metric.h"

/* The page for people up to its first table: title, style, version and state. */
void page_begin(struct buf *body, const char *program, const char *state);
/* drave_build_info. */
void page_measure_build(struct metric_table *table);

#endif
