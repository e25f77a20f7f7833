cimport cython
cimport pystack_c.const as C
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

cdef extern from "Python.h":
    ctypedef void* PyThread_type_lock
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyThread_type_lock PyThread_allocate_lock() nogil
    void PyThread_free_lock(PyThread_type_lock lock) nogil
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait) nogil
    void PyThread_release_lock(PyThread_type_lock lock) nogil
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int intr) nogil
    unsigned long PyThread_get_thread_ident() nogil

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* ts)
    int CLOCK_MONOTONIC

cpdef object this_thread()

@cython.final
cdef class Lock:
    cdef public object rlock
    cdef PyThread_type_lock lock
    cdef unsigned long owner
    cdef int depth
    cpdef acquire(self)
    cpdef bint try_acquire(self) except -1
    cpdef release(self)
    cpdef bint mine(self) except -1
    @cython.locals(old=object)
    cpdef renew(self)

@cython.final
cdef class Gate:
    cdef public object plain
    cdef PyThread_type_lock lock
    cpdef open(self)
    cpdef bint wait(self, int64_t timeout, Gate opens) except -1

cdef inline unsigned long thread_ident() noexcept:
    return PyThread_get_thread_ident()

cdef inline int make_lock(Lock self) except -1:
    self.lock = PyThread_allocate_lock()
    if self.lock == NULL:
        raise MemoryError("a lock cannot be allocated")
    return 0

cdef inline void free_lock(Lock self) noexcept:
    if self.lock != NULL:
        PyThread_free_lock(self.lock)
        self.lock = NULL

cdef inline void free_gate(Gate self) noexcept:
    if self.lock != NULL:
        PyThread_free_lock(self.lock)
        self.lock = NULL

cdef inline bint take_lock(Lock self, bint wait) except -1:
    cdef unsigned long me = PyThread_get_thread_ident()
    cdef PyThread_type_lock lock = self.lock
    if self.depth > 0 and self.owner == me:
        self.depth += 1
        return True
    if not PyThread_acquire_lock(lock, 0):
        if not wait:
            return False
        with nogil:
            PyThread_acquire_lock(lock, 1)
    self.owner = me
    self.depth = 1
    return True

cdef inline int drop_lock(Lock self) except -1:
    if self.depth == 0 or self.owner != PyThread_get_thread_ident():
        raise RuntimeError("this thread does not hold the lock")
    self.depth -= 1
    if self.depth == 0:
        PyThread_release_lock(self.lock)
    return 0

cdef inline bint has_lock(Lock self):
    return self.depth > 0 and self.owner == PyThread_get_thread_ident()

# The old lock may be half taken, so it is left as it is and not freed.
cdef inline int renew_lock(Lock self) except -1:
    cdef bint mine = has_lock(self)
    self.lock = NULL
    make_lock(self)
    if mine:
        PyThread_acquire_lock(self.lock, 0)
    else:
        self.depth = 0
    return 0

cdef inline int make_gate(Gate self) except -1:
    self.lock = PyThread_allocate_lock()
    if self.lock == NULL:
        raise MemoryError("a lock cannot be allocated")
    PyThread_acquire_lock(self.lock, 0)
    return 0

cdef inline void open_gate(Gate self) noexcept nogil:
    PyThread_release_lock(self.lock)

cdef inline int64_t clock_now() noexcept nogil:
    cdef timespec ts
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return <int64_t>ts.tv_sec * 1000000000 + ts.tv_nsec

cdef inline bint wait_gate(Gate self, int64_t timeout, Gate opens) except -1:
    cdef PyThread_type_lock lock = self.lock
    cdef PyThread_type_lock other = NULL
    cdef PyLockStatus status
    cdef int64_t end = 0
    cdef int64_t left = -1
    if opens is not None:
        other = opens.lock
    if timeout >= 0:
        end = clock_now() + timeout
        left = timeout
    if opens is None and timeout != 0:
        PyErr_CheckSignals()  # as before a sleep (see sleep.pxd)
    while True:
        with nogil:
            if other != NULL:
                PyThread_release_lock(other)
                other = NULL
            # The time is in microseconds, rounded up, so that the
            # thread does not wake a moment too early and wait again.
            status = PyThread_acquire_lock_timed(lock, -1 if left < 0 else (left + 999) // 1000, 1)
        if status == PY_LOCK_ACQUIRED:
            return True
        if status == PY_LOCK_INTR:
            PyErr_CheckSignals()
        elif timeout >= 0:
            return False
        if timeout >= 0:
            left = end - clock_now()
            if left <= 0:
                left = 0
