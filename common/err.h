/* One sentence for a person, beside a code for the program. */
#ifndef DRAVE_COMMON_ERR_H
#define DRAVE_COMMON_ERR_H

#define ERR_TEXT_BYTES 512

struct err {
	int code;                  /* 0 or -errno */
	char text[ERR_TEXT_BYTES]; /* lower case, no full stop, failure before subject: "cannot open '/x': no such file" */
};

/* Fills err (which may be NULL) and returns code, so that a function can end with  return err_set(err, -EINVAL, "..."); */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
