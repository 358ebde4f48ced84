/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/version.h"

#include "daemon/firewall_backend.h"

#include <jansson.h>
#include <microhttpd.h>
#include <sodium.h>
#include <yaml.h>

void version_print(FILE *out)
{
    fprintf(out, "weir %s\n", WEIR_VERSION);
    fprintf(out, "libsodium %s\n", sodium_version_string());
    fprintf(out, "libyaml %s\n", yaml_get_version_string());
    fprintf(out, "libmicrohttpd %s\n", MHD_get_version());
    fprintf(out, "jansson %s\n", jansson_version_str());
    fprintf(out, "libbpf %s\n", xdp_backend.version ? xdp_backend.version : "not built in");
    fprintf(out, "libnftables %s\n", nft_backend.version ? nft_backend.version : "not built in");
}
