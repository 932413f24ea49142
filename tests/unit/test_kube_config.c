/* Kubeconfigs and the service account: what is understood, what is refused, and what wins over what. */
#include "config.h"

#include "common/kube_config.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/must.h"
#include "tests/unit/scratch.h"

#define TAIL                                                                                                 \
	"contexts:\n- name: x\n  context: {cluster: c, user: u, namespace: logs}\n"                          \
	"current-context: x\n"
#define CLUSTER "clusters:\n- name: c\n  cluster: {server: 'https://10.0.0.1:6443/'}\n"

static int parse(struct kube_config *config, const char *text, struct err *err)
{
	char *exact = xmalloc(strlen(text) + 1);
	int ret;

	memcpy(exact, text, strlen(text));
	ret = kube_config_parse(config, "test", exact, strlen(text), "/dir", err);
	free(exact);
	return ret;
}

START_TEST(w2_43_a_kubeconfig_says_where_who_and_which_namespace)
{
	static const char text[] =
	    "apiVersion: v1\nkind: Config\nclusters:\n- name: other\n  cluster: {server: http://no}\n"
	    "- name: c\n  cluster:\n    server: https://api.example:6443//\n    certificate-authority: "
	    "ca.pem\n"
	    "    tls-server-name: kubernetes\n"
	    "users:\n- name: u\n  user:\n    tokenFile: /abs/token\n    client-certificate: pki/c.pem\n"
	    "    client-key-data: S0VZCg==\n    username: me\n    password: 'p:w'\n    exec: null\n" TAIL;
	struct kube_config config;
	struct err err;

	ck_assert_msg(parse(&config, text, &err) == 0, "%s", err.text);
	ck_assert_str_eq(config.server, "https://api.example:6443");
	ck_assert_str_eq(config.namespace_name, "logs");
	ck_assert_str_eq(config.ca_file, "/dir/ca.pem");
	ck_assert_ptr_null(config.ca_data);
	ck_assert_str_eq(config.server_name, "kubernetes");
	ck_assert(!config.insecure);
	ck_assert_ptr_null(config.token);
	ck_assert_str_eq(config.token_file, "/abs/token");
	ck_assert_str_eq(config.cert_file, "/dir/pki/c.pem");
	ck_assert_ptr_null(config.key_file);
	ck_assert_str_eq(config.key_data, "KEY\n");
	ck_assert_str_eq(config.username, "me");
	ck_assert_str_eq(config.password, "p:w");
	ck_assert_ptr_nonnull(strstr(config.source, "context 'x'"));
	kube_config_release(&config);
}
END_TEST

START_TEST(w2_43_json_is_a_kubeconfig_too_and_data_wins_over_files)
{
	static const char text[] =
	    "{\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://"
	    "[::1]:6443\",\"certificate-authority\":\"x\","
	    "\"certificate-authority-data\":\"Q0E=\",\"insecure-skip-tls-verify\":true}}],"
	    "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"secret\"}}],"
	    "\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],\"current-"
	    "context\":\"x\"}";
	struct kube_config config;
	struct err err;

	ck_assert_msg(parse(&config, text, &err) == 0, "%s", err.text);
	ck_assert_str_eq(config.server, "https://[::1]:6443");
	ck_assert_str_eq(config.namespace_name, "default");
	ck_assert_str_eq(config.ca_data, "CA");
	ck_assert_ptr_null(config.ca_file);
	ck_assert(config.insecure);
	ck_assert_str_eq(config.token, "secret");
	kube_config_release(&config);
}
END_TEST

START_TEST(w2_43_what_is_not_understood_is_refused_with_a_sentence)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {"", "empty"},
	    {"- a\n", "no mapping"},
	    {"a: [\n", "test:"},
	    {"a: &a [*a]\n", "too deep"},
	    {"[a]: b\n", "no text"},
	    {"clusters: []\n", "no current-context"},
	    {"current-context: null\n", "no current-context"},
	    {"current-context: x\n", "no context 'x'"},
	    {TAIL, "no cluster 'c'"},
	    {CLUSTER TAIL, "no user 'u'"},
	    {"clusters:\n- name: c\n  cluster: {certificate-authority: x}\n" TAIL, "server"},
	    {"clusters:\n- name: c\n  cluster: {server: 'ftp://x'}\n" TAIL, "server"},
	    {"clusters:\n- name: c\n  cluster: {server: 'https://'}\n" TAIL, "server"},
	    {"clusters:\n- name: c\n  cluster: {server: 'https:///x'}\n" TAIL, "server"},
	    {"clusters:\n- name: c\n  cluster: {server: 'https://x', proxy-url: 'http://p'}\n" TAIL,
		"proxy-url"},
	    {"clusters:\n- name: c\n  cluster: {server: 'https://x', certificate-authority-data: '!'}\n" TAIL,
		"base64"},
	    {CLUSTER "users:\n- name: u\n  user: {exec: {command: x}}\n" TAIL, "'exec'"},
	    {CLUSTER "users:\n- name: u\n  user: {auth-provider: {name: gcp}}\n" TAIL, "'auth-provider'"},
	    {CLUSTER "users:\n- name: u\n  user: {token: t, as: root}\n" TAIL, "'as'"},
	    {CLUSTER "users:\n- name: u\n  user: {client-key-data: '*'}\n" TAIL, "client-key-data"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct kube_config config;
		struct err err = {.text = ""};

		ck_assert_msg(parse(&config, rows[i].text, &err) < 0, "row %zu", i);
		ck_assert_msg(strstr(err.text, rows[i].says) != NULL, "row %zu: %s", i, err.text);
		kube_config_release(&config);
	}
}
END_TEST

START_TEST(a_kubeconfig_of_many_aliases_is_refused_in_time)
{
	char text[4096] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
	struct kube_config config;
	struct err err;

	for (unsigned i = 1; i < 14; i++) {
		size_t len = strlen(text);

		(void)snprintf(text + len, sizeof text - len,
		    "a%u: &a%u [*a%u,*a%u,*a%u,*a%u,*a%u,*a%u,*a%u,*a%u,*a%u]\n", i, i, i - 1, i - 1, i - 1,
		    i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	}
	ck_assert_int_eq(parse(&config, text, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "too large"));
	kube_config_release(&config);
}
END_TEST

/* ---- where it comes from ------------------------------------------------------------------------------- */

static const char *service_host, *service_port, *kubeconfig, *home;

static char *environment(const char *name)
{
	const char *value = strcmp(name, "KUBERNETES_SERVICE_HOST") == 0   ? service_host
			    : strcmp(name, "KUBERNETES_SERVICE_PORT") == 0 ? service_port
			    : strcmp(name, "KUBECONFIG") == 0              ? kubeconfig
			    : strcmp(name, "HOME") == 0                    ? home
									   : NULL;

	return (char *)(uintptr_t)value;
}

static void environment_is(const char *host, const char *port, const char *list, const char *at_home)
{
	service_host = host;
	service_port = port;
	kubeconfig = list;
	home = at_home;
}

START_TEST(w2_43_of_several_files_the_first_to_name_a_thing_wins)
{
	struct kube_config config;
	struct scratch scratch;
	struct err err;
	char *list;

	scratch_init(&scratch);
	scratch_dir(&scratch, "b");
	scratch_append(&scratch, "a", CLUSTER "current-context: x\n");
	scratch_append(&scratch, "b/b",
	    "clusters:\n- name: c\n  cluster: {server: 'https://second'}\nusers:\n- name: u\n  user: "
	    "{tokenFile: t}\n" TAIL);
	list = xasprintf("%s::%s:%s", scratch_path(&scratch, "none"), scratch_path(&scratch, "a"),
	    scratch_path(&scratch, "b/b"));
	environment_is(NULL, NULL, list, NULL);
	ck_assert_msg(kube_config_load(&config, NULL, environment, &err) == 0, "%s", err.text);
	ck_assert_str_eq(config.server, "https://10.0.0.1:6443");
	ck_assert_str_eq(config.token_file, scratch_path(&scratch, "b/t")); /* beside the file that says so */
	kube_config_release(&config);
	free(list);
	scratch_release(&scratch);
}
END_TEST

START_TEST(w2_43_a_named_file_wins_over_the_pod_and_the_pod_over_the_environment)
{
	struct kube_config config;
	struct scratch scratch;
	struct err err;

	scratch_init(&scratch);
	scratch_dir(&scratch, ".kube");
	scratch_append(&scratch, ".kube/config", CLUSTER "users: [{name: u, user: {token: t}}]\n" TAIL);
	environment_is("fd00::1", "6443", NULL, scratch.path);
	ck_assert_int_eq(
	    kube_config_load(&config, scratch_path(&scratch, ".kube/config"), environment, &err), 0);
	ck_assert_str_eq(config.token, "t");
	kube_config_release(&config);
	(void)kube_config_load(&config, "", environment, &err); /* no pod here: its files are missing */
	ck_assert_str_eq(config.source, "service account");
	ck_assert_str_eq(config.server, "https://[fd00::1]:6443");
	ck_assert_ptr_nonnull(strstr(config.token_file, "/serviceaccount/token"));
	ck_assert_ptr_nonnull(strstr(config.ca_file, "/serviceaccount/ca.crt"));
	kube_config_release(&config);
	environment_is("", NULL, "", scratch.path);
	ck_assert_int_eq(kube_config_load(&config, "", environment, &err), 0);
	ck_assert_str_eq(config.token, "t");
	kube_config_release(&config);
	environment_is(NULL, NULL, NULL, "/nowhere");
	ck_assert_int_eq(kube_config_load(&config, NULL, environment, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/.kube/config"));
	kube_config_release(&config);
	scratch_release(&scratch);
}
END_TEST

START_TEST(a_named_context_wins_over_the_current_one_and_over_the_pod)
{
	struct kube_config config;
	struct scratch scratch;
	struct err err;

	scratch_init(&scratch);
	scratch_append(&scratch, "config",
	    CLUSTER "users: [{name: u, user: {token: t}}, {name: v, user: {token: v}}]\n"
		    "contexts: [{name: x, context: {cluster: c, user: u}}, {name: y, context: {cluster: c, "
		    "user: v, namespace: n}}]\n"
		    "current-context: x\n");
	environment_is("10.0.0.1", "443", scratch_path(&scratch, "config"), NULL);
	ck_assert_msg(kube_config_load_context(&config, NULL, "y", environment, &err) == 0, "%s", err.text);
	ck_assert_str_eq(config.token, "v");
	ck_assert_str_eq(config.namespace_name, "n");
	kube_config_release(&config);
	ck_assert_int_eq(kube_config_load_context(&config, NULL, "z", environment, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "there is no context 'z'"));
	kube_config_release(&config);
	ck_assert_int_eq(
	    kube_config_load_context(&config, scratch_path(&scratch, "config"), NULL, environment, &err), 0);
	ck_assert_str_eq(config.token, "t");
	kube_config_release(&config);
	scratch_release(&scratch);
}
END_TEST

UNIT_MAIN("kube_config", a_named_context_wins_over_the_current_one_and_over_the_pod,
    w2_43_a_kubeconfig_says_where_who_and_which_namespace,
    w2_43_json_is_a_kubeconfig_too_and_data_wins_over_files,
    w2_43_what_is_not_understood_is_refused_with_a_sentence, a_kubeconfig_of_many_aliases_is_refused_in_time,
    w2_43_of_several_files_the_first_to_name_a_thing_wins,
    w2_43_a_named_file_wins_over_the_pod_and_the_pod_over_the_environment)
