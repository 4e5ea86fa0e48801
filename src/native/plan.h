/* The plan of one enforced start: what the worker decided, as octets that are checked here.
 *
 * The worker (src/relay_shell/shell/plan.py) writes a plan into a sealed memfd. All numbers are in
 * the machine's own byte order: a plan never leaves the machine, nor the package that made it.
 *
 *     header    "RSENFORC", u32 version, u32 kept, u64 size of the whole plan
 *     records   u32 kind, u32 length, then `length` octets, then zeros up to a multiple of 8
 *
 * Kinds come in the order of `enum kind`, each once, but for SECCOMP. All are in root's plans; anybody
 * else's have neither MOUNTS nor ACCOUNT.
 *
 *     LIMITS     1 to 16 times: u32 resource, u32 zero, u64 bound
 *     MOUNTS     u64 attributes for every mount, the scratch directory, options of its tmpfs
 *     DIRECTORY  path
 *     ACCOUNT    u32 uid, u32 gid, u64 capabilities that are kept
 *     LANDLOCK   u64 files, u64 ports, u64 scopes, then rules: u64 rights, u32 enum place, u32 zero,
 *                path, zeros up to a multiple of 8
 *     SECCOMP    a BPF program; 1 to 4 records, entered in their order
 *     EXEC       u32 arguments, u32 variables, executable, arguments, variables
 *
 * Texts end with a NUL, which is counted. What is unknown, missing, twice, too long, or left over
 * makes the whole plan void: a launcher that guessed would run a command with less confinement than
 * the worker believes.
 */
#ifndef RELAY_SHELL_PLAN_H
#define RELAY_SHELL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define PLAN_MAGIC "RSENFORC"
#define PLAN_VERSION 1

enum {
    PLAN_MAX = 16 << 20, /* execve(2) takes 6 MiB of words at most */
    PLAN_WORDS_MAX = 1 << 20,
    PLAN_LIMITS_MAX = 16,
    PLAN_RULES_MAX = 256,
    PLAN_FILTERS_MAX = 4,
    PLAN_KEPT_MIN = 3,
    PLAN_KEPT_MAX = 8,
};

enum kind {
    KIND_LIMITS = 1,
    KIND_MOUNTS = 2,
    KIND_DIRECTORY = 3,
    KIND_ACCOUNT = 4,
    KIND_LANDLOCK = 5,
    KIND_SECCOMP = 6,
    KIND_EXEC = 7,
};

/* What a Landlock rule is about. */
enum place {
    PLACE_REQUIRED = 0,
    PLACE_OPTIONAL = 1, /* a device that a container may lack: without it, fewer rights */
    PLACE_SCRATCH = 2,  /* a directory of its own, and no symbolic link to another */
};

struct limit {
    uint32_t resource;
    uint64_t bound;
};

struct rule {
    uint64_t rights;
    enum place place;
    const char *path;
};

struct filter {
    const void *octets;
    uint16_t instructions;
};

/* Points into the plan's octets; they must stay as they are for as long as this is used. */
struct plan {
    uint32_t kept;

    size_t limits;
    struct limit limit[PLAN_LIMITS_MAX];

    uint64_t attributes;
    const char *scratch; /* NULL without MOUNTS */
    const char *options;

    const char *directory;

    int has_account;
    uint32_t uid, gid;
    uint64_t capabilities;

    uint64_t files, ports, scopes;
    size_t rules;
    struct rule rule[PLAN_RULES_MAX];

    size_t filters;
    struct filter filter[PLAN_FILTERS_MAX];

    const char *executable;
    uint32_t arguments, variables;
    const char *words; /* arguments, then variables, one after the other */
};

/* Check a plan and take it apart. Returns 0, or the errno that says what is wrong:
 * EPROTO no plan of this version, EMSGSIZE a wrong length, EINVAL anything else. */
int plan_read(const uint8_t *octets, size_t size, struct plan *plan);

/* Fill `vector` with `count` words from `word` on and a NULL; returns what follows the last. */
const char *plan_words(const char *word, uint32_t count, const char **vector);

#endif
