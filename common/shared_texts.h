/* Texts that many records have in common, each kept once and counted: names of labels and their values, owners, namespaces, nodes. */
#ifndef DRAVE_COMMON_SHARED_TEXTS_H
#define DRAVE_COMMON_SHARED_TEXTS_H

#include <stddef.h>

struct shared_texts;

struct shared_texts *shared_texts_new(void);
/* All texts must have been given back. */
void shared_texts_free(struct shared_texts *texts);
/* The one copy of text, borrowed until it is given back; the same pointer for the same text.  NULL for NULL. */
const char *shared_texts_take(struct shared_texts *texts, const char *text);
/* Once for each take.  NULL is taken. */
void shared_text_give_back(const char *text);
/* How many are kept: those in use, and those that nobody has any more and that the next growth will free. */
size_t shared_texts_count(const struct shared_texts *texts);

#endif
