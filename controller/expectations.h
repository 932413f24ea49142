/* Creates and deletes of a set that were asked for and not yet seen, and the newest own write (P-1 to P-9).  Pure: the clock is an argument. */
#ifndef DRAVE_CONTROLLER_EXPECTATIONS_H
#define DRAVE_CONTROLLER_EXPECTATIONS_H

#include <stdbool.h>
#include <stdint.h>

#define EXPECTATION_TIMEOUT_MS (5 * 60 * 1000)

struct expectations; /* all sets, by UID */

struct expectations *expectations_new(void);
void expectations_free(struct expectations *expectations);
/* Before the first call of a sync: what is to be seen. */
void expectations_set(struct expectations *expectations, const char *uid, int64_t creates, int64_t deletes, int64_t now_ms);
void expectations_create_seen(struct expectations *expectations, const char *uid);
void expectations_delete_seen(struct expectations *expectations, const char *uid);
/* The outcome of a write is not known: the time in which it must show begins now.  (Counted from the sync's beginning, a long sync's last write would be given none.) */
void expectations_unknown(struct expectations *expectations, const char *uid, int64_t now_ms);
/* Nothing is awaited, or it took too long. */
bool expectations_satisfied(const struct expectations *expectations, const char *uid, int64_t now_ms);
/* P-9: milliseconds until they expire; 0 = satisfied. */
int64_t expectations_expire_after(const struct expectations *expectations, const char *uid, int64_t now_ms);
void expectations_forget(struct expectations *expectations, const char *uid); /* P-4 */

/* P-6: a write of ours was answered with this version / the cache of that kind has reached this version. */
enum written_kind { WRITTEN_POD, WRITTEN_SET, WRITTEN_REVISION, WRITTEN_KINDS };
void expectations_wrote(struct expectations *expectations, const char *uid, enum written_kind kind, const char *version);
bool expectations_reached(const struct expectations *expectations, const char *uid, const char *const reached[WRITTEN_KINDS]);

#endif
