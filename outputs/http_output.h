/* HTTP output: what its tests look at. */
#ifndef DRAVE_OUTPUTS_HTTP_OUTPUT_H
#define DRAVE_OUTPUTS_HTTP_OUTPUT_H

#include "outputs/output.h"

/* The answer that an HTTP status stands for; 0 = no complete answer came.  Pure. */
struct answer http_verdict(int status);

#endif
