#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/metric.h"
#include "tests/unit/unit.h"

static const struct metric_family records = {
    .name = "drave_output_records_total",
    .help = "Records that the other end acknowledged.",
    .kind = METRIC_COUNTER,
    .labels = "output,reason",
};
static const struct metric_family lag = {
    .name = "drave_input_lag_bytes", .help = "Bytes\\not read\nyet.", .kind = METRIC_GAUGE, .labels = ""};
static const double bounds[] = {0.1, 1, 2.5};
static const struct metric_family latency = {
    .name = "drave_delivery_latency_seconds",
    .help = "From the log's time to the acknowledgement.",
    .kind = METRIC_HISTOGRAM,
    .labels = "output",
    .bounds = bounds,
    .bound_count = 3,
};

static struct metric_table *table;
static struct buf text;

static const char *exposition(void)
{
	buf_clear(&text);
	metric_write(table, &text);
	return buf_text(&text);
}

static void begin(void)
{
	table = metric_table_new();
	buf_init(&text, 1 << 20);
}

static void end(void)
{
	metric_table_free(table);
	buf_release(&text);
}

START_TEST(an_empty_table_writes_nothing)
{
	begin();
	ck_assert_str_eq(exposition(), "");
	end();
	metric_table_free(NULL);
}
END_TEST

START_TEST(the_same_labels_are_the_same_member)
{
	struct metric *first;

	begin();
	first = metric_get(table, &records, "main", "acked");
	ck_assert_ptr_eq(metric_get(table, &records, "main", "acked"), first);
	ck_assert_ptr_ne(metric_get(table, &records, "main", "lost"), first);
	metric_add(first, 3);
	metric_add(first, UINT64_MAX - 3);
	ck_assert_str_eq(exposition(),
	    "# HELP drave_output_records_total Records that the other end acknowledged.\n"
	    "# TYPE drave_output_records_total counter\n"
	    "drave_output_records_total{output=\"main\",reason=\"acked\"} 18446744073709551615\n"
	    "drave_output_records_total{output=\"main\",reason=\"lost\"} 0\n");
	end();
}
END_TEST

START_TEST(a_counter_that_follows_another_never_goes_back)
{
	static const struct metric_family events = {.name = "drave_events_total", .help = "Events.", .kind = METRIC_COUNTER, .labels = ""};
	struct metric *metric;

	begin();
	metric = metric_get(table, &events);
	metric_follow(metric, 7);
	ck_assert_double_eq(metric_value(metric), 7);
	metric_follow(metric, 5);
	ck_assert_double_eq(metric_value(metric), 7);
	metric_follow(metric, 9);
	ck_assert_double_eq(metric_value(metric), 9);
	end();
}
END_TEST

START_TEST(label_values_and_help_are_escaped)
{
	begin();
	metric_get(table, &records, "a\"b\\c\nd", "");
	metric_get(table, &lag);
	ck_assert_ptr_nonnull(strstr(exposition(), "{output=\"a\\\"b\\\\c\\nd\",reason=\"\"} 0\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_text(&text), "# HELP drave_input_lag_bytes Bytes\\\\not read\\nyet.\n"));
	end();
}
END_TEST

START_TEST(gauges_are_written_shortest_and_exact)
{
	static const struct {
		double value;
		const char *text;
	} rows[] = {{0, "0"}, {1.5, "1.5"}, {0.1, "0.1"}, {1e15, "1e+15"}, {123456789012, "123456789012"},
	    {0.1 + 0.2, "0.30000000000000004"}, {-3, "-3"}, {INFINITY, "+Inf"}, {-INFINITY, "-Inf"},
	    {NAN, "NaN"}};
	struct metric *metric;

	begin();
	metric = metric_get(table, &lag);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char line[100];

		metric_set(metric, rows[i].value);
		snprintf(line, sizeof line, "\ndrave_input_lag_bytes %s\n", rows[i].text);
		ck_assert_msg(strstr(exposition(), line) != NULL, "no %s in %s", line, buf_text(&text));
	}
	end();
}
END_TEST

START_TEST(histograms_are_cumulative_and_bounds_belong_below)
{
	struct metric *metric;

	begin();
	metric = metric_get(table, &latency, "main");
	metric_observe(metric, 0.1, 2);
	metric_observe(metric, 0.25, 1);
	metric_observe(metric, 100, 4);
	ck_assert_str_eq(strchr(strchr(exposition(), '\n') + 1, '\n') + 1,
	    "drave_delivery_latency_seconds_bucket{output=\"main\",le=\"0.1\"} 2\n"
	    "drave_delivery_latency_seconds_bucket{output=\"main\",le=\"1\"} 3\n"
	    "drave_delivery_latency_seconds_bucket{output=\"main\",le=\"2.5\"} 3\n"
	    "drave_delivery_latency_seconds_bucket{output=\"main\",le=\"+Inf\"} 7\n"
	    "drave_delivery_latency_seconds_sum{output=\"main\"} 400.45\n"
	    "drave_delivery_latency_seconds_count{output=\"main\"} 7\n");
	ck_assert_double_eq(metric_value(metric), 7);
	end();
}
END_TEST

START_TEST(a_removed_output_leaves_no_trace)
{
	begin();
	metric_get(table, &records, "main", "acked");
	metric_get(table, &records, "old", "acked");
	metric_get(table, &records, "old", "lost");
	metric_get(table, &latency, "old");
	metric_get(table, &lag);
	metric_remove(table, "output", "old");
	ck_assert_ptr_null(strstr(exposition(), "old"));
	ck_assert_ptr_null(strstr(buf_text(&text), "latency"));
	ck_assert_ptr_nonnull(strstr(buf_text(&text), "main"));
	ck_assert_ptr_nonnull(strstr(buf_text(&text), "drave_input_lag_bytes 0"));
	metric_remove(table, "reason", "acked");
	metric_remove(table, "out", "main");
	ck_assert_ptr_null(strstr(exposition(), "main"));
	metric_add(metric_get(table, &records, "old", "lost"), 1);
	ck_assert_ptr_nonnull(strstr(exposition(), "{output=\"old\",reason=\"lost\"} 1\n"));
	end();
}
END_TEST

static void refresh(void *arg)
{
	metric_set(arg, metric_value(arg) + 1);
}

START_TEST(gauges_are_refreshed_before_each_exposition)
{
	begin();
	metric_table_on_scrape(table, refresh, metric_get(table, &lag));
	(void)exposition();
	ck_assert_ptr_nonnull(strstr(exposition(), "drave_input_lag_bytes 2\n"));
	end();
}
END_TEST

static double value_of(const char *name)
{
	const char *line = strstr(buf_text(&text), name);

	while (line != NULL && line != text.data && line[-1] != '\n')
		line = strstr(line + 1, name);
	ck_assert_ptr_nonnull(line);
	return strtod(line + strlen(name), NULL);
}

START_TEST(the_process_tells_about_itself)
{
	struct timespec now;
	double open_before;

	begin();
	metric_write_process(&text);
	clock_gettime(CLOCK_REALTIME, &now);
	ck_assert_double_gt(value_of("process_resident_memory_bytes "), 100e3);
	ck_assert_double_gt(
	    value_of("process_virtual_memory_bytes "), value_of("process_resident_memory_bytes "));
	ck_assert_double_le(fabs(value_of("process_start_time_seconds ") - (double)now.tv_sec), 120);
	ck_assert_double_ge(value_of("process_max_fds "), 3);
	open_before = value_of("process_open_fds ");
	int fd = dup(0);
	buf_clear(&text);
	metric_write_process(&text);
	ck_assert_double_eq(value_of("process_open_fds "), open_before + 1);
	(void)close(fd);
	end();
}
END_TEST

/* The reader that everybody will use judges the text, where it is installed. */
START_TEST(promtool_finds_nothing_to_say)
{
	FILE *promtool;

	if (system("command -v promtool >/dev/null") != 0)
		return;
	begin();
	metric_add(metric_get(table, &records, "main \"\\\n \xc3\xa9", "acked"), 1);
	metric_set(metric_get(table, &lag), NAN);
	metric_observe(metric_get(table, &latency, "main"), 0.5, 1);
	metric_get(table, &latency, "other");
	(void)exposition();
	metric_write_process(&text);
	promtool = popen("promtool check metrics", "w");
	ck_assert_ptr_nonnull(promtool);
	ck_assert_uint_eq(fwrite(text.data, 1, text.len, promtool), text.len);
	ck_assert_int_eq(pclose(promtool), 0);
	end();
}
END_TEST

UNIT_MAIN("metric", an_empty_table_writes_nothing, the_same_labels_are_the_same_member,
    a_counter_that_follows_another_never_goes_back, label_values_and_help_are_escaped, gauges_are_written_shortest_and_exact,
    histograms_are_cumulative_and_bounds_belong_below, a_removed_output_leaves_no_trace,
    gauges_are_refreshed_before_each_exposition, the_process_tells_about_itself,
    promtool_finds_nothing_to_say)
