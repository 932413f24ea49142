/* drave-collector: arguments, configuration, exit codes.
 *
 * Exit codes are those of sysexits.h: 0 fine, 64 usage, 69 the output never took it (--once), 71 the system refused, 73 the state directory cannot be
 * used, 75 another collector has the lock (--once), 78 configuration. */
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <uv.h>

#include "collector/checkpoint.h"
#include "collector/collector.h"
#include "collector/collector_conf.h"
#include "collector/pack.h"
#include "common/admin.h"
#include "common/fault.h"
#include "common/http.h"
#include "common/log.h"
#include "common/must.h"
#include "outputs/output.h"

#define DEFAULT_CONF SYSCONFDIR "/drave/collector.ini"
#define PRINT_BYTES  (1u << 20)

static const char usage_text[] =
	"Usage: drave-collector [OPTION]...\n"
	"Follows the container logs of this node and ships them to Kafka or HTTP.\n"
	"\n"
	"  -c, --config FILE       read FILE instead of " DEFAULT_CONF "\n"
	"  -o SECTION.KEY=VALUE    set or replace one option; may be given several times\n"
	"  -t, --check-config      tell all that is wrong with the configuration, and end (0 or 78)\n"
	"      --print-config      print the configuration in force, secrets masked, and end\n"
	"      --print-sample      print every option with its default and meaning, and end\n"
	"      --print-man         print the option tables of the manual page (mdoc), and end\n"
	"      --once              read to where the files end now, wait for the acknowledgements, and end\n"
	"      --dry-run           print the records to standard output instead of sending them; opens no state\n"
	"      --log-level LEVEL   error, warn, info or debug\n"
	"      --log-format FORMAT text or json\n"
	"  -h, --help              this text\n"
	"  -V, --version           versions of this program and its libraries\n"
	"\n"
	"Signals: TERM and INT drain and stop (twice: at once), HUP reloads, USR1 flushes, USR2 prints the state.\n"
	"See drave-collector(8) and drave-collector.ini(5).\n";

enum { OPT_PRINT_CONFIG = 256, OPT_PRINT_SAMPLE, OPT_PRINT_MAN, OPT_ONCE, OPT_DRY_RUN, OPT_LOG_LEVEL, OPT_LOG_FORMAT };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check-config", no_argument, NULL, 't'},
	{"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
	{"print-sample", no_argument, NULL, OPT_PRINT_SAMPLE},
	{"print-man", no_argument, NULL, OPT_PRINT_MAN},
	{"once", no_argument, NULL, OPT_ONCE},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"log-format", required_argument, NULL, OPT_LOG_FORMAT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

struct command {
	struct collector_args args;
	char **overrides; /* NULL-terminated, owned */
	size_t override_count;
	bool check, print;
};

/* Takes the text. */
static void add_override(struct command *command, char *assignment)
{
	command->overrides = xrealloc(command->overrides, (command->override_count + 2) * sizeof command->overrides[0]);
	command->overrides[command->override_count++] = assignment;
	command->overrides[command->override_count] = NULL;
}

static void print(void (*write)(struct buf *out))
{
	struct buf out;

	buf_init(&out, PRINT_BYTES);
	write(&out);
	fputs(buf_text(&out), stdout);
	buf_release(&out);
}

static void print_version(void)
{
	printf("drave-collector %s (%s)\n", PACKAGE_VERSION, DRAVE_REVISION);
	printf("libuv %s, %s, %s, %s, %s, %s\n", uv_version_string(), http_library(), output_kafka_library(), checkpoint_library(), pack_library(),
		admin_library());
#ifdef DRAVE_FAULTS
	printf("built with fault points: for tests only\n");
#endif
}

/* Returns -1 to go on, else the exit code. */
static int parse(struct command *command, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:o:thV", long_options, NULL)) != -1) {
		switch (option) {
		case 'c': command->args.conf_path = optarg; break;
		case 'o': add_override(command, xstrdup(optarg)); break;
		case 't': command->check = true; break;
		case OPT_PRINT_CONFIG: command->print = true; break;
		case OPT_PRINT_SAMPLE: print(collector_conf_print_sample); return EX_OK;
		case OPT_PRINT_MAN: print(collector_conf_print_man); return EX_OK;
		case OPT_ONCE: command->args.mode = COLLECTOR_ONCE; break;
		case OPT_DRY_RUN: command->args.mode = COLLECTOR_DRY_RUN; break;
		case OPT_LOG_LEVEL: add_override(command, xasprintf("collector.log_level=%s", optarg)); break;
		case OPT_LOG_FORMAT: add_override(command, xasprintf("collector.log_format=%s", optarg)); break;
		case 'h': fputs(usage_text, stdout); return EX_OK;
		case 'V': print_version(); return EX_OK;
		default: fputs("Try drave-collector --help.\n", stderr); return EX_USAGE;
		}
	}
	if (optind != argc) {
		fprintf(stderr, "drave-collector: unexpected argument '%s'\nTry drave-collector --help.\n", argv[optind]);
		return EX_USAGE;
	}
	return -1;
}

static struct collector_conf *load(struct command *command)
{
	struct ini_complaints complaints;
	struct collector_conf *conf;

	ini_complaints_init(&complaints);
	conf = collector_conf_load(command->args.conf_path, command->args.overrides, &complaints, &command->args.sources);
	if (complaints.text.len != 0)
		fputs(buf_text(&complaints.text), stderr);
	ini_complaints_release(&complaints);
	return conf;
}

static int run(struct command *command)
{
	struct collector_conf *conf = load(command);
	struct buf text;

	if (conf == NULL)
		return EX_CONFIG;
	if (command->print) {
		buf_init(&text, PRINT_BYTES);
		collector_conf_print(conf, &text);
		fputs(buf_text(&text), stdout);
		buf_release(&text);
	}
	if (command->check || command->print) {
		collector_conf_unref(conf);
		return EX_OK;
	}
	log_setup((enum log_level)conf->collector.log_level, (enum log_format)conf->collector.log_format);
	if (command->args.mode == COLLECTOR_DRY_RUN)
		collector_conf_make_dry(conf);
	return collector_run(&command->args, conf);
}

int main(int argc, char **argv)
{
	struct command command = {.args = {.mode = COLLECTOR_FOLLOW, .conf_path = DEFAULT_CONF}};
	int code;

	command.overrides = xcalloc(1, sizeof command.overrides[0]);
	code = parse(&command, argc, argv);
	command.args.overrides = (const char *const *)command.overrides;
	if (code == -1)
		code = run(&command);
	for (size_t i = 0; i < command.override_count; i++)
		free(command.overrides[i]);
	free(command.overrides);
	sources_release(&command.args.sources);
	return code;
}
