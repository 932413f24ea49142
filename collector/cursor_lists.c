/* The lists of cursors.  A cursor is in ready or in parked or in neither, by the same links, and in attention besides.
 *
 * Part of the cursor; the pipeline gives turns to the first of ready, and looks at attention by time.  Owns the links, and decides nothing. */
#include "config.h"
#include "collector/cursor.h"

void cursor_make_ready(struct cursor *cursor)
{
	if (cursor->is_ready || cursor->is_parked || cursor->is_gone)
		return;
	cursor->is_ready = true;
	DL_APPEND2(cursor->env->ready, cursor, ready_prev, ready_next);
	cursor->env->wake(cursor->env);
}

void cursor_rest(struct cursor *cursor)
{
	if (!cursor->is_ready)
		return;
	cursor->is_ready = false;
	DL_DELETE2(cursor->env->ready, cursor, ready_prev, ready_next);
}

void cursor_park(struct cursor *cursor)
{
	cursor_rest(cursor);
	cursor->is_parked = true;
	DL_APPEND2(cursor->env->parked, cursor, ready_prev, ready_next);
}

static void unpark(struct cursor *cursor)
{
	if (!cursor->is_parked)
		return;
	cursor->is_parked = false;
	DL_DELETE2(cursor->env->parked, cursor, ready_prev, ready_next);
}

void cursor_recall(struct cursor *cursor)
{
	unpark(cursor);
	cursor_make_ready(cursor);
}

void cursor_unpark(struct cursor_env *env)
{
	while (env->parked != NULL)
		cursor_recall(env->parked);
}

void cursor_want_attention(struct cursor *cursor, bool wanted)
{
	if (wanted == cursor->needs_attention)
		return;
	cursor->needs_attention = wanted;
	if (wanted)
		DL_APPEND2(cursor->env->attention, cursor, attention_prev, attention_next);
	else
		DL_DELETE2(cursor->env->attention, cursor, attention_prev, attention_next);
}

void cursor_leave_lists(struct cursor *cursor)
{
	cursor_rest(cursor);
	unpark(cursor);
	cursor_want_attention(cursor, false);
}
