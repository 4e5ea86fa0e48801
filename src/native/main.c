/* relay-shell-enforce: confine this process by a plan, then become the command.
 *
 *     relay-shell-enforce KEPT
 *
 * A worker starts it (src/relay_shell/shell/launcher.py) with KEPT descriptors for the command from
 * 0 on, then the plan, a sealed memfd (plan.h), then the writing end of a pipe. A step that fails is
 * reported on the pipe, and nothing runs; the pipe closes as the command starts.
 *
 * It only ever gives up rights, and has none of its own: it is not setuid and has no capabilities.
 * Started by hand it does what the same user could do by hand.
 */
#define _GNU_SOURCE
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STATUS_REFUSED = 126 };

struct report {
    uint32_t step;
    int32_t error;
};

static int tell(int pipe, enum step step, int error)
{
    const struct report report = {step, error};
    /* Fewer octets than PIPE_BUF are written whole or not at all (pipe(7)). */
    return write(pipe, &report, sizeof(report)) == (ssize_t)sizeof(report) ? 0 : -1;
}

/* The number of descriptors that the command gets, or -1. */
static int kept(int count, char **words)
{
    if (count != 2 || words[1][0] < '0' + PLAN_KEPT_MIN || words[1][0] > '0' + PLAN_KEPT_MAX
        || words[1][1] != 0) {
        return -1;
    }
    return words[1][0] - '0';
}

/* Map the plan for reading. The seals matter: who held another descriptor of the file could change
 * it between the check and its use. */
static enum step map(int fd, const uint8_t **octets, size_t *size)
{
    const int wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &status) != 0) {
        return STEP_PLAN;
    }
    if ((seals & wanted) != wanted) {
        errno = EPERM;
        return STEP_PLAN;
    }
    if (status.st_size <= 0 || status.st_size > PLAN_MAX) {
        errno = EMSGSIZE;
        return STEP_PLAN;
    }
    *size = (size_t)status.st_size;
    *octets = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    return *octets == MAP_FAILED ? STEP_PLAN : STEP_READY;
}

static enum step confine(const struct plan *plan)
{
    enum step failed = limits_lower(plan);
    if (failed == STEP_READY && plan->scratch != NULL) {
        failed = mounts_make_read_only(plan);
    }
    if (failed == STEP_READY && chdir(plan->directory) != 0) {
        failed = STEP_DIRECTORY;
    }
    if (failed == STEP_READY && plan->has_account) {
        failed = account_enter(plan);
    }
    /* Not closed but marked: the pipe must stay until the exec, and tell of its failure. */
    if (failed == STEP_READY
        && syscall(SYS_close_range, plan->kept, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
        failed = STEP_CLOSE;
    }
    if (failed == STEP_READY && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        failed = STEP_PRIVILEGES;
    }
    if (failed == STEP_READY) {
        failed = landlock_enter(plan);
    }
    return failed == STEP_READY ? seccomp_enter(plan) : failed;
}

/* Returns only if something failed. */
static enum step become(const struct plan *plan, const char **vector, int pipe)
{
    enum step failed = confine(plan);
    if (failed != STEP_READY) {
        return failed;
    }
    const char **variables = vector + plan->arguments + 1;
    const char *next = plan_words(plan->words, plan->arguments, vector);
    plan_words(next, plan->variables, variables);
    /* The worker must tell a command that started from a launcher that was killed before. Is the
     * worker gone, SIGPIPE ends this process, and there is nobody to run the command for. */
    if (tell(pipe, STEP_READY, 0) == 0) {
        execve(plan->executable, (char **)(uintptr_t)vector, (char **)(uintptr_t)variables);
    }
    return STEP_EXEC;
}

int main(int count, char **words)
{
    static struct plan plan;
    const uint8_t *octets = NULL;
    size_t size = 0;
    int number = kept(count, words);
    /* Until it is confined, no other command of the same account may trace it (ptrace(2)). */
    if (number < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        fputs("relay-shell-enforce: started by relay-shell's workers alone\n", stderr);
        return STATUS_REFUSED;
    }
    enum step failed = map(number, &octets, &size);
    if (failed == STEP_READY) {
        errno = plan_read(octets, size, &plan);
        /* Root without an account of its own would leave root's rights to the command; the other
         * way is root's alone. */
        if (errno == 0 && ((int)plan.kept != number || (geteuid() == 0) != plan.has_account)) {
            errno = EPERM;
        }
        failed = errno != 0 ? STEP_PLAN : STEP_READY;
    }
    if (failed == STEP_READY) {
        /* Before the first step: a filter may refuse what an allocation needs. */
        size_t words_in_all = (size_t)plan.arguments + plan.variables + 2;
        const char **vector = calloc(words_in_all, sizeof(*vector));
        failed = vector == NULL ? STEP_PLAN : become(&plan, vector, number + 1);
    }
    if (tell(number + 1, failed, errno) != 0) {
        perror("relay-shell-enforce: nothing was run");
    }
    return STATUS_REFUSED;
}
