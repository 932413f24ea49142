/* The little that is the same wherever one of our programs is looked at.  Owns nothing. */
#include "config.h"
#include "common/page.h"

static const struct metric_family family_build = {
    "drave_build_info", "Always 1; what this program is.", METRIC_GAUGE, "version,revision", NULL, 0};

void page_begin(struct buf *body, const char *program, const char *state)
{
	buf_printf(body,
	    "<!doctype html><meta charset=utf-8><title>%s</title>\n"
	    "<style>body{font:15px sans-serif;margin:2em}td,th{padding:.2em "
	    ".8em;text-align:left}.n{text-align:right}</style>\n"
	    "<h1>%s %s</h1><p>State: %s.</p>\n",
	    program, program, PACKAGE_VERSION, state);
}

void page_measure_build(struct metric_table *table)
{
	metric_set(metric_get(table, &family_build, PACKAGE_VERSION, DRAVE_REVISION), 1);
}
