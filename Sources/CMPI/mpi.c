#include "cmpi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A handle as it is passed: MPICH's are int, the others' are pointers. Both fit a register, so one type of function serves all.
typedef intptr_t handle;

static struct {
  cmpi_abi abi;
  int (*init_thread)(int *, char ***, int, int *);
  int (*finalize)(void);
  int (*abort)(handle, int);
  int (*error_string)(int, char *, int *);
  int (*library_version)(char *, int *);
  int (*comm_rank)(handle, int *);
  int (*comm_size)(handle, int *);
  int (*comm_split)(handle, int, int, handle *);
  int (*comm_split_type)(handle, int, int, handle, handle *);
  int (*comm_set_errhandler)(handle, handle);
  int (*bcast)(void *, int, handle, int, handle);
  int (*allgather)(const void *, int, handle, void *, int, handle, handle);
  int (*alltoall)(const void *, int, handle, void *, int, handle, handle);
  // Constants.
  handle world, byte, info_null, errors_return;
  int shared, serialized;
} mpi;

// Longest texts of the three ABIs: MPI_MAX_ERROR_STRING is at most 1024, MPI_MAX_LIBRARY_VERSION_STRING at most 8192.
enum { LONGEST_TEXT = 8192 };

static void first_line(const char *from, char *text, size_t size) {
  size_t length = strcspn(from, "\r\n");
  if (size == 0) return;
  if (length >= size) length = size - 1;
  memcpy(text, from, length);
  text[length] = 0;
}

int cmpi_open(const char *file, char *reason, size_t size) {
  // Global: Open MPI's plug-ins look for its symbols.
  void *library = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
  if (!library) {
    const char *why = dlerror();
    first_line(why ? why : "cannot be loaded", reason, size);
    return -1;
  }
  const struct {
    const char *name;
    void **place;
  } functions[] = {
      {"MPI_Init_thread", (void **)&mpi.init_thread},
      {"MPI_Finalize", (void **)&mpi.finalize},
      {"MPI_Abort", (void **)&mpi.abort},
      {"MPI_Error_string", (void **)&mpi.error_string},
      {"MPI_Get_library_version", (void **)&mpi.library_version},
      {"MPI_Comm_rank", (void **)&mpi.comm_rank},
      {"MPI_Comm_size", (void **)&mpi.comm_size},
      {"MPI_Comm_split", (void **)&mpi.comm_split},
      {"MPI_Comm_split_type", (void **)&mpi.comm_split_type},
      {"MPI_Comm_set_errhandler", (void **)&mpi.comm_set_errhandler},
      {"MPI_Bcast", (void **)&mpi.bcast},
      {"MPI_Allgather", (void **)&mpi.allgather},
      {"MPI_Alltoall", (void **)&mpi.alltoall},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    *functions[i].place = dlsym(library, functions[i].name);
    if (!*functions[i].place) {
      snprintf(reason, size, "%s: no function %s in it", file, functions[i].name);
      dlclose(library);
      return -1;
    }
  }
  int major = 0, minor = 0;
  int (*abi_version)(int *, int *) = (int (*)(int *, int *))dlsym(library, "MPI_Abi_get_version");
  if (abi_version && abi_version(&major, &minor) == 0 && major > 0) {
    mpi.abi = CMPI_FORUM;
    mpi.world = 0x101, mpi.byte = 0x247, mpi.info_null = 0x130, mpi.errors_return = 0x143;
    mpi.shared = 221, mpi.serialized = 2048;
  } else if (dlsym(library, "ompi_mpi_comm_world")) {
    mpi.abi = CMPI_OPEN_MPI;
    mpi.world = (handle)dlsym(library, "ompi_mpi_comm_world");
    mpi.byte = (handle)dlsym(library, "ompi_mpi_byte");
    mpi.info_null = (handle)dlsym(library, "ompi_mpi_info_null");
    mpi.errors_return = (handle)dlsym(library, "ompi_mpi_errors_return");
    mpi.shared = 0, mpi.serialized = 2;
    if (!mpi.byte || !mpi.info_null || !mpi.errors_return) {
      snprintf(reason, size, "%s: looks like Open MPI, but lacks its constants", file);
      dlclose(library);
      return -1;
    }
  } else {
    mpi.abi = CMPI_MPICH;
    mpi.world = 0x44000000, mpi.byte = 0x4c00010d, mpi.info_null = 0x1c000000, mpi.errors_return = 0x54000001;
    mpi.shared = 1, mpi.serialized = 2;
  }
  return 0;
}

cmpi_abi cmpi_library_abi(void) { return mpi.abi; }

void cmpi_library_version(char *text, size_t size) {
  char all[LONGEST_TEXT + 1] = "";
  int length = 0;
  if (mpi.library_version(all, &length) != 0) all[0] = 0;
  first_line(all, text, size);
}

void cmpi_error_text(int code, char *text, size_t size) {
  char all[LONGEST_TEXT + 1] = "";
  int length = 0;
  if (mpi.error_string(code, all, &length) != 0 || !all[0]) snprintf(all, sizeof all, "error %d", code);
  first_line(all, text, size);
}

int cmpi_start(cmpi_comm *world, int *serialized) {
  int provided = 0;
  int code = mpi.init_thread(NULL, NULL, mpi.serialized, &provided);
  if (code != 0) return code;
  *serialized = provided >= mpi.serialized;
  *world = mpi.world;
  return mpi.comm_set_errhandler(mpi.world, mpi.errors_return);
}

int cmpi_finish(void) { return mpi.finalize(); }

void cmpi_abort(int code) {
  mpi.abort(mpi.world, code);
  _Exit(code);
}

int cmpi_rank(cmpi_comm comm, int *rank) { return mpi.comm_rank((handle)comm, rank); }
int cmpi_size(cmpi_comm comm, int *size) { return mpi.comm_size((handle)comm, size); }

// MPICH writes 4 of the 8 bytes.
int cmpi_split_shared(cmpi_comm comm, cmpi_comm *out) {
  handle made = 0;
  int code = mpi.comm_split_type((handle)comm, mpi.shared, 0, mpi.info_null, &made);
  *out = made;
  return code;
}

int cmpi_split(cmpi_comm comm, int color, int key, cmpi_comm *out) {
  handle made = 0;
  int code = mpi.comm_split((handle)comm, color, key, &made);
  *out = made;
  return code;
}

int cmpi_broadcast(void *data, int count, int root, cmpi_comm comm) {
  return mpi.bcast(data, count, mpi.byte, root, (handle)comm);
}

int cmpi_allgather(const void *mine, int count, void *all, cmpi_comm comm) {
  return mpi.allgather(mine, count, mpi.byte, all, count, mpi.byte, (handle)comm);
}

int cmpi_alltoall(const void *mine, int count, void *theirs, cmpi_comm comm) {
  return mpi.alltoall(mine, count, mpi.byte, theirs, count, mpi.byte, (handle)comm);
}
