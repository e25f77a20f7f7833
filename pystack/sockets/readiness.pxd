cimport cython
cimport pystack_c.const as C
from libc.stdint cimport uint64_t
from pystack.runtime.waiting cimport Hook
from pystack_c.endpoint cimport Endpoint

cdef int _READABLE
cdef int _WRITABLE
cdef int _NARROW
cdef int _WIDE

cdef extern from *:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <unistd.h>

    static int pystack_same(int number, uint64_t inode) {
        struct stat st;
        return fstat(number, &st) == 0 && S_ISSOCK(st.st_mode) && (uint64_t)st.st_ino == inode;
    }

    /* A duplicate, or minus the errno. With no descriptor to be had: the number itself, which another thread could close at this
       very moment. */
    static int pystack_borrow(int number, uint64_t inode) {
        int fd;
        if (!pystack_same(number, inode)) return -EBADF;
        fd = fcntl(number, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) return errno == EMFILE || errno == ENFILE ? number : -errno;
        if (!pystack_same(fd, inode)) {
            close(fd);
            return -EBADF;
        }
        return fd;
    }

    static int pystack_receive_mark(int number, uint64_t inode) {
        char byte;
        int code = 0;
        int fd = pystack_borrow(number, inode);
        if (fd < 0) return -fd;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) < 0) code = errno;
        if (fd != number) close(fd);
        return code;
    }

    static int pystack_set_send_buffer(int number, uint64_t inode, int size) {
        int code = 0;
        int fd = pystack_borrow(number, inode);
        if (fd < 0) return -fd;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0) code = errno;
        if (fd != number) close(fd);
        return code;
    }

    static int pystack_set_nonblock(int number, uint64_t inode, int on) {
        int flags;
        int code = 0;
        int fd = pystack_borrow(number, inode);
        if (fd < 0) return -fd;
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0) code = errno;
        if (fd != number) close(fd);
        return code;
    }
    """
    bint pystack_same(int number, uint64_t inode)
    int pystack_receive_mark(int number, uint64_t inode)
    int pystack_set_send_buffer(int number, uint64_t inode, int size)
    int pystack_set_nonblock(int number, uint64_t inode, int on)

cdef extern from "unistd.h":
    int close(int fd)

cpdef bint is_ours(int number, uint64_t inode) except -1
cpdef int take_mark(int number, uint64_t inode) except -1
cpdef int set_room(int number, uint64_t inode, int size) except -1
cpdef int set_blocking(int number, uint64_t inode, bint blocking) except -1
cpdef bint give_back(int number, uint64_t inode) except -1

cdef inline bint same_socket(int number, uint64_t inode) noexcept:
    return pystack_same(number, inode)

cdef inline int receive_mark(int number, uint64_t inode) noexcept:
    return pystack_receive_mark(number, inode)

cdef inline int set_send_buffer(int number, uint64_t inode, int size) noexcept:
    return pystack_set_send_buffer(number, inode, size)

cdef inline int set_nonblock(int number, uint64_t inode, int on) noexcept:
    return pystack_set_nonblock(number, inode, on)

cdef inline bint close_ours(int number, uint64_t inode) noexcept:
    if not pystack_same(number, inode):
        return False
    close(number)
    return True

cdef class Readiness(Hook):
    cdef public Endpoint endpoint
    cdef public object other
    cdef public uint64_t inode
    cdef public int number
    cdef public bint readable
    cdef public bint writable
    cdef public bint over
    cdef public bint down
    cdef public int robbed
    @cython.locals(level=int, readable=bint, writable=bint)
    cpdef notify(self, int bits)
    cdef _mark(self)
    cpdef fall(self)
    cpdef bint ours(self) except -1
    cpdef set_blocking(self, bint blocking)
    cpdef bint close(self) except -1
