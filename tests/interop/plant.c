/* A Modbus TCP server by libmodbus that serves self-describing holding registers and
 * writes down each reply: tests/faults/plant.py without the faults, and without our code
 * on the wire.
 *
 *     plant WIRELOG PERIOD_MS FIRST_UNIT LAST_UNIT REGISTERS
 *
 * Values as in tests/faults/encoding.py (uint16 region), log records as in
 * tests/faults/wirelog.py. It says {"port": N} on stdout and ends when stdin closes. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum what { REPLY = 1, EXCEPTION = 3, FORBIDDEN = 6 };

struct __attribute__((packed)) record {
    uint64_t mono_ns;
    uint8_t unit, function;
    uint16_t address, quantity;
    uint32_t tick;
    uint8_t what;
};

static int log_fd;

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

static uint16_t mix(uint32_t unit, uint32_t function, uint32_t address, uint32_t tick)
{
    uint32_t h = tick * 0x9E3779B1u + unit * 0x85EBCA77u + function * 0x27D4EB2Fu
                 + address * 0xC2B2AE3Du;
    h ^= h >> 15;
    h *= 0x2C1B3C6Du;
    return (uint16_t) (h >> 16);
}

static void note(struct record entry, enum what what)
{
    entry.mono_ns = monotonic_ns();
    entry.what = (uint8_t) what;
    if (write(log_fd, &entry, sizeof entry) != (ssize_t) sizeof entry)
        exit(EXIT_FAILURE);
}

static void answer(modbus_t *bus, modbus_mapping_t *registers, const uint8_t *query, int length,
                   uint32_t tick, unsigned first_unit, unsigned last_unit)
{
    struct record entry = {
        .unit = query[6],
        .function = query[7],
        .address = (uint16_t) (query[8] << 8 | query[9]),
        .quantity = (uint16_t) (query[10] << 8 | query[11]),
        .tick = tick,
    };
    if (entry.function < 1 || entry.function > 4) {
        note(entry, FORBIDDEN);
        modbus_reply_exception(bus, query, MODBUS_EXCEPTION_ILLEGAL_FUNCTION);
        return;
    }
    unsigned end = (unsigned) entry.address + entry.quantity;
    if (entry.unit < first_unit || entry.unit > last_unit || entry.function != 3
        || end > (unsigned) registers->nb_registers) {
        note(entry, EXCEPTION);
        modbus_reply_exception(bus, query, MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS);
        return;
    }
    for (unsigned at = entry.address; at < end; at++)
        registers->tab_registers[at] = mix(entry.unit, entry.function, at, tick);
    note(entry, REPLY);
    modbus_reply(bus, query, length, registers);
}

static int listening_port(int listener)
{
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    getsockname(listener, (struct sockaddr *) &bound, &size);
    return ntohs(bound.sin_port);
}

static void serve(modbus_t *bus, int listener, modbus_mapping_t *registers, uint64_t period_ns,
                  unsigned first_unit, unsigned last_unit)
{
    fd_set open, ready;
    int highest = listener;
    uint64_t epoch_ns = monotonic_ns();
    FD_ZERO(&open);
    FD_SET(STDIN_FILENO, &open);
    FD_SET(listener, &open);
    for (;;) {
        ready = open;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0 || FD_ISSET(STDIN_FILENO, &ready))
            return;
        for (int fd = 0; fd <= highest; fd++) {
            uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                int accepted = accept(listener, NULL, NULL);
                if (accepted >= 0 && accepted < FD_SETSIZE) {
                    FD_SET(accepted, &open);
                    highest = accepted > highest ? accepted : highest;
                }
                continue;
            }
            modbus_set_socket(bus, fd);
            int length = modbus_receive(bus, query);
            if (length > 0) {
                uint32_t tick = (uint32_t) ((monotonic_ns() - epoch_ns) / period_ns);
                answer(bus, registers, query, length, tick, first_unit, last_unit);
            } else if (length < 0) {
                close(fd);
                FD_CLR(fd, &open);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: plant WIRELOG PERIOD_MS FIRST_UNIT LAST_UNIT REGISTERS\n");
        return 2;
    }
    log_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
    modbus_t *bus = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *registers = modbus_mapping_new(0, 0, atoi(argv[5]), 0);
    int listener = bus == NULL ? -1 : modbus_tcp_listen(bus, 8);
    if (log_fd < 0 || listener < 0 || registers == NULL) {
        fprintf(stderr, "plant: %s\n", modbus_strerror(errno));
        return EXIT_FAILURE;
    }
    printf("{\"port\": %d}\n", listening_port(listener));
    fflush(stdout);
    serve(bus, listener, registers, (uint64_t) atoi(argv[2]) * 1000000u,
          (unsigned) atoi(argv[3]), (unsigned) atoi(argv[4]));
    return EXIT_SUCCESS;
}
