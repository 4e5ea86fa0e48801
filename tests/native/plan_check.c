/* The reader of plans by itself, for tests (test_plan.py) and for a fuzzer (`make fuzz`).
 *
 * Reads plans from standard input, each after its length (u32), and answers each with an i32: 0, or
 * the errno of its fault. Every plan ends where a page begins that cannot be read, so that reading
 * past it is fatal without a sanitizer too.
 */
#define _GNU_SOURCE
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int check(const uint8_t *octets, size_t size)
{
    static struct plan plan;
    int fault = plan_read(octets, size, &plan);
    if (fault != 0) {
        return fault;
    }
    /* What main() does with a plan that is sound: walk all of its words, and whatever it points to. */
    const char **vector = calloc((size_t)plan.arguments + plan.variables + 2, sizeof(*vector));
    if (vector == NULL) {
        abort();
    }
    const char *next = plan_words(plan.words, plan.arguments, vector);
    plan_words(next, plan.variables, vector + plan.arguments + 1);
    size_t seen = strlen(plan.executable) + strlen(plan.directory);
    for (uint32_t index = 0; index < plan.arguments; index++) {
        seen += strlen(vector[index]);
    }
    for (uint32_t index = 0; index < plan.variables; index++) {
        seen += strlen(vector[plan.arguments + 1 + index]);
    }
    for (size_t index = 0; index < plan.rules; index++) {
        seen += strlen(plan.rule[index].path);
    }
    for (size_t index = 0; index < plan.filters; index++) {
        const uint8_t *program = plan.filter[index].octets;
        seen += program[plan.filter[index].instructions * 8 - 1];
    }
    if (plan.scratch != NULL) {
        seen += strlen(plan.scratch) + strlen(plan.options);
    }
    free(vector);
    /* The invariants that main() relies on. */
    int as_root = plan.has_account && plan.scratch != NULL;
    int as_other = !plan.has_account && plan.scratch == NULL;
    if (as_root == as_other || plan.files == 0 || plan.filters == 0 || plan.limits == 0 || plan.directory[0] != '/'
        || (plan.has_account && (plan.uid == 0 || plan.gid == 0)) || seen > 2 * size) {
        abort();
    }
    return 0;
}

#ifdef FUZZER
int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
    check(octets, size);
    return 0;
}
#else
int main(void)
{
    uint32_t size = 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    while (fread(&size, sizeof(size), 1, stdin) == 1) {
        size_t readable = (size + page - 1) / page * page;
        int flags = MAP_PRIVATE | MAP_ANONYMOUS;
        uint8_t *pages = mmap(NULL, readable + page, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages + readable, page, PROT_NONE) != 0) {
            return 1;
        }
        uint8_t *octets = pages + readable - size;
        if (fread(octets, 1, size, stdin) != size) {
            return 1;
        }
        int32_t fault = check(octets, size);
        if (munmap(pages, readable + page) != 0 || fwrite(&fault, sizeof(fault), 1, stdout) != 1) {
            return 1;
        }
    }
    return 0;
}
#endif
