/* Shared texts.  A table of counted texts by their hash, open and probed one by one, at most three quarters full.
 *
 * Giving back only counts down, so whoever has a text needs not know the table.  What nobody has any more stays, and may be taken again, until the table would
 * have to grow: then it goes first, and the table becomes as large as what is left needs.  So it is never larger than what was in use at once, doubled.
 * Owns the texts. */
#include "config.h"
#include "common/shared_texts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/must.h"

#define ROOM_MIN 64

struct shared_text {
	uint32_t users;
	uint32_t hash;
	char text[];
};

struct shared_texts {
	struct shared_text **slots; /* NULL where free; room is a power of two */
	size_t room, count;
};

static struct shared_text *shared_text_of(const char *text)
{
	return (struct shared_text *)(void *)((char *)(uintptr_t)text - offsetof(struct shared_text, text));
}

/* Where the text is, or would be. */
static size_t slot_of(const struct shared_texts *texts, const char *text, uint32_t hash)
{
	size_t slot = hash & (texts->room - 1);

	while (texts->slots[slot] != NULL &&
	       (texts->slots[slot]->hash != hash || strcmp(texts->slots[slot]->text, text) != 0))
		slot = (slot + 1) & (texts->room - 1);
	return slot;
}

static size_t count_used(const struct shared_texts *texts)
{
	size_t used = 0;

	for (size_t i = 0; i < texts->room; i++)
		used += texts->slots[i] != NULL && texts->slots[i]->users != 0;
	return used;
}

static void make_room(struct shared_texts *texts)
{
	struct shared_texts larger = {.room = ROOM_MIN, .count = count_used(texts)};

	while (larger.room < 2 * larger.count)
		larger.room *= 2;
	larger.slots = xcalloc(larger.room, sizeof larger.slots[0]);
	for (size_t i = 0; i < texts->room; i++) {
		struct shared_text *text = texts->slots[i];

		if (text != NULL && text->users != 0)
			larger.slots[slot_of(&larger, text->text, text->hash)] = text;
		else
			free(text);
	}
	free(texts->slots);
	*texts = larger;
}

const char *shared_texts_take(struct shared_texts *texts, const char *text)
{
	struct shared_text *shared;
	size_t len, slot;
	uint32_t hash;

	if (text == NULL)
		return NULL;
	len = strlen(text);
	hash = (uint32_t)XXH3_64bits(text, len);
	slot = slot_of(texts, text, hash);
	shared = texts->slots[slot];
	if (shared == NULL) {
		if (4 * (texts->count + 1) > 3 * texts->room) {
			make_room(texts);
			slot = slot_of(texts, text, hash);
		}
		shared = texts->slots[slot] = xmalloc(sizeof *shared + len + 1);
		shared->users = 0;
		shared->hash = hash;
		memcpy(shared->text, text, len + 1);
		texts->count++;
	}
	must(shared->users < UINT32_MAX);
	shared->users++;
	return shared->text;
}

void shared_text_give_back(const char *text)
{
	if (text == NULL)
		return;
	must(shared_text_of(text)->users > 0);
	shared_text_of(text)->users--;
}

size_t shared_texts_count(const struct shared_texts *texts)
{
	return texts->count;
}

struct shared_texts *shared_texts_new(void)
{
	struct shared_texts *texts = x_new(texts);

	texts->room = ROOM_MIN;
	texts->slots = xcalloc(texts->room, sizeof texts->slots[0]);
	return texts;
}

void shared_texts_free(struct shared_texts *texts)
{
	if (texts == NULL)
		return;
	must(count_used(texts) == 0);
	for (size_t i = 0; i < texts->room; i++)
		free(texts->slots[i]);
	free(texts->slots);
	free(texts);
}
