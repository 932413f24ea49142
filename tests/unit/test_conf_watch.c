/* When a configuration that changed is read: not before it was left alone for a while. */
#include "config.h"
#include "collector/conf_watch.h"

#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define SETTLE_MS 100

static struct scratch scratch;
static uv_loop_t loop;
static struct conf_watch *watch;
static unsigned changed_count;
static uint64_t changed_ms; /* by the loop's clock */

static void on_changed(void *arg)
{
	(void)arg;
	changed_count++;
	changed_ms = uv_now(&loop);
}

static void begin(void)
{
	struct sources sources = {.count = 0};

	changed_count = 0;
	scratch_init(&scratch);
	scratch_append(&scratch, "a.ini", "x");
	sources_add(&sources, scratch_path(&scratch, "a.ini"));
	sources.stamp = sources_stamp(&sources);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	watch = conf_watch_new(&loop, scratch_path(&scratch, "a.ini"), on_changed, NULL);
	conf_watch_follow(watch, &sources);
}

static void end(void)
{
	conf_watch_close(watch);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	scratch_release(&scratch);
}

START_TEST(hints_do_not_hasten_the_end_of_a_change)
{
	uint64_t began_ms;
	char name[32];

	begin();
	uv_update_time(&loop);
	began_ms = uv_now(&loop);
	scratch_append(&scratch, "a.ini", "y");
	for (unsigned i = 0; changed_count == 0; i++) { /* something happens beside it all the time */
		(void)snprintf(name, sizeof name, "beside-%u", i);
		scratch_append(&scratch, name, "");
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	ck_assert_uint_ge(changed_ms - began_ms, SETTLE_MS);
	end();
}
END_TEST

START_TEST(a_further_change_is_told_too)
{
	struct sources sources = {.count = 0};

	begin();
	scratch_append(&scratch, "b.ini", "y");
	scratch_rename(&scratch, "b.ini", "a.ini");
	while (changed_count == 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	sources_add(&sources, scratch_path(&scratch, "a.ini"));
	sources.stamp = sources_stamp(&sources);
	conf_watch_follow(watch, &sources);
	scratch_append(&scratch, "b.ini", "z");
	scratch_rename(&scratch, "b.ini", "a.ini");
	while (changed_count == 1)
		(void)uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(changed_count, 2);
	end();
}
END_TEST

UNIT_MAIN("conf_watch", hints_do_not_hasten_the_end_of_a_change, a_further_change_is_told_too)
