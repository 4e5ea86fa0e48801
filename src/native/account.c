/* From root to an account that keeps only the capabilities of the plan. */
#define _GNU_SOURCE
#include "step.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A pipe belongs to who made it, and /dev/stderr reopens it by its inode. */
static enum step give_pipes(uid_t uid, gid_t gid)
{
    for (int number = 0; number < 3; number++) {
        struct stat status;
        if (fstat(number, &status) != 0
            || (S_ISFIFO(status.st_mode) && fchown(number, uid, gid) != 0)) {
            return STEP_STREAMS;
        }
    }
    return STEP_READY;
}

/* Drop all but `*keep` from the bounding set; what is not in it is not kept either. */
static enum step bound(uint64_t *keep)
{
    uint64_t present = 0;
    for (int number = 0; number < 64; number++) {
        int there = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (there < 0) {
            break; /* past the last that this kernel knows */
        }
        uint64_t bit = UINT64_C(1) << number;
        if (there == 0) {
            continue;
        }
        present |= bit;
        if ((*keep & bit) == 0 && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) {
            return STEP_BOUNDING;
        }
    }
    *keep &= present;
    return STEP_READY;
}

/* Leave `keep` in every set: ambient capabilities survive the exec of an ordinary program. */
static enum step keep_only(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) {
        return STEP_CAPABILITIES;
    }
    keep &= (uint64_t)data[1].permitted << 32 | data[0].permitted;
    for (int half = 0; half < 2; half++) {
        uint32_t bits = (uint32_t)(keep >> 32 * half);
        data[half] = (struct __user_cap_data_struct){bits, bits, bits};
    }
    if (syscall(SYS_capset, &header, data) != 0) {
        return STEP_CAPABILITIES;
    }
    for (int number = 0; number < 64; number++) {
        if ((keep >> number & 1) != 0
            && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0) {
            return STEP_AMBIENT;
        }
    }
    return STEP_READY;
}

enum step account_enter(const struct plan *plan)
{
    uint64_t keep = plan->capabilities;
    enum step failed = give_pipes(plan->uid, plan->gid);
    if (failed == STEP_READY) {
        failed = bound(&keep);
    }
    if (failed != STEP_READY) {
        return failed;
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
        return STEP_AMBIENT;
    }
    if (setgroups(0, NULL) != 0) {
        return STEP_GROUPS;
    }
    if (setresgid(plan->gid, plan->gid, plan->gid) != 0) {
        return STEP_GROUP;
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
        return STEP_KEEP;
    }
    if (setresuid(plan->uid, plan->uid, plan->uid) != 0) {
        return STEP_USER;
    }
    return keep_only(keep);
}
