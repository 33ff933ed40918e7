/* A Modbus TCP server made of libmodbus alone: one client at a time, four tables.
 *
 * The values are put there by libmodbus' own macros where it has them, so that they owe
 * nothing to the driver under test. Prints its port.
 */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 3000

static void fill(modbus_mapping_t *map)
{
    uint16_t *registers = map->tab_registers;
    double pi = 3.14159265358979312;
    int64_t bits;

    registers[0] = (uint16_t) -12345;
    registers[1] = 54321;
    MODBUS_SET_INT32_TO_INT16(registers, 2, -1234567890);
    MODBUS_SET_INT32_TO_INT16(registers, 4, 4000000000u);
    MODBUS_SET_INT64_TO_INT16(registers, 6, -9223372036854775807LL);
    MODBUS_SET_INT64_TO_INT16(registers, 10, 18446744073709551615ULL);
    /* Not modbus_set_float_*: up to 3.1.6 they place bytes in the host's order. */
    registers[14] = 0x47F1, registers[15] = 0x2000; /* 123456.0 as ABCD */
    registers[16] = 0x2000, registers[17] = 0x47F1; /* CDAB */
    registers[18] = 0xF147, registers[19] = 0x0020; /* BADC */
    registers[20] = 0x0020, registers[21] = 0xF147; /* DCBA */
    memcpy(&bits, &pi, sizeof bits);
    MODBUS_SET_INT64_TO_INT16(registers, 22, bits);
    registers[26] = 0x1234;
    MODBUS_SET_INT32_TO_INT16(registers, 27, 0x98765432);
    memcpy(registers + 29, "\x4b\x54\x31\x2d\x31\x30", 6); /* "TK-101" on a little-endian host */
    registers[32] = 1 << 11;
    memcpy(map->tab_input_registers, registers, 100 * sizeof *registers);
    for (int at = 1000; at < SIZE; at++) {
        registers[at] = (uint16_t) (at * 7);
        map->tab_bits[at] = at % 3 == 0;
        map->tab_input_bits[at] = at % 5 == 0;
    }
}

int main(void)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int listening = modbus_tcp_listen(context, 1);

    if (listening < 0 || map == NULL || getsockname(listening, (void *) &name, &length) < 0) {
        perror("listen");
        return 1;
    }
    fill(map);
    printf("%d\n", ntohs(name.sin_port));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listening) < 0)
            return 1;
        for (;;) {
            int received = modbus_receive(context, query);
            if (received < 0)
                break;
            if (received > 0)
                modbus_reply(context, query, received, map);
        }
        modbus_close(context);
    }
}
