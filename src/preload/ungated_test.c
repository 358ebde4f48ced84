/* SPDX-License-Identifier: MPL-2.0 */
#include "preload/ungated.h"

#include "preload/preload_say.h"
#include "preload/zmq_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define A_DRAFT 13 /* ZMQ_RADIO */

bool preload_may_say(void)
{
    return true;
}

static void the_transport_decides(void **state)
{
    static const struct {
        const char *endpoint;
        enum ungated why;
    } all[] = {
        {"tcp://*:5555", UNGATED_NOTHING},
        {"ipc:///run/x", UNGATED_NOTHING},
        {"inproc://x", UNGATED_NOTHING},
        {"udp://*:5555", UNGATED_UDP},
        {"pgm://eth0;239.192.1.1:5555", UNGATED_PGM},
        {"epgm://eth0;239.192.1.1:5555", UNGATED_EPGM},
        {"norm://*:5555", UNGATED_NORM},
        {"vmci://*:5555", UNGATED_VMCI},
        {"tipc://{5560,0,0}", UNGATED_TIPC},
        {"ws://*:5555", UNGATED_WS},
        {"wss://*:5555", UNGATED_WS},
        {"nonsense", UNGATED_NOTHING},
        {"", UNGATED_NOTHING},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_int_equal(ungated_why(API_PUB, all[i].endpoint), all[i].why);
        assert_int_equal(ungated_why(-1, all[i].endpoint), all[i].why);
    }
    assert_int_equal(ungated_why(API_PUB, NULL), UNGATED_NOTHING);
}

static void the_type_decides_over_tcp(void **state)
{
    for (int type = 0; type < API_STREAM; type++)
        assert_int_equal(ungated_why(type, "tcp://*:*"), UNGATED_NOTHING);
    assert_int_equal(ungated_why(API_STREAM, "tcp://*:*"), UNGATED_STREAM);
    assert_int_equal(ungated_why(A_DRAFT, "tcp://*:*"), UNGATED_DRAFT);
    assert_int_equal(ungated_why(A_DRAFT, "udp://*:5555"), UNGATED_UDP);
}

static void each_reason_is_said_once(void **state)
{
    char text[8192] = "";
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned why = 0; why < UNGATED_COUNT; why++)
            ungated_say((enum ungated)why);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    for (size_t len = 0; len < sizeof(text) - 1;) {
        ssize_t n = read(ends[0], text + len, sizeof(text) - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(ends[0]);
    unsigned lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, UNGATED_COUNT - 1);
    assert_null(strstr(text, "(null)"));
    assert_non_null(strstr(text, "weir: run: epgm:// has no connections: process "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_transport_decides),
        cmocka_unit_test(the_type_decides_over_tcp),
        cmocka_unit_test(each_reason_is_said_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
