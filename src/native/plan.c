/* Reading a plan (plan.h): pure, so that it can be fuzzed by itself. */
#include "plan.h"

#include <errno.h>
#include <string.h>

/* What is left of a stretch of octets. Only take() and text() move in it, and both check first. */
struct rest {
    const uint8_t *at;
    size_t left;
};

static const void *take(struct rest *rest, size_t size)
{
    if (size > rest->left) {
        return NULL;
    }
    const uint8_t *taken = rest->at;
    rest->at += size;
    rest->left -= size;
    return taken;
}

/* By memcpy(3): nothing promises that what lies in a plan is aligned. */
static int number32(struct rest *rest, uint32_t *number)
{
    const void *octets = take(rest, sizeof(*number));
    if (octets == NULL) {
        return EMSGSIZE;
    }
    memcpy(number, octets, sizeof(*number));
    return 0;
}

static int number64(struct rest *rest, uint64_t *number)
{
    const void *octets = take(rest, sizeof(*number));
    if (octets == NULL) {
        return EMSGSIZE;
    }
    memcpy(number, octets, sizeof(*number));
    return 0;
}

static int zero32(struct rest *rest)
{
    uint32_t number = 0;
    int error = number32(rest, &number);
    return error != 0 ? error : number != 0 ? EINVAL : 0;
}

static int text(struct rest *rest, const char **found)
{
    const uint8_t *end = rest->left > 0 ? memchr(rest->at, 0, rest->left) : NULL;
    if (end == NULL) {
        return EMSGSIZE;
    }
    *found = take(rest, (size_t)(end - rest->at) + 1);
    return 0;
}

/* A relative path would depend on where the launcher happens to be. */
static int path(struct rest *rest, const char **found)
{
    int error = text(rest, found);
    return error != 0 ? error : **found != '/' ? EINVAL : 0;
}

/* The zeros that fill up to a multiple of 8 octets after `length` of them. */
static int padding(struct rest *rest, size_t length)
{
    size_t size = -length & 7;
    const uint8_t *zeros = take(rest, size);
    if (zeros == NULL) {
        return EMSGSIZE;
    }
    for (size_t index = 0; index < size; index++) {
        if (zeros[index] != 0) {
            return EINVAL;
        }
    }
    return 0;
}

static int read_limits(struct rest rest, struct plan *plan)
{
    int error = 0;
    while (rest.left > 0) {
        if (plan->limits == PLAN_LIMITS_MAX) {
            return EMSGSIZE;
        }
        struct limit *limit = &plan->limit[plan->limits++];
        if ((error = number32(&rest, &limit->resource)) != 0 || (error = zero32(&rest)) != 0
            || (error = number64(&rest, &limit->bound)) != 0) {
            return error;
        }
    }
    return plan->limits > 0 ? 0 : EMSGSIZE;
}

static int read_mounts(struct rest rest, struct plan *plan)
{
    int error = 0;
    if ((error = number64(&rest, &plan->attributes)) != 0
        || (error = path(&rest, &plan->scratch)) != 0
        || (error = text(&rest, &plan->options)) != 0) {
        return error;
    }
    return rest.left > 0 ? EMSGSIZE : 0;
}

static int read_directory(struct rest rest, struct plan *plan)
{
    int error = path(&rest, &plan->directory);
    return error != 0 ? error : rest.left > 0 ? EMSGSIZE : 0;
}

static int read_account(struct rest rest, struct plan *plan)
{
    int error = 0;
    if ((error = number32(&rest, &plan->uid)) != 0 || (error = number32(&rest, &plan->gid)) != 0
        || (error = number64(&rest, &plan->capabilities)) != 0) {
        return error;
    }
    /* To setresuid(2) the highest number means "leave as it is", which is root here. */
    if (plan->uid == 0 || plan->uid == UINT32_MAX || plan->gid == 0 || plan->gid == UINT32_MAX) {
        return EINVAL;
    }
    plan->has_account = 1;
    return rest.left > 0 ? EMSGSIZE : 0;
}

static int read_rule(struct rest *rest, struct rule *rule)
{
    uint32_t place = 0;
    int error = 0;
    if ((error = number64(rest, &rule->rights)) != 0 || (error = number32(rest, &place)) != 0
        || (error = zero32(rest)) != 0 || (error = path(rest, &rule->path)) != 0
        || (error = padding(rest, strlen(rule->path) + 1)) != 0) {
        return error;
    }
    if (place > PLACE_SCRATCH || rule->rights == 0) {
        return EINVAL;
    }
    rule->place = (enum place)place;
    return 0;
}

static int read_landlock(struct rest rest, struct plan *plan)
{
    int error = 0;
    if ((error = number64(&rest, &plan->files)) != 0 || (error = number64(&rest, &plan->ports)) != 0
        || (error = number64(&rest, &plan->scopes)) != 0) {
        return error;
    }
    /* Ports may be open and scopes are few, but a domain that handles no files holds nothing. */
    if (plan->files == 0) {
        return EINVAL;
    }
    while (rest.left > 0) {
        if (plan->rules == PLAN_RULES_MAX) {
            return EMSGSIZE;
        }
        if ((error = read_rule(&rest, &plan->rule[plan->rules++])) != 0) {
            return error;
        }
    }
    return 0;
}

static int read_seccomp(struct rest rest, struct plan *plan)
{
    /* An instruction is struct sock_filter's 8 octets, and BPF_MAXINSNS is 4096. */
    size_t instructions = rest.left / 8;
    if (plan->filters == PLAN_FILTERS_MAX || rest.left % 8 != 0 || instructions == 0
        || instructions > 4096) {
        return EMSGSIZE;
    }
    struct filter *filter = &plan->filter[plan->filters++];
    filter->octets = rest.at;
    filter->instructions = (uint16_t)instructions;
    return 0;
}

static int read_exec(struct rest rest, struct plan *plan)
{
    int error = 0;
    if ((error = number32(&rest, &plan->arguments)) != 0
        || (error = number32(&rest, &plan->variables)) != 0
        || (error = text(&rest, &plan->executable)) != 0) {
        return error;
    }
    if (plan->arguments == 0 || plan->executable[0] == 0) {
        return EINVAL;
    }
    if (plan->arguments > PLAN_WORDS_MAX || plan->variables > PLAN_WORDS_MAX) {
        return EMSGSIZE;
    }
    plan->words = (const char *)rest.at;
    for (uint32_t count = plan->arguments + plan->variables; count > 0; count--) {
        const char *word = NULL;
        if ((error = text(&rest, &word)) != 0) {
            return error;
        }
    }
    return rest.left > 0 ? EMSGSIZE : 0;
}

static int read_record(uint32_t kind, struct rest payload, struct plan *plan)
{
    switch (kind) {
    case KIND_LIMITS:
        return read_limits(payload, plan);
    case KIND_MOUNTS:
        return read_mounts(payload, plan);
    case KIND_DIRECTORY:
        return read_directory(payload, plan);
    case KIND_ACCOUNT:
        return read_account(payload, plan);
    case KIND_LANDLOCK:
        return read_landlock(payload, plan);
    case KIND_SECCOMP:
        return read_seccomp(payload, plan);
    case KIND_EXEC:
        return read_exec(payload, plan);
    default:
        return EINVAL;
    }
}

static int read_header(struct rest *rest, size_t size, struct plan *plan)
{
    const void *magic = take(rest, sizeof(PLAN_MAGIC) - 1);
    uint32_t version = 0;
    uint64_t whole = 0;
    int error = 0;
    if (magic == NULL) {
        return EMSGSIZE;
    }
    if (memcmp(magic, PLAN_MAGIC, sizeof(PLAN_MAGIC) - 1) != 0) {
        return EPROTO;
    }
    if ((error = number32(rest, &version)) != 0) {
        return error;
    }
    if (version != PLAN_VERSION) {
        return EPROTO;
    }
    if ((error = number32(rest, &plan->kept)) != 0 || (error = number64(rest, &whole)) != 0) {
        return error;
    }
    if (plan->kept < PLAN_KEPT_MIN || plan->kept > PLAN_KEPT_MAX) {
        return EINVAL;
    }
    return whole != size ? EMSGSIZE : 0;
}

/* Whether all that there must be is there, and nothing that contradicts it. */
static int whole(const struct plan *plan)
{
    int as_root = plan->scratch != NULL && plan->has_account;
    int as_other = plan->scratch == NULL && !plan->has_account;
    return (as_root || as_other) && plan->limits > 0 && plan->directory != NULL
           && plan->files != 0 && plan->filters > 0 && plan->executable != NULL;
}

int plan_read(const uint8_t *octets, size_t size, struct plan *plan)
{
    struct rest rest = {octets, size};
    uint32_t last = 0;
    memset(plan, 0, sizeof(*plan));
    if (size > PLAN_MAX) {
        return EMSGSIZE;
    }
    int error = read_header(&rest, size, plan);
    while (error == 0 && rest.left > 0) {
        uint32_t kind = 0, length = 0;
        if ((error = number32(&rest, &kind)) != 0 || (error = number32(&rest, &length)) != 0) {
            return error;
        }
        if (kind < last || (kind == last && kind != KIND_SECCOMP)) {
            return EINVAL;
        }
        last = kind;
        const void *payload = take(&rest, length);
        if (payload == NULL) {
            return EMSGSIZE;
        }
        error = read_record(kind, (struct rest){payload, length}, plan);
        if (error == 0) {
            error = padding(&rest, length);
        }
    }
    return error != 0 ? error : whole(plan) ? 0 : EINVAL;
}

const char *plan_words(const char *word, uint32_t count, const char **vector)
{
    for (uint32_t index = 0; index < count; index++) {
        vector[index] = word;
        word += strlen(word) + 1;
    }
    vector[count] = NULL;
    return word;
}
