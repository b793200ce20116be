/* A machine with faults, for tests: loaded into the program before the C library (LD_PRELOAD), it refuses what a broken or full
 * disk would refuse, and shifts the wall clock. Which fault is on stands in a file of 64-bit numbers that a test changes at any
 * time. Only files whose path begins with CHATMUX_FAULTY_PATH are concerned. Linux only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* As `Fault` in faults.rs. */
enum { WRITE_ERRNO, WRITE_LEFT, SYNC_ERRNO, CHANGE_ERRNO, CLOCK_MS, HITS, NUMBERS };

static volatile int64_t *numbers;
static char prefix[PATH_MAX];
static size_t prefix_length;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("CHATMUX_FAULTS"), *path = getenv("CHATMUX_FAULTY_PATH");
    if (!file || !path) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *mapped = mmap(NULL, NUMBERS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (mapped == MAP_FAILED) return;
    snprintf(prefix, sizeof prefix, "%s", path);
    prefix_length = strlen(prefix);
    numbers = mapped;
}

static int64_t number(int which) { return numbers ? numbers[which] : 0; }

static int path_is_faulty(const char *path) { return numbers && strncmp(path, prefix, prefix_length) == 0; }

static int fd_is_faulty(int fd) {
    char link[64], path[PATH_MAX];
    if (!numbers) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return path_is_faulty(path);
}

static long refuse(int64_t error) {
    __atomic_add_fetch(&numbers[HITS], 1, __ATOMIC_SEQ_CST);
    errno = (int)error;
    return -1;
}

/* How much of a write is let through; -1: nothing, and errno says why. */
static ssize_t let_through(int fd, size_t length) {
    int64_t error = number(WRITE_ERRNO);
    if (!error || !fd_is_faulty(fd)) return (ssize_t)length;
    int64_t left = numbers[WRITE_LEFT];
    if (left <= 0) return refuse(error);
    if ((int64_t)length > left) length = (size_t)left;
    numbers[WRITE_LEFT] = left - (int64_t)length;
    return (ssize_t)length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t let = let_through(fd, length);
    return let < 0 ? -1 : syscall(SYS_write, fd, bytes, (size_t)let);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    ssize_t let = let_through(fd, length);
    return let < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, (size_t)let, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    int64_t error = number(WRITE_ERRNO);
    if (error && fd_is_faulty(fd)) return (int)refuse(error);
    return (int)syscall(SYS_fallocate, fd, mode, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length) { return fallocate64(fd, mode, at, length); }

int posix_fallocate64(int fd, off64_t at, off64_t length) { return fallocate64(fd, 0, at, length) ? errno : 0; }

int posix_fallocate(int fd, off_t at, off_t length) { return posix_fallocate64(fd, at, length); }

int ftruncate64(int fd, off64_t length) {
    int64_t error = number(CHANGE_ERRNO);
    if (error && fd_is_faulty(fd)) return (int)refuse(error);
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) {
    int64_t error = number(SYNC_ERRNO);
    if (error && fd_is_faulty(fd)) return (int)refuse(error);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    int64_t error = number(SYNC_ERRNO);
    if (error && fd_is_faulty(fd)) return (int)refuse(error);
    return (int)syscall(SYS_fdatasync, fd);
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    int64_t error = number(CHANGE_ERRNO);
    if (error && (flags & (O_WRONLY | O_RDWR | O_CREAT)) && path_is_faulty(path)) return (int)refuse(error);
    return (int)syscall(SYS_openat, folder, path, flags | O_LARGEFILE, mode);
}

#define OPEN(folder, path, flags)                                                                                                  \
    va_list more;                                                                                                                  \
    va_start(more, flags);                                                                                                         \
    mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(more, int) : 0;                                                 \
    va_end(more);                                                                                                                  \
    return open_at(folder, path, flags, mode)

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD, path, flags); }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD, path, flags); }
int openat(int folder, const char *path, int flags, ...) { OPEN(folder, path, flags); }
int openat64(int folder, const char *path, int flags, ...) { OPEN(folder, path, flags); }

int unlink(const char *path) {
    int64_t error = number(CHANGE_ERRNO);
    if (error && path_is_faulty(path)) return (int)refuse(error);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int outcome = (int)syscall(SYS_clock_gettime, clock, now);
    if (outcome == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += number(CLOCK_MS) / 1000;
    return outcome;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now) *now = exact.tv_sec;
    return exact.tv_sec;
}
