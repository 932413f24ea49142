/* The table of wire formats.  Words that are reserved for later stand behind those that exist, so that they
 * can be refused by name. */
#include "config.h"
#include "outputs/format.h"

#include "common/must.h"

const char *const format_words[] = {"ndjson", "json_array", "elasticsearch", "loki", "otlp", "splunk",
    "victorialogs", "clickhouse", "datadog", NULL};

const struct format *format_by_index(int index)
{
	static const struct format *const formats[] = {&format_ndjson, &format_json_array};

	must(index >= 0 && (size_t)index < sizeof formats / sizeof formats[0]);
	return formats[index];
}
