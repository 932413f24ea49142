/* Words of a record that are the same in every format. */
#include "config.h"
#include "outputs/record.h"

#include "common/must.h"

const char *record_stream_name(enum record_stream stream)
{
	static const char *const names[] = {
	    [RECORD_STDOUT] = "stdout", [RECORD_STDERR] = "stderr", [RECORD_UNKNOWN] = "unknown"};

	must((unsigned)stream < sizeof names / sizeof names[0]);
	return names[stream];
}
