/* Kube config.  A kubeconfig is YAML, of which JSON is a part; libyaml reads it and a plain tree is made of
 * it, scalars as texts.  Of several files the first to name a thing wins.  Whatever would need to run a
 * program or a proxy is refused with a sentence instead of being tried without. */
#include "config.h"

#include "common/kube_config.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <yaml.h>

#include "common/file.h"
#include "common/must.h"

#define FILE_BYTES  (1u << 20)
#define DEPTH_MAX   16
#define NODES_MAX   20000
#define FILES_MAX   16
#define ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/* ---- YAML -> a tree ------------------------------------------------------------------------------------ */

struct conversion {
	yaml_document_t *document;
	unsigned nodes; /* aliases are followed, so a small file may name many */
	const char *complaint;
};

static cJSON *convert(struct conversion *conversion, int index, unsigned depth);

static cJSON *convert_mapping(struct conversion *conversion, const yaml_node_t *node, unsigned depth)
{
	cJSON *object = cJSON_CreateObject();

	must(object != NULL);
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(conversion->document, pair->key);
		cJSON *value;

		if (key == NULL || key->type != YAML_SCALAR_NODE) {
			conversion->complaint = "a key is no text";
			break;
		}
		value = convert(conversion, pair->value, depth + 1);
		if (value == NULL)
			break;
		must(cJSON_AddItemToObject(object, (const char *)key->data.scalar.value, value));
	}
	return object;
}

/* What other readers of kubeconfigs take for nothing said. */
static bool is_null(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;

	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

/* NULL with a complaint if it is too deep or too much. */
static cJSON *convert(struct conversion *conversion, int index, unsigned depth)
{
	const yaml_node_t *node = yaml_document_get_node(conversion->document, index);
	cJSON *array, *item;

	if (depth > DEPTH_MAX || ++conversion->nodes > NODES_MAX || node == NULL) {
		conversion->complaint = "it is too deep or too large";
		return NULL;
	}
	switch (node->type) {
	case YAML_SCALAR_NODE:
		item = is_null(node) ? cJSON_CreateNull()
				     : cJSON_CreateString((const char *)node->data.scalar.value);
		must(item != NULL);
		return item;
	case YAML_MAPPING_NODE: return convert_mapping(conversion, node, depth);
	case YAML_SEQUENCE_NODE:
		array = cJSON_CreateArray();
		must(array != NULL);
		for (const yaml_node_item_t *i = node->data.sequence.items.start;
		     i < node->data.sequence.items.top; i++) {
			item = convert(conversion, *i, depth + 1);
			if (item == NULL)
				break;
			must(cJSON_AddItemToArray(array, item));
		}
		return array;
	case YAML_NO_NODE: break;
	}
	conversion->complaint = "it is empty";
	return NULL;
}

static cJSON *parse_yaml(const char *name, const char *text, size_t len, struct err *err)
{
	struct conversion conversion = {.nodes = 0};
	yaml_document_t document;
	yaml_parser_t parser;
	cJSON *tree = NULL;

	must(yaml_parser_initialize(&parser) == 1);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (yaml_parser_load(&parser, &document) == 0) {
		(void)err_set(err, -EINVAL, "%s:%zu: cannot read the kubeconfig: %s", name,
		    parser.problem_mark.line + 1, parser.problem != NULL ? parser.problem : "no YAML");
	} else {
		conversion.document = &document;
		if (yaml_document_get_root_node(&document) == NULL)
			conversion.complaint = "it is empty";
		else
			tree = convert(&conversion, 1, 0);
		if (conversion.complaint == NULL && !cJSON_IsObject(tree))
			conversion.complaint = "it is no mapping";
		if (conversion.complaint != NULL) {
			(void)err_set(
			    err, -EINVAL, "%s: cannot read the kubeconfig: %s", name, conversion.complaint);
			cJSON_Delete(tree);
			tree = NULL;
		}
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
	return tree;
}

/* ---- the parts of a kubeconfig ------------------------------------------------------------------------- */

/* Several files as one: what they say in the order in which they count, each with the directory that its
 * paths are relative to. */
struct kubeconfig_file {
	char *name;
	char *directory;
	cJSON *tree;
};

struct kubeconfig_files {
	struct kubeconfig_file items[FILES_MAX];
	size_t count;
};

static const char *text_of(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

/* The `key` part of the first entry of that name in `list`, and whose it is. */
static const cJSON *find_entry(const struct kubeconfig_files *files, const char *list, const char *key,
    const char *name, const struct kubeconfig_file **ret_source)
{
	const cJSON *entry, *part;

	for (size_t i = 0; i < files->count; i++) {
		cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(files->items[i].tree, list))
		{
			const char *entry_name = text_of(entry, "name");

			part = cJSON_GetObjectItemCaseSensitive(entry, key);
			if (entry_name != NULL && strcmp(entry_name, name) == 0 && cJSON_IsObject(part)) {
				*ret_source = &files->items[i];
				return part;
			}
		}
	}
	return NULL;
}

static void copy_text(char **ret_text, const char *text)
{
	free(*ret_text);
	*ret_text = text != NULL ? xstrdup(text) : NULL;
}

static void copy_path(char **ret_path, const struct kubeconfig_file *source, const char *path)
{
	free(*ret_path);
	*ret_path = path == NULL     ? NULL
		    : path[0] == '/' ? xstrdup(path)
				     : xasprintf("%s/%s", source->directory, path);
}

static int digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Base64 (RFC 4648) of a text, blanks and line ends allowed; NULL if it is none. */
static char *decode(const char *text)
{
	char *out = xmalloc(strlen(text) / 4 * 3 + 4), *end = out;
	unsigned bits = 0, held = 0;

	for (; *text != '\0' && *text != '='; text++) {
		if (strchr(" \t\r\n", *text) != NULL)
			continue;
		if (digit(*text) < 0) {
			free(out);
			return NULL;
		}
		held = held << 6 | (unsigned)digit(*text);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*end++ = (char)(held >> bits & 0xff);
		}
	}
	*end = '\0';
	return out;
}

/* KEY-data wins over KEY, as everywhere. */
static int read_pem(const struct kubeconfig_file *source, const cJSON *part, const char *key, char **ret_file,
    char **ret_data, struct err *err)
{
	char data_key[64];
	const char *data;

	(void)snprintf(data_key, sizeof data_key, "%s-data", key);
	data = text_of(part, data_key);
	if (data == NULL) {
		copy_path(ret_file, source, text_of(part, key));
		return 0;
	}
	free(*ret_data);
	*ret_data = decode(data);
	return *ret_data != NULL ? 0 : err_set(err, -EINVAL, "%s: %s is no base64", source->name, data_key);
}

/* http or https, and a host behind it. */
static bool is_address(const char *server)
{
	const char *host = server == NULL                        ? ""
			   : strncmp(server, "https://", 8) == 0 ? server + 8
			   : strncmp(server, "http://", 7) == 0  ? server + 7
								 : "";

	return host[0] != '\0' && strchr("/?#:", host[0]) == NULL;
}

static int read_cluster(
    struct kube_config *config, const struct kubeconfig_file *source, const cJSON *cluster, struct err *err)
{
	const char *server = text_of(cluster, "server"),
		   *insecure = text_of(cluster, "insecure-skip-tls-verify");

	if (!is_address(server))
		return err_set(
		    err, -EINVAL, "%s: the cluster's server is missing or no http(s) address", source->name);
	if (text_of(cluster, "proxy-url") != NULL)
		return err_set(err, -EINVAL,
		    "%s: proxy-url is not understood; give an address that is reached directly",
		    source->name);
	copy_text(&config->server, server);
	while (config->server[strlen(config->server) - 1] == '/')
		config->server[strlen(config->server) - 1] = '\0';
	copy_text(&config->server_name, text_of(cluster, "tls-server-name"));
	config->insecure = insecure != NULL && strcmp(insecure, "true") == 0;
	return read_pem(source, cluster, "certificate-authority", &config->ca_file, &config->ca_data, err);
}

static bool is_said(const cJSON *item)
{
	return item != NULL && !cJSON_IsNull(item);
}

static int read_user(
    struct kube_config *config, const struct kubeconfig_file *source, const cJSON *user, struct err *err)
{
	static const char *const refused[] = {"exec", "auth-provider", "as", "as-uid", "as-groups"};
	int ret;

	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (is_said(cJSON_GetObjectItemCaseSensitive(user, refused[i])))
			return err_set(err, -EINVAL,
			    "%s: the user's '%s' is not understood; use a token, a token file or a client "
			    "certificate (kubectl create token makes one)",
			    source->name, refused[i]);
	copy_text(&config->token, text_of(user, "token"));
	copy_path(&config->token_file, source, text_of(user, "tokenFile"));
	copy_text(&config->username, text_of(user, "username"));
	copy_text(&config->password, text_of(user, "password"));
	ret = read_pem(source, user, "client-certificate", &config->cert_file, &config->cert_data, err);
	return ret == 0 ? read_pem(source, user, "client-key", &config->key_file, &config->key_data, err)
			: ret;
}

/* context_name NULL: the current one. */
static int assemble(
    struct kube_config *config, const struct kubeconfig_files *files, const char *context_name, struct err *err)
{
	const char *cluster_name, *user_name, *first = files->items[0].name;
	const struct kubeconfig_file *source;
	const cJSON *context, *cluster, *user = NULL;
	int ret;

	for (size_t i = 0; i < files->count && context_name == NULL; i++)
		context_name = text_of(files->items[i].tree, "current-context");
	if (context_name == NULL)
		return err_set(err, -EINVAL, "%s: no current-context", first);
	context = find_entry(files, "contexts", "context", context_name, &source);
	if (context == NULL)
		return err_set(err, -EINVAL, "%s: there is no context '%.100s'", first, context_name);
	copy_text(&config->namespace_name,
	    text_of(context, "namespace") != NULL ? text_of(context, "namespace") : "default");
	cluster_name = text_of(context, "cluster");
	user_name = text_of(context, "user");
	cluster =
	    cluster_name != NULL ? find_entry(files, "clusters", "cluster", cluster_name, &source) : NULL;
	if (cluster == NULL)
		return err_set(err, -EINVAL, "%s: there is no cluster '%.100s'", first,
		    cluster_name != NULL ? cluster_name : "");
	ret = read_cluster(config, source, cluster, err);
	if (ret < 0)
		return ret;
	if (user_name != NULL) {
		user = find_entry(files, "users", "user", user_name, &source);
		if (user == NULL)
			return err_set(err, -EINVAL, "%s: there is no user '%.100s'", first, user_name);
		ret = read_user(config, source, user, err);
	}
	config->source = xasprintf("kubeconfig '%s', context '%s'", first, context_name);
	return ret;
}

static void release_files(struct kubeconfig_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->items[i].name);
		free(files->items[i].directory);
		cJSON_Delete(files->items[i].tree);
	}
}

static int add_text(struct kubeconfig_files *files, const char *name, const char *text, size_t len,
    const char *directory, struct err *err)
{
	cJSON *tree = parse_yaml(name, text, len, err);

	if (tree == NULL)
		return -EINVAL;
	must(files->count < FILES_MAX);
	files->items[files->count++] =
	    (struct kubeconfig_file){.name = xstrdup(name), .directory = xstrdup(directory), .tree = tree};
	return 0;
}

int kube_config_parse(struct kube_config *ret_config, const char *name, const char *text, size_t len,
    const char *directory, struct err *err)
{
	struct kubeconfig_files files = {.count = 0};
	int ret;

	*ret_config = (struct kube_config){.insecure = false};
	ret = add_text(&files, name, text, len, directory, err);
	if (ret == 0)
		ret = assemble(ret_config, &files, NULL, err);
	release_files(&files);
	return ret;
}

/* ---- where it comes from ------------------------------------------------------------------------------- */

static int add_file(struct kubeconfig_files *files, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *directory = slash == NULL   ? xstrdup(".")
			  : slash == path ? xstrdup("/")
					  : xstrndup(path, (size_t)(slash - path));
	struct buf text;
	int ret;

	buf_init(&text, FILE_BYTES);
	ret = file_read(path, &text, err);
	if (ret == 0)
		ret = add_text(files, path, buf_text(&text), text.len, directory, err);
	buf_release(&text);
	free(directory);
	return ret;
}

/* Several by colon, of which those that do not exist are left out, as kubectl does; if none exists, the last
 * error. */
static int add_list(struct kubeconfig_files *files, const char *list, struct err *err)
{
	char *copy = xstrdup(list), *rest = copy, *path;
	int ret = -ENOENT, one;

	(void)err_set(err, -ENOENT, "no kubeconfig is named");
	while ((path = strsep(&rest, ":")) != NULL && files->count < FILES_MAX) {
		if (path[0] == '\0')
			continue;
		one = add_file(files, path, err);
		if (one < 0 && one != -ENOENT) {
			ret = one;
			break;
		}
		if (one == 0 || ret != 0)
			ret = files->count != 0 ? 0 : one;
	}
	free(copy);
	return ret;
}

static int load_account(struct kube_config *config, char *(*environment)(const char *name), struct err *err)
{
	const char *host = environment("KUBERNETES_SERVICE_HOST"),
		   *port = environment("KUBERNETES_SERVICE_PORT");
	struct buf text;
	int ret;

	config->server = xasprintf(strchr(host, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s", host,
	    port != NULL && port[0] != '\0' ? port : "443");
	config->token_file = xstrdup(ACCOUNT_DIR "/token");
	config->ca_file = xstrdup(ACCOUNT_DIR "/ca.crt");
	config->source = xstrdup("service account");
	buf_init(&text, 4096);
	ret = file_read_secret(ACCOUNT_DIR "/namespace", &text, err);
	config->namespace_name = xstrdup(ret == 0 && text.len != 0 ? buf_text(&text) : "default");
	buf_release(&text);
	return ret;
}

int kube_config_load_context(struct kube_config *ret_config, const char *path, const char *context_name,
    char *(*environment)(const char *name), struct err *err)
{
	const char *host = environment("KUBERNETES_SERVICE_HOST"), *list = environment("KUBECONFIG"),
		   *home = environment("HOME");
	struct kubeconfig_files files = {.count = 0};
	char *own = NULL;
	int ret;

	*ret_config = (struct kube_config){.insecure = false};
	if ((path == NULL || path[0] == '\0') && context_name == NULL && host != NULL && host[0] != '\0')
		return load_account(ret_config, environment, err);
	if (path != NULL && path[0] != '\0') {
		ret = add_file(&files, path, err);
	} else if (list != NULL && list[0] != '\0') {
		ret = add_list(&files, list, err);
	} else {
		own = xasprintf("%s/.kube/config", home != NULL ? home : "");
		ret = add_file(&files, own, err);
	}
	if (ret == 0)
		ret = assemble(ret_config, &files, context_name, err);
	free(own);
	release_files(&files);
	return ret;
}

int kube_config_load(
    struct kube_config *ret_config, const char *path, char *(*environment)(const char *name), struct err *err)
{
	return kube_config_load_context(ret_config, path, NULL, environment, err);
}

void kube_config_release(struct kube_config *config)
{
	char *const texts[] = {config->server, config->namespace_name, config->ca_file, config->ca_data,
	    config->server_name, config->token, config->token_file, config->cert_file, config->key_file,
	    config->cert_data, config->key_data, config->username, config->password, config->source};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
	*config = (struct kube_config){.insecure = false};
}

const char *kube_config_library(void)
{
	static char text[64];

	(void)snprintf(text, sizeof text, "libyaml %s", yaml_get_version_string());
	return text;
}
