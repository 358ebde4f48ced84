/* SPDX-License-Identifier: MPL-2.0 */
/* What is accepted is rewritten to something that is accepted and has no reserved property but the first. Seeds:
 * tests/seeds/metadata. */
#include "zmtp/metadata.h"

#include <stdlib.h>
#include <string.h>

#define NAME  "X-Weir-Peer"
#define VALUE "192.0.2.7:4711"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what)
        abort();
}

/* Bytes of the properties that are not reserved. */
static size_t lawful_bytes(struct bytes metadata)
{
    struct cursor c = cursor_over(metadata.at, metadata.len);
    size_t sum = 0;
    for (struct zmtp_property p; zmtp_property_next(&c, &p);)
        sum += zmtp_property_is_reserved(&p) ? 0 : 5 + p.name.len + p.value.len;
    require(!c.failed);
    return sum;
}

static void check_rewritten(struct bytes out, const struct zmtp_metadata *before)
{
    struct cursor c = cursor_over(out.at, out.len);
    struct zmtp_property p;
    struct zmtp_metadata after;
    require(zmtp_property_next(&c, &p) && p.name.len == strlen(NAME) && memcmp(p.name.at, NAME, p.name.len) == 0);
    require(p.value.len == strlen(VALUE) && memcmp(p.value.at, VALUE, p.value.len) == 0);
    while (zmtp_property_next(&c, &p))
        require(!zmtp_property_is_reserved(&p));
    require(!c.failed && zmtp_metadata_parse(out, &after));
    require(after.socket_type.len == before->socket_type.len && after.has_routing_id == before->has_routing_id);
    require(after.routing_id.len == before->routing_id.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = {data, size};
    struct zmtp_metadata m;
    if (size == 0 || !zmtp_metadata_parse(in, &m))
        return 0;
    size_t room = size + 5 + strlen(NAME) + strlen(VALUE);
    uint8_t *out = malloc(room);
    require(out != NULL);
    size_t len = zmtp_metadata_rewrite(out, room, in, NAME, VALUE);
    require(len == lawful_bytes(in) + 5 + strlen(NAME) + strlen(VALUE) && len <= room);
    check_rewritten((struct bytes){out, len}, &m);
    require(zmtp_metadata_rewrite(out, room - 1, in, NAME, VALUE) == 0);
    free(out);
    return 0;
}
