/* Where the API server is and who we are: from a kubeconfig (YAML or JSON; the door of libyaml) or from the pod's service account.
 *
 * Understood of a kubeconfig: clusters (server, certificate-authority and -data, insecure-skip-tls-verify, tls-server-name), users (token, tokenFile,
 * client-certificate and -data, client-key and -data, username/password), contexts with namespace, current-context; $KUBECONFIG may list several files,
 * by colon, of which the first to name a thing wins.  exec, auth-provider, proxy-url and impersonation (as) are refused with a sentence that says what to do. */
#ifndef DRAVE_COMMON_KUBE_CONFIG_H
#define DRAVE_COMMON_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct kube_config {
	char *server;           /* "https://10.0.0.1:443", without a slash at its end */
	char *namespace_name;   /* of the context or the service account; "default" if none says */
	char *ca_file;          /* re-read when it changes; or */
	char *ca_data;          /* PEM; NULL and no file = the system's */
	char *server_name;      /* to verify the certificate against; NULL = the URL's */
	bool insecure;          /* verify nothing: only if the kubeconfig says so; warned about */
	char *token;            /* fixed, */
	char *token_file;       /* or re-read when it changes; wins over the fixed one as soon as it can be read */
	char *cert_file, *key_file; /* client certificate; or */
	char *cert_data, *key_data; /* PEM */
	char *username, *password;
	char *source;           /* for people: "kubeconfig '/x', context 'y'" or "service account" */
};

/* path: the configuration's kubeconfig, or NULL or "": then the service account if KUBERNETES_SERVICE_HOST is set, else $KUBECONFIG, else
 * ~/.kube/config.  `environment` is getenv or a test's.  *ret_config is released with kube_config_release, also after an error. */
int kube_config_load(struct kube_config *ret_config, const char *path, char *(*environment)(const char *name), struct err *err);
/* The same with another context than the current one of the kubeconfig, which is looked for in a pod too; NULL = the current one. */
int kube_config_load_context(struct kube_config *ret_config, const char *path, const char *context_name, char *(*environment)(const char *name),
    struct err *err);
/* From texts, for tests and the fuzz target: files named in it are relative to `directory`. */
int kube_config_parse(struct kube_config *ret_config, const char *name, const char *text, size_t len, const char *directory, struct err *err);
void kube_config_release(struct kube_config *config);
const char *kube_config_library(void);

#endif
