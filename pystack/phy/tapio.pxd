cimport cython
cimport pystack_c.const as C
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_SetFromErrno
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EAGAIN, EINTR, errno as c_errno
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memcpy, memset
from pystack_c.packet cimport Transmit

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** p, Py_ssize_t n) except -1

cdef extern from "sys/uio.h":
    struct iovec:
        void* iov_base
        size_t iov_len
    Py_ssize_t readv(int fd, const iovec* parts, int count)
    Py_ssize_t writev(int fd, const iovec* parts, int count)

cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    static void keep_heap(void) {
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
        mallopt(M_TRIM_THRESHOLD, 32 << 20);
    }
    #else
    static void keep_heap(void) {}
    #endif
    """
    void keep_heap()

cdef Py_ssize_t _LOW, _HIGH

cpdef keep_memory()

cdef enum:
    # Most frames are small: they are read onto the C stack, and get an object of their own size.
    SMALL = 2048

@cython.final
cdef class FrameIO:
    cdef public int fd
    cdef public Py_ssize_t size
    cdef public bint vnet
    cdef bytes spare
    cdef public Py_ssize_t offset
    cdef public int flags
    cdef public int gso_size
    cdef public int64_t short
    @cython.locals(frame=bytes)
    cpdef bytes recv(self)
    @cython.locals(gso_type=int, parts=list)
    cpdef int send(self, Transmit tx) except -1

# One frame, or None. A long one is read behind SMALL bytes of room into an object that waits for it.
cdef inline bytes read_frame(FrameIO io):
    cdef char small[SMALL]
    cdef iovec parts[2]
    cdef Py_ssize_t n
    cdef PyObject* p
    if io.spare is None:
        io.spare = PyBytes_FromStringAndSize(NULL, io.size if io.size > SMALL else SMALL + 1)
    parts[0].iov_base = small
    parts[0].iov_len = SMALL
    parts[1].iov_base = PyBytes_AS_STRING(io.spare) + SMALL
    parts[1].iov_len = len(io.spare) - SMALL
    n = readv(io.fd, parts, 2)
    while n < 0 and c_errno == EINTR:
        n = readv(io.fd, parts, 2)
    if n < 0:
        if c_errno == EAGAIN:
            return None
        PyErr_SetFromErrno(OSError)
    if n <= SMALL:
        return PyBytes_FromStringAndSize(small, n)
    memcpy(PyBytes_AS_STRING(io.spare), small, SMALL)
    # Cut to its length; for that, it must be nobody's but ours.
    p = <PyObject*>io.spare
    Py_INCREF(<object>p)
    io.spare = None
    _PyBytes_Resize(&p, n)
    frame = <bytes>p
    Py_DECREF(frame)
    return frame

cdef inline int write_frame(FrameIO io, Transmit tx, int gso_type) except -1:
    cdef unsigned char vnet[10]
    cdef uint16_t words[4]
    cdef iovec parts[3]
    cdef Py_buffer view
    cdef int count = 0
    cdef Py_ssize_t n
    cdef bint viewed = False
    if io.vnet:
        memset(vnet, 0, 10)
        if tx.csum_start > 0:
            vnet[0] = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM
            vnet[1] = <unsigned char>gso_type
            words[0] = <uint16_t>tx.hdr_len
            words[1] = <uint16_t>tx.gso_size
            words[2] = <uint16_t>tx.csum_start
            words[3] = <uint16_t>tx.csum_offset
            memcpy(vnet + 2, words, 8)
        parts[0].iov_base = vnet
        parts[0].iov_len = 10
        count = 1
    parts[count].iov_base = PyBytes_AS_STRING(tx.header)
    parts[count].iov_len = len(tx.header)
    count += 1
    if tx.payload is not None:
        PyObject_GetBuffer(tx.payload, &view, PyBUF_SIMPLE)
        viewed = True
        parts[count].iov_base = view.buf
        parts[count].iov_len = view.len
        count += 1
    n = writev(io.fd, parts, count)
    while n < 0 and c_errno == EINTR:
        n = writev(io.fd, parts, count)
    if viewed:
        if n < 0:
            count = c_errno
        PyBuffer_Release(&view)
        return count if n < 0 else 0
    return c_errno if n < 0 else 0

cdef bytes _vnet_header(Transmit tx, int gso_type)
