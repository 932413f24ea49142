#include "config.h"

#include <errno.h>
#include <xxhash.h>
#include <zlib.h>

#include "collector/gzip_file.h"
#include "collector/tail.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

struct file {
	struct scratch scratch;
	struct container container;
	struct tail tail;
	struct tail_reader readers[2];
	unsigned woken, given_up;
};

static uint64_t needs[2];

static struct file *file_of(struct tail_reader *reader)
{
	return container_of(reader->tail, struct file, tail);
}

static void on_wake(struct tail_reader *reader)
{
	file_of(reader)->woken++;
}

static void on_give_up(struct tail_reader *reader)
{
	file_of(reader)->given_up++;
	tail_detach(reader);
}

static uint64_t first_needs(const struct tail_reader *reader)
{
	(void)reader;
	return needs[0];
}

static uint64_t second_needs(const struct tail_reader *reader)
{
	(void)reader;
	return needs[1];
}

static void file_init(struct file *file, const char *content)
{
	memset(file, 0, sizeof *file);
	scratch_init(&file->scratch);
	scratch_append(&file->scratch, "0.log", content);
	file->tail.fd = open(scratch_path(&file->scratch, "0.log"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(file->tail.fd, 0);
	file->tail.size = strlen(content);
	file->tail.container = &file->container;
	DL_APPEND(file->container.tails, &file->tail);
	file->readers[0] =
	    (struct tail_reader){.wake = on_wake, .give_up = on_give_up, .needs_from = first_needs};
	file->readers[1] =
	    (struct tail_reader){.wake = on_wake, .give_up = on_give_up, .needs_from = second_needs};
}

static void file_append(struct file *file, const char *text)
{
	scratch_append(&file->scratch, "0.log", text);
	file->tail.size += strlen(text);
}

static void file_release(struct file *file)
{
	if (file->tail.fd >= 0)
		ck_assert_int_eq(close(file->tail.fd), 0);
	scratch_release(&file->scratch);
}

static char *long_text(size_t len, char byte)
{
	char *text = xmalloc(len + 1);

	memset(text, byte, len);
	text[len] = '\0';
	return text;
}

START_TEST(reading_ends_at_the_end_and_after_a_truncation)
{
	struct file file;
	char bytes[8];

	file_init(&file, "hello\n");
	ck_assert_int_eq(tail_read(&file.tail, bytes, sizeof bytes, 2), 4);
	ck_assert_mem_eq(bytes, "llo\n", 4);
	ck_assert_int_eq(tail_read(&file.tail, bytes, sizeof bytes, 6), 0);
	file.tail.truncated = true;
	ck_assert_int_eq(tail_read(&file.tail, bytes, sizeof bytes, 0), 0);
	file_release(&file);
}
END_TEST

START_TEST(the_first_line_is_known_once_it_is_complete)
{
	struct file file;

	file_init(&file, "hel");
	ck_assert(tail_learn_head(&file.tail, false));
	ck_assert(!file.tail.has_first_line);
	ck_assert(!tail_learn_head(&file.tail, false));
	file_append(&file, "lo\nworld\n");
	ck_assert(tail_learn_head(&file.tail, false));
	ck_assert(file.tail.has_first_line);
	ck_assert_uint_eq(file.tail.source.first_line_hash, XXH3_64bits("hello", 5));
	ck_assert_uint_eq(file.tail.head_len, 12);
	ck_assert(!tail_learn_head(&file.tail, false));
	ck_assert_uint_eq(tail_head_hash(&file.tail, 3), XXH3_64bits("hel", 3));
	file_release(&file);
}
END_TEST

START_TEST(a_first_line_without_end_counts_at_the_last_chance)
{
	struct file file;

	file_init(&file, "hel");
	ck_assert(tail_learn_head(&file.tail, true));
	ck_assert(file.tail.has_first_line);
	ck_assert_uint_eq(file.tail.source.first_line_hash, XXH3_64bits("hel", 3));
	file_release(&file);
}
END_TEST

START_TEST(an_endless_first_line_is_hashed_to_its_limit)
{
	struct file file;
	char *text = long_text(SOURCE_HASHED_BYTES - 1, 'x');

	file_init(&file, text);
	(void)tail_learn_head(&file.tail, false);
	ck_assert(!file.tail.has_first_line);
	ck_assert_uint_eq(file.tail.head_len, TAIL_HEAD_BYTES);
	free(text);
	file_append(&file, "xy");
	ck_assert(tail_learn_head(&file.tail, false));
	text = long_text(SOURCE_HASHED_BYTES, 'x');
	ck_assert_uint_eq(file.tail.source.first_line_hash, XXH3_64bits(text, SOURCE_HASHED_BYTES));
	free(text);
	file_release(&file);
}
END_TEST

START_TEST(only_what_was_seen_is_learned)
{
	struct file file;

	file_init(&file, "");
	scratch_append(&file.scratch, "0.log", "hello\n");
	ck_assert(!tail_learn_head(&file.tail, false));
	ck_assert_uint_eq(file.tail.head_len, 0);
	file_release(&file);
}
END_TEST

START_TEST(the_first_line_of_a_truncated_file_is_what_was_known)
{
	struct file file;

	file_init(&file, "hel");
	ck_assert(tail_learn_head(&file.tail, false));
	file.tail.truncated = true;
	ck_assert(tail_learn_head(&file.tail, true));
	ck_assert_uint_eq(file.tail.source.first_line_hash, XXH3_64bits("hel", 3));
	file_release(&file);
}
END_TEST

START_TEST(a_changed_head_is_noticed)
{
	struct file file;

	file_init(&file, "hello\n");
	(void)tail_learn_head(&file.tail, false);
	ck_assert(!tail_head_changed(&file.tail));
	ck_assert_int_eq(truncate(scratch_path(&file.scratch, "0.log"), 0), 0);
	ck_assert(!tail_head_changed(&file.tail)); /* shorter, which its size tells */
	scratch_append(&file.scratch, "0.log", "other text, and more of it\n");
	ck_assert(tail_head_changed(&file.tail));
	file_release(&file);
}
END_TEST

START_TEST(a_mark_is_described_by_the_bytes_before_it)
{
	struct file file;
	char *text = long_text(300, 'x');
	uint32_t len;
	uint64_t hash;

	file_init(&file, text);
	ck_assert_int_eq(tail_mark_hash(&file.tail, 300, &len, &hash), 0);
	ck_assert_uint_eq(len, 256);
	ck_assert_uint_eq(hash, XXH3_64bits(text + 44, 256));
	ck_assert_int_eq(tail_mark_hash(&file.tail, 10, &len, &hash), 0);
	ck_assert_uint_eq(len, 10);
	ck_assert_int_eq(tail_mark_hash(&file.tail, 0, &len, &hash), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(tail_mark_hash(&file.tail, 301, &len, &hash), -ENODATA);
	free(text);
	file_release(&file);
}
END_TEST

START_TEST(the_slowest_reader_says_what_is_needed)
{
	struct file file;

	file_init(&file, "0123456789");
	ck_assert_uint_eq(tail_needed_bytes(&file.tail), 0);
	tail_attach(&file.tail, &file.readers[0]);
	tail_attach(&file.tail, &file.readers[1]);
	needs[0] = 8;
	needs[1] = 3;
	ck_assert_uint_eq(tail_needed_bytes(&file.tail), 7);
	needs[1] = UINT64_MAX;
	ck_assert_uint_eq(tail_needed_bytes(&file.tail), 2);
	tail_wake(&file.tail);
	ck_assert_uint_eq(file.woken, 2);
	file_release(&file);
}
END_TEST

START_TEST(a_reader_may_detach_when_it_gives_up)
{
	struct file file;

	file_init(&file, "0123456789");
	tail_attach(&file.tail, &file.readers[0]);
	tail_attach(&file.tail, &file.readers[1]);
	tail_give_up(&file.tail);
	ck_assert_uint_eq(file.given_up, 2);
	ck_assert_ptr_null(file.tail.readers);
	ck_assert_ptr_null(file.readers[0].tail);
	file_release(&file);
}
END_TEST

START_TEST(the_first_tail_has_no_predecessor)
{
	struct file file;
	struct tail other = {.container = &file.container};

	file_init(&file, "");
	DL_APPEND(file.container.tails, &other);
	ck_assert_ptr_null(tail_predecessor(&file.tail));
	ck_assert_ptr_eq(tail_predecessor(&other), &file.tail);
	file_release(&file);
}
END_TEST

START_TEST(a_compressed_file_has_the_head_and_offsets_of_its_content)
{
	static const char text[] = "first line\nsecond line\n";
	struct file file;
	char bytes[8];
	uint32_t len;
	uint64_t hash;
	gzFile packed;

	file_init(&file, "");
	packed = gzopen(scratch_path(&file.scratch, "0.log"), "wb");
	ck_assert_int_eq(gzwrite(packed, text, sizeof text - 1), (int)sizeof text - 1);
	ck_assert_int_eq(gzclose(packed), Z_OK);
	file.tail.gzip = gzip_pool_new(1);
	file.tail.size = sizeof text - 1;
	ck_assert(tail_learn_head(&file.tail, true));
	ck_assert(file.tail.has_first_line);
	ck_assert_uint_eq(file.tail.source.first_line_hash, XXH3_64bits("first line", 10));
	ck_assert_uint_eq(tail_head_hash(&file.tail, sizeof text - 1), XXH3_64bits(text, sizeof text - 1));
	ck_assert_int_eq(tail_read(&file.tail, bytes, sizeof bytes, 18), 5);
	ck_assert_mem_eq(bytes, "line\n", 5);
	ck_assert_int_eq(tail_read(&file.tail, bytes, sizeof bytes, sizeof text - 1), 0);
	ck_assert(!tail_head_changed(&file.tail));
	ck_assert_int_eq(tail_mark_hash(&file.tail, 11, &len, &hash), -ENOTSUP);
	gzip_pool_free(file.tail.gzip);
	file_release(&file);
}
END_TEST

UNIT_MAIN("tail", a_compressed_file_has_the_head_and_offsets_of_its_content,
    reading_ends_at_the_end_and_after_a_truncation, the_first_line_is_known_once_it_is_complete,
    a_first_line_without_end_counts_at_the_last_chance, an_endless_first_line_is_hashed_to_its_limit,
    only_what_was_seen_is_learned, the_first_line_of_a_truncated_file_is_what_was_known,
    a_changed_head_is_noticed, a_mark_is_described_by_the_bytes_before_it,
    the_slowest_reader_says_what_is_needed, a_reader_may_detach_when_it_gives_up,
    the_first_tail_has_no_predecessor)
