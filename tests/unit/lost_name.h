/* A name whose name servers do not answer: it costs the C library seconds, and whoever asks for it with it.
 * Takes the place of getaddrinfo for the whole test program, libraries' threads included; other names are
 * resolved as ever. */
#ifndef DRAVE_TESTS_LOST_NAME_H
#define DRAVE_TESTS_LOST_NAME_H

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common/must.h"

#define LOST_NAME "lost.test"
#define LOST_MS   5000

static atomic_int lost_count; /* how many wait there */

int getaddrinfo(
    const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (name != NULL && strcmp(name, LOST_NAME) == 0) {
		lost_count++;
		usleep(LOST_MS * 1000);
		lost_count--;
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	must(real != NULL);
	return real(name, service, hints, ret_list);
}

/* So that their threads do not outlast the test. */
static inline void lost_name_wait(void)
{
	while (lost_count != 0)
		usleep(10000);
	usleep(50000);
}

#endif
