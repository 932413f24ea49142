/* What each fuzz target gives: one function that takes any bytes and must neither crash, nor leak, nor hang.
 *
 * With --enable-fuzz (clang) libFuzzer calls it with bytes of its own invention; otherwise
 * tests/fuzz/replay.c calls it with the seeds, as part of make check.  A target that checks more than "does
 * not crash" does so with must(). */
#ifndef DRAVE_TESTS_FUZZ_H
#define DRAVE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0 always. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#endif
