/* The pages of the program and its libraries that are in memory because something touched them once. */
#ifndef DRAVE_COMMON_CODE_PAGES_H
#define DRAVE_COMMON_CODE_PAGES_H

/* Takes code and constants that are read from files out of our resident memory; what is used again comes back from the page cache by itself, 64 KiB at a time.
 * To be called when the start is over.  Never fails: where the kernel refuses, all stays as it was. */
void code_pages_forget(void);

#endif
