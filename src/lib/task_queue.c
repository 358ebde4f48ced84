/* SPDX-License-Identifier: MPL-2.0 */
#include "lib/task_queue.h"

#include <stdlib.h>
#include <string.h>
#include <errno.h>

#define COST_NS NS_PER_MS /* of a task, before one has ended */

static uint32_t bucket_number(uint32_t entries)
{
    uint32_t n = 16;
    while (n < entries)
        n *= 2;
    return n;
}

int task_queue_init(struct task_queue *q, const struct task_queue_params *params)
{
    uint32_t buckets = bucket_number(params->sources);
    *q = (struct task_queue){.params = *params, .mask = buckets - 1};
    q->buckets = calloc(buckets, sizeof(struct task_source *));
    q->heap = calloc((size_t)params->messages + 2, sizeof(struct task_source *));
    q->by_count = calloc((size_t)params->messages + 2, sizeof(*q->by_count));
    if (!q->buckets || !q->heap || !q->by_count) {
        free(q->buckets);
        free(q->heap);
        free(q->by_count);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < params->messages + 2; i++)
        list_init(&q->by_count[i]);
    list_init(&q->active);
    list_init(&q->idle);
    list_init(&q->shed);
    hash_key_random(&q->hash_key);
    return 0;
}

void task_queue_fini(struct task_queue *q)
{
    for (uint32_t i = 0; i <= q->mask; i++)
        for (struct task_source *s; (s = q->buckets[i]);) {
            q->buckets[i] = s->next;
            free(s);
        }
    free(q->buckets);
    free(q->heap);
    free(q->by_count);
}

/* ---- the heap: the lowest tag first, from index 1 ---- */

static bool source_before(const struct task_source *a, const struct task_source *b)
{
    return a->tag_ns != b->tag_ns ? a->tag_ns < b->tag_ns : a->turn < b->turn;
}

static void heap_put(struct task_queue *q, uint32_t at, struct task_source *s)
{
    q->heap[at] = s;
    s->heap_at = at;
}

static void heap_up(struct task_queue *q, uint32_t at)
{
    struct task_source *s = q->heap[at];
    for (; at > 1 && source_before(s, q->heap[at / 2]); at /= 2)
        heap_put(q, at, q->heap[at / 2]);
    heap_put(q, at, s);
}

static void heap_down(struct task_queue *q, uint32_t at)
{
    struct task_source *s = q->heap[at];
    for (uint32_t child; (child = 2 * at) <= q->heap_count; at = child) {
        if (child < q->heap_count && source_before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!source_before(q->heap[child], s))
            break;
        heap_put(q, at, q->heap[child]);
    }
    heap_put(q, at, s);
}

static void heap_moved(struct task_queue *q, uint32_t at)
{
    heap_up(q, at);
    heap_down(q, q->heap[at]->heap_at);
}

static void heap_remove(struct task_queue *q, struct task_source *s)
{
    uint32_t at = s->heap_at;
    struct task_source *last = q->heap[q->heap_count--];
    s->heap_at = 0;
    if (last == s)
        return;
    heap_put(q, at, last);
    heap_moved(q, at);
}

static void heap_add(struct task_queue *q, struct task_source *s)
{
    heap_put(q, ++q->heap_count, s);
    heap_up(q, q->heap_count);
}

/* Its place after its tag or its tasks have changed: in the heap as long as a task of it may begin. */
static void heap_settle(struct task_queue *q, struct task_source *s)
{
    uint32_t most = q->params.source_running;
    bool ready = s->waiting && (!most || s->running < most);
    if (ready && s->heap_at)
        heap_moved(q, s->heap_at);
    else if (ready)
        heap_add(q, s);
    else if (s->heap_at)
        heap_remove(q, s);
}

/* ---- sources ---- */

static void source_free(struct task_queue *q, struct task_source *s)
{
    struct task_source **at = &q->buckets[s->bucket];
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    list_del(&s->active);
    q->source_count--;
    free(s);
}

static void source_rest(struct task_queue *q, struct task_source *s)
{
    if (s->waiting || s->running)
        return;
    list_del(&s->active);
    list_push(&q->idle, &s->active);
}

static struct task_source *source_add(struct task_queue *q, uint32_t bucket, const void *key, size_t size)
{
    if (q->source_count >= q->params.sources && !list_empty(&q->idle))
        source_free(q, LIST_ENTRY(q->idle.next, struct task_source, active));
    struct task_source *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    memcpy(s->key, key, size);
    s->key_size = (uint32_t)size;
    s->bucket = bucket;
    list_init(&s->active);
    list_init(&s->by_count);
    list_init(&s->tasks);
    list_push(&q->idle, &s->active);
    s->next = q->buckets[bucket];
    q->buckets[bucket] = s;
    q->source_count++;
    return s;
}

struct task_source *task_queue_source(struct task_queue *q, const void *key, size_t size)
{
    if (size > WEIR_POOL_KEY_MAX)
        size = WEIR_POOL_KEY_MAX;
    uint32_t bucket = (uint32_t)hash_bytes(&q->hash_key, key, size) & q->mask;
    struct task_source *s = q->buckets[bucket];
    while (s && (s->key_size != size || memcmp(s->key, key, size) != 0))
        s = s->next;
    return s ? s : source_add(q, bucket, key, size);
}

void task_queue_unuse(struct task_queue *q, struct task_source *s)
{
    source_rest(q, s);
}

/* Notes that one task more (or less, -1) of the source waits. */
static void source_waits(struct task_queue *q, struct task_source *s, int change, size_t bytes)
{
    s->waiting += (uint32_t)change;
    q->waiting += (uint32_t)change;
    s->bytes += change > 0 ? bytes : -(uint64_t)bytes;
    q->waiting_bytes += change > 0 ? bytes : -(uint64_t)bytes;
    list_del(&s->by_count);
    if (s->waiting)
        list_push(&q->by_count[s->waiting], &s->by_count);
    if (s->waiting > q->longest)
        q->longest = s->waiting;
    while (q->longest && list_empty(&q->by_count[q->longest]))
        q->longest--;
}

/* ---- shedding ---- */

static struct weir_task *first_of(struct task_source *s)
{
    return LIST_ENTRY(s->tasks.next, struct weir_task, node);
}

static void source_take(struct task_queue *q, struct task_source *s, struct weir_task *t)
{
    list_del(&t->node);
    source_waits(q, s, -1, t->bytes);
}

void task_queue_drop(struct task_queue *q, struct weir_task *t, enum task_end why)
{
    struct task_source *s = t->source;
    source_take(q, s, t);
    heap_settle(q, s);
    source_rest(q, s);
    t->source = NULL;
    t->end = why;
    list_push(&q->shed, &t->node);
}

static struct task_source *source_heaviest(struct task_queue *q)
{
    struct task_source *most = NULL;
    LIST_FOREACH(node, &q->active)
    {
        struct task_source *s = LIST_ENTRY(node, struct task_source, active);
        if (s->waiting && (!most || s->bytes > most->bytes))
            most = s;
    }
    return most;
}

static void shed_for_room(struct task_queue *q)
{
    while (q->waiting > q->params.messages || (q->waiting_bytes > q->params.bytes && q->waiting)) {
        struct task_source *s = q->waiting > q->params.messages
                                    ? LIST_ENTRY(q->by_count[q->longest].next, struct task_source, by_count)
                                    : source_heaviest(q);
        struct list *victim = q->params.newest_first ? s->tasks.prev : s->tasks.next;
        task_queue_drop(q, LIST_ENTRY(victim, struct weir_task, node), TASK_SHED_FULL);
    }
}

/* Whether a source's oldest task has waited too long. */
static bool is_too_late(struct task_queue *q, struct task_source *s, uint64_t now_ns, uint64_t *ret_again_ns)
{
    return codel_sheds(&s->codel, &q->params.codel, first_of(s)->received_ns, 0, now_ns, ret_again_ns);
}

void task_queue_look(struct task_queue *q, uint64_t now_ns, uint64_t *ret_again_ns)
{
    *ret_again_ns = UINT64_MAX;
    if (!q->params.codel.target_ns || q->params.newest_first)
        return;
    LIST_FOREACH_SAFE(node, &q->active)
    {
        struct task_source *s = LIST_ENTRY(node, struct task_source, active);
        uint64_t again_ns = UINT64_MAX;
        while (s->waiting && is_too_late(q, s, now_ns, &again_ns))
            task_queue_drop(q, first_of(s), TASK_SHED_DELAY);
        if (s->waiting && again_ns < *ret_again_ns)
            *ret_again_ns = again_ns;
    }
}

struct weir_task *task_queue_shed(struct task_queue *q)
{
    struct list *node = list_pop(&q->shed);
    return node ? LIST_ENTRY(node, struct weir_task, node) : NULL;
}

/* ---- tasks ---- */

bool task_queue_is_full(const struct task_queue *q)
{
    return q->waiting >= q->params.messages || q->waiting_bytes >= q->params.bytes;
}

static void source_begin(struct task_queue *q, struct task_source *s, uint64_t now_ns)
{
    if (s->waiting)
        return;
    codel_waits(&s->codel, &q->params.codel, now_ns);
    list_del(&s->active);
    list_push(&q->active, &s->active);
    if (s->tag_ns < q->virtual_ns)
        s->tag_ns = q->virtual_ns;
    s->turn = q->turns++;
}

void task_queue_push(struct task_queue *q, struct weir_task *t, bool make_room, uint64_t now_ns)
{
    struct task_source *s = t->source;
    uint64_t again_ns;
    source_begin(q, s, now_ns);
    list_push(&s->tasks, &t->node);
    source_waits(q, s, 1, t->bytes);
    heap_settle(q, s);
    if (t->bytes > q->params.bytes && make_room)
        task_queue_drop(q, t, TASK_SHED_FULL);
    else if (q->params.newest_first && s->waiting > 1 && is_too_late(q, s, now_ns, &again_ns))
        task_queue_drop(q, t, TASK_SHED_DELAY);
    else if (make_room)
        shed_for_room(q);
}

static void source_charge(struct task_queue *q, struct task_source *s, struct weir_task *t)
{
    uint64_t cost_ns = s->cost_ns ? s->cost_ns : q->cost_ns;
    t->charged_ns = cost_ns ? cost_ns : COST_NS;
    if (s->tag_ns > q->virtual_ns)
        q->virtual_ns = s->tag_ns;
    s->tag_ns += t->charged_ns;
    s->turn = q->turns++;
    s->running++;
    q->running++;
}

struct weir_task *task_queue_pop(struct task_queue *q, uint64_t now_ns)
{
    uint64_t again_ns;
    while (q->heap_count) {
        struct task_source *s = q->heap[1];
        struct weir_task *t = first_of(s);
        if (!q->params.newest_first && is_too_late(q, s, now_ns, &again_ns)) {
            task_queue_drop(q, t, TASK_SHED_DELAY);
            continue;
        }
        codel_served(&s->codel, &q->params.codel, now_ns > t->received_ns ? now_ns - t->received_ns : 0, now_ns);
        source_take(q, s, t);
        source_charge(q, s, t);
        heap_settle(q, s);
        return t;
    }
    return NULL;
}

static uint64_t mean(uint64_t before_ns, uint64_t ns)
{
    return before_ns ? (7 * before_ns + ns) / 8 : ns;
}

void task_queue_end(struct task_queue *q, struct weir_task *t, uint64_t took_ns)
{
    struct task_source *s = t->source;
    uint64_t without_ns = s->tag_ns - t->charged_ns;
    s->tag_ns = without_ns + took_ns;
    s->cost_ns = mean(s->cost_ns, took_ns);
    q->cost_ns = mean(q->cost_ns, took_ns);
    s->running--;
    q->running--;
    heap_settle(q, s);
    source_rest(q, s);
    t->source = NULL;
}
