/* Named fault points: places where a test build can be told to fail, drop or die.
 *
 *   if (FAULT("checkpoint.commit")) return -EIO;
 *
 * Compiled in by --enable-faults only; otherwise the condition is the constant false.  The variable DRAVE_FAULT says which
 * reach strikes:  DRAVE_FAULT=checkpoint.commit:3  (the third), name:3+ (the third and all later), name:p0.01 (each with chance
 * 0.01, seeded by DRAVE_FAULT_SEED), several by comma.  DRAVE_FAULT=name:3!kill ends the process by SIGKILL there.  A specification that cannot be
 * read ends it at once. */
#ifndef DRAVE_COMMON_FAULT_H
#define DRAVE_COMMON_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef DRAVE_FAULTS
bool fault_strikes(const char *name);
/* Tests: sets the points as DRAVE_FAULT would and starts counting anew; false if the text is none. */
bool fault_setup(const char *specification, uint64_t seed);
#define FAULT(name) fault_strikes(name)
#else
#define FAULT(name) false
#endif

#endif
