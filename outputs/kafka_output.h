/* What tests may see of the Kafka output beyond its operations. */
#ifndef DRAVE_OUTPUTS_KAFKA_OUTPUT_H
#define DRAVE_OUTPUTS_KAFKA_OUTPUT_H

#include <librdkafka/rdkafka.h>

#include "outputs/output.h"

/* The producer's handle, to make it fail; NULL while none is up. */
rd_kafka_t *kafka_output_handle(const struct output *output);

#endif
