/* Kubeconfigs: any bytes.
 *
 * Beyond not crashing: what is accepted names a server, a namespace and a source; what is not says why. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "common/kube_config.h"
#include "common/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct kube_config config;
	struct err err = {.text = ""};

	if (kube_config_parse(&config, "fuzz", (const char *)bytes, len, "/dir", &err) == 0) {
		must(strstr(config.server, "://") != NULL && config.server[strlen(config.server) - 1] != '/');
		must(config.namespace_name != NULL && config.source != NULL);
		must(config.ca_file == NULL || config.ca_file[0] == '/');
	} else {
		must(err.text[0] != '\0');
	}
	kube_config_release(&config);
	return 0;
}
