/* drave-controller: arguments, configuration, exit codes.
 *
 * Exit codes are those of sysexits.h: 0 fine, 1 a rollout that failed, 64 usage, 65 objects that cannot be
 * read (--explain), 66 no such node, set or file, 69 no API server, 71 the system refused, 75 the lease
 * was lost, 78 configuration. */
#include "config.h"

#include <cjson/cJSON.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <uv.h>

#include "common/admin.h"
#include "common/fault.h"
#include "common/http.h"
#include "common/kube_config.h"
#include "common/log.h"
#include "common/must.h"
#include "controller/controller.h"
#include "controller/controller_conf.h"
#include "controller/explain.h"
#include "controller/rollout_command.h"

#define DEFAULT_CONF SYSCONFDIR "/drave/controller.ini"
#define PRINT_BYTES  (1u << 20)

static const char usage_text[] =
    "Usage: drave-controller [OPTION]...\n"
    "       drave-controller [OPTION]... --explain NODE [FILE]...\n"
    "       drave-controller [OPTION]... rollout status|history|undo|restart NAME [OPTION]...\n"
    "Keeps a pod of each CollectorSet on every node that should have one.\n"
    "\n"
    "  -c, --config FILE       read FILE instead of " DEFAULT_CONF ", which need not be there\n"
    "  -o SECTION.KEY=VALUE    set or replace one option; may be given several times\n"
    "  -t, --check-config      tell all that is wrong with the configuration, and end (0 or 78)\n"
    "      --print-config      print the configuration in force, and end\n"
    "      --print-sample      print every option with its default and meaning, and end\n"
    "      --print-man         print the option table of the manual page (mdoc), and end\n"
    "      --explain NODE      tell for each set why NODE should have its pod or not, and what would be done "
    "next;\n"
    "                          from the cluster, or from FILEs as `kubectl get -o json` prints them\n"
    "      --log-level LEVEL   error, warn, info or debug\n"
    "      --log-format FORMAT text or json\n"
    "  -h, --help              this text; behind `rollout`: of rollout\n"
    "  -V, --version           versions of this program and its libraries\n"
    "\n"
    "Signals: TERM and INT finish what is under way, give the lease back and stop (twice: at once), HUP "
    "reloads the log's level and format,\n"
    "USR2 prints the state.\n"
    "See drave-controller(8) and drave-controller.ini(5).\n";

enum { OPT_PRINT_CONFIG = 256, OPT_PRINT_SAMPLE, OPT_PRINT_MAN, OPT_EXPLAIN, OPT_LOG_LEVEL, OPT_LOG_FORMAT };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, 't'},
    {"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
    {"print-sample", no_argument, NULL, OPT_PRINT_SAMPLE},
    {"print-man", no_argument, NULL, OPT_PRINT_MAN},
    {"explain", required_argument, NULL, OPT_EXPLAIN},
    {"log-level", required_argument, NULL, OPT_LOG_LEVEL},
    {"log-format", required_argument, NULL, OPT_LOG_FORMAT},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

struct command {
	struct controller_args args;
	char **overrides; /* NULL-terminated, owned */
	size_t override_count;
	bool check, print;
	const char *explained; /* a node's name, or NULL */
	int rest_count;        /* what follows the options */
	char **rest;
};

/* Takes the text. */
static void add_override(struct command *command, char *assignment)
{
	command->overrides =
	    xrealloc(command->overrides, (command->override_count + 2) * sizeof command->overrides[0]);
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
	printf("drave-controller %s (%s)\n", PACKAGE_VERSION, DRAVE_REVISION);
	printf("libuv %s, %s, cJSON %s, %s, %s\n", uv_version_string(), http_library(), cJSON_Version(),
	    kube_config_library(), admin_library());
#ifdef DRAVE_FAULTS
	printf("built with fault points: for tests only\n");
#endif
}

/* Returns -1 to go on, else the exit code.  The first word that is no option ends them: `rollout`, or a file
 * of --explain. */
static int parse(struct command *command, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "+c:o:thV", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			command->args.conf_path = optarg;
			command->args.may_be_missing = false;
			break;
		case 'o': add_override(command, xstrdup(optarg)); break;
		case 't': command->check = true; break;
		case OPT_PRINT_CONFIG: command->print = true; break;
		case OPT_PRINT_SAMPLE: print(controller_conf_print_sample); return EX_OK;
		case OPT_PRINT_MAN: print(controller_conf_print_man); return EX_OK;
		case OPT_EXPLAIN: command->explained = optarg; break;
		case OPT_LOG_LEVEL:
			add_override(command, xasprintf("controller.log_level=%s", optarg));
			break;
		case OPT_LOG_FORMAT:
			add_override(command, xasprintf("controller.log_format=%s", optarg));
			break;
		case 'h': fputs(usage_text, stdout); return EX_OK;
		case 'V': print_version(); return EX_OK;
		default: fputs("Try drave-controller --help.\n", stderr); return EX_USAGE;
		}
	}
	command->rest = argv + optind;
	command->rest_count = argc - optind;
	if (command->rest_count > 0 && command->explained == NULL &&
	    strcmp(command->rest[0], "rollout") != 0) {
		fprintf(stderr, "drave-controller: unexpected argument '%s'\nTry drave-controller --help.\n",
		    command->rest[0]);
		return EX_USAGE;
	}
	return -1;
}

static struct controller_conf *load(const struct command *command)
{
	const struct controller_args *args = &command->args;
	struct ini_complaints complaints;
	struct controller_conf *conf;

	ini_complaints_init(&complaints);
	conf = controller_conf_load(args->conf_path, args->may_be_missing, args->overrides, &complaints);
	if (complaints.text.len != 0)
		fputs(buf_text(&complaints.text), stderr);
	ini_complaints_release(&complaints);
	return conf;
}

static void print_conf(const struct controller_conf *conf)
{
	struct buf text;

	buf_init(&text, PRINT_BYTES);
	controller_conf_print(conf, &text);
	fputs(buf_text(&text), stdout);
	buf_release(&text);
}

static int run(struct command *command)
{
	struct controller_conf *conf = load(command);
	int code = EX_OK;

	if (conf == NULL)
		return EX_CONFIG;
	log_setup((enum log_level)conf->log_level, (enum log_format)conf->log_format);
	if (command->print)
		print_conf(conf);
	if (!command->check && !command->print) {
		if (command->explained != NULL)
			code = explain_run(conf, command->explained, (const char *const *)command->rest);
		else if (command->rest_count > 0)
			code = rollout_command_run(conf, command->rest_count - 1, command->rest + 1);
		else
			return controller_run(&command->args, conf);
	}
	controller_conf_free(conf);
	return code;
}

int main(int argc, char **argv)
{
	struct command command = {.args = {.conf_path = DEFAULT_CONF, .may_be_missing = true}};
	int code;

	command.overrides = xcalloc(1, sizeof command.overrides[0]);
	code = parse(&command, argc, argv);
	command.args.overrides = (const char *const *)command.overrides;
	if (code == -1)
		code = run(&command);
	for (size_t i = 0; i < command.override_count; i++)
		free(command.overrides[i]);
	free(command.overrides);
	return code;
}
