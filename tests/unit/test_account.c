#include "config.h"

#include "collector/account.h"
#include "tests/unit/unit.h"

START_TEST(every_change_reaches_the_total)
{
	struct account total = {0}, file = {.total = &total};

	account_read(&file, 100);
	account_add(&file, ACCOUNT_OPEN, 60);
	account_drop(&file, DROP_TRUNCATED, 40);
	account_move(&file, ACCOUNT_OPEN, ACCOUNT_IN_FLIGHT, 60);
	account_move(&file, ACCOUNT_IN_FLIGHT, ACCOUNT_ACKED, 50);
	account_move_to_drop(&file, ACCOUNT_IN_FLIGHT, DROP_REJECTED, 10);

	ck_assert_uint_eq(total.read, 100);
	ck_assert_uint_eq(total.terms[ACCOUNT_ACKED], 50);
	ck_assert_uint_eq(total.dropped[DROP_TRUNCATED], 40);
	ck_assert_uint_eq(total.dropped[DROP_REJECTED], 10);
	ck_assert_int_eq(account_imbalance(&file), 0);
	ck_assert_int_eq(account_imbalance(&total), 0);
}
END_TEST

START_TEST(a_byte_without_a_fate_shows)
{
	struct account account = {0};

	account_read(&account, 100);
	account_add(&account, ACCOUNT_OPEN, 93);
	ck_assert_int_eq(account_imbalance(&account), 7);
	account_add(&account, ACCOUNT_PARTIAL, 10);
	ck_assert_int_eq(account_imbalance(&account), -3);
}
END_TEST

START_TEST(a_purge_gives_back_what_will_be_read_again)
{
	struct account total = {0}, file = {.total = &total}, other = {.total = &total};

	account_read(&other, 5);
	account_add(&other, ACCOUNT_OPEN, 5);
	account_read(&file, 100);
	account_add(&file, ACCOUNT_ACKED, 40);
	account_add(&file, ACCOUNT_OPEN, 30);
	account_add(&file, ACCOUNT_IN_FLIGHT, 20);
	account_add(&file, ACCOUNT_PARTIAL, 10);
	account_unread(&file);

	ck_assert_uint_eq(file.read, 40);
	ck_assert_uint_eq(total.read, 45);
	ck_assert_uint_eq(total.terms[ACCOUNT_OPEN], 5);
	ck_assert_int_eq(account_imbalance(&total), 0);
}
END_TEST

START_TEST(every_term_and_reason_has_a_name)
{
	for (int i = 0; i < ACCOUNT_TERMS; i++)
		ck_assert_ptr_nonnull(account_term_names[i]);
	for (int i = 0; i < DROP_REASONS; i++)
		ck_assert_ptr_nonnull(drop_reason_names[i]);
}
END_TEST

UNIT_MAIN("account", every_change_reaches_the_total, a_byte_without_a_fate_shows, a_purge_gives_back_what_will_be_read_again,
	every_term_and_reason_has_a_name)
