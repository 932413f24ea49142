/* Account.  Double entry for bytes: what was read stands on one side, where it went on the other, and nobody computes one side from the
 * other.  Pure.
 *
 * Stands beside the road: cursor (read, partial), gatherer (open), shipper (in flight, acked, dropped) each post their own entry.  Posts to the file's
 * account also reach the output's total.  Refuses to balance itself. */
#include "config.h"
#include "collector/account.h"

#include <stddef.h>

const char *const account_term_names[ACCOUNT_TERMS] = {
	[ACCOUNT_ACKED] = "acked",
	[ACCOUNT_OPEN] = "open",
	[ACCOUNT_IN_FLIGHT] = "in_flight",
	[ACCOUNT_PARTIAL] = "partial",
	[ACCOUNT_FILTERED] = "filtered",
};

const char *const drop_reason_names[DROP_REASONS] = {
	[DROP_TRUNCATED] = "truncated",
	[DROP_NUL] = "nul",
	[DROP_DEAD_LETTER] = "dead_letter",
	[DROP_REJECTED] = "rejected",
};

void account_read(struct account *account, uint64_t bytes)
{
	for (; account != NULL; account = account->total)
		account->read += bytes;
}

void account_add(struct account *account, enum account_term term, uint64_t bytes)
{
	for (; account != NULL; account = account->total)
		account->terms[term] += bytes;
}

void account_take(struct account *account, enum account_term term, uint64_t bytes)
{
	for (; account != NULL; account = account->total)
		account->terms[term] -= bytes;
}

void account_drop(struct account *account, enum drop_reason reason, uint64_t bytes)
{
	for (; account != NULL; account = account->total)
		account->dropped[reason] += bytes;
}

void account_move(struct account *account, enum account_term from, enum account_term to, uint64_t bytes)
{
	for (; account != NULL; account = account->total) {
		account->terms[from] -= bytes;
		account->terms[to] += bytes;
	}
}

void account_move_to_drop(struct account *account, enum account_term from, enum drop_reason reason, uint64_t bytes)
{
	for (; account != NULL; account = account->total) {
		account->terms[from] -= bytes;
		account->dropped[reason] += bytes;
	}
}

void account_unread(struct account *account)
{
	static const enum account_term pending[] = {ACCOUNT_OPEN, ACCOUNT_IN_FLIGHT, ACCOUNT_PARTIAL};

	for (size_t i = 0; i < sizeof pending / sizeof pending[0]; i++) {
		uint64_t bytes = account->terms[pending[i]];

		for (struct account *each = account; each != NULL; each = each->total) {
			each->terms[pending[i]] -= bytes;
			each->read -= bytes;
		}
	}
}

int64_t account_imbalance(const struct account *account)
{
	uint64_t sum = 0;

	for (int i = 0; i < ACCOUNT_TERMS; i++)
		sum += account->terms[i];
	for (int i = 0; i < DROP_REASONS; i++)
		sum += account->dropped[i];
	return (int64_t)(account->read - sum);
}
