/* A tail as its follower keeps it: with the place where its name stands, and the lists that it is in. */
#ifndef DRAVE_COLLECTOR_FOLLOWED_H
#define DRAVE_COLLECTOR_FOLLOWED_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/finder.h"
#include "collector/hold.h"
#include "collector/tail.h"

struct followed {
	struct tail tail;
	struct place *place;                      /* NULL: its directory is gone */
	struct followed *place_prev, *place_next; /* in place->files */
	struct followed *all_prev, *all_next;     /* these lists are the follower's */
	struct followed *marked_prev, *marked_next;
	struct held held;      /* in follower->hold while unlinked */
	uint64_t checked_size; /* its head was compared when it had this size */
	unsigned listing;      /* the one that saw it last */
	unsigned missed;       /* listings in a row that did not see it */
	bool is_marked;
};

/* Has a descriptor, identity and size; no name, no place, in no list. */
struct followed *followed_new(struct container *container, const struct logroot_file *opened);
/* The same file from now on, after it was cut to size: takes the descriptor and the name over, and the next
 * generation. */
struct followed *followed_new_generation(struct followed *cut, uint64_t size);
/* Closes the descriptor. It is in no list by now but its place's. */
void followed_free(struct followed *followed);
struct followed *followed_of(struct tail *tail);

/* The last part of its path. */
const char *followed_name(const struct followed *followed);
void followed_set_name(struct followed *followed, const struct place *place, const struct place_file *file);
void followed_join(struct followed *followed, struct place *place);
void followed_leave(struct followed *followed);
/* Reading order of a place's files: below, equal to or above 0. */
int place_file_compare(const struct place_file *a, const struct place_file *b);
/* Does the plain file of a compressed one stand there too?  While kubelet compresses, both do, and the plain
 * one is whole. */
bool place_file_is_plain_too(
    const struct place_file *packed, const struct place_file *files, size_t file_count);
/* The one in this place with that name and inode, or NULL. */
struct followed *followed_find(const struct place *place, const struct place_file *file);

#endif
