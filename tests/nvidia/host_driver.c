/* A CUDA driver whose GPU is host memory: enough of libcuda.so.1 for the real Python bindings to run against.
 *
 * Streams work at once, unless they are captured; a graph keeps its copies and does them at every launch. Pointers to
 * device memory are host addresses plus OFFSET, so that a host address passed for a device address is a crash.
 * HOST_CUDA_INTEGRATED=1 makes it a Jetson. At exit it prints what was not freed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, UNSUPPORTED = 900 };
enum { OFFSET = 1 << 20, MOST = 64 };

typedef struct { void *to; const void *from; size_t bytes; } Copy;
typedef struct { int count; Copy copies[MOST]; } Graph;
typedef struct { Graph *captured; } Stream;
typedef struct { int flags; double ms; } Event;

static int contexts, pushed, memory, pinned, streams, events, graphs, executables;
static int context; /* its address is the context */

static int integrated(void) { return getenv("HOST_CUDA_INTEGRATED") != NULL; }
static int active(void) { return contexts > 0 && pushed > 0; }
static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * t.tv_sec + 1e-6 * t.tv_nsec;
}

__attribute__((destructor)) static void report(void) {
  if (getenv("HOST_CUDA_REPORT"))
    fprintf(stderr, "left: contexts %d pushed %d memory %d pinned %d streams %d events %d graphs %d executables %d\n",
            contexts, pushed, memory, pinned, streams, events, graphs, executables);
}

int cuInit(unsigned flags) { return flags ? INVALID : OK; }
int cuDriverGetVersion(int *v) { *v = getenv("HOST_CUDA_VERSION") ? atoi(getenv("HOST_CUDA_VERSION")) : 13000; return OK; }
int cuDeviceGetCount(int *n) { *n = 1; return OK; }
int cuDeviceGet(int *device, int index) { *device = index; return index ? 101 : OK; }
int cuDeviceGetName(char *name, int length, int device) { (void)device; strncpy(name, "host GPU", length); return OK; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = (size_t)8 << 30; return OK; }
int cuDeviceComputeCapability(int *major, int *minor, int device) { (void)device; *major = 8; *minor = 7; return OK; }
int cuDeviceGetAttribute(int *value, int kind, int device) {
  (void)device;
  *value = kind == 16 ? 8 : kind == 18 ? integrated() : kind == 75 ? 8 : kind == 76 ? 7 : 0;
  return OK;
}
int cuDevicePrimaryCtxRetain(void **made, int device) { (void)device; contexts++; *made = &context; return OK; }
int cuDevicePrimaryCtxRelease_v2(int device) { (void)device; return contexts-- > 0 ? OK : NO_CONTEXT; }
int cuCtxPushCurrent_v2(void *given) { if (given != &context) return NO_CONTEXT; pushed++; return OK; }
int cuCtxPopCurrent_v2(void **popped) { *popped = &context; return pushed-- > 0 ? OK : NO_CONTEXT; }
int cuCtxGetCurrent(void **now) { *now = active() ? &context : NULL; return OK; }
int cuCtxGetDevice(int *device) { *device = 0; return active() ? OK : NO_CONTEXT; }
int cuCtxSynchronize(void) { return active() ? OK : NO_CONTEXT; }

int cuMemGetInfo_v2(size_t *free_, size_t *total) { *free_ = (size_t)6 << 30; *total = (size_t)8 << 30; return active() ? OK : NO_CONTEXT; }
int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
  if (!active()) return NO_CONTEXT;
  if (bytes > (size_t)8 << 30) return OUT_OF_MEMORY;
  *pointer = (uint64_t)(uintptr_t)calloc(1, bytes) + OFFSET;
  memory++;
  return OK;
}
int cuMemFree_v2(uint64_t pointer) { free((void *)(uintptr_t)(pointer - OFFSET)); memory--; return OK; }
int cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
  if (!active()) return NO_CONTEXT;
  *pointer = malloc(bytes + 8);
  *(uint64_t *)((char *)*pointer + bytes) = flags;
  memset(*pointer, 0xAB, bytes);
  pinned++;
  return OK;
}
int cuMemFreeHost(void *pointer) { free(pointer); pinned--; return OK; }
int cuMemHostGetDevicePointer_v2(uint64_t *pointer, void *host, unsigned flags) {
  *pointer = (uint64_t)(uintptr_t)host + OFFSET;
  return flags || !integrated() ? INVALID : OK;
}

static int copy(void *to, const void *from, size_t bytes, Stream *stream) {
  if (!active() || !stream) return NO_CONTEXT;
  if (stream->captured) {
    if (stream->captured->count == MOST) return INVALID;
    stream->captured->copies[stream->captured->count++] = (Copy){to, from, bytes};
  } else {
    memcpy(to, from, bytes);
  }
  return OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, void *s) { return copy((void *)(uintptr_t)(to - OFFSET), from, n, s); }
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, void *s) { return copy(to, (void *)(uintptr_t)(from - OFFSET), n, s); }

int cuStreamCreate(void **made, unsigned flags) { (void)flags; *made = calloc(1, sizeof(Stream)); streams++; return active() ? OK : NO_CONTEXT; }
int cuStreamDestroy_v2(void *stream) { free(stream); streams--; return OK; }
int cuStreamSynchronize(Stream *stream) { return stream->captured ? UNSUPPORTED : OK; }
int cuStreamQuery(Stream *stream) { return stream->captured ? UNSUPPORTED : OK; }

int cuEventCreate(void **made, unsigned flags) {
  Event *event = calloc(1, sizeof(Event));
  event->flags = flags;
  *made = event;
  events++;
  return active() ? OK : NO_CONTEXT;
}
int cuEventDestroy_v2(void *event) { free(event); events--; return OK; }
int cuEventRecord(Event *event, Stream *stream) { if (stream && stream->captured) return UNSUPPORTED; event->ms = now_ms(); return OK; }
int cuEventSynchronize(Event *event) { return event->flags == 1 ? OK : INVALID; /* waits are on blocking events only */ }
int cuEventQuery(Event *event) { (void)event; return OK; }
int cuEventElapsedTime(float *ms, Event *start, Event *end) { *ms = (float)(end->ms - start->ms); return OK; }
int cuEventElapsedTime_v2(float *ms, Event *start, Event *end) { return cuEventElapsedTime(ms, start, end); }

int cuStreamBeginCapture_v2(Stream *stream, int mode) {
  if (mode != 1 || stream->captured) return INVALID; /* thread-local captures only */
  stream->captured = calloc(1, sizeof(Graph));
  graphs++;
  return getenv("HOST_CUDA_NO_GRAPHS") ? (free(stream->captured), stream->captured = NULL, graphs--, UNSUPPORTED) : OK;
}
int cuStreamEndCapture(Stream *stream, void **made) {
  *made = stream->captured;
  stream->captured = NULL;
  return *made ? OK : INVALID;
}
static int instantiate(void **made, Graph *graph) {
  *made = malloc(sizeof(Graph));
  memcpy(*made, graph, sizeof(Graph));
  executables++;
  return OK;
}
int cuGraphInstantiateWithFlags(void **made, Graph *graph, unsigned long long flags) { return flags ? INVALID : instantiate(made, graph); }
int cuGraphInstantiate_v2(void **made, Graph *graph, void *node, char *log, size_t size) { (void)node, (void)log, (void)size; return instantiate(made, graph); }
int cuGraphDestroy(void *graph) { free(graph); graphs--; return OK; }
int cuGraphExecDestroy(void *graph) { free(graph); executables--; return OK; }
int cuGraphLaunch(Graph *graph, Stream *stream) {
  for (int i = 0; i < graph->count; i++) {
    int status = copy(graph->copies[i].to, graph->copies[i].from, graph->copies[i].bytes, stream);
    if (status) return status;
  }
  return OK;
}

int cuGetErrorName(int error, const char **name) { *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR"; return OK; }
int cuGetErrorString(int error, const char **text) { *text = error == OUT_OF_MEMORY ? "out of memory" : "an error"; return OK; }

/* The names that changed their form carry the newest form's suffix, as in the real library. */
int cuGetProcAddress_v2(const char *name, void **found, int version, uint64_t flags, int *status) {
  char full[128];
  (void)version, (void)flags;
  snprintf(full, sizeof full, "%s_v2", name);
  *found = NULL;
  if (!strcmp(name, "cuGraphInstantiate")) *found = (void *)(version >= 12000 ? (void *)cuGraphInstantiateWithFlags : (void *)cuGraphInstantiate_v2);
  if (!strcmp(name, "cuGetProcAddress")) *found = (void *)cuGetProcAddress_v2;
  if (!*found) *found = dlsym(RTLD_DEFAULT, full);
  if (!*found) *found = dlsym(RTLD_DEFAULT, name);
  if (status) *status = *found ? 0 : 1;
  return *found ? OK : NOT_FOUND;
}
int cuGetProcAddress(const char *name, void **found, int version, uint64_t flags) { return cuGetProcAddress_v2(name, found, version, flags, NULL); }
