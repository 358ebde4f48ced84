/* SPDX-License-Identifier: MPL-2.0 */
/* libFuzzer harness of what people write: endpoints, networks and quantities. What is accepted must read back as the
 * same. */
#include "base/addr.h"
#include "base/network.h"
#include "base/units.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __real_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret);
int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret);

/* Fuzzed names must not reach a resolver: see meson.build. */
int __wrap_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    return hints->ai_flags & AI_NUMERICHOST ? __real_getaddrinfo(name, service, hints, ret) : EAI_NONAME;
}

static void require(int condition)
{
    if (!condition)
        abort();
}

static void fuzz_endpoint(const char *text, bool to_bind)
{
    char formatted[ENDPOINT_TEXT_MAX];
    const char *why = NULL;
    struct endpoint e, again;
    if (endpoint_parse(&e, text, to_bind, &why) < 0) {
        require(why && *why);
        return;
    }
    require(e.len <= sizeof(struct sockaddr_un));
    require(endpoint_format(formatted, sizeof(formatted), &e) == formatted);
    require(endpoint_parse(&again, formatted, to_bind, NULL) == 0);
    require(again.kind == e.kind && again.len == e.len && memcmp(&again.sa, &e.sa, e.len) == 0);
}

static void fuzz_network(const char *text)
{
    char formatted[ADDR_TEXT_MAX];
    const char *why = NULL;
    struct network n, again;
    int r = network_parse(&n, text, &why);
    require(r == 0 || (why && *why));
    if (r == -EINVAL)
        return;
    require(network_format(formatted, sizeof(formatted), &n) == formatted);
    require(network_parse(&again, formatted, NULL) == 0 || r != 0);
    require(r != 0 || memcmp(&again, &n, sizeof(n)) == 0);
}

typedef int parser(const char *s, uint64_t *ret);
typedef char *formatter(char *dst, size_t size, uint64_t value);

static void fuzz_quantity(const char *text, parser *parse, formatter *format)
{
    char formatted[64];
    uint64_t value, again;
    if (parse(text, &value) == 0)
        require(parse(format(formatted, sizeof(formatted), value), &again) == 0 && again == value);
}

static void fuzz_rate(const char *text)
{
    char formatted[64];
    uint64_t count, period, again, again_period;
    if (units_parse_rate(text, &count, &period) < 0)
        return;
    units_format_rate(formatted, sizeof(formatted), count, period);
    require(units_parse_rate(formatted, &again, &again_period) == 0 && again == count && again_period == period);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exactly as long, so that AddressSanitizer sees each byte too far */
    uint64_t count;
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    fuzz_endpoint(text, true);
    fuzz_endpoint(text, false);
    fuzz_network(text);
    fuzz_quantity(text, units_parse_bytes, units_format_bytes);
    fuzz_quantity(text, units_parse_duration, units_format_duration);
    fuzz_rate(text);
    (void)!units_parse_count(text, &count);
    free(text);
    return 0;
}
