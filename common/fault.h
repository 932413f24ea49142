/* Named fault points: places where a test build can be told to fail, drop or die.
 *
 *   if (FAULT("checkpoint.commit")) return -EIO;
 *
 * Compiled in by --enable-faults only; otherwise the condition is the constant false.  The variable DRAVE_FAULT says which
 * reach strikes:  DRAVE_FAULT=checkpoint.commit:3  (the third), name:3+ (the third and all later), name:p0.01 (each with chance
 * 0.01, seeded by DRAVE_FAULT_SEED), several by comma.  DRAVE_FAULT=name:3!kill ends the process by SIGKILL there. */
#ifndef DRAVE_COMMON_FAULT_H
#define DRAVE_COMMON_FAULT_H

#include <stdbool.h>

#ifdef DRAVE_FAULTS
bool fault_strikes(const char *name);
#define FAULT(name) fault_strikes(name)
#else
#define FAULT(name) false
#endif

#endif
