/* System call filters, seccomp(2). */
#define _GNU_SOURCE
#include "step.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

enum step seccomp_enter(const struct plan *plan)
{
    for (size_t index = 0; index < plan->filters; index++) {
        /* The kernel copies the program, and checks it. */
        const struct sock_fprog program = {
            .len = plan->filter[index].instructions,
            .filter = (struct sock_filter *)(uintptr_t)plan->filter[index].octets,
        };
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
            return STEP_SECCOMP;
        }
    }
    return STEP_READY;
}
