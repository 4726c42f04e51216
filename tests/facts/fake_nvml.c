/* Stands in for NVIDIA's libraries: answers as the variable FAKE_NVML says, with the calls and structures of the real
   ones. Compiled by the tests as libnvidia-ml.so.1 and, with -DCUDA, as libcuda.so.1. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
__declspec(dllimport) void __stdcall Sleep(unsigned long);
static void pause(void) { Sleep(1000); }
static int fork(void) { return 1; }
#else
#include <unistd.h>
#endif

static int is(const char *what) {
  const char *mode = getenv("FAKE_NVML");
  return mode && strcmp(mode, what) == 0;
}

#ifdef CUDA
int cuDriverGetVersion(int *version) {
  if (is("stub")) return 34; /* CUDA_ERROR_STUB_LIBRARY */
  *version = 12080;
  return 0;
}
#else
typedef void *handle;
typedef struct {
  char legacy[16];
  unsigned domain, bus, device, id, subsystem;
  char text[32];
} pci;
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } process;

static unsigned number(handle device) { return (unsigned)((size_t)device & 0xff) - 1; }
static int slice(handle device) { return (size_t)device >= 0x100; }

static void hang(void) { for (;;) pause(); }

int nvmlInitWithFlags(unsigned flags) {
  if (is("mismatch")) return 18;
  if (is("not-loaded")) return 9;
  if (is("no-permission")) return 4;
  if (is("unknown")) return 999;
  if (is("segv")) raise(SIGSEGV);
  if (is("hang")) hang();
  if (is("hang-with-child")) {
    if (fork() == 0) hang();
    hang();
  }
  return 0;
}
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) {
  return code == 18 ? "Driver/library version mismatch" : code == 15 ? "GPU is lost" : "Unknown Error";
}
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "570.86.15", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = is("none") ? 0 : 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *device) {
  if (index == 1 && is("lost")) return 15;
  if (index == 1 && is("hang-device")) hang();
  if (index == 1 && is("off-the-bus")) return 999;
  *device = (handle)(size_t)(index + 1);
  return 0;
}
int nvmlDeviceGetName(handle device, char *text, unsigned size) {
  strncpy(text, slice(device) ? "NVIDIA H100 80GB HBM3 MIG 1g.10gb" : "NVIDIA H100 80GB HBM3", size);
  return 0;
}
int nvmlDeviceGetPciInfo_v3(handle device, pci *info) {
  memset(info, 0, sizeof *info);
  info->id = 0x233010de;
  strcpy(info->text, number(device) ? "00000000:2A:00.0" : "00000000:18:00.0");
  return 0;
}
int nvmlDeviceGetCudaComputeCapability(handle device, int *major, int *minor) { *major = 9; *minor = 0; return 0; }
int nvmlDeviceGetMemoryInfo(handle device, memory *info) {
  if (is("shared-memory")) return 3;
  info->total = 85520809984ULL; info->free = 85000000000ULL; info->used = 520809984ULL;
  return 0;
}
int nvmlDeviceGetUUID(handle device, char *text, unsigned size) {
  strncpy(text, "GPU-0a1b2c3d-0000-1111-2222-333344445555", size);
  text[strlen(text) - 1] += number(device);
  return 0;
}
int nvmlDeviceGetMigMode(handle device, unsigned *current, unsigned *pending) {
  if (is("shared-memory")) return 3;
  *current = *pending = is("mig") && number(device) == 0;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(handle device, unsigned *count) { *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(handle device, unsigned index, handle *part) {
  if (index > 1) return 6;
  *part = (handle)(size_t)(0x101 + index);
  return 0;
}
int nvmlDeviceGetTotalEccErrors(handle device, int error, int counter, unsigned long long *count) {
  if (is("shared-memory")) return 3;
  *count = number(device) ? 4 : 0;
  return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(handle device, unsigned *count, process *found) {
  if (number(device) == 0) { *count = 0; return 0; }
  if (*count < 1) { *count = 1; return 7; }
  *count = 1;
  found[0].pid = 4242; found[0].used = 1024; found[0].gpu = found[0].compute = 0xffffffff;
  return 0;
}
#endif
