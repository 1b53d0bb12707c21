/* A disk that keeps only what was fsynced: preloaded into a process, as test_power_cut.py does.
 *
 * What the process does below the directory LIVE stays, so to say, in the machine's memory. DISK holds what a power
 * cut leaves of it: a file's content as of its last fsync or fdatasync, and a name only if its directory was fsynced
 * since it was given or taken away. As in a file system, content belongs to an inode (DISK/.data/NUMBER), and a name is
 * a link to it. A directory's names are kept from when its own name is. Nothing that was not synced is ever kept, which
 * a real disk may do; that is the harder case. The power is cut when the process is killed, which it does itself instead
 * of sync number CUT_AT, if that is set. A fault of this model itself ends the process.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "power_cut.c: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static const char *at(char *path, const char *directory, const char *name) {
    check(snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX, "a path is too long");
    return path;
}

/* Where the path, which is below LIVE or LIVE itself, is on DISK; NULL for any other. */
static const char *on_disk(char *path, const char *live_path) {
    const char *live = getenv("POWER_CUT_LIVE"), *disk = getenv("POWER_CUT_DISK");
    size_t length = live ? strlen(live) : 0;
    if (!live || !disk || strncmp(live_path, live, length) || (live_path[length] && live_path[length] != '/'))
        return NULL;
    return at(path, disk, live_path + length);
}

static const char *content_of(char *path, const struct stat *file) {
    char name[64];
    snprintf(name, sizeof name, ".data/%lu", (unsigned long)file->st_ino);
    return at(path, getenv("POWER_CUT_DISK"), name);
}

/* One sync at a time, of all threads and processes that use this disk. */
static int lock(void) {
    int descriptor = open(getenv("POWER_CUT_DISK"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(descriptor >= 0 && flock(descriptor, LOCK_EX) == 0, "lock");
    return descriptor;
}

/* Read from the descriptor that is synced: to open the file once more and close that would let go of its fcntl locks. */
static void keep_content(int from, const struct stat *file) {
    static char block[1 << 20];
    char path[PATH_MAX];
    int to = open(content_of(path, file), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    off_t done = 0;
    ssize_t part;
    check(to >= 0, "open a file");
    for (; (part = pread(from, block, sizeof block, done)) > 0; done += part)
        check(pwrite(to, block, part, done) == part, "write");
    check(part == 0 && ftruncate(to, done) == 0, "copy a file");
    close(to);
}

static void keep_name(const char *live_path, const char *disk_path) {
    char content[PATH_MAX], fresh[PATH_MAX];
    struct stat file;
    if (lstat(live_path, &file))
        return; /* it went meanwhile */
    if (S_ISDIR(file.st_mode)) {
        check(mkdir(disk_path, 0700) == 0 || errno == EEXIST, "make a directory");
    } else if (S_ISREG(file.st_mode)) {
        close(open(content_of(content, &file), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); /* empty: it was never synced */
        at(fresh, getenv("POWER_CUT_DISK"), ".data/fresh");
        unlink(fresh);
        check(link(content, fresh) == 0 && rename(fresh, disk_path) == 0, "link a name");
        unlink(fresh); /* rename does nothing where both are the same file */
    }
}

/* Directories stay where they are; so `.`, `..` and .data need no care. */
static void keep_names(const char *live_path, const char *disk_path) {
    char there[PATH_MAX], kept[PATH_MAX];
    DIR *directory = opendir(disk_path);
    struct dirent *entry;
    if (!directory)
        return; /* its own name is not kept yet, so none in it is */
    while ((entry = readdir(directory)))
        if (access(at(there, live_path, entry->d_name), F_OK))
            unlink(at(kept, disk_path, entry->d_name));
    closedir(directory);
    check((directory = opendir(live_path)) != NULL, "read a directory");
    while ((entry = readdir(directory)))
        keep_name(at(there, live_path, entry->d_name), at(kept, disk_path, entry->d_name));
    closedir(directory);
}

static void cut_power_at_the_chosen_sync(void) {
    static int syncs;
    const char *chosen = getenv("POWER_CUT_AT");
    if (chosen && ++syncs == atoi(chosen))
        raise(SIGKILL);
}

static int synced(int descriptor) {
    char link_path[64], live_path[PATH_MAX], disk_path[PATH_MAX];
    struct stat file;
    ssize_t length;
    int locked;
    if (fstat(descriptor, &file))
        return -1;
    snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", descriptor);
    check((length = readlink(link_path, live_path, sizeof live_path - 1)) >= 0, "find a descriptor's path");
    live_path[length] = '\0';
    if (file.st_nlink == 0 || !on_disk(disk_path, live_path))
        return 0;
    locked = lock();
    cut_power_at_the_chosen_sync();
    if (S_ISDIR(file.st_mode))
        keep_names(live_path, disk_path);
    else
        keep_content(descriptor, &file);
    close(locked);
    return 0;
}

int fsync(int descriptor) { return synced(descriptor); }

int fdatasync(int descriptor) { return synced(descriptor); }

/* The file's number may be given to the next one, which begins with nothing; a name that is still kept holds the old
 * content. */
int unlink(const char *path) {
    char real[PATH_MAX], disk_path[PATH_MAX];
    struct stat file;
    if (realpath(path, real) && on_disk(disk_path, real) && lstat(path, &file) == 0 && file.st_nlink == 1)
        unlinkat(AT_FDCWD, content_of(disk_path, &file), 0);
    return unlinkat(AT_FDCWD, path, 0);
}
