/* The account: where every byte that was read is now.  Per output and file, and summed per output, in bytes of the log file.
 *
 *   read = acked + open + in_flight + dropped{reason} + filtered + partial
 *
 * Each term is counted where it happens; none is derived from the others, so that a path which frees a record without naming its fate
 * shows as an imbalance. */
#ifndef DRAVE_COLLECTOR_ACCOUNT_H
#define DRAVE_COLLECTOR_ACCOUNT_H

#include <stdint.h>

enum account_term {
	ACCOUNT_ACKED,     /* the far side said so */
	ACCOUNT_OPEN,      /* in a batch that is being filled */
	ACCOUNT_IN_FLIGHT, /* in a sealed batch: packing, waiting or sent */
	ACCOUNT_PARTIAL,   /* pieces of a record whose end has not come */
	ACCOUNT_FILTERED,  /* left out on purpose, by configuration */
	ACCOUNT_TERMS
};

enum drop_reason {
	DROP_TRUNCATED,     /* text beyond max_record, or beyond what the output takes */
	DROP_NUL,           /* a run of NUL bytes before a line: a hole in the file */
	DROP_DEAD_LETTER,   /* rejected alone, kept in the dead-letter file */
	DROP_REJECTED,      /* rejected alone, on_reject = drop */
	DROP_REASONS
};

extern const char *const account_term_names[ACCOUNT_TERMS];
extern const char *const drop_reason_names[DROP_REASONS];

struct account {
	uint64_t read;
	uint64_t terms[ACCOUNT_TERMS];
	uint64_t dropped[DROP_REASONS];
	struct account *total; /* every change is made there too; NULL at the top */
};

void account_read(struct account *account, uint64_t bytes);
void account_add(struct account *account, enum account_term term, uint64_t bytes);
void account_drop(struct account *account, enum drop_reason reason, uint64_t bytes);
/* Out of a place, on the way to another in the same breath. */
void account_take(struct account *account, enum account_term term, uint64_t bytes);
/* From one place to the next. */
void account_move(struct account *account, enum account_term from, enum account_term to, uint64_t bytes);
/* Out of a place, dropped. */
void account_move_to_drop(struct account *account, enum account_term from, enum drop_reason reason, uint64_t bytes);
/* What a purge (stop, reload) gives back: bytes that will be read again leave the account of what was read.  `account` forgets its open, in-flight and partial
 * bytes, and so does its total. */
void account_unread(struct account *account);
/* read minus the sum of all terms; 0 unless there is a bug. */
int64_t account_imbalance(const struct account *account);

#endif
