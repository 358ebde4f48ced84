/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/zmq_library.h"

#include "preload/caller.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MOST 4096u

const struct zmq_user *_Atomic zmq_users;
__thread unsigned zmq_depth;

/* ---- objects of the process ---- */

struct object {
    uintptr_t address; /* in: an address within it */
    uintptr_t from, to;
    const char *name; /* "": the program itself */
};

static int look_at_loaded(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct object *o = arg;
    if (!caller_is_within(info, o->address))
        return 0;
    o->from = UINTPTR_MAX;
    o->name = info->dlpi_name;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + p->p_vaddr;
        if (p->p_type != PT_LOAD)
            continue;
        o->from = at < o->from ? at : o->from;
        o->to = at + p->p_memsz > o->to ? at + p->p_memsz : o->to;
    }
    return 1;
}

static bool find_object(struct object *ret, const void *address)
{
    *ret = (struct object){.address = (uintptr_t)address};
    return dl_iterate_phdr(look_at_loaded, ret) == 1;
}

/* ---- where libzmq's functions are ---- */

bool zmq_library_is_weirs(const char *object)
{
    const char *slash = strrchr(object, '/');
    const char *name = slash ? slash + 1 : object;
    return !strcmp(name, "libweir-run.so") || !strcmp(name, "libweir-count.so");
}

/* Whether dlsym() has found the function of this very object, or of the other one of Weir: only one of them counts. */
static bool is_ours(const void *function)
{
    Dl_info at, here;
    return dladdr(function, &at) && dladdr((const void *)&zmq_users, &here) &&
           (at.dli_fbase == here.dli_fbase || zmq_library_is_weirs(at.dli_fname));
}

static void *find_function(void *handle, const char *name)
{
    void *function = dlsym(handle, name);
    return function && !is_ours(function) ? function : NULL;
}

/* Asks libzmq itself: the byte that makes it say so. zmq_msg_more() for each message would cost it 3 % of its speed. */
static int find_more(const struct zmq_library *zmq)
{
    union {
        void *align[API_MSG_WORDS];
        unsigned char bytes[API_MSG_BYTES];
    } msg;
    if (!zmq->msg_init || !zmq->msg_more || !zmq->msg_close || zmq->msg_init(&msg) < 0)
        return -1;
    int found = -1;
    for (int i = 0; i < API_MSG_BYTES && found < 0 && !zmq->msg_more(&msg); i++) {
        msg.bytes[i] ^= 1;
        if (zmq->msg_more(&msg))
            found = i;
        msg.bytes[i] ^= 1;
    }
    (void)zmq->msg_close(&msg);
    return found;
}

static void fill_table(struct zmq_library *ret, void *handle)
{
#define X(result, name, arguments) ret->name = (result(*) arguments)find_function(handle, "zmq_" #name);
    ZMQ_FUNCTIONS(X)
#undef X
    ret->more_at = find_more(ret);
}

struct names {
    char *at[OBJECTS_MOST];
    size_t count;
};

static int note_name(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    struct names *n = arg;
    if (info->dlpi_name && info->dlpi_name[0] && n->count < OBJECTS_MOST && (n->at[n->count] = strdup(info->dlpi_name)))
        n->count++;
    return 0;
}

/* A handle of the first loaded object through which libzmq is found, or NULL. Names first: dlopen() may not be called
 * while objects are visited. */
static void *search_all_objects(void)
{
    void *found = NULL;
    struct names *n = calloc(1, sizeof(*n));
    if (!n)
        return NULL;
    (void)dl_iterate_phdr(note_name, n);
    for (size_t i = 0; i < n->count; i++) {
        void *handle = found ? NULL : dlopen(n->at[i], RTLD_LAZY | RTLD_NOLOAD);
        if (handle && find_function(handle, "zmq_bind"))
            found = handle;
        else if (handle)
            dlclose(handle);
        free(n->at[i]);
    }
    free(n);
    return found;
}

static void find_library(struct zmq_library *ret, const struct object *o)
{
    void *handle = o && o->name[0] ? dlopen(o->name, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    if (handle && find_function(handle, "zmq_bind")) {
        fill_table(ret, handle);
        return;
    }
    if (handle)
        dlclose(handle);
    fill_table(ret, RTLD_NEXT);
    if (!ret->bind && (handle = search_all_objects()))
        fill_table(ret, handle);
    (void)dlerror(); /* of functions that this libzmq does not have: not the application's concern */
}

static const struct zmq_user *find_known(const struct zmq_user *u, const void *caller)
{
    while (u && (uintptr_t)caller - u->from >= u->bytes)
        u = u->next;
    return u;
}

static const struct zmq_user *find_generated(const struct zmq_user *u)
{
    while (u && u->bytes)
        u = u->next;
    return u;
}

const struct zmq_user *zmq_user_find(const void *caller)
{
    static const struct zmq_user nobody;
    const struct zmq_user *first = atomic_load_explicit(&zmq_users, memory_order_acquire);
    const struct zmq_user *known = find_known(first, caller);
    struct object o;
    if (known)
        return known;
    /* Code that is in no object is generated code, and all of that is one user. */
    bool is_object = find_object(&o, caller);
    if (!is_object && (known = find_generated(first)))
        return known;
    struct zmq_user *u = calloc(1, sizeof(*u));
    if (!u)
        return first ? first : &nobody;
    u->from = o.from;
    u->bytes = o.to - o.from;
    find_library(&u->zmq, is_object ? &o : NULL);
    u->next = first;
    while (!atomic_compare_exchange_weak(&zmq_users, &u->next, u))
        continue;
    return u;
}
