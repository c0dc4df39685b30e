/* Stands between a program and libc (LD_PRELOAD): counts the calls that change what lies below the watched folders, or that
 * talk to a pipe or socket, kills the process before the N-th of a kind (or lets it fail), and writes down what was done.
 *
 * strace's fault injection does the same from outside and takes a second a try; a thousand tries need something quicker.
 * benchmarks/daily/strace.py compares the two. Set up by the environment (a program of its own) or by the functions shim_*
 * (a process that was forked). Threads: counts are kept under no lock, since one thread is what is tested.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, PWRITE, FSYNC, FDATASYNC, RENAME, UNLINK, TRUNCATE, OPEN, SEND, MKDIR, KINDS };
static const char *const NAMES[KINDS] = {"write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "openat", "sendto", "mkdir"};
#define MOST 8
static char watched[MOST][PATH_MAX];
static int watching;
static pid_t owner;
static int kind_wanted = -1, fault, lasting, first = 3; /* first: the descriptor from which on pipes count */
static long at, counts[KINDS], total;
static int recorder = -1;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name)

static int below(const char *path)
{
    for (int i = 0; i < watching; i++) {
        size_t size = strlen(watched[i]);
        if (strncmp(path, watched[i], size) == 0 && (path[size] == '/' || path[size] == 0)) return 1;
    }
    return 0;
}

/* What a descriptor is open on; "" where nobody can tell. */
static void named(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = 0;
}

static void absolute(int folder, const char *name, char *path)
{
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char base[PATH_MAX] = "";
    if (folder == AT_FDCWD) {
        if (getcwd(base, sizeof base) == NULL) base[0] = 0;
    } else named(folder, base);
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) path[0] = 0;
}

/* Returns an error to fail with, 0 to go on; doesn't return where the process is to die here. */
static int met(int kind, const char *path, int fd)
{
    if (owner == 0 || getpid() != owner) return 0;
    int outside = fd >= first && (strncmp(path, "pipe:", 5) == 0 || strncmp(path, "socket:", 7) == 0);
    if (!below(path) && !outside) return 0;
    counts[kind]++;
    total++;
    if (at == 0 || (kind_wanted >= 0 && kind_wanted != kind)) return 0;
    long now = kind_wanted >= 0 ? counts[kind] : total;
    if (fault == 0 && now == at) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    return fault && (now == at || (lasting && now > at)) && !outside ? fault : 0;
}

static void put(const void *data, size_t size)
{
    REAL(write);
    while (size) {
        ssize_t done = real(recorder, data, size);
        if (done <= 0) return;
        data = (const char *)data + done;
        size -= (size_t)done;
    }
}

/* A letter, the offset, three lengths, then two paths and the bytes. */
static void record(char what, const char *path, const char *other, int64_t offset, const void *data, size_t size)
{
    if (recorder < 0 || owner == 0 || getpid() != owner) return;
    if (!below(path) && !(other && below(other))) return;
    int64_t head[5] = {what, offset, (int64_t)strlen(path), other ? (int64_t)strlen(other) : 0, (int64_t)size};
    put(head, sizeof head);
    put(path, strlen(path));
    if (other) put(other, strlen(other));
    if (size) put(data, size);
}

void shim_watch(const char *folder)
{
    if (watching < MOST) snprintf(watched[watching++], PATH_MAX, "%s", folder);
}

/* The kind's name, "" for all together; the process dies before call `number` of it, or that call fails with `error`. */
void shim_arm(const char *kind, long number, int error, int stays)
{
    owner = getpid();
    kind_wanted = -1;
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kind, NAMES[i]) == 0) kind_wanted = i;
    at = number;
    fault = error;
    lasting = stays;
    total = 0;
    memset(counts, 0, sizeof counts);
}

void shim_record(const char *path)
{
    REAL(open);
    recorder = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Writes "kind count" lines to a file, which isn't counted. */
void shim_counts(const char *path)
{
    owner = 0;
    FILE *out = fopen(path, "w");
    if (out == NULL) return;
    for (int i = 0; i < KINDS; i++) fprintf(out, "%s %ld\n", NAMES[i], counts[i]);
    fclose(out);
}

static char *counted;

__attribute__((constructor)) static void begin(void)
{
    char *folders = getenv("SHIM_WATCH"), *number = getenv("SHIM_AT"), *error = getenv("SHIM_ERROR"), *kind = getenv("SHIM_KIND");
    if (folders == NULL) return;
    char *copy = strdup(folders);
    for (char *one = strtok(copy, ":"); one; one = strtok(NULL, ":")) shim_watch(one);
    shim_arm(kind ? kind : "", number ? atol(number) : 0, error ? atoi(error) : 0, 1);
    if (getenv("SHIM_STDOUT")) first = 1;
    counted = getenv("SHIM_COUNTS");
    if (counted) counted = strdup(counted);
    unsetenv("SHIM_WATCH"); /* programs that are started from here are not meant */
}

__attribute__((destructor)) static void end(void)
{
    if (counted && owner == getpid()) shim_counts(counted);
}

#define FAIL(kind, path, fd) \
    do { \
        int error_ = met(kind, path, fd); \
        if (error_) { errno = error_; return -1; } \
    } while (0)

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    if (owner == 0) return real(fd, data, size);
    char path[PATH_MAX];
    named(fd, path);
    FAIL(WRITE, path, fd);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    struct stat status;
    if (fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &status) == 0) offset = status.st_size;
    ssize_t done = real(fd, data, size);
    if (done > 0) record('w', path, NULL, offset, data, (size_t)done);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int number)
{
    REAL(writev);
    if (owner == 0) return real(fd, parts, number);
    char path[PATH_MAX];
    named(fd, path);
    FAIL(WRITE, path, fd);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = real(fd, parts, number), left = done;
    for (int i = 0; i < number && left > 0; i++) {
        size_t size = (ssize_t)parts[i].iov_len < left ? parts[i].iov_len : (size_t)left;
        record('w', path, NULL, offset, parts[i].iov_base, size);
        offset += (off_t)size;
        left -= (ssize_t)size;
    }
    return done;
}

#define PWRITE_AS(name, type) \
    ssize_t name(int fd, const void *data, size_t size, type offset) \
    { \
        REAL(name); \
        if (owner == 0) return real(fd, data, size, offset); \
        char path[PATH_MAX]; \
        named(fd, path); \
        FAIL(PWRITE, path, fd); \
        ssize_t done = real(fd, data, size, offset); \
        if (done > 0) record('w', path, NULL, offset, data, (size_t)done); \
        return done; \
    }
PWRITE_AS(pwrite, off_t)
PWRITE_AS(pwrite64, off64_t)

#define SYNC_AS(name, kind) \
    int name(int fd) \
    { \
        REAL(name); \
        if (owner == 0) return real(fd); \
        char path[PATH_MAX]; \
        named(fd, path); \
        FAIL(kind, path, fd); \
        int done = real(fd); \
        if (done == 0) record('s', path, NULL, 0, NULL, 0); \
        return done; \
    }
SYNC_AS(fsync, FSYNC)
SYNC_AS(fdatasync, FDATASYNC)

#define TRUNCATE_AS(name, type) \
    int name(int fd, type size) \
    { \
        REAL(name); \
        if (owner == 0) return real(fd, size); \
        char path[PATH_MAX]; \
        named(fd, path); \
        FAIL(TRUNCATE, path, fd); \
        int done = real(fd, size); \
        if (done == 0) record('t', path, NULL, size, NULL, 0); \
        return done; \
    }
TRUNCATE_AS(ftruncate, off_t)
TRUNCATE_AS(ftruncate64, off64_t)

static int renamed(int done, const char *path, const char *other)
{
    if (done == 0) record('r', path, other, 0, NULL, 0);
    return done;
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    if (owner == 0) return real(from, to);
    char path[PATH_MAX], other[PATH_MAX];
    absolute(AT_FDCWD, from, path);
    absolute(AT_FDCWD, to, other);
    FAIL(RENAME, below(path) ? path : other, -1);
    return renamed(real(from, to), path, other);
}

int renameat(int old, const char *from, int new, const char *to)
{
    REAL(renameat);
    if (owner == 0) return real(old, from, new, to);
    char path[PATH_MAX], other[PATH_MAX];
    absolute(old, from, path);
    absolute(new, to, other);
    FAIL(RENAME, below(path) ? path : other, -1);
    return renamed(real(old, from, new, to), path, other);
}

int renameat2(int old, const char *from, int new, const char *to, unsigned flags)
{
    REAL(renameat2);
    if (owner == 0) return real(old, from, new, to, flags);
    char path[PATH_MAX], other[PATH_MAX];
    absolute(old, from, path);
    absolute(new, to, other);
    FAIL(RENAME, below(path) ? path : other, -1);
    return renamed(real(old, from, new, to, flags), path, other);
}

static int gone(int done, const char *path)
{
    if (done == 0) record('u', path, NULL, 0, NULL, 0);
    return done;
}

int unlink(const char *name)
{
    REAL(unlink);
    if (owner == 0) return real(name);
    char path[PATH_MAX];
    absolute(AT_FDCWD, name, path);
    FAIL(UNLINK, path, -1);
    return gone(real(name), path);
}

int unlinkat(int folder, const char *name, int flags)
{
    REAL(unlinkat);
    if (owner == 0) return real(folder, name, flags);
    char path[PATH_MAX];
    absolute(folder, name, path);
    FAIL(UNLINK, path, -1);
    return gone(real(folder, name, flags), path);
}

int rmdir(const char *name)
{
    REAL(rmdir);
    if (owner == 0) return real(name);
    char path[PATH_MAX];
    absolute(AT_FDCWD, name, path);
    FAIL(UNLINK, path, -1);
    return gone(real(name), path);
}

int mkdir(const char *name, mode_t mode)
{
    REAL(mkdir);
    if (owner == 0) return real(name, mode);
    char path[PATH_MAX];
    absolute(AT_FDCWD, name, path);
    FAIL(MKDIR, path, -1);
    int done = real(name, mode);
    if (done == 0) record('d', path, NULL, 0, NULL, 0);
    return done;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    REAL(sendto);
    if (owner == 0) return real(fd, data, size, flags, to, length);
    char path[PATH_MAX];
    named(fd, path);
    FAIL(SEND, path, fd);
    return real(fd, data, size, flags, to, length);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    REAL(send);
    if (owner == 0) return real(fd, data, size, flags);
    char path[PATH_MAX];
    named(fd, path);
    FAIL(SEND, path, fd);
    return real(fd, data, size, flags);
}

/* Opening: what it made or cut is written down. */
static int opened(int fd, const char *path, int flags, int there)
{
    if (fd < 0) return fd;
    if (flags & O_CREAT && !there) record('c', path, NULL, 0, NULL, 0);
    else if (flags & O_TRUNC) record('t', path, NULL, 0, NULL, 0);
    return fd;
}

static int exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

#define OPEN_AS(name) \
    int name(const char *file, int flags, ...) \
    { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (owner == 0) return real(file, flags, mode); \
        char path[PATH_MAX]; \
        absolute(AT_FDCWD, file, path); \
        FAIL(OPEN, path, -1); \
        int there = exists(path); \
        return opened(real(file, flags, mode), path, flags, there); \
    }
OPEN_AS(open)
OPEN_AS(open64)

#define OPENAT_AS(name) \
    int name(int folder, const char *file, int flags, ...) \
    { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (owner == 0) return real(folder, file, flags, mode); \
        char path[PATH_MAX]; \
        absolute(folder, file, path); \
        FAIL(OPEN, path, -1); \
        int there = exists(path); \
        return opened(real(folder, file, flags, mode), path, flags, there); \
    }
OPENAT_AS(openat)
OPENAT_AS(openat64)
