// MPI without mpi.h: the few functions that training on several processes needs, found in whichever MPI library there is when the
// program runs. Open MPI, MPICH (and what shares its ABI: Intel MPI, Cray MPICH, MVAPICH) and libraries of the MPI Forum's ABI
// differ in the values of their constants and in the width of their handles; here a handle is a number of 64 bits.
#ifndef CMPI_H
#define CMPI_H

#include <stddef.h>
#include <stdint.h>

typedef enum { CMPI_OPEN_MPI, CMPI_MPICH, CMPI_FORUM } cmpi_abi;

typedef int64_t cmpi_comm;

// Loads the library `file` for the rest of the process. Returns 0, or -1 with a line of what is wrong in `reason`.
int cmpi_open(const char *file, char *reason, size_t size);

// Of the library that was opened.
cmpi_abi cmpi_library_abi(void);
// One line; empty where the library does not say.
void cmpi_library_version(char *text, size_t size);

// All that follows returns 0 or MPI's error code, which cmpi_error_text explains.
void cmpi_error_text(int code, char *text, size_t size);

// Starts MPI for a process in which one thread at a time calls it; has its errors returned, not fatal. `serialized` becomes 0 where
// the library does not allow that.
int cmpi_start(cmpi_comm *world, int *serialized);
int cmpi_finish(void);
// Ends all processes of the world.
_Noreturn void cmpi_abort(int code);

int cmpi_rank(cmpi_comm comm, int *rank);
int cmpi_size(cmpi_comm comm, int *size);
// The processes that share memory with this one, in the order of their ranks.
int cmpi_split_shared(cmpi_comm comm, cmpi_comm *out);
// The processes of the same color.
int cmpi_split(cmpi_comm comm, int color, int key, cmpi_comm *out);

// Collectives over bytes; `count` is that of one process.
int cmpi_broadcast(void *data, int count, int root, cmpi_comm comm);
int cmpi_allgather(const void *mine, int count, void *all, cmpi_comm comm);
int cmpi_alltoall(const void *mine, int count, void *theirs, cmpi_comm comm);

#endif
