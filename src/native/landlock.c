/* A Landlock domain, landlock(7): what it handles is denied unless a rule allows it.
 *
 * Root's commands enter one too: by /proc/PID/root a command that may look at another process gets
 * to that process' mounts, which are not read-only. No domain looks at a process outside it. */
#define _GNU_SOURCE
#include "step.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From <linux/landlock.h>, whose structures grow with the kernel: older headers lack the last two
 * members, and a kernel that lacks them refuses the size. */
struct attributes {
    uint64_t files, ports, scopes;
};

struct beneath {
    uint64_t rights;
    int32_t parent;
} __attribute__((packed));

enum { RULE_PATH_BENEATH = 1 };

static enum step add(int ruleset, const struct rule *rule)
{
    /* Another's symbolic link in place of scratch would make what it points to writable. */
    int flags = rule->place == PLACE_SCRATCH ? O_DIRECTORY | O_NOFOLLOW : 0;
    int file = open(rule->path, O_PATH | O_CLOEXEC | flags);
    if (file < 0) {
        return rule->place == PLACE_OPTIONAL ? STEP_READY : STEP_RULE;
    }
    const struct beneath beneath = {rule->rights, file};
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &beneath, 0) != 0) {
        return STEP_RULE;
    }
    close(file);
    return STEP_READY;
}

enum step landlock_enter(const struct plan *plan)
{
    const struct attributes attributes = {plan->files, plan->ports, plan->scopes};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
    if (ruleset < 0) {
        return STEP_RULESET;
    }
    for (size_t index = 0; index < plan->rules; index++) {
        enum step failed = add(ruleset, &plan->rule[index]);
        if (failed != STEP_READY) {
            return failed;
        }
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) {
        return STEP_DOMAIN;
    }
    close(ruleset);
    return STEP_READY;
}
