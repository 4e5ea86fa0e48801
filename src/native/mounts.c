/* Root's way to read-only: a mount namespace in which every mount is read-only. */
#define _GNU_SOURCE
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

/* struct mount_attr of mount_setattr(2); not every C library has it. */
struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};

static enum step mount_scratch(const struct plan *plan)
{
    /* By descriptor and ".": whoever may write next to the scratch directory could put a symbolic
     * link in its place, and have the writable tmpfs cover a directory of his choice. */
    int scratch = open(plan->scratch, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (scratch < 0 || fchdir(scratch) != 0 || close(scratch) != 0) {
        return STEP_SCRATCH;
    }
    unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    return mount("tmpfs", ".", "tmpfs", flags, plan->options) != 0 ? STEP_SCRATCH : STEP_READY;
}

/* Whoever reads it takes messages away from the system's log; /dev/kmsg has the same ones. */
static enum step cover_kmsg(void)
{
    if (mount("/dev/null", "/proc/kmsg", NULL, MS_BIND, NULL) != 0 && errno != ENOENT) {
        return STEP_ATTRIBUTES;
    }
    return STEP_READY;
}

enum step mounts_make_read_only(const struct plan *plan)
{
    const struct attributes attributes = {.set = plan->attributes};
    if (unshare(CLONE_NEWNS) != 0) {
        return STEP_UNSHARE;
    }
    /* First of all: what is still shared would change the host's mounts. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return STEP_PRIVATE;
    }
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof(attributes))
        != 0) {
        return STEP_ATTRIBUTES;
    }
    enum step failed = cover_kmsg();
    return failed == STEP_READY ? mount_scratch(plan) : failed;
}
