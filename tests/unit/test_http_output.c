#include "config.h"

#include "outputs/http_output.h"
#include "tests/unit/unit.h"

#include <string.h>

static enum answer_kind expected(int status)
{
	if (status >= 200 && status <= 299)
		return ANSWER_SENT;
	if (status == 413 || status == 400 || status == 422)
		return ANSWER_REJECTED;
	if (status == 0 || status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599))
		return ANSWER_RETRY;
	return ANSWER_HOLD;
}

START_TEST(every_status_has_its_verdict)
{
	for (int status = 0; status < 1000; status++) {
		struct answer answer = http_verdict(status);

		ck_assert_msg(answer.kind == expected(status), "status %d", status);
		ck_assert_ptr_nonnull(answer.reason);
	}
}
END_TEST

START_TEST(what_is_too_large_says_so)
{
	ck_assert_str_eq(http_verdict(413).reason, "too_large");
	ck_assert_str_eq(http_verdict(400).reason, "invalid");
	ck_assert_str_eq(http_verdict(403).reason, "unauthorized");
}
END_TEST

UNIT_MAIN("http_output", every_status_has_its_verdict, what_is_too_large_says_so)
