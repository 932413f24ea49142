/* Reading inside gzip files, at any offset, whole and damaged. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <zlib.h>

#include "collector/gzip_file.h"
#include "common/clock.h"
#include "common/must.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

#define TEXT_LEN (1u << 20)

static struct scratch scratch;
static struct gzip_pool *pool;
static char *text; /* TEXT_LEN bytes that deflate can do something with, but not everything */

static void setup(size_t limit)
{
	unsigned state = 7;

	scratch_init(&scratch);
	clock_hold(1000, 0);
	pool = gzip_pool_new(limit);
	text = xmalloc(TEXT_LEN);
	for (size_t i = 0; i < TEXT_LEN; i++) {
		state = state * 1103515245u + 12345u;
		text[i] = (char)('a' + (state >> 16) % 16);
	}
}

static void teardown(int fd)
{
	if (fd >= 0)
		ck_assert_int_eq(close(fd), 0);
	gzip_pool_free(pool);
	free(text);
	clock_release();
	scratch_release(&scratch);
}

static void add_member(const char *name, const char *bytes, size_t len)
{
	gzFile file = gzopen(scratch_path(&scratch, name), "ab1");

	ck_assert_ptr_nonnull(file);
	if (len != 0)
		ck_assert_int_eq(gzwrite(file, bytes, (unsigned)len), (int)len);
	ck_assert_int_eq(gzclose(file), Z_OK);
}

static int open_file(const char *name)
{
	int fd = open(scratch_path(&scratch, name), O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int make_file(void)
{
	add_member("a.gz", text, TEXT_LEN);
	return open_file("a.gz");
}

/* len bytes at offset are those of the text. */
static void expect(int fd, size_t offset, size_t len)
{
	char *bytes = xmalloc(len);

	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, len, offset), (ssize_t)len);
	ck_assert_mem_eq(bytes, text + offset, len);
	free(bytes);
}

START_TEST(it_says_how_long_it_is)
{
	uint64_t size = 0;
	int fd;

	setup(1);
	fd = make_file();
	ck_assert_int_eq(gzip_file_size(fd, &size), 0);
	ck_assert_uint_eq(size, TEXT_LEN);
	teardown(fd);
}
END_TEST

START_TEST(what_is_no_gzip_file_is_refused)
{
	char byte;
	uint64_t size;
	int fd;

	setup(1);
	scratch_append(&scratch, "empty", "");
	fd = open_file("empty");
	ck_assert_int_eq(gzip_file_size(fd, &size), -EBADMSG);
	ck_assert_int_eq(gzip_file_head(fd, &byte, 1), -EBADMSG);
	ck_assert_int_eq(close(fd), 0);
	scratch_append(&scratch, "text", "2026-01-31T12:00:00Z stdout F hello\n");
	fd = open_file("text");
	ck_assert_int_eq(gzip_file_size(fd, &size), -EBADMSG);
	ck_assert_int_eq(gzip_pool_read(pool, fd, &byte, 1, 0), -EBADMSG);
	teardown(fd);
}
END_TEST

START_TEST(bytes_stand_at_their_uncompressed_offsets)
{
	unsigned state = 3;
	int fd;

	setup(3);
	fd = make_file();
	for (int i = 0; i < 60; i++) { /* forwards, backwards, in three places */
		size_t offset, len;

		state = state * 1103515245u + 12345u;
		offset = (state >> 4) % (TEXT_LEN - 70000);
		state = state * 1103515245u + 12345u;
		len = 1 + (state >> 8) % 70000;
		clock_hold(1000 + 2000 * (uint64_t)i, 0);
		expect(fd, offset, len);
	}
	teardown(fd);
}
END_TEST

START_TEST(reading_on_a_little_before_the_end_of_the_last_read_goes_forwards)
{
	size_t offset = 0;
	off_t before, after;
	int fd;

	setup(1);
	fd = make_file();
	while (offset + 100000 < TEXT_LEN) {
		expect(fd, offset, 100000);
		offset += 100000 - 16500;
	}
	/* From here on the beginning of the file may be gone: it is not needed. */
	before = lseek(fd, 0, SEEK_END);
	ck_assert_int_eq(pwrite(fd, "gone", 4, 0), 4);
	after = lseek(fd, 0, SEEK_END);
	ck_assert_int_eq(before, after);
	expect(fd, offset, TEXT_LEN - offset);
	teardown(fd);
}
END_TEST

START_TEST(it_ends_where_the_text_ends)
{
	char bytes[100];
	int fd;

	setup(1);
	fd = make_file();
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, TEXT_LEN - 10), 10);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, TEXT_LEN), 0);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, TEXT_LEN + 10), 0);
	teardown(fd);
}
END_TEST

START_TEST(members_are_read_as_one)
{
	int fd;

	setup(1);
	add_member("m.gz", text, 5000);
	add_member("m.gz", text + 5000, 0);
	add_member("m.gz", text + 5000, 5000);
	fd = open_file("m.gz");
	expect(fd, 0, 10000);
	teardown(fd);
}
END_TEST

START_TEST(zeros_behind_it_are_padding)
{
	char bytes[100];
	int fd;

	setup(1);
	add_member("p.gz", text, 50);
	fd = open_file("p.gz");
	ck_assert_int_eq(ftruncate(fd, lseek(fd, 0, SEEK_END) + 512), 0);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, 0), 50);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, 50), 0);
	teardown(fd);
}
END_TEST

START_TEST(bytes_before_a_cut_are_given_out_and_then_it_is_damaged)
{
	char *bytes = xmalloc(TEXT_LEN);
	ssize_t got;
	int fd;

	setup(1);
	fd = make_file();
	ck_assert_int_eq(ftruncate(fd, lseek(fd, 0, SEEK_END) / 2), 0);
	got = gzip_pool_read(pool, fd, bytes, TEXT_LEN, 0);
	ck_assert_int_gt(got, TEXT_LEN / 4);
	ck_assert_int_lt(got, TEXT_LEN);
	ck_assert_mem_eq(bytes, text, (size_t)got);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, 1, (uint64_t)got), -EBADMSG);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, 1, TEXT_LEN), -EBADMSG);
	free(bytes);
	teardown(fd);
}
END_TEST

START_TEST(a_wrong_checksum_is_damage)
{
	char bytes[100];
	off_t size;
	int fd;

	setup(1);
	add_member("c.gz", text, 50);
	fd = open_file("c.gz");
	size = lseek(fd, 0, SEEK_END);
	ck_assert_int_eq(pwrite(fd, "xxxx", 4, size - 8), 4);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, 0), 50);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, sizeof bytes, 50), -EBADMSG);
	teardown(fd);
}
END_TEST

START_TEST(the_head_needs_no_pool)
{
	char bytes[256];
	int fd;

	setup(0);
	fd = make_file();
	ck_assert_int_eq(gzip_file_head(fd, bytes, sizeof bytes), sizeof bytes);
	ck_assert_mem_eq(bytes, text, sizeof bytes);
	ck_assert_int_eq(gzip_pool_read(pool, fd, bytes, 1, 0), -EAGAIN);
	teardown(fd);
}
END_TEST

START_TEST(a_full_pool_asks_for_patience_until_a_reading_is_idle)
{
	char byte;
	int first, second;

	setup(1);
	first = make_file();
	second = open_file("a.gz");
	expect(first, 0, 1000);
	ck_assert_int_eq(gzip_pool_read(pool, second, &byte, 1, 0), -EAGAIN);
	clock_hold(2000, 0);
	expect(second, 0, 1000);
	ck_assert_int_eq(gzip_pool_read(pool, first, &byte, 1, 1000), -EAGAIN);
	gzip_pool_forget(pool, second);
	expect(first, 1000, 1000); /* from its head again, without anyone seeing it */
	ck_assert_int_eq(close(second), 0);
	teardown(first);
}
END_TEST

UNIT_MAIN("gzip_file", it_says_how_long_it_is, what_is_no_gzip_file_is_refused,
    bytes_stand_at_their_uncompressed_offsets,
    reading_on_a_little_before_the_end_of_the_last_read_goes_forwards, it_ends_where_the_text_ends,
    members_are_read_as_one, zeros_behind_it_are_padding,
    bytes_before_a_cut_are_given_out_and_then_it_is_damaged, a_wrong_checksum_is_damage,
    the_head_needs_no_pool, a_full_pool_asks_for_patience_until_a_reading_is_idle)
