/* Ledger.  Spans stand in the order in which records were handed on; the settled ones leave from the front.
 *
 * Why the floor of the first open span is the mark: a span's floor is the lowest offset among its own records and the records that were unfinished when
 * it was opened.  Every later span begins behind it or is one of those unfinished records, so floors never fall, and below the first open floor
 * nothing is outstanding.
 *
 * Stands behind the shipper on the way home: answer -> run of a batch -> span -> mark -> checkpoint.  Owns the spans.  Knows neither time, files nor
 * outputs. */
#include "config.h"
#include "collector/ledger.h"

#include <stdlib.h>

#include "common/table.h"

void ledger_init(struct ledger *ledger, struct account *total, void (*moved)(struct ledger *ledger))
{
	*ledger = (struct ledger){.account = {.total = total}, .moved = moved};
}

void ledger_release(struct ledger *ledger)
{
	struct span *span, *next;

	DL_FOREACH_SAFE (ledger->spans, span, next)
		free(span);
	ledger->spans = NULL;
}

struct span *ledger_open(struct ledger *ledger, uint64_t floor)
{
	struct span *span = x_new(span);

	must(ledger->spans == NULL || ledger->spans->prev->floor <= floor);
	span->floor = floor;
	DL_APPEND(ledger->spans, span);
	return span;
}

void ledger_settle(struct ledger *ledger, struct span *span)
{
	must(!span->settled);
	span->settled = true;
	if (span != ledger->spans)
		return;
	while (ledger->spans != NULL && ledger->spans->settled) {
		struct span *first = ledger->spans;

		DL_DELETE(ledger->spans, first);
		free(first);
	}
	if (ledger->moved != NULL)
		ledger->moved(ledger);
}

bool ledger_is_empty(const struct ledger *ledger)
{
	return ledger->spans == NULL;
}

uint64_t ledger_mark(const struct ledger *ledger, uint64_t otherwise)
{
	return ledger->spans != NULL ? ledger->spans->floor : otherwise;
}
