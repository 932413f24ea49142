/* A Kafka line: a producer through its lives, and the parcels that go through it. */
#ifndef DRAVE_OUTPUTS_KAFKA_LINE_H
#define DRAVE_OUTPUTS_KAFKA_LINE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <uv.h>

#include "outputs/kafka_message.h"
#include "outputs/kafka_options.h"
#include "outputs/kafka_producer.h"
#include "outputs/output.h"

#define KAFKA_CREDENTIALS 4
#define KAFKA_TEXT_BYTES  200

/* A parcel under way.  A message's opaque is its element of `index`, which holds its own place: so the
 * sending can be found from it. */
struct kafka_sending {
	struct parcel *parcel;
	struct kafka_sending *prev, *next;
	uint32_t cursor;        /* the first record that is not enqueued */
	uint32_t end;           /* behind the last one that may be enqueued before all until there are answered */
	uint32_t last;          /* behind the last one to be sent */
	uint32_t open_count;    /* records without an answer; a parcel that is one message has one */
	uint32_t pending_count; /* messages that librdkafka has */
	bool is_waiting;        /* in its line's list of those that are not wholly enqueued */
	bool is_recalled;       /* some came back without a verdict */
	struct answer failure;  /* the first answer other than SENT: what is left gets it too; SENT = none */
	uint32_t index[];
};

enum kafka_line_state { KAFKA_LINE_NONE, KAFKA_LINE_UP, KAFKA_LINE_LEAVING, KAFKA_LINE_ENDING };

/* What a file was when librdkafka last read it. */
struct kafka_stamp {
	dev_t dev;
	ino_t ino;
	struct timespec changed;
};

struct kafka_line_calls {
	/* All until sending->end are answered, none by a failure, and there are more: the sending has left the line and is the callee's. */
	void (*passed)(void *arg, struct kafka_sending *sending);
	/* After kafka_line_stop: no producer and no parcel is left.  May come more than once. */
	void (*quiet)(void *arg);
};

struct kafka_line {
	unsigned magic;
	const struct kafka_options *options;
	const struct output_env *env;
	const struct kafka_line_calls *calls;
	void *arg;
	bool is_careful; /* of a parcel one record at a time: its producer may go on behind what was refused */
	enum kafka_line_state state;
	struct kafka_producer *producer;
	struct kafka_messages messages;
	struct kafka_sending *waiting; /* in order; only the first one may be begun */
	struct kafka_sending *enqueued;
	size_t message_count;   /* enqueued and without a report */
	uv_timer_t watch_timer; /* runs while there is trouble, the producer leaves, or is careful */
	struct kafka_stamp credentials[KAFKA_CREDENTIALS];

	bool is_stopping;
	bool must_leave;        /* the producer is of no use any more */
	bool is_patient;        /* while it leaves: what is under way may still get its answer */
	bool has_refused;       /* it leaves because some records were refused for good */
	bool has_sent;          /* this producer delivered something */
	struct answer recalled; /* what recalled messages are answered with, with recalled_text */
	char recalled_text[KAFKA_TEXT_BYTES];
	uint64_t left_ms;      /* when it began to leave */
	struct answer trouble; /* what keeps it from delivering; SENT = nothing */
	char trouble_text[KAFKA_TEXT_BYTES];
	uint64_t report_ms; /* of the last report, or of the first enqueuing after there was nothing */
	uint64_t wire_seen, ahead_seen;
	unsigned producer_count; /* that were started */
	char last_error[KAFKA_TEXT_BYTES];
	uint64_t last_error_ms;
	struct metric *wire_bytes, *ahead;
	void (*closed)(void *arg);
};

/* Opens a line of which options, env, calls, arg, is_careful, wire_bytes and ahead are set and all else is 0.  Unless it is careful its producer
 * starts at once, to learn what librdkafka thinks of the options: then -errno with err, and nothing is to be closed. */
int kafka_line_open(struct kafka_line *line, struct err *err);
/* Takes the sending; its messages are enqueued by the next turn. */
void kafka_line_take(struct kafka_line *line, struct kafka_sending *sending);
/* Does what follows from what has happened. */
void kafka_line_turn(struct kafka_line *line);
/* Has everything recalled and answered by the next turns, then says quiet. */
void kafka_line_stop(struct kafka_line *line);
bool kafka_line_is_quiet(const struct kafka_line *line);
/* After quiet.  closed(arg) comes once, later. */
void kafka_line_close(struct kafka_line *line, void (*closed)(void *arg));
/* As output_ops.trouble. */
bool kafka_line_trouble(const struct kafka_line *line, struct answer *ret_answer);
/* A word for `state`. */
const char *kafka_line_state_word(const struct kafka_line *line);

/* A sending of all that is not settled; is_one: the parcel is one message. */
struct kafka_sending *kafka_sending_new(struct parcel *parcel, bool is_one);
/* Of one that no line has: so many of its open records, from the first on, may be enqueued for now. */
void kafka_sending_allow(struct kafka_sending *sending, uint32_t count);

#endif
