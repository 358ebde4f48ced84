/* SPDX-License-Identifier: MPL-2.0 */
#include "zmtp/test_seeds.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static bool read_file(const char *dir, const char *name, struct seed *ret)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    if (fseek(f, 0, SEEK_END) == 0)
        ret->len = (size_t)ftell(f);
    rewind(f);
    /* Exactly as long as the file, so that AddressSanitizer sees a read past its end. */
    ret->bytes = malloc(ret->len ? ret->len : 1);
    bool whole = ret->bytes && fread(ret->bytes, 1, ret->len, f) == ret->len;
    fclose(f);
    return whole;
}

bool seeds_load(const char *dir, struct seeds *ret)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_visible, alphasort);
    if (count < 0)
        return false;
    *ret = (struct seeds){.list = calloc((size_t)count + 1, sizeof(struct seed)), .count = (size_t)count};
    bool read = ret->list != NULL && count > 0;
    for (int i = 0; i < count; i++) {
        read = read && read_file(dir, entries[i]->d_name, &ret->list[i]);
        free(entries[i]);
    }
    free(entries);
    if (!read)
        seeds_free(ret);
    return read;
}

void seeds_free(struct seeds *s)
{
    for (size_t i = 0; s->list && i < s->count; i++)
        free(s->list[i].bytes);
    free(s->list);
    *s = (struct seeds){0};
}
