/* Resource limits, setrlimit(2). */
#include "step.h"

#include <sys/resource.h>

enum step limits_lower(const struct plan *plan)
{
    for (size_t index = 0; index < plan->limits; index++) {
        const struct limit *limit = &plan->limit[index];
        struct rlimit now;
        if (getrlimit((__rlimit_resource_t)limit->resource, &now) != 0) {
            return STEP_LIMITS;
        }
        /* A hard limit that the unit set lower stays: raising it would be a gain. */
        if (limit->bound < now.rlim_max) {
            now.rlim_max = limit->bound;
        }
        now.rlim_cur = now.rlim_max;
        if (setrlimit((__rlimit_resource_t)limit->resource, &now) != 0) {
            return STEP_LIMITS;
        }
    }
    return STEP_READY;
}
