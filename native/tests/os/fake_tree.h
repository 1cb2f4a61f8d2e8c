/* A throw-away directory that stands in for /proc and /sys. */
#ifndef RW_TESTS_OS_FAKE_TREE_H
#define RW_TESTS_OS_FAKE_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree_root[64];

static inline void tree_create(void)
{
	strcpy(tree_root, "/tmp/ringway-tree-XXXXXX");
	if (!mkdtemp(tree_root)) {
		perror("mkdtemp");
		exit(1);
	}
}

static inline int tree_remove_one(const char *path, const struct stat *st, int type,
				  struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline void tree_destroy(void)
{
	nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The full path of `name`, its directories made. */
static inline const char *tree_path(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", tree_root, name);
	for (char *c = path + strlen(tree_root) + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		mkdir(path, 0755);
		*c = '/';
	}
	return path;
}

static inline void tree_write(const char *name, const char *text)
{
	FILE *file = fopen(tree_path(name), "we");

	if (!file || fputs(text, file) < 0 || fclose(file)) {
		perror(name);
		exit(1);
	}
}

static inline void tree_directory(const char *name)
{
	mkdir(tree_path(name), 0755);
}

static inline void tree_link(const char *target, const char *name)
{
	if (symlink(target, tree_path(name))) {
		perror(name);
		exit(1);
	}
}

static inline void tree_delete(const char *name)
{
	unlink(tree_path(name));
}

#endif
