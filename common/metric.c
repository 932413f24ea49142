/* What the programs count, as Prometheus text (exposition format 0.0.4).
 *
 * A table holds families in the order of their first use, a family its members in the order of theirs.
 * Members are found by their label values once, when whoever counts is set up; after that a count is one
 * addition.  The text is written anew at each scrape.  All on the loop thread.  Knows neither HTTP nor what
 * the numbers mean. */
#include "config.h"
#include "common/metric.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/must.h"

#define LABELS_MAX  8
#define NUMBER_TEXT 40

struct metric {
	const struct metric_family *family;
	char *values[LABELS_MAX]; /* owned; in the order of the family's labels */
	size_t value_count;
	uint64_t count;    /* counter; observations of a histogram */
	double number;     /* gauge; sum of a histogram */
	uint64_t *buckets; /* owned; histograms: observations up to bounds[i] and above bounds[i - 1] */
	struct metric *next;
};

/* One family as the table holds it. */
struct shelf {
	const struct metric_family *family;
	struct metric *members;
	struct shelf *next;
};

struct metric_table {
	struct shelf *shelves;
	void (*refresh)(void *arg);
	void *refresh_arg;
};

/* ---- members -------------------------------------------------------------------------------- */

static size_t label_count(const struct metric_family *family)
{
	size_t count = family->labels[0] != '\0';

	for (const char *c = family->labels; *c != '\0'; c++)
		count += *c == ',';
	must(count <= LABELS_MAX);
	return count;
}

static void metric_free(struct metric *metric)
{
	for (size_t i = 0; i < metric->value_count; i++)
		free(metric->values[i]);
	free(metric->buckets);
	free(metric);
}

struct metric_table *metric_table_new(void)
{
	struct metric_table *table = x_new(table);

	return table;
}

void metric_table_free(struct metric_table *table)
{
	if (table == NULL)
		return;
	for (struct shelf *shelf = table->shelves; shelf != NULL;) {
		struct shelf *gone = shelf;

		for (struct metric *metric = shelf->members; metric != NULL;) {
			struct metric *next = metric->next;

			metric_free(metric);
			metric = next;
		}
		shelf = shelf->next;
		free(gone);
	}
	free(table);
}

static struct shelf *shelf_of(struct metric_table *table, const struct metric_family *family)
{
	struct shelf **at = &table->shelves;

	for (; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->family->name, family->name) != 0)
			continue;
		must((*at)->family->kind == family->kind); /* one name, one meaning */
		must(strcmp((*at)->family->labels, family->labels) == 0);
		return *at;
	}
	*at = x_new(*at);
	(*at)->family = family;
	return *at;
}

static bool has_values(const struct metric *metric, const char *const *values)
{
	for (size_t i = 0; i < metric->value_count; i++) {
		if (strcmp(metric->values[i], values[i]) != 0)
			return false;
	}
	return true;
}

static struct metric *metric_new(
    const struct metric_family *family, const char *const *values, size_t value_count)
{
	struct metric *metric = x_new(metric);

	metric->family = family;
	metric->value_count = value_count;
	for (size_t i = 0; i < value_count; i++)
		metric->values[i] = xstrdup(values[i]);
	if (family->kind == METRIC_HISTOGRAM)
		metric->buckets = xcalloc(family->bound_count, sizeof metric->buckets[0]);
	return metric;
}

struct metric *metric_get(struct metric_table *table, const struct metric_family *family, ...)
{
	const char *values[LABELS_MAX];
	size_t value_count = label_count(family);
	struct metric **at = &shelf_of(table, family)->members;
	va_list args;

	va_start(args, family);
	for (size_t i = 0; i < value_count; i++) {
		values[i] = va_arg(args, const char *);
		must(values[i] != NULL);
	}
	va_end(args);
	for (; *at != NULL; at = &(*at)->next) {
		if (has_values(*at, values))
			return *at;
	}
	*at = metric_new(family, values, value_count);
	return *at;
}

/* The place of a label in the family's list, or -1. */
static int label_index(const struct metric_family *family, const char *name)
{
	size_t name_len = strlen(name);
	int index = 0;

	for (const char *label = family->labels; *label != '\0'; index++) {
		size_t len = strcspn(label, ",");

		if (len == name_len && memcmp(label, name, len) == 0)
			return index;
		label += len + (label[len] == ',');
	}
	return -1;
}

void metric_remove(struct metric_table *table, const char *label_name, const char *label_value)
{
	for (struct shelf *shelf = table->shelves; shelf != NULL; shelf = shelf->next) {
		int index = label_index(shelf->family, label_name);
		struct metric **at = &shelf->members;

		while (index >= 0 && *at != NULL) {
			struct metric *metric = *at;

			if (strcmp(metric->values[index], label_value) != 0) {
				at = &metric->next;
				continue;
			}
			*at = metric->next;
			metric_free(metric);
		}
	}
}

void metric_forget(struct metric_table *table, struct metric *metric)
{
	struct metric **at = &shelf_of(table, metric->family)->members;

	for (; *at != metric; at = &(*at)->next)
		must(*at != NULL);
	*at = metric->next;
	metric_free(metric);
}

/* ---- counting ------------------------------------------------------------------------------- */

void metric_add(struct metric *metric, uint64_t amount)
{
	must(metric->family->kind == METRIC_COUNTER);
	metric->count += amount;
}

void metric_follow(struct metric *metric, uint64_t value)
{
	must(metric->family->kind == METRIC_COUNTER);
	if (value > metric->count)
		metric->count = value;
}

void metric_set(struct metric *metric, double value)
{
	must(metric->family->kind == METRIC_GAUGE);
	metric->number = value;
}

void metric_observe(struct metric *metric, double value, uint64_t times)
{
	const struct metric_family *family = metric->family;
	size_t i = 0;

	must(family->kind == METRIC_HISTOGRAM);
	must(!isnan(value));
	while (i < family->bound_count && value > family->bounds[i])
		i++;
	if (i < family->bound_count)
		metric->buckets[i] += times;
	metric->count += times;
	metric->number += value * (double)times;
}

double metric_value(const struct metric *metric)
{
	return metric->family->kind == METRIC_GAUGE ? metric->number : (double)metric->count;
}

void metric_table_on_scrape(struct metric_table *table, void (*refresh)(void *arg), void *arg)
{
	table->refresh = refresh;
	table->refresh_arg = arg;
}

/* ---- the text ------------------------------------------------------------------------------- */

/* The shortest text that reads back as the same number. */
static const char *number_text(char out[NUMBER_TEXT], double number)
{
	if (isnan(number))
		return "NaN";
	if (isinf(number))
		return number > 0 ? "+Inf" : "-Inf";
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, NUMBER_TEXT, "%.*g", digits, number);
		if (strtod(out, NULL) == number)
			break;
	}
	return out;
}

/* Backslash and newline are escaped, in label values the quote too. */
static void add_escaped(struct buf *out, const char *text, bool in_quotes)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_add_text(out, "\\n");
		else if (*text == '\\' || (in_quotes && *text == '"'))
			buf_printf(out, "\\%c", *text);
		else
			buf_add(out, text, 1);
	}
}

static void add_head(struct buf *out, const struct metric_family *family)
{
	static const char *const kinds[] = {
	    [METRIC_COUNTER] = "counter",
	    [METRIC_GAUGE] = "gauge",
	    [METRIC_HISTOGRAM] = "histogram",
	};

	buf_printf(out, "# HELP %s ", family->name);
	add_escaped(out, family->help, false);
	buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
}

/* name{label="value",...} and a blank; `bound` is the le of a histogram's bucket, or NULL. */
static void add_name(struct buf *out, const struct metric *metric, const char *suffix, const char *bound)
{
	const char *label = metric->family->labels;

	buf_printf(out, "%s%s", metric->family->name, suffix);
	for (size_t i = 0; i < metric->value_count; i++) {
		size_t len = strcspn(label, ",");

		buf_printf(out, "%s%.*s=\"", i == 0 ? "{" : ",", (int)len, label);
		add_escaped(out, metric->values[i], true);
		buf_add_text(out, "\"");
		label += len + 1;
	}
	if (bound != NULL)
		buf_printf(out, "%sle=\"%s\"", metric->value_count == 0 ? "{" : ",", bound);
	buf_add_text(out, metric->value_count > 0 || bound != NULL ? "} " : " ");
}

static void add_histogram(struct buf *out, const struct metric *metric)
{
	const struct metric_family *family = metric->family;
	char number[NUMBER_TEXT];
	uint64_t so_far = 0;

	for (size_t i = 0; i < family->bound_count; i++) {
		so_far += metric->buckets[i];
		add_name(out, metric, "_bucket", number_text(number, family->bounds[i]));
		buf_printf(out, "%" PRIu64 "\n", so_far);
	}
	add_name(out, metric, "_bucket", "+Inf");
	buf_printf(out, "%" PRIu64 "\n", metric->count);
	add_name(out, metric, "_sum", NULL);
	buf_printf(out, "%s\n", number_text(number, metric->number));
	add_name(out, metric, "_count", NULL);
	buf_printf(out, "%" PRIu64 "\n", metric->count);
}

static void add_member(struct buf *out, const struct metric *metric)
{
	char number[NUMBER_TEXT];

	switch (metric->family->kind) {
	case METRIC_COUNTER:
		add_name(out, metric, "", NULL);
		buf_printf(out, "%" PRIu64 "\n", metric->count);
		break;
	case METRIC_GAUGE:
		add_name(out, metric, "", NULL);
		buf_printf(out, "%s\n", number_text(number, metric->number));
		break;
	case METRIC_HISTOGRAM: add_histogram(out, metric); break;
	}
}

void metric_write(struct metric_table *table, struct buf *out)
{
	if (table->refresh != NULL)
		table->refresh(table->refresh_arg);
	for (const struct shelf *shelf = table->shelves; shelf != NULL; shelf = shelf->next) {
		if (shelf->members != NULL)
			add_head(out, shelf->family);
		for (const struct metric *metric = shelf->members; metric != NULL; metric = metric->next)
			add_member(out, metric);
	}
}

/* ---- the process itself --------------------------------------------------------------------- */

static void add_process(
    struct buf *out, const char *name, const char *help, enum metric_kind kind, double value)
{
	const struct metric_family family = {.name = name, .help = help, .kind = kind, .labels = ""};
	char number[NUMBER_TEXT];

	add_head(out, &family);
	buf_printf(out, "%s %s\n", name, number_text(number, value));
}

static double cpu_seconds(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_SELF, &usage) == 0);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Reads a small file of /proc; an empty text if it cannot be read. */
static void read_proc(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd == -1 ? -1 : file_pread(fd, text, size - 1, 0);

	if (fd != -1)
		(void)close(fd); /* read only */
	text[got > 0 ? got : 0] = '\0';
}

static double open_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	double count = -3; /* ".", ".." and the descriptor of this very look */

	if (fds == NULL)
		return 0;
	while (readdir(fds) != NULL)
		count++;
	closedir(fds);
	return count;
}

/* Field 22 of /proc/self/stat: ticks since boot; the name in field 2 may have blanks, so fields count from
 * its ")". */
static double start_seconds(void)
{
	char stat[1024];
	const char *at;
	unsigned long long ticks = 0;
	struct timespec boot, wall;

	read_proc("/proc/self/stat", stat, sizeof stat);
	at = strrchr(stat, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at != NULL)
		ticks = strtoull(at, NULL, 10);
	must(clock_gettime(CLOCK_BOOTTIME, &boot) == 0);
	must(clock_gettime(CLOCK_REALTIME, &wall) == 0);
	return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void metric_write_process(struct buf *out)
{
	static double started; /* computed once: it must stand still when the wall clock is set */
	unsigned long long pages = 0, resident_pages = 0;
	double page_bytes = (double)sysconf(_SC_PAGESIZE);
	struct rlimit limit;
	char statm[256];

	read_proc("/proc/self/statm", statm, sizeof statm);
	(void)sscanf(statm, "%llu %llu", &pages, &resident_pages); /* zeros if /proc is not there */
	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (started == 0)
		started = start_seconds();
	add_process(out, "process_cpu_seconds_total", "User and system time spent, in seconds.",
	    METRIC_COUNTER, cpu_seconds());
	add_process(out, "process_resident_memory_bytes", "Resident memory.", METRIC_GAUGE,
	    (double)resident_pages * page_bytes);
	add_process(
	    out, "process_virtual_memory_bytes", "Virtual memory.", METRIC_GAUGE, (double)pages * page_bytes);
	add_process(out, "process_open_fds", "Open file descriptors.", METRIC_GAUGE, open_fds());
	add_process(
	    out, "process_max_fds", "Limit of open file descriptors.", METRIC_GAUGE, (double)limit.rlim_cur);
	add_process(out, "process_start_time_seconds", "Start of the process, seconds since 1970.",
	    METRIC_GAUGE, started);
}
