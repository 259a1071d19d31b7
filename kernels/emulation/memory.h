// The emulated device's memory, which its runtime hands out and its matrix library checks against.
#ifndef SB_EMULATION_MEMORY_H
#define SB_EMULATION_MEMORY_H

#include <cstddef>

// Whether all of [data, data + bytes) is in one allocation of the device.
bool sb_device_holds(const void *data, size_t bytes);

// Runs all that is queued on the device's streams.
void sb_finish_all();

// A setting of a test: the environment variable's number, or `otherwise`.
long long sb_emulated_setting(const char *name, long long otherwise);

// For tests, which find it in the module: how many allocations on the device were refused so far
// (whatever number is given).
extern "C" __attribute__((visibility("default"))) long long sb_emulated_refused(int);

#endif
