/* SPDX-License-Identifier: MPL-2.0 */
/*
 * The schema: one row for each key of the configuration file, in tables (the top level, one gate, and one item of each
 * list of mappings). Names, types, ranges, defaults and documentation live here and nowhere else. The reader, the
 * defaults, docs/config.md and the tests all read the rows. Constant; any thread. Rows of one section stand together.
 */
#ifndef WEIR_CONFIG_SCHEMA_H
#define WEIR_CONFIG_SCHEMA_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schema_type {
    SCHEMA_NUMBER,     /* "4096" */
    SCHEMA_SIZE,       /* "64KiB" */
    SCHEMA_DURATION,   /* "5s" */
    SCHEMA_RATE,       /* "500/s": the field is a struct rate, whose burst is a row of its own */
    SCHEMA_BYTE_RATE,  /* "10MiB/s": the same */
    SCHEMA_SPEED,      /* "64KiB/s" or "64KiB", kept as bytes per second */
    SCHEMA_BOOL,       /* "true" */
    SCHEMA_CHOICE,     /* one word of `choices` */
    SCHEMA_ENFORCE,    /* "on", "shadow", "off" or "25%", kept as in limits/enforce.h */
    SCHEMA_NAME,       /* [A-Za-z0-9_-]{1,32} */
    SCHEMA_LISTEN,     /* an endpoint to bind */
    SCHEMA_FORWARD,    /* an endpoint to connect to */
    SCHEMA_PATH,       /* "/var/lib/weir/state" */
    SCHEMA_TEXT,       /* "try again later" */
    SCHEMA_ADMIN_ADDR, /* "127.0.0.1:9700" */
    SCHEMA_NETWORKS,   /* a list of networks: the field is a struct config_networks */
    SCHEMA_PATHS,      /* a list of paths: the field is a struct config_paths */
    SCHEMA_OBJECTS,    /* a list of mappings with keys of their own: the field is a pointer and a count, as there */
};

struct schema_choice {
    const char *word; /* NULL ends the list */
    uint32_t value;
};

struct schema_key {
    const char *path; /* "source.messages.rate", relative to the object of the table */
    enum schema_type type;
    size_t offset;            /* of the field in that object */
    size_t width;             /* of the field */
    const char *min, *max;    /* as written in the file, of a list: how many; NULL where a type has no range */
    const char *preset;       /* the default, as written in the file; NULL: see preset_words */
    const char *preset_words; /* the meaning of an absent default */
    const struct schema_choice *choices;
    const struct schema *items; /* of SCHEMA_OBJECTS */
    const char *doc;            /* one sentence: what the key is */
    const char *reached;        /* what happens when the limit is reached; NULL for a key that is no limit */
    bool restart;               /* read at the start only: a reload that changes it is refused */
};

struct schema {
    const struct schema_key *keys;
    size_t count;
    const char *noun;   /* the object with these keys, for sentences: "a gate" */
    const char *prefix; /* of the paths in documentation: "", "classes." */
    size_t size;        /* of the object */
};

/* A list as its row sees it. */
struct schema_list {
    void *at;
    size_t count;
};

/* Upper bound of both counts, for arrays indexed by row; checked at compile time. */
#define SCHEMA_KEYS_MAX 128

/* Longest path of a row with its NUL; checked by a test. */
#define SCHEMA_PATH_MAX 64

extern const struct schema schema_top;   /* offsets into struct config; without "gates" */
extern const struct schema schema_gate;  /* offsets into struct config_gate */
extern const struct schema schema_class; /* offsets into struct config_class */

/* All schemas. */
#define SCHEMAS 3u
extern const struct schema *const schemas[SCHEMAS];

/* The row of exactly this path, or NULL. */
const struct schema_key *schema_find(const struct schema *s, const char *path);

/* The first row inside the section `path` ("source.messages" has "source.messages.rate"), or NULL when it is no
 * section. */
const struct schema_key *schema_section(const struct schema *s, const char *path);

/* "SIZE", "DURATION", ... in words: "a size", "a rate", for sentences. */
const char *schema_type_words(enum schema_type t);

/* Whether the field has the same value in both, as configured. */
bool schema_equal(const struct schema_key *k, const void *a, const void *b);

/* An integer field of 4 or 8 bytes. */
uint64_t schema_get(const struct schema_key *k, const void *base);
void schema_put(const struct schema_key *k, void *base, uint64_t value);

/* Of a list: the bytes of one item, the least and the most items, and the field itself. */
static inline bool schema_is_list(const struct schema_key *k)
{
    return k->type == SCHEMA_NETWORKS || k->type == SCHEMA_PATHS || k->type == SCHEMA_OBJECTS;
}
size_t schema_item_size(const struct schema_key *k);
size_t schema_items_least(const struct schema_key *k);
size_t schema_items_most(const struct schema_key *k);
struct schema_list schema_get_list(const struct schema_key *k, const void *base);
void schema_put_list(const struct schema_key *k, void *base, struct schema_list list);

/* Frees all lists, and those of their items. */
void schema_free_lists(const struct schema *s, void *base);

/* Whether its value is a count per time; 0 is then "unlimited". */
static inline bool schema_is_rate(const struct schema_key *k)
{
    return k->type == SCHEMA_RATE || k->type == SCHEMA_BYTE_RATE;
}

#endif
