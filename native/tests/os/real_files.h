/* Files and loop devices that tests make, and a look at the sentence of an error. */
#ifndef RW_TESTS_OS_REAL_FILES_H
#define RW_TESTS_OS_REAL_FILES_H

#include <fcntl.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include "ringway.h"
#include "tests/os/fake_tree.h"

/* Does the last error's sentence hold `text`? */
static inline bool says(const char *text)
{
	if (strstr(rw_detail(), text))
		return true;
	fprintf(stderr, "\"%s\" does not say \"%s\"\n", rw_detail(), text);
	return false;
}

/* A new file of that size in the tree. */
static inline int open_file(const char *name, int flags, off_t size)
{
	int fd = open(tree_path(name), O_RDWR | O_CREAT | flags, 0600);

	if (fd >= 0 && ftruncate(fd, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

static char loop_node[32];

/*
 * The number of a free loop device; -1 where there is none to be had. Tests run
 * side by side: whoever asks has the free ones for itself until it ends.
 */
static inline int loop_number(void)
{
	static int control = -1;

	if (control < 0)
		control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0 || flock(control, LOCK_EX))
		return -1;
	return ioctl(control, LOOP_CTL_GET_FREE);
}

/* A loop device over an open file; -1 where that cannot be had. */
static inline int loop_create(int file)
{
	int number = loop_number();
	int fd;

	if (number < 0)
		return -1;
	snprintf(loop_node, sizeof(loop_node), "/dev/loop%d", number);
	fd = open(loop_node, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, LOOP_SET_FD, file)) {
		close(fd);
		return -1;
	}
	return fd;
}

#endif
