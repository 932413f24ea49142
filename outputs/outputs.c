/* The table of outputs. */
#include "config.h"
#include "outputs/output.h"

#include "common/must.h"

const struct metric_family output_wire_bytes = {
	"drave_output_wire_bytes_total", "Bytes that went out, compressed and with the protocol's heads.", METRIC_COUNTER, "output", NULL, 0};

const char *const output_words[] = {"kafka", "http", "stdout", "null", NULL};

const struct output_ops *output_by_index(int index)
{
	static const struct output_ops *const outputs[] = {&output_kafka, &output_http, &output_stdout, &output_null};

	must(index >= 0 && (size_t)index < sizeof outputs / sizeof outputs[0]);
	return outputs[index];
}
