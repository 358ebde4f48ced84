/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/caller.h"

#include <stdatomic.h>
#include <string.h>

/* libzmq's text for ENOCOMPATPROTO, in every version of it and only there. A text stays where symbols are stripped or
 * hidden. */
static const char mark[] = "The protocol is not compatible with the socket type";

/* Objects that were searched: the address of their program headers, and in the lowest bit whether the text is there.
 * When all places are taken, further objects are searched each time. */
#define OBJECTS_KNOWN 16u
static _Atomic uintptr_t known[OBJECTS_KNOWN];

struct caller_search {
    uintptr_t address;
    bool found;
};

bool caller_is_within(const struct dl_phdr_info *o, uintptr_t address)
{
    for (unsigned i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &o->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && address - (o->dlpi_addr + p->p_vaddr) < p->p_memsz)
            return true;
    }
    return false;
}

/* Looks through what is readable and was never written. */
static bool has_mark(const struct dl_phdr_info *o)
{
    for (unsigned i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &o->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_R) && !(p->p_flags & PF_W) &&
            memmem((const void *)(o->dlpi_addr + p->p_vaddr), p->p_filesz, mark, sizeof(mark) - 1))
            return true;
    }
    return false;
}

static bool has_mark_once(const struct dl_phdr_info *o)
{
    uintptr_t key = (uintptr_t)o->dlpi_phdr & ~(uintptr_t)1, free_place = 0;
    for (unsigned i = 0; i < OBJECTS_KNOWN; i++) {
        uintptr_t seen = atomic_load(&known[i]);
        if (seen && (seen & ~(uintptr_t)1) == key)
            return seen & 1;
    }
    bool found = has_mark(o);
    for (unsigned i = 0; i < OBJECTS_KNOWN; i++, free_place = 0)
        if (atomic_compare_exchange_strong(&known[i], &free_place, key | found))
            break;
    return found;
}

static int look_at_object(struct dl_phdr_info *o, size_t size, void *context)
{
    struct caller_search *s = context;
    (void)size;
    if (!caller_is_within(o, s->address))
        return 0;
    s->found = has_mark_once(o);
    return 1;
}

bool caller_is_libzmq(const void *address)
{
    struct caller_search s = {.address = (uintptr_t)address};
    dl_iterate_phdr(look_at_object, &s);
    return s.found;
}
