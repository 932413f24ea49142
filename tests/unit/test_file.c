#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/must.h"
#include "tests/unit/unit.h"

/* A temporary directory of this test, gone at its end. */
struct place {
	char dir[64];
	char path[128]; /* dir/file */
};

static void place_make(struct place *place)
{
	snprintf(place->dir, sizeof place->dir, "/tmp/drave-file-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place->dir));
	snprintf(place->path, sizeof place->path, "%s/file", place->dir);
}

static void place_remove(struct place *place)
{
	(void)unlink(place->path);
	ck_assert_int_eq(rmdir(place->dir), 0);
}

static void put(const char *path, const char *text, size_t len)
{
	ck_assert_int_eq(file_replace(path, text, len, NULL), 0);
}

START_TEST(a_file_is_read_behind_what_is_there)
{
	struct place place;
	struct buf buf;

	place_make(&place);
	put(place.path, "two\0three", 9);
	buf_init(&buf, 100);
	buf_add_text(&buf, "one");
	ck_assert_int_eq(file_read(place.path, &buf, NULL), 0);
	ck_assert_uint_eq(buf.len, 12);
	ck_assert_mem_eq(buf.data, "onetwo\0three", 12);
	buf_release(&buf);
	place_remove(&place);
}
END_TEST

START_TEST(a_file_of_the_limit_is_read_and_one_byte_more_is_refused)
{
	struct place place;
	struct buf buf;
	struct err err = {0};
	char *expected;

	place_make(&place);
	buf_init(&buf, 8);
	put(place.path, "12345678", 8);
	ck_assert_int_eq(file_read(place.path, &buf, &err), 0);
	ck_assert_uint_eq(buf.len, 8);
	buf_clear(&buf);
	put(place.path, "123456789", 9);
	ck_assert_int_eq(file_read(place.path, &buf, &err), -EFBIG);
	ck_assert_uint_eq(buf.len, 0);
	expected = xasprintf("cannot read '%s': more than 8 bytes", place.path);
	ck_assert_str_eq(err.text, expected);
	free(expected);
	buf_release(&buf);
	place_remove(&place);
}
END_TEST

START_TEST(what_cannot_be_read_is_named)
{
	struct buf buf;
	struct err err = {0};

	buf_init(&buf, 8);
	ck_assert_int_eq(file_read("/nowhere/at/all", &buf, &err), -ENOENT);
	ck_assert_str_eq(err.text, "cannot open '/nowhere/at/all': No such file or directory");
	ck_assert_int_eq(file_read("/tmp", &buf, &err), -EISDIR);
	ck_assert_str_eq(err.text, "cannot read '/tmp': Is a directory");
	buf_release(&buf);
}
END_TEST

START_TEST(secrets_lose_their_final_newline_only)
{
	static const struct {
		const char *content, *secret;
	} rows[] = {{"s3cret\n", "s3cret"}, {"s3cret", "s3cret"}, {"two words \t\r\n\n", "two words"},
	    {" lead", " lead"}, {"\n", ""}, {"", ""}};
	struct place place;
	struct buf buf;

	place_make(&place);
	buf_init(&buf, 100);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		put(place.path, rows[i].content, strlen(rows[i].content));
		buf_clear(&buf);
		ck_assert_int_eq(file_read_secret(place.path, &buf, NULL), 0);
		ck_assert_str_eq(buf_text(&buf), rows[i].secret);
	}
	buf_release(&buf);
	place_remove(&place);
}
END_TEST

START_TEST(replacing_leaves_only_the_new_content_and_mode_0600)
{
	struct place place;
	struct buf buf;
	struct stat st;
	char *temporary;

	place_make(&place);
	temporary = xasprintf("%s.tmp", place.path);
	(void)close(open(temporary, O_CREAT | O_WRONLY, 0666)); /* left behind by a crash */
	put(place.path, "old and longer", 14);
	put(place.path, "new", 3);
	buf_init(&buf, 100);
	ck_assert_int_eq(file_read(place.path, &buf, NULL), 0);
	ck_assert_str_eq(buf_text(&buf), "new");
	ck_assert_int_eq(stat(place.path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(access(temporary, F_OK), -1);
	free(temporary);
	buf_release(&buf);
	place_remove(&place);
}
END_TEST

START_TEST(a_replacement_that_fails_says_at_which_step)
{
	struct place place;
	struct err err = {0};
	char *expected;

	place_make(&place);
	ck_assert_int_eq(mkdir(place.path, 0700), 0); /* a directory cannot be renamed over */
	ck_assert_int_eq(file_replace(place.path, "x", 1, &err), -EISDIR);
	expected = xasprintf("cannot rename '%s.tmp' to '%s': Is a directory", place.path, place.path);
	ck_assert_str_eq(err.text, expected);
	free(expected);
	expected = xasprintf("%s.tmp", place.path);
	(void)unlink(expected);
	free(expected);
	ck_assert_int_eq(rmdir(place.path), 0);
	place_remove(&place);
	ck_assert_int_eq(file_replace("/nowhere/file", "x", 1, &err), -ENOENT);
	ck_assert_str_eq(err.text, "cannot write '/nowhere/file.tmp': No such file or directory");
}
END_TEST

START_TEST(directories_are_made_on_the_way_and_may_be_there)
{
	struct place place;
	struct err err = {0};
	struct stat st;
	char *deep, *below;

	place_make(&place);
	deep = xasprintf("%s/a//b/", place.dir);
	ck_assert_int_eq(file_make_dirs(deep, &err), 0);
	ck_assert_int_eq(file_make_dirs(deep, &err), 0);
	ck_assert_int_eq(stat(deep, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(rmdir(deep), 0);
	free(deep);
	put(place.path, "", 0);
	below = xasprintf("%s/below", place.path);
	deep = xasprintf("cannot make directory '%s': Not a directory", place.path);
	ck_assert_int_eq(file_make_dirs(below, &err), -ENOTDIR);
	ck_assert_str_eq(err.text, deep);
	free(below);
	free(deep);
	deep = xasprintf("%s/a", place.dir);
	ck_assert_int_eq(rmdir(deep), 0);
	free(deep);
	place_remove(&place);
}
END_TEST

START_TEST(pread_tells_bytes_or_the_error)
{
	struct place place;
	char into[8];
	int fd;

	place_make(&place);
	put(place.path, "abcdef", 6);
	fd = open(place.path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(file_pread(fd, into, sizeof into, 2), 4);
	ck_assert_mem_eq(into, "cdef", 4);
	ck_assert_int_eq(file_pread(fd, into, sizeof into, 6), 0);
	ck_assert_int_eq(file_write_all(fd, "x", 1), -EBADF);
	(void)close(fd);
	ck_assert_int_eq(file_pread(fd, into, sizeof into, 0), -EBADF);
	place_remove(&place);
}
END_TEST

UNIT_MAIN("file", a_file_is_read_behind_what_is_there,
    a_file_of_the_limit_is_read_and_one_byte_more_is_refused, what_cannot_be_read_is_named,
    secrets_lose_their_final_newline_only, replacing_leaves_only_the_new_content_and_mode_0600,
    a_replacement_that_fails_says_at_which_step, directories_are_made_on_the_way_and_may_be_there,
    pread_tells_bytes_or_the_error)
