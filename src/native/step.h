/* The steps of an enforced start, by the numbers under which the worker hears of their failure.
 *
 * src/relay_shell/shell/plan.py has the words for them; a test compares the two lists.
 */
#ifndef RELAY_SHELL_STEP_H
#define RELAY_SHELL_STEP_H

#include "plan.h"

enum step {
    STEP_READY = 0, /* no failure: confined, and about to exec */
    STEP_PLAN = 1,
    STEP_LIMITS = 2,
    STEP_UNSHARE = 3,
    STEP_PRIVATE = 4,
    STEP_ATTRIBUTES = 5,
    STEP_SCRATCH = 6,
    STEP_DIRECTORY = 7,
    STEP_STREAMS = 8,
    STEP_BOUNDING = 9,
    STEP_AMBIENT = 10,
    STEP_GROUPS = 11,
    STEP_GROUP = 12,
    STEP_KEEP = 13,
    STEP_USER = 14,
    STEP_CAPABILITIES = 15,
    STEP_CLOSE = 16,
    STEP_PRIVILEGES = 17,
    STEP_RULESET = 18,
    STEP_RULE = 19,
    STEP_DOMAIN = 20,
    STEP_SECCOMP = 21,
    STEP_EXEC = 22,
};

/* Each returns STEP_READY, or the step that failed with errno set. They must run in main()'s order:
 * each takes away what the one before needed. */
enum step limits_lower(const struct plan *plan);
enum step mounts_make_read_only(const struct plan *plan);
enum step account_enter(const struct plan *plan);
enum step landlock_enter(const struct plan *plan);
enum step seccomp_enter(const struct plan *plan);

#endif
