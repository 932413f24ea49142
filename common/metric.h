/* Counters, gauges and histograms, written as Prometheus text (exposition format 0.0.4).
 *
 * A family is a static description; a metric is one member with its label values.  Hot code keeps a pointer to the metric's
 * value and adds to it; nothing is looked up.  All on the loop thread. */
#ifndef DRAVE_COMMON_METRIC_H
#define DRAVE_COMMON_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
	const char *name; /* "drave_output_records_total" */
	const char *help;
	enum metric_kind kind;
	const char *labels;          /* names, comma separated, in the order of the values: "output,reason"; "" for none */
	const double *bounds;        /* histograms: upper bounds, ascending, without +Inf */
	size_t bound_count;
};

struct metric;       /* one member: a number, or a histogram */
struct metric_table; /* all that one program shows */

struct metric_table *metric_table_new(void);
void metric_table_free(struct metric_table *table);

/* The member of family with these label values (as many strings as the family has label names; copied), made at 0 if new.
 * Valid until metric_remove, metric_forget or metric_table_free. */
struct metric *metric_get(struct metric_table *table, const struct metric_family *family, ...);
/* Forgets all members, in all families, whose label `name` has this value (an output that was removed). */
void metric_remove(struct metric_table *table, const char *label_name, const char *label_value);
/* Forgets one member. */
void metric_forget(struct metric_table *table, struct metric *metric);

void metric_add(struct metric *metric, uint64_t amount); /* counters */
/* A counter that someone else keeps: brings ours up to it (never down). */
void metric_follow(struct metric *metric, uint64_t value);
void metric_set(struct metric *metric, double value);    /* gauges */
void metric_observe(struct metric *metric, double value, uint64_t times);
double metric_value(const struct metric *metric); /* counters and gauges; the count of a histogram */

/* Runs just before each exposition: gauges that are cheaper to compute than to keep. */
void metric_table_on_scrape(struct metric_table *table, void (*refresh)(void *arg), void *arg);
/* The exposition text: families in order of first use, HELP and TYPE once each, label values escaped. */
void metric_write(struct metric_table *table, struct buf *out);
/* Adds the standard process_* families (cpu, resident memory, fds, start time) to the exposition. */
void metric_write_process(struct buf *out);

#endif
