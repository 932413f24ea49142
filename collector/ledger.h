/* Answers come back in any order; a file must be resumed at one number.  Pure.
 *
 * A ledger belongs to one output's reading of one file.  It keeps the spans of records that are not settled yet, in the order in which the records
 * were handed on, and tells the mark: the offset before which everything is settled. */
#ifndef DRAVE_COLLECTOR_LEDGER_H
#define DRAVE_COLLECTOR_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/account.h"

/* A run of records handed on together.  `floor` is the lowest offset that is needed again if this span, and nothing before it, is lost: the start of its
 * first record, or of an older unfinished record of the other stream. */
struct span {
	uint64_t floor;
	bool settled;
	struct span *prev, *next;
};

struct ledger {
	struct span *spans;
	struct account account;                /* of this output and file; its total is the output's */
	void (*moved)(struct ledger *ledger); /* called by ledger_settle when spans left from the front; may be NULL */
};

void ledger_init(struct ledger *ledger, struct account *total, void (*moved)(struct ledger *ledger));
/* Frees the spans, settled or not. */
void ledger_release(struct ledger *ledger);
/* A new span behind all others; owned by the ledger, valid until it is settled.  Floors never fall from span to span. */
struct span *ledger_open(struct ledger *ledger, uint64_t floor);
/* The span's records have all met their fate.  Spans that are settled from the front on are freed, this one perhaps among them. */
void ledger_settle(struct ledger *ledger, struct span *span);
bool ledger_is_empty(const struct ledger *ledger);
/* The mark: the floor of the first open span, or `otherwise` (what the reader itself needs) if there is none. */
uint64_t ledger_mark(const struct ledger *ledger, uint64_t otherwise);

#endif
