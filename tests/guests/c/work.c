/* Real work on files below /w by C programs' means: stdio, dirent, nftw. Needs the mount /w with in.txt of three lines. */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts in.txt by way of a temporary file, as editors do. */
static void
streams(void)
{
	FILE *in = fopen("/w/in.txt", "r"), *out = fopen("/w/sorted.tmp", "w");
	char *lines[8], text[64];
	int n = 0;

	while (n < 8 && in != NULL && fgets(text, sizeof(text), in) != NULL)
		lines[n++] = strdup(text);
	CHECK("fgets reads all lines", n == 3 && feof(in) && fclose(in) == 0);
	qsort(lines, (size_t)n, sizeof(lines[0]), by_text);
	for (int i = 0; i < n; i++)
		fputs(lines[i], out);
	CHECK("fputs writes them", fflush(out) == 0 && ftell(out) == 14 && fclose(out) == 0);
	CHECK("rename puts the result in place", rename("/w/sorted.tmp", "/w/sorted.txt") == 0);
}

/* Records of 16 bytes, written, read and changed out of order. */
static void
records(void)
{
	FILE *f = fopen("/w/db", "w+b");
	char record[17] = "";
	int good = 1;

	for (int i = 0; i < 1000; i++)
		fprintf(f, "%015d\n", i);
	for (int i = 0; i < 1000; i += 7) {
		fseek(f, i * 16L, SEEK_SET);
		good &= fread(record, 16, 1, f) == 1 && atoi(record) == i;
		fseek(f, -16, SEEK_CUR);
		fprintf(f, "%015d\n", -i);
	}
	CHECK("fread finds each record", good);
	rewind(f);
	for (int i = 0; i < 1000; i++)
		good &= fscanf(f, "%16s", record) == 1 && atoi(record) == (i % 7 == 0 ? -i : i);
	CHECK("fscanf reads what was changed, and the rest", good);
	CHECK("nothing was added", fseek(f, 0, SEEK_END) == 0 && ftell(f) == 16000 && fclose(f) == 0);
	f = fopen("/w/db", "a");
	CHECK("a stream opened for appending appends", fputs("end", f) >= 0 && fclose(f) == 0);
	f = fopen("/w/db", "r+");
	CHECK("ungetc and getc", getc(f) == '0' && ungetc('x', f) == 'x' && getc(f) == 'x' && fclose(f) == 0);
	CHECK("truncate by path", truncate("/w/db", 5) == 0 && remove("/w/db") == 0);
	CHECK("freopen of nothing fails", fopen("/w/none", "r+") == NULL && errno == ENOENT);
	CHECK("x makes new files only", fopen("/w/in.txt", "wx") == NULL && errno == EEXIST);
}

static int files, directories;

static int
count(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)path;
	files += type == FTW_F && st->st_size == where->level;
	directories += type == FTW_D;
	return 0;
}

static int
take_away(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static int
no_dots(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* A tree of directories in which each file is as long as it is deep. */
static void
trees(void)
{
	struct dirent **entries;
	char path[64] = "/w/tree", name[80];
	int n;

	for (int depth = 1; depth <= 10; depth++) {
		mkdir(path, 0777);
		for (int i = 0; i < 20; i++) {
			snprintf(name, sizeof(name), "%s/%02d", path, 19 - i);
			close(open(name, O_WRONLY | O_CREAT, 0666));
			truncate(name, depth);
		}
		strcat(path, "/d");
	}
	CHECK("nftw finds all", nftw("/w/tree", count, 20, FTW_PHYS) == 0 && files == 200 && directories == 10);
	n = scandir("/w/tree", &entries, no_dots, alphasort);
	CHECK("scandir sorts", n == 21 && strcmp(entries[0]->d_name, "00") == 0 && strcmp(entries[20]->d_name, "d") == 0);
	CHECK("nftw removes all", nftw("/w/tree", take_away, 20, FTW_PHYS | FTW_DEPTH) == 0 && access("/w/tree", F_OK) == -1);
}

/* A path that others walk as one's own directory. */
static void
places(void)
{
	struct stat one, two;
	int fd;

	CHECK("chdir goes there", chdir("/w") == 0 && access("in.txt", R_OK) == 0);
	fd = open("/w", O_RDONLY | O_DIRECTORY);
	CHECK("fstatat below a directory", fstatat(fd, "in.txt", &one, 0) == 0 && stat("in.txt", &two) == 0 &&
	    one.st_ino == two.st_ino);
	CHECK("mkdirat, renameat, unlinkat", mkdirat(fd, "t", 0777) == 0 && renameat(fd, "t", fd, "u") == 0 &&
	    unlinkat(fd, "u", AT_REMOVEDIR) == 0);
	CHECK("fdopendir lists it", fdopendir(fd) != NULL);
	CHECK("getcwd knows", strcmp(getcwd((char[64]){""}, 64), "/w") == 0);
}

int
main(void)
{
	streams();
	records();
	trees();
	places();
	printf("%d failed\n", failures);
	return failures != 0;
}
